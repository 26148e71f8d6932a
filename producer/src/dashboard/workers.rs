//! The workers that live.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Html;
use maud::{Markup, html};

use super::Dashboard;
use super::bits::{count, empty, when};
use super::layout::{Page, Tab};
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::watch::Snapshot;

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Trouble> {
    let snapshot = dashboard.watch.snapshot().await?;
    let body = html! { h1 { "Workers" } div #part { (part(&snapshot, &visitor)) } };
    let live = Some("page=workers".to_owned());
    Ok(Page { visitor: &visitor, tab: Tab::Workers, title: "Workers", live, told: None, body }.html())
}

/// What of it changes by itself.
pub(super) fn part(snapshot: &Snapshot, _: &Visitor) -> Markup {
    html! {
        @if snapshot.workers.is_empty() { (empty("No worker lives: nothing goes out. Start postroom-worker.")) } @else {
            div.card tabindex="0" { table {
                thead { tr { th scope="col" { "Worker" } th scope="col" { "Session since" } th.number scope="col" { "Mails in hand" }
                    th scope="col" { "Lease lasts unless renewed" } } }
                tbody { @for worker in &snapshot.workers { tr {
                    td { (worker.name) " " code.soft { (worker.id) } }
                    td { (when(worker.since, snapshot.at)) }
                    td.number { (count(worker.jobs)) }
                    td { (when(worker.lease_ends, snapshot.at)) }
                } } }
            } }
        }
        p.soft { (count(snapshot.totals.leases_lost)) " leases ran out and " (count(snapshot.totals.doubled))
            " mails are known to have gone out twice, since the queue was first used." }
    }
}

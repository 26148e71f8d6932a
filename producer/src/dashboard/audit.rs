//! The audit log, for admins: what was changed by hand, who did it, and how it ended; and what the dashboard adds to it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use maud::html;
use postroom_shared::api_keys::Mode;
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::store::StoreError;

use super::Dashboard;
use super::bits::{empty, when};
use super::form::{Form, query};
use super::layout::{Page, Tab};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};

/// Entries on a page.
const ON_PAGE: usize = 100;

impl Dashboard {
    /// This visitor did something.
    pub(super) async fn note(&self, visitor: &Visitor, action: Action, subject: Subject) {
        self.app.note_as(&visitor.caller, visitor.role.as_str(), action, subject).await;
    }
}

/// Whether somebody may read it: it tells of every key and account.
pub(super) fn is_for(visitor: &Visitor) -> bool {
    visitor.role >= Role::Admin && visitor.caller.key.may_manage(Mode::Live, &[])
}

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(asked): RawQuery,
) -> Result<Html<String>, Trouble> {
    visitor.demand(Role::Admin)?;
    if !is_for(&visitor) {
        let what = "The audit log tells of all accounts, and your key is for some of them, or for test mails.";
        return Err(Trouble::forbidden(what, "Log in with an admin's live key that is bound to no account."));
    }
    let form = Form::of_query(asked);
    let page = match dashboard.app.audit.page(ON_PAGE, form.get("after")).await {
        Ok(page) => page,
        Err(StoreError::Wrong(what)) => return Err(Trouble::invalid(what)),
        Err(error) => return Err(error.into()),
    };
    let now = Millis::now();
    let body = html! {
        h1 { "Audit log" }
        p.soft { "What was changed by hand, through the API, at the command line and here." }
        @if page.entries.is_empty() { (empty("Nothing was changed by hand yet.")) } @else {
            div.card tabindex="0" { table {
                thead { tr { th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "Role" } th scope="col" { "Did" }
                    th scope="col" { "To" } th scope="col" { "Outcome" } } }
                tbody { @for entry in &page.entries { tr {
                    td.nowrap { (when(entry.at.min(now), now)) }
                    td { (entry.actor.name) " " code.soft { (entry.actor.id) } }
                    td { (entry.actor.role) }
                    td { span.word { (entry.action) } }
                    td { (entry.subject) }
                    td { (entry.outcome) }
                } } }
            } }
        }
        nav.pager aria-label="Further entries" {
            @if let Some(next) = &page.next { a.button href={ "/dashboard/audit?" (query(&[("after", next)])) } { "Older" } }
        }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Audit, title: "Audit log", live: None, told: None, body }.html())
}

//! The accounts: what is used and left, what keeps one from sending and why, when its mails will have gone; hold and resume.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{Html, Redirect};
use maud::{Markup, html};
use postroom_shared::account::{AccountId, Hold, Pause};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{Standing, Use};
use postroom_shared::reason::Reason;

use super::bits::{account, bar, count, empty, exact, reason, when};
use super::find::named;
use super::form::Form;
use super::layout::{Page, Tab};
use super::overview::{gone, seen, why};
use super::told::{Done, Told};
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::watch::Snapshot;
use super::{Dashboard, chart};

/// All of them.
pub(super) async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    let snapshot = dashboard.watch.snapshot().await?;
    let body = html! { h1 { "Accounts" } div #part { (part(&snapshot, &visitor)) } };
    let (told, live) = (Told::read(&Form::of_query(query)), Some("page=accounts".to_owned()));
    Ok(Page { visitor: &visitor, tab: Tab::Accounts, title: "Accounts", live, told, body }.html())
}

/// What of it changes by itself.
pub(super) fn part(snapshot: &Snapshot, visitor: &Visitor) -> Markup {
    let standings: Vec<&Standing> = seen(snapshot, visitor).collect();
    html! {
        @if standings.is_empty() { (empty("No account yet: add one with postroom account login ADDRESS.")) } @else {
            div.card { table {
                thead { tr { th scope="col" { "Account" } th scope="col" { "Messages in 24 h" } th.number scope="col" { "Waits" }
                    th.number scope="col" { "Connections" } th scope="col" { "Why it waits" } th scope="col" { "Gone" } } }
                tbody { @for standing in standings { (row(standing, visitor, snapshot.at)) } }
            } }
        }
    }
}

fn row(standing: &Standing, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        tr {
            td { (account(&standing.account.id, visitor)) br; span.soft { (standing.account.kind.as_str()) } }
            td.meter { (used(&standing.budget.messages, "messages")) }
            td.number { (count(standing.waiting.iter().sum())) }
            td.number { (standing.permits) " of " (standing.connections) }
            td { (why(standing, visitor, now)) }
            td { (gone(standing, now)) }
        }
    }
}

fn used(counted: &Use, what: &str) -> Markup {
    let limit = counted.limit.unwrap_or(0);
    let told = match counted.limit {
        Some(limit) => format!("{} of {}", count(counted.used), count(limit)),
        None => format!("{}, no limit", count(counted.used)),
    };
    html! { (bar(counted.used, limit, &format!("{told} {what}"))) span.soft { (told) } }
}

/// One of them.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(hash): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    let snapshot = dashboard.watch.snapshot().await?;
    let id = named(&hash, &visitor, &snapshot)?;
    let standing = dashboard.app.client.queue().standing(&id).await?.ok_or_else(|| Trouble::missing("account"))?;
    let (now, name) = (Millis::now(), visitor.account(&id));
    let body = html! {
        h1 { (name) }
        (holds(&standing, &visitor, now))
        (actions(&standing, &visitor, &hash))
        section aria-labelledby="budget" { h2 #budget { "Budget and lane" } (facts(&standing, &visitor, now)) }
        section aria-labelledby="sent" { h2 #sent { "Sent in the last 24 hours" } (chart::day(standing.sent(), now)) }
        p { a href={ "/dashboard/mails?account=" (hash) } { "Its mails" } " · " a href={ "/dashboard/dead?account=" (hash) } { "Its dead letters" } }
        @if !id.is_test() { (login(&name, &standing)) }
    };
    let told = Told::read(&Form::of_query(query));
    Ok(Page { visitor: &visitor, tab: Tab::Accounts, title: &name, live: Some("page=list".to_owned()), told, body }
        .html())
}

fn holds(standing: &Standing, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        @if standing.account.holds.is_empty() { p.row { span.state.sent { "sends" } span.soft { "Nothing keeps it." } } }
        @for hold in &standing.account.holds { (held(hold, visitor, now)) }
    }
}

fn held(hold: &Hold, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        div.notice.bad {
            p.row { strong { "Held" } (reason(Some(hold.reason))) span { "since " (when(hold.since, now)) }
                @match hold.until { Some(until) => span { "until " (exact(until)) }, None => span { "until a person acts" } } }
            p { (hold.reason.help()) }
            @if !hold.note.is_empty() { blockquote { (visitor.text(&hold.note)) } }
        }
    }
}

fn actions(standing: &Standing, visitor: &Visitor, hash: &str) -> Markup {
    let holds = &standing.account.holds;
    html! {
        @if visitor.may(Role::Operator) && !standing.account.id.is_test() {
            div.actions {
                @if !holds.is_empty() {
                    form method="post" action={ "/dashboard/accounts/" (hash) "/resume" } { button.main type="submit" { "Resume it" } }
                }
                @if !holds.iter().any(|hold| hold.reason == Reason::Operator) {
                    form method="post" action={ "/dashboard/accounts/" (hash) "/hold" } { button type="submit" { "Hold it" } }
                }
            }
        }
    }
}

fn facts(standing: &Standing, visitor: &Visitor, now: Millis) -> Markup {
    let (budget, known) = (&standing.budget, &standing.account);
    let [urgent, normal, bulk] = standing.waiting;
    html! {
        div.card { table.pairs { tbody {
            tr { th scope="row" { "Kind" } td { (known.kind.as_str()) } }
            tr { th scope="row" { "Messages in 24 h" } td.meter { (used(&budget.messages, "messages")) } }
            tr { th scope="row" { "Recipients in 24 h" } td.meter { (used(&budget.recipients, "recipients")) } }
            @if let Some(at) = budget.frees_at { tr { th scope="row" { "Some is free again" } td { (when(at, now)) } } }
            tr { th scope="row" { "Waits" } td { (count(urgent)) " urgent, " (count(normal)) " normal, " (count(bulk)) " bulk" } }
            tr { th scope="row" { "Why" } td { (why(standing, visitor, now)) } }
            tr { th scope="row" { "Gone" } td { (gone(standing, now)) } }
            tr { th scope="row" { "Connections" } td { (standing.permits) " open of " (standing.connections) } }
            @if let Some(rate) = budget.rate { tr { th scope="row" { "Rate" } td { (rate.per_second) " a second, " (rate.burst) " at once" } } }
            @if budget.urgent_share > 0 { tr { th scope="row" { "For urgent mail only" } td { (budget.urgent_share) " %" } } }
            tr { th scope="row" { "May send as" } td {
                @if known.aliases.is_empty() { "itself only" }
                @for alias in &known.aliases { (visitor.address(alias)) " " }
            } }
            tr { th scope="row" { "Last sent" } td { @match standing.last_delivery {
                Some(at) => { "about " (when(at.min(now), now)) }, None => { "not in the last 24 hours" } } } }
            @if let Some(at) = known.consented { tr { th scope="row" { "Credentials stored" } td { (exact(at)) ", " (when(at, now)) } } }
        } } }
    }
}

/// How a person logs it in again: that needs a browser beside a terminal, for the consent comes back to that machine.
fn login(name: &str, standing: &Standing) -> Markup {
    let needed = standing.account.holds.iter().any(|hold| hold.reason == Reason::Consent);
    html! {
        section aria-labelledby="login" {
            h2 #login { "Log in" }
            p { @if needed { strong { "It needs a new consent. " } }
                "On a machine with a browser, with this Postroom's settings, run:" }
            pre tabindex="0" { "postroom account login " (name) }
        }
    }
}

/// Keeps it from sending.
pub(super) async fn hold(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(hash): Path<String>,
) -> Result<Redirect, Trouble> {
    let id = to_change(&dashboard, &visitor, &hash).await?;
    let note = format!("at the dashboard, with the API key {}", visitor.caller.key_id());
    dashboard.app.client.queue().hold(&id, Reason::Operator, &note, Pause::UntilAPerson).await?;
    Ok(changed(&dashboard, &visitor, id, Action::AccountHold, Done::Held).await)
}

/// Lets it send again.
pub(super) async fn resume(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(hash): Path<String>,
) -> Result<Redirect, Trouble> {
    let id = to_change(&dashboard, &visitor, &hash).await?;
    dashboard.app.client.queue().resume(&id).await?;
    Ok(changed(&dashboard, &visitor, id, Action::AccountResume, Done::Resumed).await)
}

/// The account of a page, if the visitor may change it.
async fn to_change(dashboard: &Dashboard, visitor: &Visitor, hash: &str) -> Result<AccountId, Trouble> {
    visitor.demand(Role::Operator)?;
    named(hash, visitor, &*dashboard.watch.snapshot().await?)
}

/// Notes the change, and leads back to the account's page, which shows it.
async fn changed(dashboard: &Dashboard, visitor: &Visitor, id: AccountId, action: Action, done: Done) -> Redirect {
    dashboard.watch.forget();
    let page = format!("/dashboard/accounts/{}", id.hashed());
    dashboard.note(visitor, action, Subject::Account(id)).await;
    Redirect::to(&Told::one(done).at(&page))
}

//! The mails: a page of them, the newest first, or those that were looked for. By index, never a scan (`queue::find`).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{MailState, MailStatus, Page as Mails};
use postroom_shared::reason::Reason;

use super::Dashboard;
use super::bits::{account, empty, options, reason, state, when};
use super::find::{Asked, Found, KINDS};
use super::form::Form;
use super::layout::{Page, Tab};
use super::overview::seen;
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::watch::Snapshot;

const FIELDS: [&str; 5] = ["q", "by", "state", "reason", "account"];

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let form = Form::of_query(query);
    let snapshot = dashboard.watch.snapshot().await?;
    let asked = Asked::read(&form, &visitor, &snapshot)?;
    let mails = match asked.find(dashboard.app.client.queue()).await? {
        Found::One(id) => return Ok(Redirect::to(&format!("/dashboard/mails/{id}")).into_response()),
        Found::Page(mails) => mails,
    };
    let body = html! {
        h1 { "Mails" }
        (filter(&form, &visitor, &snapshot))
        div #list {
            @if mails.mails.is_empty() && mails.next.is_none() {
                (empty(if asked.is_narrow() { "No mail fits." } else { "No mail was handed over yet." }))
            } @else {
                (table(&mails.mails, &visitor, Millis::now()))
            }
            (pager(&form, &mails))
        }
    };
    let live = Some("page=list".to_owned());
    Ok(Page { visitor: &visitor, tab: Tab::Mails, title: "Mails", live, told: None, body }.html().into_response())
}

fn filter(form: &Form, visitor: &Visitor, snapshot: &Snapshot) -> Markup {
    let states = MailState::ALL.map(MailState::as_str);
    let states = [("", "any state")].into_iter().chain(states.map(|word| (word, word)));
    let reasons = Reason::ALL.iter().map(|reason| (reason.as_str(), reason.as_str()));
    html! {
        form.filter method="get" action="/dashboard/mails" hx-get="/dashboard/mails" hx-trigger="change, submit"
            hx-select="#list" hx-target="#list" hx-swap="outerHTML" hx-push-url="true" {
            label { "Look for" input type="search" name="q" value=[form.get("q")] placeholder="id, key, Message-ID, recipient, tag"
                spellcheck="false" autocomplete="off"; }
            label { "It is" select name="by" { (options(KINDS, form.get("by"))) } }
            label { "State" select name="state" { (options(states, form.get("state"))) } }
            label { "Reason" select name="reason" { (options([("", "any reason")].into_iter().chain(reasons), form.get("reason"))) } }
            label { "Account" select name="account" { (accounts(form, visitor, snapshot)) } }
            button type="submit" { "Find" }
            a href="/dashboard/mails" { "All" }
        }
    }
}

/// The choices of accounts, by their hashes: no address stands in an address bar because of us.
pub(super) fn accounts(form: &Form, visitor: &Visitor, snapshot: &Snapshot) -> Markup {
    let chosen = form.get("account").unwrap_or_default();
    html! {
        option value="" { "any account" }
        @for standing in seen(snapshot, visitor) {
            @let hash = standing.account.id.hashed();
            option value=(hash) selected[hash == chosen] { (visitor.account(&standing.account.id)) }
        }
    }
}

/// Mails, one a row.
pub(super) fn table(mails: &[MailStatus], visitor: &Visitor, now: Millis) -> Markup {
    html! {
        div.card { table.mails {
            thead { tr { th scope="col" { "Handed over" } th scope="col" { "State" } th scope="col" { "Subject" }
                th scope="col" { "To" } th scope="col" { "Account" } th.number scope="col" { "Attempts" } th scope="col" { "Reason" } } }
            tbody { @for mail in mails { (row(mail, visitor, now)) } }
        } }
    }
}

fn row(mail: &MailStatus, visitor: &Visitor, now: Millis) -> Markup {
    let subject = mail.subject.as_deref().filter(|subject| !subject.trim().is_empty()).unwrap_or("(no subject)");
    html! {
        tr {
            td.nowrap { (when(mail.queued_at, now)) }
            td { (state(mail.state)) }
            td.cut { a href={ "/dashboard/mails/" (mail.id) } { (visitor.text(subject)) } }
            td.cut {
                @if let Some(first) = mail.recipients.first() { (visitor.address(&first.address)) }
                @if mail.recipients.len() > 1 { span.soft { " and " (mail.recipients.len() - 1) " more" } }
            }
            td.cut { (account(&mail.account, visitor)) }
            td.number { (mail.attempts) }
            td { (reason(mail.reason)) }
        }
    }
}

/// The ways to the pages before and after.
fn pager(form: &Form, page: &Mails) -> Markup {
    let link = |name: &str, id: String| {
        let pairs = form.only(&FIELDS);
        let between = if pairs.is_empty() { "" } else { "&" };
        format!("/dashboard/mails?{pairs}{between}{name}={id}")
    };
    let (newer, older) = match (form.get("before").is_some(), form.get("after").is_some()) {
        // Read from a place towards the newer ones: there are older ones for sure.
        (true, _) => (page.next, page.mails.last().map(|mail| mail.id)),
        (false, true) => (page.mails.first().map(|mail| mail.id), page.next),
        (false, false) => (None, page.next),
    };
    html! {
        nav.pager aria-label="Further mails" {
            @if let Some(id) = newer { a.button href=(link("before", id.to_string())) { "Newer" } }
            @if let Some(id) = older { a.button href=(link("after", id.to_string())) { "Older" } }
        }
    }
}

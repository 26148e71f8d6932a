//! Dead letters: which there are, by a filter, and how many; and the question before all that fit are changed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use maud::{Markup, html};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{DeadFilter, DeadList};
use postroom_shared::reason::Reason;

use super::Dashboard;
use super::bits::{account, bytes, count, empty, options, reason, when};
use super::find::named;
use super::form::Form;
use super::layout::{Page, Tab};
use super::mails::accounts;
use super::told::Told;
use super::trouble::Trouble;
use super::visitor::{Role, Visitor};
use super::watch::Snapshot;

/// The fields of the filter.
pub(super) const FIELDS: [&str; 6] = ["reason", "account", "age", "domain", "tag", "until"];
/// Dead letters that are shown.
const SHOWN: usize = 50;
/// Dead letters that a page looks at: fewer where their records must be read.
const LOOKED_AT: usize = 1_000;
const LOOKED_INTO: usize = 300;

const AGES: [(&str, &str, u64); 5] = [
    ("", "at any time", 0),
    ("1h", "in the last hour", 1),
    ("24h", "in the last day", 24),
    ("7d", "in the last week", 168),
    ("30d", "in the last 30 days", 720),
];

/// Reads the filter. `until`: what dies later is not meant.
pub(super) fn filter(form: &Form, visitor: &Visitor, snapshot: &Snapshot, limit: usize) -> Result<DeadFilter, Trouble> {
    let account = form.get("account").map(|hash| named(hash, visitor, snapshot)).transpose()?;
    let account = match visitor.caller.narrowed_to(account)?.as_deref() {
        None => None,
        // A key that is bound to several accounts looks at one at a time, its first unless it says which.
        Some(accounts) => accounts.first().cloned(),
    };
    let hours =
        form.get("age").and_then(|age| AGES.iter().find(|(word, ..)| *word == age)).map_or(0, |(_, _, hours)| *hours);
    let ago = |hours: u64| Millis(Millis::now().0.saturating_sub(hours * 3_600_000));
    Ok(DeadFilter {
        reason: form.get("reason").map(str::parse::<Reason>).transpose().map_err(Trouble::invalid)?,
        account,
        died_from: (hours > 0).then(|| ago(hours)),
        died_until: form.get("until").and_then(|until| until.parse().ok()).map(Millis),
        domain: form.get("domain").map(str::to_owned),
        tag: form.get("tag").map(str::parse).transpose().map_err(Trouble::invalid)?,
        limit,
    })
}

/// Looks at the newest dead letters, as many as a page may.
pub(super) async fn look(dashboard: &Dashboard, filter: &DeadFilter) -> Result<DeadList, Trouble> {
    let needs_records = filter.domain.is_some() || filter.tag.is_some();
    let most = if needs_records { LOOKED_INTO } else { LOOKED_AT };
    Ok(dashboard.app.client.queue().dead_among(filter, most).await?)
}

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    let form = Form::of_query(query);
    let snapshot = dashboard.watch.snapshot().await?;
    let wanted = filter(&form, &visitor, &snapshot, SHOWN)?;
    let list = look(&dashboard, &wanted).await?;
    let now = Millis::now();
    let body = html! {
        h1 { "Dead letters" }
        p.soft { "What failed for good, with its bytes. " (count(snapshot.state("dead"))) " in all, "
            (bytes(snapshot.totals.dead_bytes)) " in Redis." }
        (fields(&form, &visitor, &snapshot))
        div #list {
            @if list.mails.is_empty() { (empty(if list.is_cut { "None of the newest fits." } else { "No dead letter fits." })) } @else {
                (summary(&list, &form, &visitor))
                (table(&list, &visitor, now))
            }
        }
    };
    let (told, live) = (Told::read(&form), Some("page=list".to_owned()));
    Ok(Page { visitor: &visitor, tab: Tab::Dead, title: "Dead letters", live, told, body }.html())
}

fn fields(form: &Form, visitor: &Visitor, snapshot: &Snapshot) -> Markup {
    let reasons = Reason::ALL.iter().map(|reason| (reason.as_str(), reason.as_str()));
    html! {
        form.filter method="get" action="/dashboard/dead" hx-get="/dashboard/dead" hx-trigger="change, submit"
            hx-select="#list" hx-target="#list" hx-swap="outerHTML" hx-push-url="true" {
            label { "Reason" select name="reason" { (options([("", "any reason")].into_iter().chain(reasons), form.get("reason"))) } }
            label { "Account" select name="account" { (accounts(form, visitor, snapshot)) } }
            label { "Died" select name="age" { (options(AGES.map(|(word, words, _)| (word, words)), form.get("age"))) } }
            label { "Recipient's domain" input type="text" name="domain" value=[form.get("domain")] placeholder="example.org" spellcheck="false"; }
            label { "Tag" input type="text" name="tag" value=[form.get("tag")] placeholder="name or name=value" spellcheck="false"; }
            button type="submit" { "Filter" }
            a href="/dashboard/dead" { "All" }
        }
    }
}

/// How many fit, and what can be done with all of them.
fn summary(list: &DeadList, form: &Form, visitor: &Visitor) -> Markup {
    let summary = &list.summary;
    html! {
        p.row {
            strong { @if list.is_cut { "At least " } (count(summary.total)) " fit" }
            @for (word, number) in &summary.by_reason { span.word { (word) " " (count(*number)) } }
            @if summary.may_double > 0 { span.bad { (count(summary.may_double)) " may have been taken by the server all the same" } }
        }
        @if visitor.may(Role::Operator) {
            // What dies while somebody looks is not meant.
            @let until = summary.newest.map_or_else(String::new, |newest| newest.0.to_string());
            @let kept: Vec<_> = FIELDS.iter().filter(|name| **name != "until").filter_map(|name| Some((*name, form.get(name)?))).collect();
            div.actions {
                @for (path, words, class) in [("retry", "Retry all that fit…", "main"), ("discard", "Discard all that fit…", "danger")] {
                    form method="get" action={ "/dashboard/dead/" (path) } {
                        @for (name, value) in &kept { input type="hidden" name=(name) value=(value); }
                        input type="hidden" name="until" value=(until);
                        button class=(class) type="submit" { (words) }
                    }
                }
            }
        }
    }
}

fn table(list: &DeadList, visitor: &Visitor, now: Millis) -> Markup {
    html! {
        div.card { table.mails {
            thead { tr { th scope="col" { "Died" } th scope="col" { "Reason" } th scope="col" { "Subject" } th scope="col" { "To" }
                th scope="col" { "Account" } th.number scope="col" { "Attempts" } } }
            tbody { @for mail in &list.mails { tr {
                td.nowrap { (when(mail.at, now)) }
                td { (reason(mail.reason)) }
                td.cut { a href={ "/dashboard/mails/" (mail.id) } {
                    (visitor.text(mail.subject.as_deref().filter(|subject| !subject.trim().is_empty()).unwrap_or("(no subject)"))) } }
                td.cut { @for one in mail.recipients.iter().filter(|one| one.fate != "delivered").take(1) { (visitor.address(&one.address)) } }
                td.cut { (account(&mail.account, visitor)) }
                td.number { (mail.attempts) }
            } } }
        } }
        @if list.summary.total > list.mails.len() as u64 { p.soft { "The newest " (list.mails.len()) " are shown." } }
    }
}

//! The first page: what waits and why, what failed lately, the accounts at a glance.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Html;
use maud::{Markup, html};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{Standing, Why};

use super::bits::{account, bar, count, empty, prose, reason, when};
use super::chart;
use super::form::Form;
use super::layout::{Page, Tab};
use super::told::Told;
use super::trouble::Trouble;
use super::visitor::Visitor;
use super::watch::Snapshot;
use super::{Dashboard, form};

/// Accounts in each of the lists.
const SHOWN: usize = 12;

/// The page.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    RawQuery(query): RawQuery,
) -> Result<Html<String>, Trouble> {
    let snapshot = dashboard.watch.snapshot().await?;
    let body = html! { h1.hidden { "Overview" } div #part { (part(&snapshot, &visitor)) } };
    let told = Told::read(&Form::of_query(query));
    let live = Some("page=overview".to_owned());
    Ok(Page { visitor: &visitor, tab: Tab::Overview, title: "Overview", live, told, body }.html())
}

/// What of it changes by itself.
pub(super) fn part(snapshot: &Snapshot, visitor: &Visitor) -> Markup {
    let mut standings: Vec<&Standing> = seen(snapshot, visitor).collect();
    standings.sort_by_key(|standing| std::cmp::Reverse(standing.waiting.iter().sum::<u64>()));
    html! {
        (tiles(snapshot))
        div.columns {
            section aria-labelledby="waits" {
                h2 #waits { "What waits, and why" }
                (waits(&standings, visitor, snapshot.at))
            }
            section aria-labelledby="failed" {
                h2 #failed { "What failed in the last hour" }
                (failed(snapshot, visitor))
            }
        }
        section aria-labelledby="sent" {
            h2 #sent { "Sent in the last 24 hours" }
            (chart::day(standings.iter().flat_map(|standing| standing.sent()), snapshot.at))
        }
        section aria-labelledby="glance" {
            h2 #glance { "Accounts" }
            (glance(&standings, visitor, snapshot.at))
        }
    }
}

/// The accounts that the visitor may know of.
pub(super) fn seen<'a>(snapshot: &'a Snapshot, visitor: &'a Visitor) -> impl Iterator<Item = &'a Standing> {
    snapshot.standings.iter().filter(|standing| visitor.caller.sees_mail_of(&standing.account.id))
}

fn tiles(snapshot: &Snapshot) -> Markup {
    let lately = if snapshot.died.count > 0 { "bad" } else { "" };
    let workers = if snapshot.workers.is_empty() { "bad" } else { "" };
    html! {
        dl.tiles {
            div { dt { "Waiting" } dd { a href="/dashboard/mails?state=ready" { (count(snapshot.waiting())) } }
                dd.note { (count(snapshot.state("ready"))) " ready, " (count(snapshot.state("scheduled"))) " scheduled, "
                    (count(snapshot.state("retry"))) " to be tried again" } }
            div { dt { "Sending now" } dd { a href="/dashboard/mails?state=sending" { (count(snapshot.state("sending"))) } }
                dd.note { "by " (count(snapshot.standings.iter().map(|standing| standing.permits).sum())) " connections" } }
            div class=(lately) { dt { "Failed in the last hour" } dd { a href="/dashboard/dead?age=1h" { (count(snapshot.died.count)) } }
                dd.note { (count(snapshot.state("dead"))) " dead letters in all" } }
            div class=(workers) { dt { "Workers" } dd { a href="/dashboard/workers" { (count(snapshot.workers.len() as u64)) } }
                dd.note { @if snapshot.workers.is_empty() { "nothing goes out: start postroom-worker" } @else { "with a living session" } } }
            div { dt { "Sent" } dd { (count(snapshot.state("sent"))) }
                dd.note { "since the queue was first used" } }
        }
    }
}

fn waits(standings: &[&Standing], visitor: &Visitor, now: Millis) -> Markup {
    let waiting = standings.iter().filter(|standing| standing.waiting.iter().any(|number| *number > 0));
    let some: Vec<_> = waiting.clone().take(SHOWN).collect();
    let more = waiting.count() - some.len();
    html! {
        @if some.is_empty() { (empty("No mail waits for its turn.")) } @else {
            div.card { table {
                thead { tr { th scope="col" { "Account" } th.number scope="col" { "Waits" } th scope="col" { "Why" }
                    th scope="col" { "Gone" } } }
                tbody { @for standing in some { tr {
                    td { (account(&standing.account.id, visitor)) }
                    td.number { (count(standing.waiting.iter().sum())) }
                    td { (why(standing, visitor, now)) }
                    td { (gone(standing, now)) }
                } } }
            } }
            @if more > 0 { p.soft { "and " (more) " more accounts: " a href="/dashboard/accounts" { "all" } } }
        }
    }
}

/// Why an account's mails wait.
pub(super) fn why(standing: &Standing, visitor: &Visitor, now: Millis) -> Markup {
    let outlook = standing.forecast(now);
    html! {
        @if let Some(hold) = standing.account.hold() {
            span.state.held { "held" } " " (reason(Some(hold.reason))) " "
            span.soft { (prose(hold.reason.help())) }
            @if let Some(until) = hold.until { " until " (when(until, now)) }
        } @else if let Some(outlook) = outlook {
            @if let Some(why) = outlook.why { span.word { (words(why)) } " " }
            span.soft { (prose(&visitor.text(&outlook.note))) }
        }
    }
}

fn words(why: Why) -> &'static str {
    match why {
        Why::Due => "scheduled",
        Why::Held => "held",
        Why::Budget => "budget",
        Why::Rate => "rate",
        Why::Ahead => "mails ahead",
        Why::NoWorker => "no worker",
        Why::Trial => "trial",
        Why::Retry => "retry",
        Why::InDoubt => "in doubt",
        Why::NoAccount => "no account",
    }
}

/// When the last of an account's mails will probably have gone.
pub(super) fn gone(standing: &Standing, now: Millis) -> Markup {
    match standing.forecast(now).map(|outlook| outlook.likely_at) {
        None => html! {},
        Some(None) => html! { span.soft { "when a person has acted" } },
        Some(Some(at)) if at <= now => html! { "now" },
        Some(Some(at)) => html! { "about " (when(at, now)) },
    }
}

fn failed(snapshot: &Snapshot, visitor: &Visitor) -> Markup {
    let died = &snapshot.died;
    let bound = visitor.caller.accounts().is_some();
    let most = died.summary.by_reason.values().copied().max().unwrap_or(0);
    html! {
        @if died.count == 0 { (empty("Nothing. All is well.")) } @else {
            @if !bound {
                ul.bars { @for (word, number) in &died.summary.by_reason { li {
                    a href={ "/dashboard/dead?" (form::query(&[("reason", word), ("age", "1h")])) } { (word) }
                    (bar(*number, most.max(1), &format!("{number} for the reason {word}")))
                    span.number { (count(*number)) }
                } } }
                @if died.is_cut { p.soft { "of the newest " (count(died.summary.total)) } }
            }
            div.card { table {
                thead { tr { th scope="col" { "Died" } th scope="col" { "Reason" } th scope="col" { "Account" }
                    th scope="col" { "Subject" } } }
                tbody { @for mail in died.mails.iter().filter(|mail| visitor.caller.sees_mail(mail)) { tr {
                    td.nowrap { a href={ "/dashboard/mails/" (mail.id) } { (when(mail.at, snapshot.at)) } }
                    td { (reason(mail.reason)) }
                    td { (account(&mail.account, visitor)) }
                    td.cut { (visitor.text(mail.subject.as_deref().unwrap_or_default())) }
                } } }
            } }
        }
    }
}

fn glance(standings: &[&Standing], visitor: &Visitor, now: Millis) -> Markup {
    let real: Vec<_> = standings.iter().filter(|standing| !standing.account.id.is_test()).collect();
    html! {
        @if real.is_empty() { (empty("No account yet: add one with postroom account login ADDRESS.")) }
        ul.glance { @for standing in real.iter().take(SHOWN) { @let messages = &standing.budget.messages; li {
            div.row { (account(&standing.account.id, visitor))
                @if let Some(hold) = standing.account.hold() { span.state.held title=(hold.reason.help()) { "held: " (hold.reason.as_str()) } }
                @else { span.state.sent { "sends" } } }
            @let limit = messages.limit.unwrap_or(0);
            (bar(messages.used, limit, &format!("{} of {} messages used", messages.used, limit)))
            div.row.soft { span { (count(messages.used)) " of " (messages.limit.map_or_else(|| "any number".to_owned(), count)) }
                span { @if let Some(last) = standing.last_delivery { "last sent about " (when(last.min(now), now)) } @else { "nothing in 24 h" } } }
        } } }
        @if real.len() > SHOWN { p { a href="/dashboard/accounts" { "All " (real.len()) " accounts" } } }
    }
}

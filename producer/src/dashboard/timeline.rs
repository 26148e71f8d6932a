//! All that happened to a mail, one event below the other, as a waterfall over the time that it took.

use std::time::Duration;

use maud::{Markup, html};
use postroom_shared::clock::Millis;
use postroom_shared::queue::{Attempt, Event, MailStatus, What};
use postroom_shared::reason::Reason;
use postroom_shared::reply::Reply;

use super::Dashboard;
use super::bits::{exact, prose, reason, span, when};
use super::settings::trace_link;
use super::visitor::Visitor;

/// The width of the time axis.
const WIDE: u64 = 1_000;
/// What is shorter is shown as long as this.
const LEAST: u64 = 6;

/// The time that is drawn.
#[derive(Clone, Copy)]
struct Axis {
    from: Millis,
    to: Millis,
}

impl Axis {
    fn place(self, at: Millis) -> u64 {
        let whole = self.to.0.saturating_sub(self.from.0).max(1);
        at.0.saturating_sub(self.from.0).min(whole) * WIDE / whole
    }

    /// Where a span begins, and how long it is.
    fn bar(self, from: Millis, to: Millis) -> (u64, u64) {
        let length = (self.place(to) - self.place(from.min(to))).max(LEAST);
        (self.place(from).min(WIDE - length), length)
    }
}

/// The list.
pub(super) fn list(dashboard: &Dashboard, visitor: &Visitor, mail: &MailStatus, now: Millis) -> Markup {
    let last = mail.timeline.last().map_or(mail.queued_at, |event| event.at);
    let axis = Axis { from: mail.queued_at, to: if mail.state.is_final() { last } else { now } };
    let before = [mail.queued_at].into_iter().chain(mail.timeline.iter().map(|event| event.at));
    html! {
        ol.timeline {
            @for ((place, event), before) in mail.timeline.iter().enumerate().zip(before) {
                li class=(level(&event.what)) id=(name_of(place)) {
                    (head(event, before, mail.queued_at))
                    (draw(axis, event, before))
                    (details(dashboard, visitor, event, now))
                }
            }
            @if !mail.state.is_final() {
                li.open {
                    div.row { strong { "Waits" } span.soft { "for " (span(now.since(last))) " until now" } }
                    (lane(axis, last, now, None))
                }
            }
        }
    }
}

/// What an event is called in an address.
fn name_of(place: usize) -> String {
    format!("event-{place}")
}

/// What went wrong last, in the server's words, with the way to where it stands with all else about it.
pub(super) fn last_words(mail: &MailStatus, visitor: &Visitor) -> Markup {
    let failed = |event: &Event| event.what.attempt().filter(|attempt| !is_success(attempt.reason)).cloned();
    let last = mail.timeline.iter().enumerate().rev().find_map(|(place, event)| Some((place, failed(event)?)));
    let Some((place, attempt)) = last else { return html! {} };
    let reply = attempt.reply.as_ref().or_else(|| attempt.refused.first().map(|(_, reply)| reply));
    html! {
        p {
            "Attempt " (attempt.number) " failed: "
            @match reply { Some(reply) => q { (visitor.text(&reply.words())) }, None => (attempt.reason.help()) }
            " " a href={ "#" (name_of(place)) } { "What the server said, and what to do" }
        }
    }
}

/// How good or bad an event is: a colour that repeats its words.
fn level(what: &What) -> &'static str {
    match what {
        What::Attempt(attempt) if attempt.reason == Reason::Delivered || attempt.reason == Reason::Found => "good",
        What::Attempt(attempt) if attempt.next == "dead" => "bad",
        What::Dead { .. } | What::Doubled | What::Dropped { .. } => "bad",
        What::Attempt(_) | What::TakenBack { .. } => "warn",
        What::Queued
        | What::Cancelled
        | What::Rescheduled { .. }
        | What::Retried { .. }
        | What::Moved { .. }
        | What::Discarded => "plain",
    }
}

fn head(event: &Event, before: Millis, begun: Millis) -> Markup {
    let after = event.at.since(begun);
    let (name, took, why) = match &event.what {
        What::Attempt(attempt) => {
            (format!("Attempt {}", attempt.number), Some(event.at.since(attempt.claimed)), Some(attempt.reason))
        }
        What::TakenBack { reason, .. } => ("Taken back from a worker".to_owned(), None, Some(*reason)),
        What::Dead { reason } => ("Dead letter".to_owned(), None, Some(*reason)),
        What::Queued => ("Handed over".to_owned(), None, None),
        What::Doubled => ("Went out twice".to_owned(), None, None),
        What::Cancelled => ("Cancelled".to_owned(), None, None),
        What::Rescheduled { .. } => ("Another time".to_owned(), None, None),
        What::Retried { .. } => ("Put back into the queue".to_owned(), None, None),
        What::Moved { .. } => ("Another account of the pool".to_owned(), None, None),
        What::Discarded => ("Thrown away".to_owned(), None, None),
        What::Dropped { .. } => ("Thrown away for want of room or time".to_owned(), None, None),
    };
    let waited = event.what.attempt().map(|attempt| attempt.claimed.since(before));
    html! {
        div.row {
            strong { (name) } (reason(why))
            @if let Some(took) = took { span { "took " (span(took)) } }
            @if let Some(waited) = waited.filter(|waited| *waited > Duration::from_millis(1)) { span.soft { "after a wait of " (span(waited)) } }
            time.soft datetime=(event.at) title=(exact(event.at)) { "+" (span(after)) }
        }
    }
}

fn draw(axis: Axis, event: &Event, before: Millis) -> Markup {
    match event.what.attempt() {
        Some(attempt) => lane(axis, before, attempt.claimed, Some((attempt.claimed, event.at))),
        None => lane(axis, event.at, event.at, None),
    }
}

/// A wait, and what followed it.
fn lane(axis: Axis, from: Millis, to: Millis, work: Option<(Millis, Millis)>) -> Markup {
    let (wait, work) = (axis.bar(from, to), work.map(|(from, to)| axis.bar(from, to)));
    html! {
        svg.lane viewBox={ "0 0 " (WIDE) " 8" } preserveAspectRatio="none" aria-hidden="true" {
            rect.rail y="3" width=(WIDE) height="2" {}
            rect.wait x=(wait.0) y="2" width=(wait.1) height="4" {}
            @if let Some((x, width)) = work { rect.work x=(x) width=(width) height="8" {} }
        }
    }
}

fn details(dashboard: &Dashboard, visitor: &Visitor, event: &Event, now: Millis) -> Markup {
    match &event.what {
        What::Attempt(attempt) => attempted(dashboard, visitor, attempt, now),
        What::TakenBack { worker, begun, .. } => html! {
            p.soft { "The lease of " code { (worker) } " ran out"
                @if *begun { "; the mail's bytes may have left" } "." }
        },
        What::Dead { reason } => html! { p { (reason.help()) } },
        What::Rescheduled { to } => html! { p.soft { "It goes " (exact(*to)) "." } },
        What::Retried { via: Some(via) } => html! { p.soft { "Through " (visitor.account(via)) "." } },
        What::Moved { from, to, why } => html! {
            p.soft { "From " (visitor.account(from)) " to " (visitor.account(to)) ": " (why) "." }
        },
        What::Dropped { limit } => html! { p.soft { "The dead letters had passed a limit: " (limit) "." } },
        What::Queued | What::Doubled | What::Cancelled | What::Retried { via: None } | What::Discarded => html! {},
    }
}

fn attempted(dashboard: &Dashboard, visitor: &Visitor, attempt: &Attempt, now: Millis) -> Markup {
    html! {
        @if let Some(reply) = &attempt.reply {
            (said(visitor, reply))
            @if !is_success(attempt.reason) { (meaning(dashboard, reply)) }
        } @else if !is_success(attempt.reason) {
            p { (attempt.reason.help()) }
        }
        @for (_, reply) in &attempt.refused { @if Some(reply) != attempt.reply.as_ref() {
            (said(visitor, reply)) (meaning(dashboard, reply))
        } }
        p.soft {
            "What follows: " (follows(&attempt.next))
            @if let Some(at) = attempt.retry_at { ", " (when(at, now)) }
            ". Worker " code { (attempt.worker) } "."
            @if let Some((url, id)) = dashboard.trace_url.as_deref().zip(attempt.trace.as_deref()) {
                " " a href=(trace_link(url, id)) rel="noreferrer" { "Show the trace" }
            }
        }
    }
}

fn is_success(reason: Reason) -> bool {
    reason == Reason::Delivered || reason == Reason::Found
}

fn follows(next: &str) -> &str {
    match next {
        "sent" => "nothing, the server has it",
        "retry" => "it is tried again",
        "check" => "it is looked for in the Sent mailbox first",
        "dead" => "it is a dead letter",
        "back" => "it took its place in the queue again",
        other => other,
    }
}

/// The server's words.
fn said(visitor: &Visitor, reply: &Reply) -> Markup {
    html! { blockquote { span.word { (reply.stage.as_str()) } " " (visitor.text(&reply.words())) } }
}

/// What they mean, and what to do: from the table of replies.
fn meaning(dashboard: &Dashboard, reply: &Reply) -> Markup {
    let Some(table) = dashboard.replies else { return html! {} };
    let row = table.classify(reply).row;
    html! {
        dl.meaning {
            div { dt { "It means" } dd { (prose(&row.means)) } }
            div { dt { "Postroom" } dd { (prose(&row.does())) } }
            div { dt { "What to do" } dd { (prose(&row.advice)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_lies_on_its_axis_however_short_or_late_it_is() {
        let axis = Axis { from: Millis(1_000), to: Millis(11_000) };
        assert_eq!(axis.bar(Millis(1_000), Millis(6_000)), (0, 500));
        for (from, to) in
            [(11_000, 11_000), (10_999, 11_000), (0, 1_000), (6_000, 6_001), (20_000, 30_000), (5_000, 4_000)]
        {
            let (x, width) = axis.bar(Millis(from), Millis(to));
            assert!(width >= LEAST && x + width <= WIDE, "{from} {to}: {x} {width}");
        }
        assert_eq!(Axis { from: Millis(5), to: Millis(5) }.bar(Millis(5), Millis(5)), (0, LEAST));
    }
}

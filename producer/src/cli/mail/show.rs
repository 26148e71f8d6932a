//! One mail, laid out for a person.

use postroom::{MailState, MailStatus, Outlook};
use postroom_shared::mail::Tag;
use postroom_shared::queue::{Attempt, Event, What};

use crate::cli::Failure;
use crate::cli::account::{then, when};
use crate::cli::output::Out;
use crate::cli::table::Table;

const MAY_DOUBLE: &str = "the server may have taken it all the same: a retry may send it a second time";

/// Prints all that is known of a mail.
pub(super) fn print(status: &MailStatus, out: &mut Out) -> Result<(), Failure> {
    facts(status).print(out, "")?;
    if !status.recipients.is_empty() {
        out.line("\nRecipients")?;
        let mut table = Table::plain();
        for one in &status.recipients {
            let words = one.reply.as_ref().map(|reply| format!("{}: {}", reply.stage.as_str(), reply.words()));
            table.row([
                one.kind.as_str().to_owned(),
                one.address.reveal().to_owned(),
                one.fate.clone(),
                words.unwrap_or_default(),
            ]);
        }
        table.print(out, "  ")?;
    }
    out.line("\nTimeline")?;
    let mut table = Table::plain();
    for event in &status.timeline {
        let (what, words) = told(event);
        table.row([event.at.to_string(), what, words]);
    }
    table.print(out, "  ")
}

fn facts(status: &MailStatus) -> Table {
    let mut table = Table::plain();
    table.pair("Mail", status.id);
    let why = status.reason.map(|reason| format!(", {}: {}", reason.as_str(), reason.help()));
    if status.test {
        table.pair("Test mode", "it ends at a stand-in in the worker: nothing is sent");
    }
    table.pair("State", format!("{}{}", status.state.as_str(), why.unwrap_or_default()));
    if status.may_double {
        table.pair("", MAY_DOUBLE);
    }
    if let Some(pool) = &status.pool {
        table.pair("Pool", pool);
    }
    table.pair("Account", status.account.reveal());
    if let Some(hold) = &status.held {
        table.pair("Held", format!("{} since {}, {}: {}", hold.reason.as_str(), hold.since, when(hold), hold.note));
        table.pair("", then(hold));
    }
    if let Some(outlook) = &status.outlook {
        table.pair("Goes", goes(outlook));
    }
    if let Some(from) = &status.from {
        table.pair("From", from.reveal());
    }
    if !status.tags.is_empty() {
        let tag =
            |tag: &Tag| if tag.value.is_empty() { tag.name.clone() } else { format!("{}={}", tag.name, tag.value) };
        table.pair("Tags", status.tags.iter().map(tag).collect::<Vec<_>>().join(", "));
    }
    if let Some(subject) = &status.subject {
        table.pair("Subject", subject);
    }
    if let Some(message_id) = &status.message_id {
        table.pair("Message-ID", message_id);
    }
    table.pair("Priority", status.priority);
    table.pair("Queued", status.queued_at);
    table.pair(if status.state.is_final() { "Ended" } else { "Due" }, status.at);
    if !status.state.is_final() || status.state == MailState::Dead {
        table.pair("Deadline", status.deadline);
    }
    if let Some(bytes) = status.bytes {
        table.pair("Kept", format!("{bytes} bytes in Redis; --raw prints the message"));
    }
    table.pair("Attempts", status.attempts);
    if status.leases_lost > 0 {
        table.pair("Leases lost", status.leases_lost);
    }
    table
}

/// `probably at 2026-11-22T10:00:00.000Z (budget): its account's limit …`
pub(in crate::cli) fn goes(outlook: &Outlook) -> String {
    match (outlook.likely_at, outlook.why) {
        (_, None) => outlook.note.clone(),
        (Some(at), Some(why)) => format!("probably at {at} ({}): {}", why.as_str(), outlook.note),
        (None, Some(why)) => format!("not before a person acts ({}): {}", why.as_str(), outlook.note),
    }
}

/// What happened, and the server's words or what follows.
fn told(event: &Event) -> (String, String) {
    match &event.what {
        What::Queued => ("queued".to_owned(), String::new()),
        What::Attempt(attempt) => (format!("attempt {}", attempt.number), told_attempt(attempt)),
        What::TakenBack { reason, worker, begun } => {
            let doubt = if *begun { ", its bytes may have left" } else { "" };
            ("taken back".to_owned(), format!("{} by {worker}{doubt}", reason.as_str()))
        }
        What::Dead { reason } => ("dead".to_owned(), format!("{}: {}", reason.as_str(), reason.help())),
        What::Doubled => {
            ("doubled".to_owned(), "a worker delivered it that had lost its lease: it went out twice".to_owned())
        }
        What::Cancelled => ("cancelled".to_owned(), String::new()),
        What::Rescheduled { to } => ("rescheduled".to_owned(), format!("to {to}")),
        What::Retried { via: None } => ("retried".to_owned(), "by an operator".to_owned()),
        What::Retried { via: Some(via) } => ("retried".to_owned(), format!("by an operator, through {}", via.reveal())),
        What::Moved { from, to, why } => {
            let why = match why.as_str() {
                "held" => "it is held",
                "budget" => "its budget is used up",
                "removed" => "it was removed",
                _ => "the other one has more left",
            };
            ("moved".to_owned(), format!("from {} to {}: {why}", from.reveal(), to.reveal()))
        }
        What::Discarded => ("discarded".to_owned(), "by an operator".to_owned()),
        What::Dropped { limit } => {
            ("discarded".to_owned(), format!("the dead letters had passed their limit by {limit}"))
        }
    }
}

fn told_attempt(attempt: &Attempt) -> String {
    let again = attempt.retry_at.map(|at| format!(" at {at}")).unwrap_or_default();
    let reply = attempt.reply.as_ref().map(|reply| format!(" ({}: {})", reply.stage.as_str(), reply.words()));
    let refused = match attempt.refused.len() {
        0 => String::new(),
        count => format!(", {count} recipients refused"),
    };
    let (reason, next) = (attempt.reason.as_str(), &attempt.next);
    format!("{reason}, then {next}{again}{refused}{}", reply.unwrap_or_default())
}

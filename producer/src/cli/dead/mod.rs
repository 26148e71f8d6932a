//! `postroom dead`: what failed for good, with its bytes: look at it, retry it, throw it away.
//!
//! Nothing is retried or discarded by a filter before its count was shown and agreed to.

mod change;
mod filter;

use std::time::Duration;

use clap::{Args, Subcommand};
use postroom::{AccountId, MailId};
use postroom_shared::queue::DeadSummary;

use self::change::{Change, change};
use self::filter::Filter;
use super::mail::print_list;
use super::output::Out;
use super::values::{account_id, mail_id, quiet, ttl};
use super::{Context, Failure};

/// Dead letters that a list shows if it is not told otherwise.
const SHOWN: usize = 50;

const LIST_HELP: &str = "\
A reason marked (!) is uncertain: the server may have taken the mail all the
same, and a retry may send it a second time.

Examples:
  postroom dead list --reason recipient --newer-than 7d
  postroom dead list --domain example.org --tag campaign=spring --json
  postroom dead list --count";

const RETRY_HELP: &str = "\
Only the recipients that are still open are tried again. --account, as in
`dead list`, chooses mails; --via says who shall send them.

Examples:
  postroom dead retry 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10
  postroom dead retry --all --reason consent --ttl 12h
  postroom dead retry --all --account old@example.com --via new@example.com --dry-run";

const DISCARD_HELP: &str = "\
Examples:
  postroom dead discard 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10
  postroom dead discard --all --older-than 30d --dry-run";

/// Dead letters.
#[derive(Subcommand)]
pub(crate) enum Dead {
    /// The dead letters, newest first, and how many there are
    #[command(after_help = LIST_HELP)]
    List {
        #[command(flatten)]
        filter: Filter,
        /// Only count them, by reason and account
        #[arg(long)]
        count: bool,
        /// Print a JSON array; with --count one object
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back into the queue
    #[command(after_help = RETRY_HELP)]
    Retry {
        #[command(flatten)]
        chosen: Chosen,
        /// For how long they are tried, at most 30d [default: POSTROOM_MAIL_TTL]
        #[arg(long, value_name = "SPAN", value_parser = quiet(ttl))]
        ttl: Option<Duration>,
        /// Send them through this account, which must be allowed to send with their From
        #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
        via: Option<AccountId>,
    },
    /// Throw dead letters away, with their bytes
    #[command(after_help = DISCARD_HELP)]
    Discard {
        #[command(flatten)]
        chosen: Chosen,
    },
}

/// Some by their ids, or all that fit.
#[derive(Args)]
pub(crate) struct Chosen {
    /// The ids of the mails
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "Filter", value_parser = quiet(mail_id))]
    ids: Vec<MailId>,
    /// All dead letters that fit the filters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// With --all: only tell how many there are
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
}

pub(crate) async fn run(command: Dead, context: &mut Context) -> Result<(), Failure> {
    match command {
        Dead::List { filter, count: true, json } => {
            let summary = context.queue().count_dead(&filter.read(usize::MAX)?).await?;
            if json { context.out.json(&summary) } else { print_summary(&summary, "", &mut context.out) }
        }
        Dead::List { filter, json, .. } => {
            let list = context.queue().dead(&filter.read(SHOWN)?).await?;
            if json {
                return context.out.json(&list.mails);
            }
            print_list(&list.mails, &mut context.out)?;
            print_end(list.mails.len(), &list.summary, &mut context.out)
        }
        Dead::Retry { chosen, ttl, via } => {
            let ttl = ttl.unwrap_or(context.queue().limits().mail_ttl);
            change(&chosen, &Change::Retry { ttl, via }, context).await
        }
        Dead::Discard { chosen } => change(&chosen, &Change::Discard, context).await,
    }
}

/// What stands below a list: how many fit in all.
fn print_end(shown: usize, summary: &DeadSummary, out: &mut Out) -> Result<(), Failure> {
    if summary.total == 0 {
        return Ok(());
    }
    out.line(format!("\n{shown} of {}", headline(summary, "")))?;
    print_doubt(summary, out)
}

/// How many fit, what follows (`would be …`), and how many by reason and account.
fn print_summary(summary: &DeadSummary, what: &str, out: &mut Out) -> Result<(), Failure> {
    out.line(headline(summary, what))?;
    for (reason, count) in &summary.by_reason {
        out.line(format!("  reason {reason}: {count}"))?;
    }
    for (account, count) in &summary.by_account {
        out.line(format!("  account {}: {count}", account.reveal()))?;
    }
    print_doubt(summary, out)
}

fn headline(summary: &DeadSummary, what: &str) -> String {
    let letters = if summary.total == 1 { "dead letter" } else { "dead letters" };
    format!("{} {letters}{what}, {} bytes in Redis", summary.total, summary.bytes)
}

fn print_doubt(summary: &DeadSummary, out: &mut Out) -> Result<(), Failure> {
    if summary.may_double == 0 {
        return Ok(());
    }
    out.line(format!(
        "{} of them are uncertain (!): the server may have taken them all the same, and a retry may send them a second time",
        summary.may_double
    ))
}

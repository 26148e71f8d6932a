//! `postroom dead`: what failed for good, with its bytes: look at it, retry it, throw it away.
//!
//! Nothing is retried or discarded by a filter before its count was shown and agreed to.

use std::time::Duration;

use clap::{Args, Subcommand};
use postroom::{AccountId, Error, MailId, MailState, Reason};
use postroom_shared::queue::{DeadFilter, Queue};

use super::mail::print_list;
use super::output::complain;
use super::prompt::confirm;
use super::values::{account_id, mail_id, quiet, span};
use super::{Context, Failure};

/// Dead letters taken at once if no limit is given.
const MOST: usize = 10_000;
const DAY: &str = "24h";

const RETRY_HELP: &str = "\
Only the recipients that are still open are tried again.

Examples:
  postroom dead retry 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10
  postroom dead retry --all --reason consent --ttl 12h";

/// Dead letters.
#[derive(Subcommand)]
pub(crate) enum Dead {
    /// The dead letters, newest first
    List {
        #[command(flatten)]
        filter: Filter,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Put dead letters back into the queue
    #[command(after_help = RETRY_HELP)]
    Retry {
        #[command(flatten)]
        chosen: Chosen,
        /// For how long they are tried
        #[arg(long, value_name = "SPAN", default_value = DAY, value_parser = quiet(span))]
        ttl: Duration,
    },
    /// Throw dead letters away, with their bytes
    Discard {
        #[command(flatten)]
        chosen: Chosen,
    },
}

/// Which dead letters are meant.
#[derive(Args)]
pub(crate) struct Filter {
    /// Only those that died of this, such as recipient or expired
    #[arg(long)]
    reason: Option<Reason>,
    /// Only those of this account
    #[arg(long, value_name = "ADDRESS", value_parser = quiet(account_id))]
    account: Option<AccountId>,
    /// At most so many [default: 50 for list, 10000 else]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl Filter {
    fn up_to(&self, most: usize) -> DeadFilter {
        DeadFilter { reason: self.reason, account: self.account.clone(), limit: self.limit.unwrap_or(most) }
    }
}

/// Some by their ids, or all that fit.
#[derive(Args)]
pub(crate) struct Chosen {
    /// The ids of the mails
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "Filter", value_parser = quiet(mail_id))]
    ids: Vec<MailId>,
    /// All dead letters that fit --reason and --account
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What is done to a dead letter.
#[derive(Clone, Copy)]
enum Deed {
    Retry(Duration),
    Discard,
}

impl Deed {
    fn future(self) -> &'static str {
        match self {
            Self::Retry(_) => "would be tried again",
            Self::Discard => "would be thrown away for good",
        }
    }

    fn past(self) -> &'static str {
        match self {
            Self::Retry(_) => "ready again",
            Self::Discard => "discarded",
        }
    }

    async fn apply(self, queue: &Queue, id: MailId) -> Result<Option<Result<(), MailState>>, Error> {
        match self {
            Self::Retry(ttl) => queue.retry_dead(id, ttl).await,
            Self::Discard => queue.discard_dead(id).await,
        }
    }
}

pub(crate) async fn run(command: Dead, context: &mut Context) -> Result<(), Failure> {
    match command {
        Dead::List { filter, json } => {
            let found = context.queue().dead(&filter.up_to(50)).await?;
            if json { context.out.json(&found) } else { print_list(&found, &mut context.out) }
        }
        Dead::Retry { chosen, ttl } => change(&chosen, Deed::Retry(ttl), context).await,
        Dead::Discard { chosen } => change(&chosen, Deed::Discard, context).await,
    }
}

async fn change(chosen: &Chosen, deed: Deed, context: &mut Context) -> Result<(), Failure> {
    let ids = if chosen.all { agreed(chosen, deed, context).await? } else { chosen.ids.clone() };
    let (mut done, mut failed) = (0_usize, 0_usize);
    for id in ids {
        let why = match deed.apply(context.queue(), id).await {
            Ok(Some(Ok(()))) => {
                done += 1;
                if !chosen.all {
                    context.out.line(format!("{id} {}", deed.past()))?;
                }
                continue;
            }
            Ok(Some(Err(state))) => format!("it is no dead letter: its state is {}", state.as_str()),
            Ok(None) => "there is no such mail (any more)".to_owned(),
            Err(error) => error.to_string(),
        };
        failed += 1;
        complain(format!("{id}: {why}"));
    }
    if chosen.all {
        context.out.line(format!("{done} dead letters: {}", deed.past()))?;
    }
    if failed > 0 {
        Err(Failure::Failed(format!("{failed} of {} could not be changed", done + failed)))
    } else {
        Ok(())
    }
}

/// The ids of all that fit, after their count was agreed to.
async fn agreed(chosen: &Chosen, deed: Deed, context: &Context) -> Result<Vec<MailId>, Failure> {
    let found = context.queue().dead(&chosen.filter.up_to(MOST)).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let rest =
        if chosen.filter.limit.is_none() && found.len() == MOST { " (there may be more: do it again)" } else { "" };
    confirm(&format!("{} dead letters {}{rest}", found.len(), deed.future()), chosen.yes)?;
    Ok(found.into_iter().map(|status| status.id).collect())
}

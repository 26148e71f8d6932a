//! Retrying and discarding dead letters: some by their ids, or all that fit a filter, page by page.

use std::time::Duration;

use postroom::{AccountId, MailId, MailState};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::queue::{DeadFilter, Queue, ViaError};

use super::{Chosen, print_summary};
use crate::cli::output::complain;
use crate::cli::prompt;
use crate::cli::{Context, Failure};

/// Complaints about single mails that are told one by one.
const TOLD: usize = 20;

/// What is done to a dead letter.
pub(super) enum Change {
    /// It goes back into the queue, with a new deadline, through this account if it shall be another one.
    Retry { ttl: Duration, via: Option<AccountId> },
    /// It is thrown away.
    Discard,
}

impl Change {
    fn action(&self) -> Action {
        match self {
            Self::Retry { .. } => Action::DeadRetry,
            Self::Discard => Action::DeadDiscard,
        }
    }

    fn future(&self) -> String {
        match self {
            Self::Retry { via: None, .. } => " would be tried again".to_owned(),
            Self::Retry { via: Some(via), .. } => format!(" would be tried again through {}", via.reveal()),
            Self::Discard => " would be thrown away for good".to_owned(),
        }
    }

    fn past(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "ready again",
            Self::Discard => "discarded",
        }
    }

    async fn apply(&self, queue: &Queue, id: MailId) -> Result<Option<Result<(), MailState>>, ViaError> {
        match self {
            Self::Retry { ttl, via: None } => Ok(queue.retry_dead(id, *ttl).await?),
            Self::Retry { ttl, via: Some(via) } => queue.retry_dead_via(id, *ttl, via).await,
            Self::Discard => Ok(queue.discard_dead(id).await?),
        }
    }
}

/// Does it to those that were chosen. What cannot be done to one is told, and the others follow; without Redis it ends.
pub(super) async fn change(chosen: &Chosen, change: &Change, context: &mut Context) -> Result<(), Failure> {
    if let Change::Retry { via: Some(via), .. } = change
        && context.queue().account(via).await?.is_none()
    {
        return Err(Failure::Failed(ViaError::NoAccount.to_string()));
    }
    let mut tally = Tally { done: 0, failed: 0 };
    let ended = if chosen.all {
        change_all(chosen, change, &mut tally, context).await
    } else {
        change_some(&chosen.ids, change, &mut tally, context).await
    };
    if tally.done > 0 {
        let subject = match chosen.ids[..] {
            [id] if !chosen.all => Subject::Mail(id),
            _ => Subject::Mails(tally.done as u64),
        };
        context.note(change.action(), subject).await;
    }
    if let Err(Failure::Failed(why)) = &ended
        && tally.done > 0
    {
        return Err(Failure::Failed(format!("{why}; {} were {} before that", tally.done, change.past())));
    }
    ended?;
    if tally.failed > 0 {
        let all = tally.done + tally.failed;
        return Err(Failure::Failed(format!("{} of {all} could not be changed", tally.failed)));
    }
    Ok(())
}

async fn change_some(ids: &[MailId], change: &Change, tally: &mut Tally, context: &mut Context) -> Result<(), Failure> {
    for id in ids {
        if tally.apply(change, *id, context.queue()).await? {
            context.out.line(format!("{id} {}", change.past()))?;
        }
    }
    Ok(())
}

async fn change_all(chosen: &Chosen, change: &Change, tally: &mut Tally, context: &mut Context) -> Result<(), Failure> {
    let filter = chosen.filter.read(usize::MAX)?;
    let agreed = agree(chosen, &filter, change, context).await?;
    if chosen.dry_run {
        return Ok(());
    }
    if let Some(filter) = agreed {
        let queue = context.queue().clone();
        let mut walk = queue.walk_dead(&filter);
        while let Some(page) = walk.next().await? {
            for status in page {
                tally.apply(change, status.id, &queue).await?;
            }
        }
    }
    if tally.failed > TOLD {
        complain(format!("and {} more", tally.failed - TOLD));
    }
    context.out.line(format!("{} dead letters: {}", tally.done, change.past()))
}

/// Shows how many fit and asks. What died later does not belong to them: nobody agreed to it, and what dies again while
/// this goes on would be changed without end.
async fn agree(
    chosen: &Chosen,
    filter: &DeadFilter,
    change: &Change,
    context: &mut Context,
) -> Result<Option<DeadFilter>, Failure> {
    let summary = context.queue().count_dead(filter).await?;
    if summary.total == 0 && !chosen.dry_run {
        return Ok(None);
    }
    print_summary(&summary, &change.future(), &mut context.out)?;
    context.out.flush()?;
    if !chosen.dry_run && !chosen.yes {
        if !prompt::is_possible() {
            return Err(Failure::Misused("nothing was done: say --yes to go on".to_owned()));
        }
        prompt::confirm("These dead letters are meant", false)?;
    }
    Ok(Some(DeadFilter { died_until: summary.newest, ..filter.clone() }))
}

/// What became of them.
struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    /// Changes one, or tells why not. `Err`: going on makes no sense.
    async fn apply(&mut self, change: &Change, id: MailId, queue: &Queue) -> Result<bool, Failure> {
        let why = match change.apply(queue, id).await {
            Ok(Some(Ok(()))) => {
                self.done += 1;
                return Ok(true);
            }
            Ok(Some(Err(state))) => format!("it is no dead letter: its state is {}", state.as_str()),
            Ok(None) => "there is no such mail (any more)".to_owned(),
            Err(ViaError::Store(error)) if error.is_passing() => return Err(error.into()),
            Err(error) => error.to_string(),
        };
        self.failed += 1;
        if self.failed <= TOLD {
            complain(format!("{id}: {why}"));
        }
        Ok(false)
    }
}

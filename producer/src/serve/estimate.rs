//! When a mail that was just stored will probably go. Its account is looked at once a second at most, however many mails
//! come for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::queue::{MailState, NewJob, Outlook, Queue, Standing, Waiting, outlook};
use postroom_shared::store::StoreError;

/// How long what was seen of an account is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Accounts that are remembered.
const MOST: usize = 10_000;

/// How accounts stood when they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    seen: Mutex<HashMap<AccountId, Seen>>,
}

/// When an account was looked at, and how it stood; `None`: there was no such account.
type Seen = (Instant, Option<Arc<Standing>>);

impl Estimates {
    /// What will tell when a job goes. Asked before it is stored: afterwards it would find itself in its own way. The mails that
    /// came since its account was looked at are not counted among those ahead. That nothing can be told keeps no mail from being
    /// stored.
    pub(super) async fn expect(&self, job: &NewJob, queue: &Queue, now: Millis) -> Expected {
        let standing = self.standing(&job.account, queue).await.ok();
        let at = job.send_at.filter(|at| *at > now);
        let waiting = Waiting {
            state: if at.is_some() { MailState::Scheduled } else { MailState::Ready },
            at: at.unwrap_or(now),
            deadline: at.unwrap_or(now).after(job.ttl.unwrap_or(queue.limits().mail_ttl)),
            priority: job.priority,
            recipients: job.job.recipients.len() as u64,
            in_doubt: false,
            ahead: standing.as_ref().and_then(Option::as_ref).map_or(0, |standing| standing.ahead(job.priority)),
        };
        Expected { waiting, standing, now }
    }

    async fn standing(&self, account: &AccountId, queue: &Queue) -> Result<Option<Arc<Standing>>, StoreError> {
        if let Some((at, standing)) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(account)
            && at.elapsed() < BELIEVED
        {
            return Ok(standing.clone());
        }
        let at = Instant::now();
        let standing = queue.standing(account).await?.map(Arc::new);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST {
            seen.retain(|_, (at, _)| at.elapsed() < BELIEVED);
        }
        seen.insert(account.clone(), (at, standing.clone()));
        Ok(standing)
    }
}

/// What of a job and its account decides when it goes, kept while the job itself goes to Redis.
pub(super) struct Expected {
    waiting: Waiting,
    /// How its account stood; `None`: Redis did not tell.
    standing: Option<Option<Arc<Standing>>>,
    now: Millis,
}

impl Expected {
    pub(super) fn state(&self) -> MailState {
        self.waiting.state
    }

    /// When it will probably go, if that can be told.
    pub(super) fn outlook(&self) -> Option<Outlook> {
        outlook(&self.waiting, self.standing.as_ref()?.as_deref(), self.now)
    }
}

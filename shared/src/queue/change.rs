//! Changing one mail by hand: cancel it, give it another time, discard a dead letter, or retry one, through another account
//! if need be.

use std::time::Duration;

use super::Queue;
use super::job::Job;
use super::mails::MailState;
use super::session::wrong;
use super::timeline::{Event, What};
use crate::account::AccountId;
use crate::address::Address;
use crate::clock::Millis;
use crate::clock::millis;
use crate::id::MailId;
use crate::mail::LONGEST_WAIT;
use crate::store::StoreError;

/// Why a dead letter was not retried through another account.
#[derive(Debug, thiserror::Error)]
pub enum ViaError {
    /// There is no such account.
    #[error(
        "the account that shall send it is not known: see `postroom account list`, or add it with `postroom account add`"
    )]
    NoAccount,
    /// Gmail would rewrite From.
    #[error(
        "Gmail would rewrite From to the other account's address, for {0} is neither its own address nor a declared alias: \
         declare it with `postroom account add ACCOUNT --alias FROM --keep-credentials`, or retry it through its own account"
    )]
    OtherFrom(Address),
    /// A test mail stays one, and no other becomes one.
    #[error(
        "a test mail is never sent through a real account, nor a live mail through that of test mode: hand it over anew in \
         the other mode, or retry it without another account"
    )]
    TestMode,
    /// A mail's id tells its shard, so it cannot move to another one.
    #[error(
        "the other account belongs to shard {there} of the queue and this mail to shard {here}: a mail cannot leave its \
         shard, for its id names it. Choose an account of the same shard"
    )]
    OtherShard {
        /// Where the mail lies.
        here: u16,
        /// Where the account belongs.
        there: u16,
    },
    /// Its From is not known.
    #[error("its record cannot be read, so it is not known whether the other account may send it")]
    Unreadable,
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a mail did not get another time.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RescheduleError {
    /// As at the door.
    #[error("the time is more than 30 days ahead: choose an earlier one, or hand the mail over later")]
    TooFar,
    /// Redis.
    #[error(transparent)]
    Store(#[from] StoreError),
}

enum Change<'a> {
    Cancel,
    Reschedule { to: Millis },
    Discard,
    Retry { ttl: Duration, via: Option<&'a AccountId> },
}

impl Change<'_> {
    fn verb(&self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Reschedule { .. } => "reschedule",
            Self::Discard => "discard",
            Self::Retry { .. } => "retry",
        }
    }

    fn told(&self) -> What {
        match self {
            Self::Cancel => What::Cancelled,
            Self::Reschedule { to } => What::Rescheduled { to: *to },
            Self::Discard => What::Discarded,
            Self::Retry { via, .. } => What::Retried { via: via.cloned() },
        }
    }
}

impl Queue {
    /// Cancels a mail that no worker has yet. `Err` is the state in which it could not be cancelled.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn cancel(&self, id: MailId) -> Result<Option<Result<(), MailState>>, StoreError> {
        self.change(id, &Change::Cancel).await
    }

    /// Gives a mail another time, at most 30 days ahead; one that has passed means now. It keeps its time to live: the
    /// deadline moves with it. `Err` is the state in which that could not be done: only a mail that waits for its time or
    /// its turn can be moved, and one that was tried already answers [`MailState::Retry`].
    ///
    /// # Errors
    /// If the time is too far ahead, or Redis did not do it.
    pub async fn reschedule(
        &self,
        id: MailId,
        send_at: Millis,
    ) -> Result<Option<Result<(), MailState>>, RescheduleError> {
        let now = Millis::now();
        if send_at.since(now) > LONGEST_WAIT {
            return Err(RescheduleError::TooFar);
        }
        Ok(self.change(id, &Change::Reschedule { to: send_at.max(now) }).await?)
    }

    /// Throws a dead letter away; its timeline is kept for `POSTROOM_RETENTION`. Answers as [`Queue::retry_dead`].
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn discard_dead(&self, id: MailId) -> Result<Option<Result<(), MailState>>, StoreError> {
        self.change(id, &Change::Discard).await
    }

    /// Puts a dead letter back into the queue, with a new deadline, for the recipients that are open.
    /// `None`: no such mail; `Some(Err)`: it is not dead but in this state.
    ///
    /// # Errors
    /// If Redis did not do it, or its account is gone.
    pub async fn retry_dead(&self, id: MailId, ttl: Duration) -> Result<Option<Result<(), MailState>>, StoreError> {
        self.change(id, &Change::Retry { ttl, via: None }).await
    }

    /// As [`Queue::retry_dead`], but another account sends it from now on. It must be one that Gmail lets send with this
    /// From, and one of the same shard.
    ///
    /// # Errors
    /// If the account may not send it, or Redis did not do it.
    pub async fn retry_dead_via(
        &self,
        id: MailId,
        ttl: Duration,
        via: &AccountId,
    ) -> Result<Option<Result<(), MailState>>, ViaError> {
        let (here, there) = (id.shard(), self.store.shard_of(via));
        let account = self.account(via).await?.ok_or(ViaError::NoAccount)?;
        let Some(status) = self.mail(id).await? else { return Ok(None) };
        if status.test != via.is_test() {
            return Err(ViaError::TestMode);
        }
        if here != there {
            return Err(ViaError::OtherShard { here, there });
        }
        if status.state != MailState::Dead {
            return Ok(Some(Err(status.state)));
        }
        let from = status.from.ok_or(ViaError::Unreadable)?;
        if !via.is_test() && !account.may_send_as(&from) {
            return Err(ViaError::OtherFrom(from));
        }
        let other = (*via != status.account).then_some(via);
        Ok(self.change(id, &Change::Retry { ttl, via: other }).await?)
    }

    /// Changes one mail by hand. `None`: there is no such mail; `Some(Err)`: not in this state.
    async fn change(&self, id: MailId, change: &Change<'_>) -> Result<Option<Result<(), MailState>>, StoreError> {
        let keys = self.store.keys(id.shard());
        let (time, via, keep) = match change {
            Change::Cancel | Change::Discard => (0, "", self.kept_of(id).await?),
            Change::Reschedule { to } => (to.0, "", Vec::new()),
            Change::Retry { ttl, via } => (millis(*ttl), via.map_or("", AccountId::reveal), Vec::new()),
        };
        let event = serde_json::to_string(&Event { at: Millis::now(), what: change.told() }).map_err(wrong)?;
        let mut call = self.scripts.change.call(&keys);
        call.arg(change.verb()).arg(id.to_string()).arg(millis(self.limits.retention));
        call.arg(time).arg(event).arg(keep).arg(via);
        let answer: Vec<String> = call.invoke_async(&mut self.store.confirmed().await?).await?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("gone"), _) => Ok(None),
            (Some("ok"), _) => Ok(Some(Ok(()))),
            (Some("no"), Some(state)) => Ok(Some(Err(state.parse().map_err(wrong)?))),
            (Some("doubt"), _) => Err(StoreError::Wrong(
                "the server may have taken it already: first it is looked for in the account's Sent mailbox; see what came of \
                 it with `postroom mail show`"
                    .to_owned(),
            )),
            (Some("no_account"), _) => Err(StoreError::Wrong(
                "its account was removed: add it again with `postroom account add`, then retry, or retry through another \
                 account with --via"
                    .to_owned(),
            )),
            _ => Err(wrong("no answer to a change of a mail")),
        }
    }

    /// What is kept of a mail's record when its bytes go; empty if it cannot be read.
    async fn kept_of(&self, id: MailId) -> Result<Vec<u8>, StoreError> {
        let key = self.store.keys(id.shard()).job(id);
        let record: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut self.store.connection()).await?;
        let job = record.and_then(|record| Job::decode(&record).ok());
        Ok(job.map(|job| job.encode_kept(&job.last_event)).transpose().map_err(wrong)?.unwrap_or_default())
    }
}

//! A worker's session: the lease under which it holds jobs and permits, and the channel that wakes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Queue;
use crate::account::AccountId;
use crate::clock::millis;
use crate::id::MailId;
use crate::store::StoreError;
use crate::store::keys::wake_channel;

/// Names a worker's session: `<worker>:<number>`. The worker's part is random, so that two workers of one name harm
/// nothing; the number grows when a session was lost and another begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// The first session of a new worker.
    #[must_use]
    pub fn random() -> Self {
        let worker = uuid::Uuid::now_v7().simple().to_string();
        Self(format!("{}:1", &worker[16..]).into())
    }

    /// The session after this one, of the same worker.
    #[must_use]
    pub fn next(&self) -> Self {
        let number = self.0.rsplit_once(':').and_then(|(_, number)| number.parse::<u64>().ok()).unwrap_or(0);
        Self(format!("{}:{}", self.worker(), number + 1).into())
    }

    /// The worker's part.
    #[must_use]
    pub fn worker(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The text in Redis.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a heartbeat brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The session lives.
    Alive {
        /// Whether there is mail that it could take.
        work: bool,
        /// Jobs that the queue believes to be with it.
        held: usize,
    },
    /// The session ran out; its jobs and permits were taken back.
    Gone,
}

/// Somebody woke this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// Where there is work.
    pub shard: u16,
    /// This account's mail waits while an unused permit of it lies with this worker.
    pub give_up: Option<AccountId>,
}

impl Wake {
    /// Reads a payload; `None` if it is no wake.
    #[must_use]
    pub fn parse(payload: &str) -> Option<Self> {
        let (shard, account) =
            payload.split_once(' ').map_or((payload, None), |(shard, account)| (shard, Some(account)));
        Some(Self { shard: shard.parse().ok()?, give_up: account.and_then(|account| account.parse().ok()) })
    }
}

impl Queue {
    /// Begins a session in one shard.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn open_session(
        &self,
        shard: u16,
        session: &SessionId,
        name: &str,
        lease: Duration,
    ) -> Result<Beat, StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.session.call(&keys);
        call.arg("open").arg(session.as_str()).arg(millis(lease)).arg(name).arg(self.limits.account_connections);
        call.arg(millis(self.limits.dead_retention)).arg(self.limits.dead_bytes).arg(millis(self.limits.retention));
        read_beat(call.invoke_async(&mut self.store.connection()).await?)
    }

    /// Renews the lease of a session: all its jobs and permits.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn beat(&self, shard: u16, session: &SessionId, lease: Duration) -> Result<Beat, StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.session.call(&keys);
        call.arg("beat").arg(session.as_str()).arg(millis(lease));
        read_beat(call.invoke_async(&mut self.store.connection()).await?)
    }

    /// Ends a session; jobs that it still has are taken back.
    ///
    /// # Errors
    /// If Redis did not do it; the lease then runs out by itself.
    pub async fn leave(&self, shard: u16, session: &SessionId, lease: Duration) -> Result<(), StoreError> {
        let keys = self.store.keys(shard);
        loop {
            let mut call = self.scripts.session.call(&keys);
            call.arg("leave").arg(session.as_str()).arg(millis(lease));
            let (word,) = call.invoke_async::<(String,)>(&mut self.store.connection()).await?;
            if word != "more" {
                return Ok(());
            }
        }
    }

    /// Tells the truth after an answer was lost: which jobs and permits this session knows of. What it was given without
    /// hearing of it goes back to its place.
    ///
    /// # Errors
    /// If Redis did not do it.
    pub async fn mend_session(
        &self,
        shard: u16,
        session: &SessionId,
        lease: Duration,
        jobs: &[MailId],
        permits: &[(AccountId, u32)],
    ) -> Result<Beat, StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.session.call(&keys);
        call.arg("mend").arg(session.as_str()).arg(millis(lease)).arg(jobs.len());
        for id in jobs {
            call.arg(id.to_string());
        }
        for (account, held) in permits {
            call.arg(account.reveal()).arg(*held);
        }
        read_beat(call.invoke_async(&mut self.store.connection()).await?)
    }

    /// Listens for whoever wakes this worker.
    ///
    /// # Errors
    /// If Redis is not reached.
    pub async fn listen(&self, session: &SessionId) -> Result<redis::aio::PubSub, StoreError> {
        let mut subscription = self.store.subscriber().await?;
        subscription.subscribe(wake_channel(session.worker())).await?;
        Ok(subscription)
    }
}

fn read_beat(row: redis::Value) -> Result<Beat, StoreError> {
    let word: Vec<redis::Value> = redis::from_redis_value(row).map_err(wrong)?;
    let mut values = word.into_iter();
    let mut next = || values.next().unwrap_or(redis::Value::Nil);
    let word: String = redis::from_redis_value(next()).map_err(wrong)?;
    if word == "gone" {
        return Ok(Beat::Gone);
    }
    let work: u8 = redis::from_redis_value(next()).map_err(wrong)?;
    let held: Option<usize> = redis::from_redis_value(next()).map_err(wrong)?;
    Ok(Beat::Alive { work: work == 1, held: held.unwrap_or(0) })
}

pub(super) fn read_next_in(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

pub(super) fn wrong(error: impl fmt::Display) -> StoreError {
    StoreError::Wrong(format!("Redis answered in a form that this version does not know: {error}"))
}

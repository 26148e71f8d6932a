//! What waits where: jobs by state, and each account's lane.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::Queue;
use super::budget::State;
use super::mails::MailState;
use crate::account::Account;
use crate::mail::Priority;
use crate::store::StoreError;

/// The queue at a glance.
#[derive(Debug, Clone, Default, Serialize)]
pub struct QueueStats {
    /// Jobs by state. For `sent`, `cancelled` and `discarded`: since the queue was first used.
    pub states: BTreeMap<String, u64>,
    /// Mails known to have gone out twice, since the queue was first used.
    pub doubled: u64,
    /// Leases that ran out, since the queue was first used.
    pub leases_lost: u64,
    /// What the records of all dead letters take in Redis.
    pub dead_bytes: u64,
    /// Dead letters thrown away because together they had more than `POSTROOM_DEAD_BYTES`, since the queue was first used.
    pub dead_dropped: u64,
    /// Dead letters thrown away after `POSTROOM_DEAD_RETENTION`, since the queue was first used.
    pub dead_expired: u64,
    /// Workers with a living session.
    pub workers: u64,
    /// Each account's lane.
    pub lanes: Vec<LaneStats>,
}

/// One account's lane.
#[derive(Debug, Clone, Serialize)]
pub struct LaneStats {
    /// The account, with its hold.
    pub account: Account,
    /// Entries waiting, by priority. A cancelled mail's entry counts until its turn comes.
    pub waiting: BTreeMap<String, u64>,
    /// Permits (connections) that workers hold now.
    pub permits: u64,
}

impl Queue {
    /// Counts.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn stats(&self) -> Result<QueueStats, StoreError> {
        let mut stats = self.totals().await?;
        for account in self.accounts().await? {
            stats.lanes.push(self.lane_stats(account).await?);
        }
        Ok(stats)
    }

    /// As [`Queue::stats`], without the lanes.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn totals(&self) -> Result<QueueStats, StoreError> {
        let mut stats = QueueStats::default();
        for shard in 0..self.store.shards() {
            let keys = self.store.keys(shard);
            let (counts, workers): (HashMap<String, i64>, u64) = redis::pipe()
                .cmd("HGETALL")
                .arg(keys.counts())
                .cmd("ZCARD")
                .arg(keys.sessions())
                .query_async(&mut self.store.connection())
                .await?;
            let count = |name: &str| u64::try_from(counts.get(name).copied().unwrap_or(0)).unwrap_or(0);
            for state in MailState::ALL {
                *stats.states.entry(state.as_str().to_owned()).or_default() += count(state.as_str());
            }
            stats.doubled += count("doubled");
            stats.leases_lost += count("leases_lost");
            stats.dead_bytes += count("dead_bytes");
            stats.dead_dropped += count("dead_dropped");
            stats.dead_expired += count("dead_expired");
            stats.workers = stats.workers.max(workers);
        }
        Ok(stats)
    }

    /// One account's lane.
    ///
    /// # Errors
    /// If Redis did not answer.
    pub async fn lane_stats(&self, account: Account) -> Result<LaneStats, StoreError> {
        let keys = self.store.keys_of(&account.id);
        let mut pipe = redis::pipe();
        for priority in Priority::ALL {
            pipe.cmd("LLEN").arg(keys.lane(&account.id, priority.letter()));
        }
        pipe.cmd("HGET").arg(keys.account(&account.id)).arg("state");
        let (urgent, normal, bulk, state): (u64, u64, u64, Option<String>) =
            pipe.query_async(&mut self.store.connection()).await?;
        let words = Priority::ALL.map(|priority| priority.as_str().to_owned());
        Ok(LaneStats {
            account,
            waiting: words.into_iter().zip([urgent, normal, bulk]).collect(),
            permits: State::read(state.as_deref()).permits,
        })
    }
}

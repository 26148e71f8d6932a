//! What waits where, read for metrics: by one script a few accounts at a time, so that nobody waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Queue;
use super::session::wrong;
use crate::account::AccountId;
use crate::reason::Reason;
use crate::store::StoreError;
use crate::store::keys::ACCOUNTS;

/// Accounts in one call of the script: about a millisecond of Redis' time.
const SLICE: usize = 100;

/// The queue as a whole.
#[derive(Debug, Clone, Default)]
pub struct QueueFigures {
    /// Jobs by state.
    pub states: BTreeMap<String, u64>,
    /// Workers with a living session.
    pub workers: u64,
    /// How long the oldest mail that waited for its time has been due without being in its lane.
    pub schedule_lag: Duration,
    /// How old the oldest dead letter is.
    pub oldest_dead: Duration,
    /// Each account.
    pub accounts: Vec<AccountFigures>,
    /// Memory that Redis uses, in bytes; 0 where it does not tell.
    pub redis_used: u64,
    /// Redis' `maxmemory`, in bytes; 0: no limit, or it does not tell.
    pub redis_max: u64,
}

/// One account.
#[derive(Debug, Clone)]
pub struct AccountFigures {
    /// Which one.
    pub account: AccountId,
    /// Entries in its lanes: urgent, normal, bulk. A cancelled mail's entry counts until its turn comes.
    pub waiting: [u64; 3],
    /// Permits that could be at work now, those at work included; 0 if it is held.
    pub slots_wanted: u64,
    /// Why it is held.
    pub held: Option<Reason>,
    /// What it may send in 24 hours; `None`: any number.
    pub limit: Option<u64>,
    /// What it sent in the last 24 hours, and what workers have in hand.
    pub used: u64,
    /// How long the first mail of each lane could have gone; 0 where none may go.
    pub oldest: [Duration; 3],
}

impl AccountFigures {
    /// Entries in all of its lanes.
    #[must_use]
    pub fn all_waiting(&self) -> u64 {
        self.waiting.iter().sum()
    }

    /// A row of the script: `u n b slots held limit used oldest-u oldest-n oldest-b`.
    fn read(account: AccountId, row: &str) -> Option<Self> {
        let words: Vec<&str> = row.split(' ').collect();
        let number = |at: usize| words.get(at)?.parse::<f64>().ok().map(|number| number.max(0.0) as u64);
        let span = |at: usize| number(at).map(Duration::from_millis);
        let limit = words.get(5)?.parse::<f64>().ok().filter(|limit| *limit >= 0.0).map(|limit| limit as u64);
        Some(Self {
            account,
            waiting: [number(0)?, number(1)?, number(2)?],
            slots_wanted: number(3)?,
            held: words.get(4)?.parse().ok(),
            limit,
            used: number(6)?,
            oldest: [span(7)?, span(8)?, span(9)?],
        })
    }
}

impl Queue {
    /// Reads all figures.
    ///
    /// # Errors
    /// If Redis did not answer, or holds what cannot be read.
    pub async fn figures(&self) -> Result<QueueFigures, StoreError> {
        let mut figures = QueueFigures::default();
        let ids: Vec<String> = redis::cmd("SMEMBERS").arg(ACCOUNTS).query_async(&mut self.store.connection()).await?;
        let mut by_shard: Vec<Vec<AccountId>> = vec![Vec::new(); usize::from(self.store.shards())];
        for id in ids.iter().filter_map(|id| AccountId::from_stored(id)) {
            if let Some(accounts) = by_shard.get_mut(usize::from(self.store.shard_of(&id))) {
                accounts.push(id);
            }
        }
        for (shard, accounts) in (0..).zip(&by_shard) {
            let mut slices = accounts.chunks(SLICE);
            self.read_slice(shard, slices.next().unwrap_or(&[]), &mut figures, true).await?;
            for slice in slices {
                self.read_slice(shard, slice, &mut figures, false).await?;
            }
        }
        self.read_memory(&mut figures).await;
        Ok(figures)
    }

    async fn read_slice(
        &self,
        shard: u16,
        accounts: &[AccountId],
        figures: &mut QueueFigures,
        with_shard: bool,
    ) -> Result<(), StoreError> {
        let keys = self.store.keys(shard);
        let mut call = self.scripts.figures.call(&keys);
        for account in accounts {
            call.arg(account.reveal());
        }
        let (of_shard, rows): (Vec<String>, Vec<String>) = call.invoke_async(&mut self.store.connection()).await?;
        for (account, row) in accounts.iter().zip(&rows) {
            let read = AccountFigures::read(account.clone(), row);
            figures.accounts.push(read.ok_or_else(|| wrong("figures of an account in an unknown form"))?);
        }
        if with_shard {
            let number = |at: usize| of_shard.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) as u64;
            figures.workers = figures.workers.max(number(0));
            figures.schedule_lag = figures.schedule_lag.max(Duration::from_millis(number(1)));
            figures.oldest_dead = figures.oldest_dead.max(Duration::from_millis(number(2)));
            for (name, at) in of_shard.iter().skip(3).step_by(2).zip((4..).step_by(2)) {
                *figures.states.entry(name.clone()).or_default() += number(at);
            }
        }
        Ok(())
    }

    /// A Redis that does not tell of its memory is none that is away. Of a Cluster's servers the one that uses most is told.
    async fn read_memory(&self, figures: &mut QueueFigures) {
        let texts = self.store.info("memory").await.unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        let each = texts.iter().map(|text| (field(text, "used_memory"), field(text, "maxmemory")));
        (figures.redis_used, figures.redis_max) = each.max().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_script_is_read() {
        let account = || "a@example.com".parse::<AccountId>().unwrap();
        let read = AccountFigures::read(account(), "1 20 0 3 quota 500 42 1500 0 7").unwrap();
        assert_eq!((read.waiting, read.slots_wanted, read.held), ([1, 20, 0], 3, Some(Reason::Quota)));
        assert_eq!((read.limit, read.used, read.all_waiting()), (Some(500), 42, 21));
        assert_eq!(read.oldest.map(|span| span.as_millis()), [1_500, 0, 7]);
        let free = AccountFigures::read(account(), "0 0 0 0 - -1 0 0 0 0").unwrap();
        assert_eq!((free.held, free.limit), (None, None));
        assert!(AccountFigures::read(account(), "0 0 0").is_none());
    }
}

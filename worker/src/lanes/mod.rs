//! This worker's part of each account's lane: its permits, and the warm connections under them.
//!
//! There is never a connection without a permit, and a permit goes back only when its connection is closed.

mod lane;
mod refusal;
mod seat;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::flight::Flight;
use lane::Lane;
use postroom_shared::smtp::Connection;

pub use lane::LINE;
pub use refusal::Refusal;
pub use seat::Seat;

/// How long a connection may be idle before it is closed and its permit given up (gmail.md, "Limits": 30 to 60 s).
const IDLE: Duration = Duration::from_secs(30);

/// How long a worker that stops waits for its servers' last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// All lanes of which this worker has a permit or a job.
pub struct Lanes {
    lanes: Mutex<HashMap<AccountId, Lane>>,
    flight: Arc<Flight>,
    /// Seats that are taken.
    busy: AtomicUsize,
    /// Connections that are being closed.
    closing: TaskTracker,
}

impl Lanes {
    /// None yet.
    #[must_use]
    pub fn new(flight: Arc<Flight>) -> Arc<Self> {
        Arc::new(Self {
            lanes: Mutex::new(HashMap::new()),
            flight,
            busy: AtomicUsize::new(0),
            closing: TaskTracker::new(),
        })
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<AccountId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queue granted permits: this worker holds so many of the account now.
    pub fn granted(&self, account: &AccountId, permits: u32) {
        let mut lanes = self.lanes();
        let lane = lanes.entry(account.clone()).or_insert_with(Lane::new);
        let more = permits.saturating_sub(lane.permits);
        lane.permits += more;
        lane.believed = permits;
        lane.unused.add_permits(more as usize);
    }

    /// A job of the account is in hand.
    pub fn started(&self, account: &AccountId) {
        self.lanes().entry(account.clone()).or_insert_with(Lane::new).arrived();
    }

    /// Jobs of these accounts are settled.
    pub fn finished(&self, accounts: Vec<AccountId>) {
        let mut lanes = self.lanes();
        for account in accounts {
            if let Some(lane) = lanes.get_mut(&account) {
                lane.load = lane.load.saturating_sub(1);
            }
        }
    }

    /// Waits to be among the next in line for a permit; the place in line is kept until it is dropped. With it comes whether
    /// the mail will go over a connection that stands. `None` as for [`Lanes::seat`].
    pub async fn line_up(&self, account: &AccountId) -> Option<(OwnedSemaphorePermit, bool)> {
        let line = Arc::clone(&self.lanes().entry(account.clone()).or_insert_with(Lane::new).line);
        let place = line.acquire_owned().await.ok()?;
        let lanes = self.lanes();
        let lane = lanes.get(account)?;
        Some((place, !lane.idle.is_empty() || lane.unused.available_permits() == 0))
    }

    /// Waits for a free permit of the account. `None`: the permits were lost, and with them the job's lease.
    pub async fn seat(self: &Arc<Self>, account: &AccountId) -> Option<Seat> {
        let permits = Arc::clone(&self.lanes().entry(account.clone()).or_insert_with(Lane::new).unused);
        let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
        self.busy.fetch_add(1, Ordering::Relaxed);
        Some(Seat { account: account.clone(), lanes: Arc::clone(self), permits, _permit: permit })
    }

    /// Seats that are taken.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Closes what was idle for too long or is spent, and drops permits without a connection that no job needs.
    pub fn expire(self: &Arc<Self>) {
        self.close_unused(|_| true, |connection, since| since.elapsed() >= IDLE || connection.is_spent(Millis::now()));
    }

    /// Closes every unused connection of an account, whose mail waits elsewhere.
    pub fn give_up(self: &Arc<Self>, account: &AccountId) {
        self.close_unused(|known| known == account, |_, _| true);
    }

    /// Closes every unused connection of a shard's accounts.
    pub fn give_up_all_of(self: &Arc<Self>, shard: u16) {
        self.close_unused(|known| self.flight.shard_of(known) == shard, |_, _| true);
    }

    /// Closes every connection, now that no mail needs one: the worker stops. When this ends the permits may go back.
    pub async fn close_all(self: &Arc<Self>) {
        self.close_unused(|_| true, |_, _| true);
        self.closing.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.closing.wait()).await;
    }

    fn close_unused(
        self: &Arc<Self>,
        of: impl Fn(&AccountId) -> bool,
        mut may_go: impl FnMut(&Connection, Instant) -> bool,
    ) {
        let mut lanes = self.lanes();
        for (account, lane) in lanes.iter_mut().filter(|(account, _)| of(account)) {
            for connection in lane.take_unused(usize::MAX, &mut may_go) {
                match connection {
                    None => {
                        lane.closed();
                        self.flight.hint(self.flight.shard_of(account));
                    }
                    Some(connection) => self.close(account.clone(), connection, Arc::clone(&lane.unused)),
                }
            }
        }
    }

    fn close(self: &Arc<Self>, account: AccountId, connection: Connection, permits: Arc<Semaphore>) {
        let lanes = Arc::clone(self);
        self.closing.spawn(async move {
            connection.quit().await;
            let shard = lanes.flight.shard_of(&account);
            if let Some(lane) = lanes.lanes().get_mut(&account)
                && Arc::ptr_eq(&lane.unused, &permits)
            {
                lane.closed();
            }
            lanes.flight.hint(shard);
        });
    }

    /// Accounts of a shard of which the queue must be told that there are fewer permits; it is told until it heard.
    #[must_use]
    pub fn fewer(&self, shard: u16) -> Vec<(AccountId, u32)> {
        let lanes = self.lanes();
        let fewer = |(account, lane): &(&AccountId, &Lane)| {
            lane.permits < lane.believed && self.flight.shard_of(account) == shard
        };
        lanes.iter().filter(fewer).map(|(account, lane)| (account.clone(), lane.permits)).collect()
    }

    /// The queue heard of these.
    pub fn told(&self, accounts: &[(AccountId, u32)]) {
        let mut lanes = self.lanes();
        for (account, permits) in accounts {
            if let Some(lane) = lanes.get_mut(account) {
                lane.believed = *permits;
                if lane.believed == 0 && lane.permits == 0 && lane.load == 0 {
                    lanes.remove(account);
                }
            }
        }
    }

    /// The queue was told the truth about a shard.
    pub fn told_all(&self, shard: u16, permits: &[(AccountId, u32)]) {
        for (_, lane) in self.lanes().iter_mut().filter(|(account, _)| self.flight.shard_of(account) == shard) {
            lane.believed = 0;
        }
        self.told(permits);
    }

    /// All permits held in a shard.
    #[must_use]
    pub fn permits(&self, shard: u16) -> Vec<(AccountId, u32)> {
        let lanes = self.lanes();
        let held = lanes.iter().filter(|(account, lane)| lane.permits > 0 && self.flight.shard_of(account) == shard);
        held.map(|(account, lane)| (account.clone(), lane.permits)).collect()
    }

    /// The session of a shard was lost, and all permits with it. Jobs that wait for one hear of it; connections in use are
    /// closed after their mail.
    pub fn lost(&self, shard: u16) {
        let mut lanes = self.lanes();
        for (_, lane) in lanes.iter_mut().filter(|(account, _)| self.flight.shard_of(account) == shard) {
            lane.unused.close();
            lane.line.close();
            let [unused, line] = [0, LINE].map(|room| Arc::new(Semaphore::new(room)));
            (lane.unused, lane.line) = (unused, line);
            lane.permits = 0;
            lane.believed = 0;
            lane.idle.clear();
        }
    }

    /// When the next idle connection has been idle for too long.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        let lanes = self.lanes();
        let since = lanes.values().flat_map(|lane| &lane.idle).map(|(_, since)| *since).min()?;
        // Never at once: a connection may have to outlive its time while its lane's jobs are being settled.
        Some(IDLE.saturating_sub(since.elapsed()).max(Duration::from_millis(200)))
    }
}

//! This worker's part of each account's lane: its permits, and the warm connections under them.
//!
//! There is never a connection without a permit, and a permit goes back only when its connection is closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::reason::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::flight::Flight;
use postroom_shared::smtp::Connection;

/// How long a connection may be idle before it is closed and its permit given up (gmail.md, "Limits": 30 to 60 s).
const IDLE: Duration = Duration::from_secs(30);

/// How many mails of an account are noted as begun before a connection is free for them: enough that none waits for the
/// queue to hear of it, few enough that little is in doubt when a worker dies.
pub const LINE: usize = 16;

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

struct Lane {
    /// As many as there are permits that no job uses.
    unused: Arc<Semaphore>,
    /// Room for those that are next in line for a permit.
    line: Arc<Semaphore>,
    /// Permits held, those of connections that are being closed included.
    permits: u32,
    /// Permits that the queue believes to be here: more than `permits` until it has been told. It may hand out jobs for
    /// them meanwhile; then they are taken up again, for nobody else was given them.
    believed: u32,
    /// Jobs in hand.
    load: usize,
    idle: Vec<(Connection, Instant)>,
    /// Why and when the account was refused last.
    refused: Option<Refused>,
}

/// An account that was refused: it is held in Redis as soon as that is stored.
struct Refused {
    reason: Reason,
    /// Refusals whose holds are not stored yet.
    pending: usize,
    /// When the last of them was.
    stored: Millis,
    done: CancellationToken,
}
/// A mail that was claimed before the hold was stored may be heard of so long after it.
const HEARD_LATE: Duration = Duration::from_millis(50);

impl Lane {
    fn new() -> Self {
        let [unused, line] = [0, LINE].map(|room| Arc::new(Semaphore::new(room)));
        Self { unused, line, permits: 0, believed: 0, load: 0, idle: Vec::new(), refused: None }
    }

    /// A connection is closed: its permit goes back, unless a job that came meanwhile needs it.
    fn closed(&mut self) {
        if self.load >= self.permits as usize {
            self.unused.add_permits(1);
        } else {
            self.permits -= 1;
        }
    }

    /// A job came. If it came for a permit of which the queue has not heard yet that it went, the permit is taken up again.
    fn arrived(&mut self) {
        self.load += 1;
        if self.load > self.permits as usize && self.permits < self.believed {
            self.permits += 1;
            self.unused.add_permits(1);
        }
    }

    /// Takes permits that no job needs, at most so many, with an idle connection each where there is one.
    fn take_unused(
        &mut self,
        most: usize,
        mut may_go: impl FnMut(&Connection, Instant) -> bool,
    ) -> Vec<Option<Connection>> {
        let spare = (self.permits as usize).saturating_sub(self.load).min(self.unused.available_permits());
        let mut taken = Vec::new();
        while taken.len() < most.min(spare) {
            let warm = spare - taken.len() <= self.idle.len();
            let connection = if warm {
                let Some(at) = self.idle.iter().position(|(connection, since)| may_go(connection, *since)) else {
                    break;
                };
                Some(self.idle.swap_remove(at).0)
            } else {
                None
            };
            match self.unused.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(_) => break,
            }
            taken.push(connection);
        }
        taken
    }
}

/// Keeps this worker's other mails of an account from the server until it is dropped: when the hold is stored.
pub struct Refusal {
    account: AccountId,
    lanes: Arc<Lanes>,
    done: CancellationToken,
}

/// A job's right to one connection of its account.
pub struct Seat {
    account: AccountId,
    lanes: Arc<Lanes>,
    permits: Arc<Semaphore>,
    _permit: OwnedSemaphorePermit,
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

    /// The account was refused as a whole: its other mails need not try. Call it before the seat is free again.
    #[must_use]
    pub fn refused(self: &Arc<Self>, account: &AccountId, reason: Reason) -> Refusal {
        let mut lanes = self.lanes();
        let lane = lanes.entry(account.clone()).or_insert_with(Lane::new);
        let before = lane.refused.take().filter(|refused| refused.pending > 0);
        let (pending, done) = before.map_or_else(|| (0, CancellationToken::new()), |it| (it.pending, it.done));
        lane.refused = Some(Refused { reason, pending: pending + 1, stored: Millis::now(), done: done.clone() });
        Refusal { account: account.clone(), lanes: Arc::clone(self), done }
    }

    /// Whether the account was refused after a mail was claimed: why, and what to wait for before the mail goes back.
    #[must_use]
    pub fn is_refused_since(&self, account: &AccountId, claimed: Millis) -> Option<(Reason, CancellationToken)> {
        let lanes = self.lanes();
        let refused = lanes.get(account)?.refused.as_ref()?;
        let concerns = refused.pending > 0 || claimed <= refused.stored.after(HEARD_LATE);
        concerns.then(|| (refused.reason, refused.done.clone()))
    }

    fn hold_is_stored(&self, account: &AccountId, done: &CancellationToken) {
        let mut lanes = self.lanes();
        let refused = lanes.get_mut(account).and_then(|lane| lane.refused.as_mut());
        let Some(refused) = refused else {
            done.cancel();
            return;
        };
        refused.pending = refused.pending.saturating_sub(1);
        refused.stored = Millis::now();
        if refused.pending == 0 {
            done.cancel();
        }
    }

    /// Closes what was idle for too long or is spent, and drops permits without a connection that no job needs.
    pub fn expire(self: &Arc<Self>) {
        self.close_unused(None, |connection, since| since.elapsed() >= IDLE || connection.is_spent(Millis::now()));
    }

    /// Closes every unused connection, of an account whose mail waits elsewhere or (`None`) of all.
    pub fn give_up(self: &Arc<Self>, account: Option<&AccountId>) {
        self.close_unused(account, |_, _| true);
    }

    /// Closes every connection, now that no mail needs one: the worker stops. When this ends the permits may go back.
    pub async fn close_all(self: &Arc<Self>) {
        self.give_up(None);
        self.closing.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.closing.wait()).await;
    }

    fn close_unused(self: &Arc<Self>, only: Option<&AccountId>, mut may_go: impl FnMut(&Connection, Instant) -> bool) {
        let mut lanes = self.lanes();
        for (account, lane) in lanes.iter_mut().filter(|(account, _)| only.is_none_or(|only| only == *account)) {
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

impl Drop for Refusal {
    fn drop(&mut self) {
        self.lanes.hold_is_stored(&self.account, &self.done);
    }
}

impl Seat {
    /// A warm connection of the account, if there is one that is good for another mail. Those that are not are closed
    /// before the caller opens another, so that the cap holds; so is one where the caller wants none that is warm.
    pub async fn take_warm(&self, may_be_warm: bool) -> Option<Connection> {
        loop {
            let (connection, _) = self.lanes.lanes().get_mut(&self.account)?.idle.pop()?;
            if may_be_warm && is_good(&connection) {
                return Some(connection);
            }
            Box::pin(connection.quit()).await;
            if !may_be_warm {
                return None;
            }
        }
    }

    /// Closes a connection; the permit is free when that is done.
    pub fn close(self, connection: Connection) {
        let closing = self.lanes.closing.clone();
        closing.spawn(async move {
            connection.quit().await;
            drop(self);
        });
    }

    /// Leaves a connection warm after its mail, or closes it; the permit is free when that is done. Whether the server has
    /// closed it meanwhile is asked when the next mail takes it.
    pub fn put_back(self, connection: Connection) {
        if !connection.is_in_step() || connection.is_spent(Millis::now()) {
            self.close(connection);
            return;
        }
        let mut lanes = self.lanes.lanes();
        if let Some(lane) = lanes.get_mut(&self.account)
            && Arc::ptr_eq(&lane.unused, &self.permits)
        {
            lane.idle.push((connection, Instant::now()));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lanes.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_good(connection: &Connection) -> bool {
    connection.reusable() && !connection.is_spent(Millis::now())
}

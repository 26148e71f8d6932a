//! What the live pages show: read from Redis at most once a second, for all who look together, and only while somebody does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postroom_shared::account::AccountId;
use postroom_shared::clock::Millis;
use postroom_shared::id::MailId;
use postroom_shared::queue::{
    DeadFilter, DeadSummary, MailState, MailStatus, Place, Queue, QueueStats, Standing, Worker,
};
use postroom_shared::reason::Reason;
use postroom_shared::store::StoreError;
use tokio::sync::Mutex;

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Reading takes no more than one part in so many of the time, however slow Redis is.
const SHARE: u32 = 10;
/// "Lately", for what failed.
pub(super) const LATELY: Duration = Duration::from_secs(3_600);
/// Of the dead letters of that time so many are looked at, so many shown, and they are read anew after so long at the latest.
const LOOKED_AT: usize = 500;
const SHOWN: usize = 8;
const DEAD_BELIEVED: Duration = Duration::from_secs(10);
/// Single mails that are watched at once.
const MOST_WATCHED: usize = 200;

/// The queue as it stood a moment ago.
pub(super) struct Snapshot {
    pub(super) at: Millis,
    pub(super) totals: QueueStats,
    pub(super) standings: Vec<Standing>,
    pub(super) workers: Vec<Worker>,
    pub(super) died: Arc<Died>,
    places: HashMap<MailId, Option<Place>>,
}

/// What died lately.
pub(super) struct Died {
    /// How many.
    pub(super) count: u64,
    /// The newest of them, by reason and account.
    pub(super) summary: DeadSummary,
    /// The newest.
    pub(super) mails: Vec<MailStatus>,
    /// There were more than were looked at.
    pub(super) is_cut: bool,
    /// Of how many dead letters.
    of: u64,
    read: Instant,
}

impl Snapshot {
    /// How many mails are in a state.
    pub(super) fn state(&self, word: &str) -> u64 {
        self.totals.states.get(word).copied().unwrap_or(0)
    }

    /// How many mails wait: for their time, their turn or another try.
    pub(super) fn waiting(&self) -> u64 {
        ["scheduled", "ready", "retry"].into_iter().map(|word| self.state(word)).sum()
    }

    /// One account.
    pub(super) fn standing(&self, hash: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.account.id.hashed() == hash)
    }

    /// What tells whether something happened to a watched mail; `None`: nothing is known of it.
    pub(super) fn mark(&self, id: MailId) -> Option<String> {
        let place = self.places.get(&id)?.as_ref()?;
        Some(mark(place.state, place.reason))
    }
}

/// What tells one stage of a mail's life from the next. A page tells its stream which one it shows, so that nothing is missed
/// between the two.
pub(super) fn mark(state: MailState, reason: Option<Reason>) -> String {
    format!("{}-{}", state.as_str(), reason.map_or("", Reason::as_str))
}

/// Reads the queue for all pages.
pub(super) struct Watch {
    queue: Queue,
    seen: Mutex<Option<Seen>>,
    stale: AtomicBool,
    watched: Lock<HashMap<MailId, usize>>,
}

struct Seen {
    until: Instant,
    snapshot: Arc<Snapshot>,
}

/// While it is held, a mail is watched.
pub(super) struct Watched {
    watch: Arc<Watch>,
    pub(super) id: MailId,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut watched = self.watch.watched();
        if let Some(count) = watched.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                watched.remove(&self.id);
            }
        }
    }
}

impl Watch {
    pub(super) fn new(queue: Queue) -> Arc<Self> {
        Arc::new(Self { queue, seen: Mutex::default(), stale: AtomicBool::new(false), watched: Lock::default() })
    }

    /// The queue as it stands, or stood a moment ago. Whoever asks while it is read waits for that.
    pub(super) async fn snapshot(&self) -> Result<Arc<Snapshot>, StoreError> {
        let mut seen = self.seen.lock().await;
        let stale = self.stale.swap(false, Ordering::Relaxed);
        if let Some(seen) = seen.as_ref()
            && !stale
            && Instant::now() < seen.until
        {
            return Ok(Arc::clone(&seen.snapshot));
        }
        let begun = Instant::now();
        let died = seen.as_ref().map(|seen| Arc::clone(&seen.snapshot.died));
        let snapshot = Arc::new(self.read(died).await?);
        let until = begun + BELIEVED.max(begun.elapsed() * SHARE);
        *seen = Some(Seen { until, snapshot: Arc::clone(&snapshot) });
        Ok(snapshot)
    }

    /// Something was changed from here: the next page shall show it.
    pub(super) fn forget(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Watches a mail; `None`: too many are watched already.
    pub(super) fn watch(self: &Arc<Self>, id: MailId) -> Option<Watched> {
        let mut watched = self.watched();
        if watched.len() >= MOST_WATCHED && !watched.contains_key(&id) {
            return None;
        }
        *watched.entry(id).or_default() += 1;
        drop(watched);
        Some(Watched { watch: Arc::clone(self), id })
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<MailId, usize>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, died: Option<Arc<Died>>) -> Result<Snapshot, StoreError> {
        let queue = &self.queue;
        let totals = queue.totals().await?;
        let accounts = queue.accounts().await?;
        let ids: Vec<AccountId> = accounts.into_iter().map(|account| account.id).collect();
        let standings = queue.standings(&ids).await?;
        let workers = queue.workers().await?;
        let died = self.died(&totals, died).await?;
        let watched: Vec<MailId> = self.watched().keys().copied().collect();
        let places = watched.iter().copied().zip(queue.outlooks(&watched).await?).collect();
        Ok(Snapshot { at: Millis::now(), totals, standings, workers, died, places })
    }

    /// What died lately: read anew when the numbers say that something changed.
    async fn died(&self, totals: &QueueStats, known: Option<Arc<Died>>) -> Result<Arc<Died>, StoreError> {
        let from = Millis(Millis::now().0.saturating_sub(LATELY.as_millis() as u64));
        let of = totals.states.get("dead").copied().unwrap_or(0);
        let count = self.queue.died_since(from).await?;
        let same = |known: &Arc<Died>| (known.count, known.of) == (count, of) && known.read.elapsed() < DEAD_BELIEVED;
        if let Some(known) = known.filter(same) {
            return Ok(known);
        }
        let filter = DeadFilter { died_from: Some(from), limit: SHOWN, ..DeadFilter::default() };
        let list = self.queue.dead_among(&filter, LOOKED_AT).await?;
        let read = Instant::now();
        Ok(Arc::new(Died { count, summary: list.summary, mails: list.mails, is_cut: list.is_cut, of, read }))
    }
}

//! Keeps the worker's sessions alive: heartbeats, the channel that wakes it, and a new session when one was lost.
//!
//! It never asks for work itself; it only hints that there may be some.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backoff::backoff::Backoff as _;
use futures::StreamExt;
use futures::future::join_all;
use postroom_shared::queue::{Beat, Queue, SessionId, Wake};
use postroom_shared::store::{StoreError, pauses};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::flight::Flight;
use crate::lanes::Lanes;

/// The worker's session in each shard.
pub struct Sessions {
    lease: Duration,
    name: String,
    shards: Mutex<Vec<Session>>,
}

struct Session {
    id: SessionId,
    /// When the last sign of life that Redis answered was sent; `None`: the session is not open.
    renewed: Option<Instant>,
    /// The queue believed at the last heartbeat that more jobs are here than there are.
    unheard: bool,
    /// Called when another is wanted.
    wanted: Arc<Notify>,
}

impl Sessions {
    /// None is open yet.
    #[must_use]
    pub fn new(name: String, lease: Duration, shards: u16) -> Self {
        let id = SessionId::random();
        let session = |_| Session { id: id.clone(), renewed: None, unheard: false, wanted: Arc::default() };
        Self { lease, name, shards: Mutex::new((0..shards).map(session).collect()) }
    }

    /// For how long jobs and permits are leased.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// The session of a shard, if it is open.
    #[must_use]
    pub fn open(&self, shard: u16) -> Option<SessionId> {
        self.with(shard, |session| session.renewed.map(|_| session.id.clone())).flatten()
    }

    /// Whether a lease is surely still held: a mail that is not begun yet is better handed back than sent by two.
    #[must_use]
    pub fn holds(&self, shard: u16, session: &SessionId) -> bool {
        let alive = |known: &mut Session| {
            known.id == *session && known.renewed.is_some_and(|renewed| renewed.elapsed() < self.lease)
        };
        self.with(shard, alive).unwrap_or(false)
    }

    /// Whether the lease of a session that was open may have run out.
    fn may_have_run_out(&self, shard: u16) -> bool {
        let is_late = |known: &mut Session| known.renewed.is_some_and(|renewed| renewed.elapsed() >= self.lease);
        self.with(shard, is_late).unwrap_or(false)
    }

    /// The session was lost: all it had was taken back.
    pub fn lost(&self, shard: u16) {
        self.with(shard, |session| {
            session.id = session.id.next();
            session.renewed = None;
            session.wanted.notify_one();
        });
    }

    fn wanted(&self, shard: u16) -> Arc<Notify> {
        self.with(shard, |session| Arc::clone(&session.wanted)).unwrap_or_default()
    }

    fn with<T>(&self, shard: u16, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).get_mut(usize::from(shard)).map(act)
    }

    fn id(&self, shard: u16) -> SessionId {
        self.with(shard, |session| session.id.clone()).unwrap_or_else(SessionId::random)
    }

    fn renewed(&self, shard: u16, id: &SessionId, at: Instant) {
        self.with(shard, |session| {
            if session.id == *id {
                session.renewed = Some(at);
            }
        });
    }

    /// Once may be a claim or a settlement on its way; twice in a row is an answer that was lost.
    fn unheard_twice(&self, shard: u16, unheard: bool) -> bool {
        self.with(shard, |session| std::mem::replace(&mut session.unheard, unheard) && unheard).unwrap_or(false)
    }

    fn shards(&self) -> u16 {
        u16::try_from(self.shards.lock().unwrap_or_else(PoisonError::into_inner).len()).unwrap_or(u16::MAX)
    }

    /// Ends all sessions: permits and whatever is left go back at once.
    pub async fn leave(&self, queue: &Queue) {
        let leave = async |shard| {
            if let Some(session) = self.open(shard)
                && let Err(error) = queue.leave(shard, &session, self.lease).await
            {
                warn!(%error, "the session was not ended: it runs out by itself");
            }
        };
        join_all((0..self.shards()).map(leave)).await;
    }
}

/// Opens every session and renews it at a third of the lease, until told to stop: each by itself, so that none runs out because
/// another's part of Redis does not answer.
pub async fn beat(
    queue: Queue,
    sessions: Arc<Sessions>,
    flight: Arc<Flight>,
    lanes: Arc<Lanes>,
    stop: CancellationToken,
) {
    let silent = AtomicUsize::new(0);
    let beats = (0..sessions.shards()).map(|shard| beat_in(shard, &queue, &sessions, &flight, &lanes, &silent));
    tokio::select! {
        _ = join_all(beats) => {}
        () = stop.cancelled() => {}
    }
}

/// `silent`: shards from which no heartbeat is answered.
async fn beat_in(
    shard: u16,
    queue: &Queue,
    sessions: &Sessions,
    flight: &Flight,
    lanes: &Arc<Lanes>,
    silent: &AtomicUsize,
) {
    let (wanted, mut trouble) = (sessions.wanted(shard), false);
    loop {
        let mut pause = sessions.lease / 3;
        match beat_once(queue, sessions, flight, lanes, shard).await {
            Ok(()) if trouble => {
                trouble = false;
                if silent.fetch_sub(1, Ordering::Relaxed) == 1 {
                    info!("Redis is back");
                }
                flight.hint(shard);
            }
            Ok(()) => {}
            Err(error) => {
                if !trouble && silent.fetch_add(1, Ordering::Relaxed) == 0 {
                    warn!(shard, %error, "no heartbeat: Redis does not answer; trying again");
                }
                trouble = true;
                if sessions.may_have_run_out(shard) {
                    // Others may have its permits by now: what stands unused must not come on top of theirs.
                    lanes.give_up_all_of(shard);
                }
                pause = (sessions.lease / 12).min(Duration::from_secs(1));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = wanted.notified() => {}
        }
    }
}

async fn beat_once(
    queue: &Queue,
    sessions: &Sessions,
    flight: &Flight,
    lanes: &Lanes,
    shard: u16,
) -> Result<(), StoreError> {
    let (id, sent, in_hand) = (sessions.id(shard), Instant::now(), flight.ids(shard).len());
    let beat = if sessions.open(shard).is_some() {
        queue.beat(shard, &id, sessions.lease).await?
    } else {
        queue.open_session(shard, &id, &sessions.name, sessions.lease).await?
    };
    match beat {
        Beat::Alive { work, held } => {
            let opened = sessions.open(shard).is_none();
            if sessions.unheard_twice(shard, held > in_hand) {
                warn!(held, in_hand, "jobs were handed out unheard: they go back to their place");
                flight.want_mending(shard);
            }
            sessions.renewed(shard, &id, sent);
            if work || opened {
                flight.hint(shard);
            }
        }
        Beat::Gone => {
            warn!(shard, "the session was lost: its mails and permits were taken back; beginning another");
            lanes.lost(shard);
            sessions.lost(shard);
            flight.hint(shard);
        }
    }
    Ok(())
}

/// Listens for whoever wakes this worker, until told to stop.
pub async fn listen(
    queue: Queue,
    sessions: Arc<Sessions>,
    flight: Arc<Flight>,
    lanes: Arc<Lanes>,
    stop: CancellationToken,
) {
    let mut pauses = pauses();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            result = listen_once(&queue, &sessions, &flight, &lanes) => {
                if result.is_ok() {
                    pauses.reset();
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)) => {}
        }
    }
}

async fn listen_once(
    queue: &Queue,
    sessions: &Sessions,
    flight: &Flight,
    lanes: &Arc<Lanes>,
) -> Result<(), StoreError> {
    let mut subscription = queue.listen(&sessions.id(0)).await?;
    // What was pushed while nobody listened.
    flight.hint_all();
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        let wake = message.get_payload::<String>().ok().and_then(|payload| Wake::parse(&payload));
        if let Some(wake) = wake {
            if let Some(account) = &wake.give_up
                && flight.is_full()
            {
                lanes.give_up(account);
            }
            flight.hint(wake.shard);
        }
    }
    Ok(())
}

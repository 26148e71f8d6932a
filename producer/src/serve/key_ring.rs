//! Which keys are good, without asking Redis at each request.
//!
//! A key is remembered only while the ring surely hears of every change: a revoked key is refused at once. While the
//! subscription is not alive, Redis is asked each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use postroom_shared::api_keys::{ApiKey, ApiKeys, KeyId, MOST_KEYS, SecretKey};
use postroom_shared::clock::Millis;
use postroom_shared::store::StoreError;
use tokio::task::AbortHandle;

use super::auth::{Caller, Denied};
use super::rate::{RateLimit, Standing};

/// How long Redis may take to tell a key.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Ids that no key is known to have and that are looked for, a second: beyond it, requests with such keys wait.
const STRANGERS: u32 = 100;
/// Ids of no key that are remembered. No more than [`STRANGERS`] come a second, and none is remembered for long.
const MOST_UNKNOWN: usize = 4_096;
/// A use is told to Redis once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// How long the ring waits before it subscribes again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How a ring behaves.
#[derive(Debug, Clone)]
pub struct RingSettings {
    /// Requests a second for keys that have no limit of their own; 0: any number.
    pub rate: u32,
    /// How long a key is believed that was read, if nothing is heard of it.
    pub believed_for: Duration,
}

impl Default for RingSettings {
    fn default() -> Self {
        Self { rate: 0, believed_for: Duration::from_secs(5) }
    }
}

/// The keys that this process knows.
pub struct KeyRing {
    keys: ApiKeys,
    settings: RingSettings,
    strangers: Option<RateLimit>,
    state: Mutex<State>,
    listener: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct State {
    /// The subscription is alive.
    live: bool,
    /// Rises with each change: what was read before it may be old.
    epoch: u64,
    /// Keys that exist, whether or not what is known of them may be believed.
    known: HashMap<KeyId, Known>,
    /// Ids that no key had when it was looked for.
    unknown: HashMap<KeyId, Instant>,
}

#[derive(Default)]
struct Known {
    caller: Option<(Arc<Caller>, Instant)>,
    limit: Option<Arc<RateLimit>>,
    told: Option<Instant>,
}

/// What is known of an id.
enum Memory {
    Key(Arc<Caller>),
    Nobody,
    /// Redis must be asked; `stranger`: no key of this id was ever heard of.
    Ask {
        epoch: u64,
        stranger: bool,
    },
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        let listener = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.take() {
            listener.abort();
        }
    }
}

impl KeyRing {
    /// A ring that listens for changes, on the runtime that this is called on.
    #[must_use]
    pub fn start(keys: ApiKeys, settings: RingSettings) -> Arc<Self> {
        let (strangers, state) = (RateLimit::new(STRANGERS), Mutex::default());
        let ring = Arc::new(Self { keys, settings, strangers, state, listener: Mutex::default() });
        let task = tokio::spawn(listen(ring.keys.clone(), Arc::downgrade(&ring)));
        *ring.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        ring
    }

    /// The keys in Redis.
    #[must_use]
    pub fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    /// Whether every change is heard of, so that keys may be remembered.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state().live
    }

    /// Lets a key in, or says why not.
    ///
    /// # Errors
    /// If it is not a valid key, comes too often, or Redis cannot tell.
    pub async fn admit(&self, presented: &str) -> Result<(Arc<Caller>, Option<Standing>), Denied> {
        let secret = SecretKey::parse(presented).map_err(|_| Denied::Invalid)?;
        let caller = match self.remembered(secret.id()) {
            Memory::Key(caller) => caller,
            Memory::Nobody => return Err(Denied::Invalid),
            Memory::Ask { epoch, stranger } => {
                if let Some(limit) = &self.strangers
                    && stranger
                {
                    let standing = limit.take();
                    if standing.is_refused() {
                        return Err(Denied::TooFast(standing));
                    }
                }
                self.look_up(secret.id(), epoch).await?
            }
        };
        let now = Millis::now();
        if !caller.key.admits(&secret, now) {
            return Err(Denied::Invalid);
        }
        let standing = self.used(&caller, now).map(|limit| limit.take());
        match standing {
            Some(standing) if standing.is_refused() => Err(Denied::TooFast(standing)),
            _ => Ok((caller, standing)),
        }
    }

    /// Whoever has the key of this id, for a login that the key began: it is not presented again. Counts against no limit.
    ///
    /// # Errors
    /// If the key is not valid any more, or Redis cannot tell.
    pub(crate) async fn recall(&self, id: &KeyId) -> Result<Arc<Caller>, Denied> {
        let caller = match self.remembered(id) {
            Memory::Key(caller) => caller,
            Memory::Nobody => return Err(Denied::Invalid),
            Memory::Ask { epoch, .. } => self.look_up(id, epoch).await?,
        };
        if caller.key.is_valid(Millis::now()) { Ok(caller) } else { Err(Denied::Invalid) }
    }

    /// As [`KeyRing::recall`], for one request, which is noted and counts against the key's limit.
    ///
    /// # Errors
    /// As there, or if the key comes too often.
    pub(crate) async fn admit_again(&self, id: &KeyId) -> Result<Arc<Caller>, Denied> {
        let caller = self.recall(id).await?;
        match self.used(&caller, Millis::now()).map(|limit| limit.take()) {
            Some(standing) if standing.is_refused() => Err(Denied::TooFast(standing)),
            Some(_) | None => Ok(caller),
        }
    }

    /// Forgets what is known of a key: it was made or revoked.
    pub fn forget(&self, id: &KeyId) {
        let mut state = self.state();
        state.epoch += 1;
        state.unknown.remove(id);
        make_room(&mut state.known);
        state.known.entry(id.clone()).or_default().caller = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_live(&self, live: bool) {
        let mut state = self.state();
        state.live = live;
        state.epoch += 1;
        state.unknown.clear();
        state.known.values_mut().for_each(|known| known.caller = None);
    }

    /// These keys exist: looking for them is never put off.
    fn heard_of(&self, ids: Vec<KeyId>) {
        let mut state = self.state();
        for id in ids {
            make_room(&mut state.known);
            state.known.entry(id).or_default();
        }
    }

    fn remembered(&self, id: &KeyId) -> Memory {
        let state = self.state();
        let believed = |at: &Instant| state.live && at.elapsed() < self.settings.believed_for;
        let known = state.known.get(id);
        match known.and_then(|known| known.caller.as_ref()) {
            Some((caller, at)) if believed(at) => Memory::Key(Arc::clone(caller)),
            _ if state.unknown.get(id).is_some_and(believed) => Memory::Nobody,
            _ => Memory::Ask { epoch: state.epoch, stranger: known.is_none() },
        }
    }

    async fn look_up(&self, id: &KeyId, epoch: u64) -> Result<Arc<Caller>, Denied> {
        let late = |_| Err(StoreError::NotStored("no answer in 5 s".to_owned()));
        match tokio::time::timeout(READ_WITHIN, self.keys.get(id)).await.unwrap_or_else(late) {
            Ok(Some(key)) => Ok(self.remember(key, epoch)),
            Ok(None) => {
                self.remember_nobody(id, epoch);
                Err(Denied::Invalid)
            }
            Err(error) => Err(Denied::Away(error)),
        }
    }

    fn remember(&self, key: ApiKey, epoch: u64) -> Arc<Caller> {
        let caller = Arc::new(Caller { key: Arc::new(key) });
        let mut state = self.state();
        let current = state.live && state.epoch == epoch;
        make_room(&mut state.known);
        let known = state.known.entry(caller.key.id.clone()).or_default();
        if current {
            known.caller = Some((Arc::clone(&caller), Instant::now()));
        }
        caller
    }

    fn remember_nobody(&self, id: &KeyId, epoch: u64) {
        let mut state = self.state();
        state.known.remove(id);
        if state.live && state.epoch == epoch {
            if state.unknown.len() >= MOST_UNKNOWN {
                state.unknown.clear();
            }
            state.unknown.insert(id.clone(), Instant::now());
        }
    }

    /// Notes that a key was used, and gives its limit.
    fn used(&self, caller: &Caller, now: Millis) -> Option<Arc<RateLimit>> {
        let key = &caller.key;
        let mut state = self.state();
        make_room(&mut state.known);
        let known = state.known.entry(key.id.clone()).or_default();
        if known.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            known.told = Some(Instant::now());
            let (keys, id) = (self.keys.clone(), key.id.clone());
            // Nobody waits for it. If it fails, the next use in a minute is told.
            tokio::spawn(async move { keys.touch(&id, now).await });
        }
        let rate = key.rate.unwrap_or(self.settings.rate);
        if known.limit.as_ref().map_or(0, |limit| limit.limit()) != rate {
            known.limit = RateLimit::new(rate).map(Arc::new);
        }
        known.limit.clone()
    }
}

/// Keys that ended stay known until here; those that exist are soon known again.
fn make_room(known: &mut HashMap<KeyId, Known>) {
    if known.len() >= 2 * MOST_KEYS {
        known.clear();
    }
}

/// Hears of changes as long as the ring is there; it never keeps the ring itself.
async fn listen(keys: ApiKeys, ring: Weak<KeyRing>) {
    loop {
        if let Ok(Ok(mut changes)) = tokio::time::timeout(READ_WITHIN, keys.changes()).await {
            let ids = tokio::time::timeout(READ_WITHIN, keys.ids()).await;
            let Some(live) = ring.upgrade() else { return };
            if let Ok(Ok(ids)) = ids {
                live.heard_of(ids);
            }
            // Nothing is awaited from here on but the next change: while it is live, it hears.
            live.set_live(true);
            drop(live);
            while let Some(id) = changes.next().await {
                let Some(live) = ring.upgrade() else { return };
                live.forget(&id);
            }
        }
        let Some(dead) = ring.upgrade() else { return };
        dead.set_live(false);
        drop(dead);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

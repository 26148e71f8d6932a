//! What this worker has in hand: its slots, and the hints that there may be work.
//!
//! A slot is taken when a job is claimed and freed when its settlement is stored, never earlier.

mod slots;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::store::Store;
use tokio::sync::Notify;

use slots::Slots;

/// One lease of one mail.
pub type Lease = (MailId, u64);

/// The jobs in hand, and which shards should be looked at.
pub struct Flight {
    slots: usize,
    store: Store,
    state: Mutex<State>,
    hints: Vec<Notify>,
}

struct State {
    jobs: HashMap<Lease, AccountId>,
    slots: Slots,
    shards: Vec<Shard>,
}

#[derive(Clone, Default)]
struct Shard {
    is_hinted: bool,
    /// The queue must be told the truth before anything else is asked.
    wants_mending: bool,
}

/// Slots for which a shard is asking: nobody else may. What the jobs that came did not take is free again when this is dropped.
pub struct Asked {
    flight: Arc<Flight>,
    /// How many jobs may be asked for, one for each attempt that ends in the same question included.
    pub jobs: usize,
    free: usize,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.free > 0 {
            self.flight.state().slots.give_back(self.free);
            self.flight.call_who_waits();
        }
    }
}

impl Flight {
    /// A worker with so many slots.
    #[must_use]
    pub fn new(slots: usize, store: Store) -> Self {
        let shards = usize::from(store.shards());
        let state = State {
            jobs: HashMap::with_capacity(slots),
            slots: Slots::new(slots, shards),
            shards: vec![Shard { is_hinted: true, wants_mending: false }; shards],
        };
        Self { slots, store, state: Mutex::new(state), hints: (0..shards).map(|_| Notify::new()).collect() }
    }

    /// The shard of an account.
    #[must_use]
    pub fn shard_of(&self, account: &AccountId) -> u16 {
        self.store.shard_of(account)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All slots.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Whether every slot is taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state().jobs.len() >= self.slots
    }

    /// Jobs in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.state().jobs.len()
    }

    /// Jobs in hand of one shard.
    #[must_use]
    pub fn in_hand_of(&self, shard: u16) -> usize {
        self.state().slots.of(shard)
    }

    /// Slots for a shard to ask for, in the same question in which so many of its attempts end.
    #[must_use]
    pub fn ask(self: &Arc<Self>, shard: u16, ends: usize) -> Asked {
        let mut state = self.state();
        let State { slots, shards, .. } = &mut *state;
        let waits = |other: usize| other != usize::from(shard) && shards[other].is_hinted;
        let (jobs, free) = slots.ask(shard, ends, waits);
        Asked { flight: Arc::clone(self), jobs, free }
    }

    /// A job was claimed.
    pub fn take_off(&self, lease: Lease, account: AccountId) {
        let mut state = self.state();
        if state.jobs.insert(lease, account).is_none() {
            state.slots.take(lease.0.shard());
        }
    }

    /// Settlements were stored: their slots are free, or are for the jobs that were asked for in the same question.
    pub fn land(&self, leases: impl IntoIterator<Item = Lease>, asked: Option<&mut Asked>) -> Vec<AccountId> {
        let mut landed = Vec::new();
        let mut state = self.state();
        for lease in leases {
            if let Some(account) = state.jobs.remove(&lease) {
                state.slots.free(lease.0.shard());
                landed.push(account);
            }
        }
        if let Some(asked) = asked {
            state.slots.set_aside(landed.len());
            asked.free += landed.len();
        }
        drop(state);
        self.call_who_waits();
        landed
    }

    /// The ids in hand of one shard.
    #[must_use]
    pub fn ids(&self, shard: u16) -> Vec<MailId> {
        self.state().jobs.keys().map(|(id, _)| *id).filter(|id| id.shard() == shard).collect()
    }

    /// There may be work in a shard.
    pub fn hint(&self, shard: u16) {
        self.change(shard, |known| known.is_hinted = true);
        self.call(shard);
    }

    /// There may be work anywhere.
    pub fn hint_all(&self) {
        (0..self.store.shards()).for_each(|shard| self.hint(shard));
    }

    /// Takes the hint of a shard.
    #[must_use]
    pub fn take_hint(&self, shard: u16) -> bool {
        self.change(shard, |known| std::mem::take(&mut known.is_hinted)).unwrap_or(false)
    }

    /// Whether a shard has a hint.
    #[must_use]
    pub fn is_hinted(&self, shard: u16) -> bool {
        self.change(shard, |known| known.is_hinted).unwrap_or(false)
    }

    /// An answer of the queue was lost in a shard: it must be told the truth before anything else is asked.
    pub fn want_mending(&self, shard: u16) {
        self.change(shard, |known| known.wants_mending = true);
        self.hint(shard);
    }

    /// Whether a shard wants mending.
    #[must_use]
    pub fn wants_mending(&self, shard: u16) -> bool {
        self.change(shard, |known| known.wants_mending).unwrap_or(false)
    }

    /// A shard was told the truth.
    pub fn mended(&self, shard: u16) {
        self.change(shard, |known| known.wants_mending = false);
    }

    /// Waits for a hint in a shard, or for slots if it has one.
    pub async fn hinted(&self, shard: u16) {
        match self.hints.get(usize::from(shard)) {
            Some(hint) => hint.notified().await,
            None => std::future::pending().await,
        }
    }

    fn change<T>(&self, shard: u16, act: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        self.state().shards.get_mut(usize::from(shard)).map(act)
    }

    fn call(&self, shard: u16) {
        if let Some(hint) = self.hints.get(usize::from(shard)) {
            hint.notify_one();
        }
    }

    /// There are slots: shards that had none to ask for may ask now.
    fn call_who_waits(&self) {
        let waiting: Vec<bool> = self.state().shards.iter().map(|shard| shard.is_hinted).collect();
        (0..).zip(waiting).filter(|(_, waits)| *waits).for_each(|(shard, _)| self.call(shard));
    }
}

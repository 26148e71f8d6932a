//! What this worker has in hand: its slots, and the hints that there may be work.
//!
//! A slot is taken when a job is claimed and freed when its settlement is stored, never earlier.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use postroom_shared::account::AccountId;
use postroom_shared::id::MailId;
use postroom_shared::store::Store;
use tokio::sync::Notify;

/// One lease of one mail.
pub type Lease = (MailId, u64);

/// The jobs in hand, and which shards should be looked at.
pub struct Flight {
    slots: usize,
    store: Store,
    state: Mutex<State>,
    hint: Notify,
}

#[derive(Default)]
struct State {
    jobs: HashMap<Lease, AccountId>,
    shards: Vec<bool>,
    /// Shards in which the queue must be told the truth before anything else is asked.
    mend: BTreeSet<u16>,
}

impl Flight {
    /// A worker with so many slots.
    #[must_use]
    pub fn new(slots: usize, store: Store) -> Self {
        let state = State {
            jobs: HashMap::with_capacity(slots),
            shards: vec![true; usize::from(store.shards())],
            mend: BTreeSet::new(),
        };
        Self { slots, store, state: Mutex::new(state), hint: Notify::new() }
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

    /// Slots that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.slots.saturating_sub(self.state().jobs.len())
    }

    /// Jobs in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.state().jobs.len()
    }

    /// A job was claimed.
    pub fn take_off(&self, lease: Lease, account: AccountId) {
        self.state().jobs.insert(lease, account);
    }

    /// Settlements were stored: their slots are free.
    pub fn land(&self, leases: impl IntoIterator<Item = Lease>) -> Vec<AccountId> {
        let mut state = self.state();
        leases.into_iter().filter_map(|lease| state.jobs.remove(&lease)).collect()
    }

    /// The ids in hand of one shard.
    #[must_use]
    pub fn ids(&self, shard: u16) -> Vec<MailId> {
        self.state().jobs.keys().map(|(id, _)| *id).filter(|id| id.shard() == shard).collect()
    }

    /// There may be work in a shard.
    pub fn hint(&self, shard: u16) {
        if let Some(flag) = self.state().shards.get_mut(usize::from(shard)) {
            *flag = true;
        }
        self.hint.notify_one();
    }

    /// There may be work anywhere.
    pub fn hint_all(&self) {
        self.state().shards.fill(true);
        self.hint.notify_one();
    }

    /// Takes the hint of a shard.
    #[must_use]
    pub fn take_hint(&self, shard: u16) -> bool {
        self.state().shards.get_mut(usize::from(shard)).is_some_and(std::mem::take)
    }

    /// Whether a shard has a hint.
    #[must_use]
    pub fn is_hinted(&self, shard: u16) -> bool {
        self.state().shards.get(usize::from(shard)).copied().unwrap_or(false)
    }

    /// An answer of the queue was lost in a shard: it must be told the truth before anything else is asked.
    pub fn want_mending(&self, shard: u16) {
        self.state().mend.insert(shard);
        self.hint(shard);
    }

    /// Whether a shard wants mending.
    #[must_use]
    pub fn wants_mending(&self, shard: u16) -> bool {
        self.state().mend.contains(&shard)
    }

    /// A shard was told the truth.
    pub fn mended(&self, shard: u16) {
        self.state().mend.remove(&shard);
    }

    /// Waits for any hint.
    pub async fn hinted_at_all(&self) {
        self.hint.notified().await;
    }
}

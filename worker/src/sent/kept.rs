//! The connections that are kept for further looks: one an account, closed when nobody looked for some time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::future::join_all;
use postroom_shared::account::AccountId;
use tokio::task::JoinHandle;

use super::Session;

/// An account's place for a connection; locked by the look whose turn it is.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

type Slots = Mutex<HashMap<AccountId, Slot>>;

/// A connection that waits for the next look, and the task that will close it.
pub(super) struct Kept {
    session: Session,
    closer: JoinHandle<()>,
}

impl Kept {
    pub(super) fn take(self) -> Session {
        self.closer.abort();
        self.session
    }
}

/// All places. An account that has no connection and for which nobody looks has none.
pub(super) struct Shelf {
    slots: Arc<Slots>,
    keep: Duration,
}

impl Shelf {
    pub(super) fn new(keep: Duration) -> Self {
        Self { slots: Arc::default(), keep }
    }

    pub(super) fn slot(&self, account: &AccountId) -> Slot {
        Arc::clone(lock(&self.slots).entry(account.clone()).or_default())
    }

    /// Keeps a connection until the time is over; to be put into its locked slot.
    pub(super) fn keep(&self, account: &AccountId, session: Session) -> Kept {
        let closer = tokio::spawn(close_later(Arc::downgrade(&self.slots), account.clone(), self.keep));
        Kept { session, closer }
    }

    pub(super) fn forget_if_empty(&self, account: &AccountId, slot: Slot) {
        forget_if_empty(&self.slots, account, slot);
    }

    /// Waits for no look: the connection of one that is under way ends with it, for its place is no longer on the shelf.
    pub(super) async fn close_all(&self) {
        let slots: Vec<Slot> = lock(&self.slots).drain().map(|(_, slot)| slot).collect();
        join_all(slots.into_iter().map(|slot| async move {
            let kept = slot.try_lock().ok().and_then(|mut kept| kept.take());
            if let Some(kept) = kept {
                kept.take().close().await;
            }
        }))
        .await;
    }
}

/// Holds nothing while it sleeps: when the worker drops its `Sent`, the connections end with it.
async fn close_later(slots: Weak<Slots>, account: AccountId, keep: Duration) {
    tokio::time::sleep(keep).await;
    let Some(slots) = slots.upgrade() else { return };
    let Some(slot) = lock(&slots).get(&account).cloned() else { return };
    let kept = slot.lock().await.take();
    forget_if_empty(&slots, &account, slot);
    if let Some(Kept { session, closer: _ourselves }) = kept {
        session.close().await;
    }
}

/// Slots are only ever cloned under the lock, so nobody else holds this one if there are two: the shelf's and the caller's.
fn forget_if_empty(slots: &Slots, account: &AccountId, slot: Slot) {
    let mut slots = lock(slots);
    let is_empty = slot.try_lock().is_ok_and(|kept| kept.is_none());
    let is_ours = slots.get(account).is_some_and(|shelved| Arc::ptr_eq(shelved, &slot));
    if is_empty && is_ours && Arc::strong_count(&slot) == 2 {
        slots.remove(account);
    }
}

fn lock(slots: &Slots) -> MutexGuard<'_, HashMap<AccountId, Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

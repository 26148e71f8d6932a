//! What one process knows of one account's token: the newest one it has seen, and the refresh that is under way.
//!
//! A refresh runs as a task of its own, so that a caller who gives up does not leave the fleet's lock behind.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::access::AccessToken;
use super::error::TokenError;
use super::figures::Counters;
use crate::clock::Millis;

/// After a refresh in the background, the next one is not tried sooner than this.
const BETWEEN_BACKGROUND_TRIES: Duration = Duration::from_secs(1);

pub(super) type Landed = Result<AccessToken, TokenError>;

#[derive(Default)]
pub(super) struct Slot {
    held: Mutex<Option<AccessToken>>,
    flight: Mutex<Option<watch::Receiver<Option<Landed>>>>,
    rested: Mutex<Millis>,
    /// Held by whoever forces a refresh in this process.
    pub(super) forcing: tokio::sync::Mutex<()>,
    pub(super) figures: Counters,
}

impl Slot {
    /// The newest token seen, if it still lives.
    pub(super) fn alive(&self, now: Millis) -> Option<AccessToken> {
        lock(&self.held).clone().filter(|token| token.expires() > now)
    }

    /// Keeps a token, unless a newer one is here already that still lives: a Redis that lost its data may begin with lower
    /// fences.
    pub(super) fn keep(&self, token: &AccessToken) {
        let now = Millis::now();
        let mut held = lock(&self.held);
        if held.as_ref().is_none_or(|held| held.fence() < token.fence() || held.expires() <= now) {
            *held = Some(token.clone());
        }
    }

    /// Forgets the token.
    pub(super) fn forget(&self) {
        *lock(&self.held) = None;
    }

    /// The refresh under way; or the sender by which the caller has to end a new one.
    pub(super) fn join(&self) -> (watch::Receiver<Option<Landed>>, Option<watch::Sender<Option<Landed>>>) {
        let mut flight = lock(&self.flight);
        if let Some(under_way) =
            flight.as_ref().filter(|landed| landed.borrow().is_none() && landed.has_changed().is_ok())
        {
            return (under_way.clone(), None);
        }
        let (sender, receiver) = watch::channel(None);
        *flight = Some(receiver.clone());
        (receiver, Some(sender))
    }

    /// Whether a refresh in the background may begin; if so, the next one may not for a while.
    pub(super) fn may_begin_background(&self, now: Millis) -> bool {
        let mut rested = lock(&self.rested);
        let may = now >= *rested;
        if may {
            *rested = now.after(BETWEEN_BACKGROUND_TRIES);
        }
        may
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How often tokens were refreshed, waited for and missed: counters of one process, read as a snapshot.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since this process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TokenFigures {
    /// Access tokens fetched from the token endpoint.
    pub refreshes: u64,
    /// Of those, the ones fetched because a login was refused.
    pub forced: u64,
    /// Times this process waited for another one's refresh.
    pub waits: u64,
    /// Times a newer token was stored while this process refreshed: its lock had run out.
    pub lock_losses: u64,
    /// Refreshes that gave no token.
    pub failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) refreshes: AtomicU64,
    pub(super) forced: AtomicU64,
    pub(super) waits: AtomicU64,
    pub(super) lock_losses: AtomicU64,
    pub(super) failures: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn snapshot(&self) -> TokenFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TokenFigures {
            refreshes: read(&self.refreshes),
            forced: read(&self.forced),
            waits: read(&self.waits),
            lock_losses: read(&self.lock_losses),
            failures: read(&self.failures),
        }
    }
}

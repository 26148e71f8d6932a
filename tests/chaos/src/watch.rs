//! Looks all the time whether an account has more connections than it may.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::world::{CAP, World};

/// What the watch saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// The most connections of one account while no worker was stopped or cut off from Redis.
    pub(crate) most: u64,
    /// The most while the connections of such a worker stood.
    pub(crate) most_with_stopped: u64,
    /// Accounts that passed the cap while no worker was stopped or cut off from Redis.
    pub(crate) passed: BTreeSet<String>,
}

/// Watches until told to end.
pub(crate) async fn watch(world: Arc<World>, ends: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while !ends.load(Ordering::Relaxed) {
        let excused = world.anybody_stopped();
        let stats = world.rig.sandbox.stats();
        for (address, account) in &stats.accounts {
            let most = if excused { &mut seen.most_with_stopped } else { &mut seen.most };
            *most = (*most).max(account.open_sessions);
            if account.open_sessions > CAP && !excused {
                seen.passed.insert(format!("{address} had {} connections at once", account.open_sessions));
            }
        }
        sleep(Duration::from_millis(5)).await;
    }
    seen
}

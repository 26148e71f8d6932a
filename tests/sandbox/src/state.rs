//! What the SMTP side and the HTTP side of one sandbox share. Holds no socket and no task.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::{Config, Keep, Settings};
use crate::consent::Codes;
use crate::faults::FaultBook;
use crate::service_accounts::ServiceAccounts;
use crate::stats::{Counters, Stats};
use crate::store::Store;
use crate::tokens::Tokens;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) keep: Keep,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) codes: Codes,
    pub(crate) services: ServiceAccounts,
    pub(crate) faults: FaultBook,
    pub(crate) counters: Counters,
}

impl State {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            keep: config.keep,
            settings: Settings::new(config),
            store: Store::default(),
            tokens: Tokens::default(),
            codes: Codes::default(),
            services: ServiceAccounts::default(),
            faults: FaultBook::new(config.seed),
            counters: Counters::default(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.counters.snapshot();
        self.store.count_into(&mut stats);
        stats
    }

    /// Forgets mails, counters, faults and revocations. Settings, service accounts, issued tokens and open sessions stay.
    pub(crate) fn reset(&self) {
        self.store.clear();
        self.counters.clear();
        self.faults.clear();
        self.tokens.restore_all();
    }
}

/// Locks without regard to poison: a panic of another task leaves only counters and lists behind, all still readable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

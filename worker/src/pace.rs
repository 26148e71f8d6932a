//! How quickly mails go, which decides how many may wait for one connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How quickly mails go lately: decides how many may wait for one connection, so that it never runs dry while the worker
/// asks for more, and nothing waits long behind it.
#[derive(Debug)]
pub struct Pace {
    micros: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { micros: AtomicU64::new(Self::WORTH.as_micros().try_into().unwrap_or(u64::MAX)) }
    }
}

impl Pace {
    /// Jobs worth this much time may wait for one connection.
    const WORTH: Duration = Duration::from_millis(50);
    const DEEPEST: u64 = 32;

    /// A mail took so long, from MAIL to the reply to its data.
    pub fn took(&self, span: Duration) {
        let new = u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 8);
        let old = self.micros.load(Ordering::Relaxed);
        self.micros.store((old.saturating_mul(7) + new) / 8, Ordering::Relaxed);
    }

    /// How many jobs may be in hand for one permit.
    #[must_use]
    pub fn depth(&self) -> usize {
        let worth = u64::try_from(Self::WORTH.as_micros()).unwrap_or(u64::MAX);
        (worth / self.micros.load(Ordering::Relaxed).max(1)).clamp(1, Self::DEEPEST).try_into().unwrap_or(1)
    }
}

//! Points in time as Redis keeps them: milliseconds since 1970, by the server's clock where it is shared.
//!
//! A worker follows Redis's clock: what it reckons (when to retry, whether a deadline is over) must agree with the whole fleet,
//! however wrong its machine's clock is or whoever sets it. Between two answers of Redis the monotonic clock goes on, which
//! nobody sets.
//!
//! This module and `queue` are the only places of the library that read a clock.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

/// An answer that took longer says too little about now; one clock drifts less from the other in hours.
const PROMPT: Duration = Duration::from_millis(500);

/// When this process began to look at clocks.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Redis's clock at that moment (ms since 1970); 0: not followed yet.
static REDIS_AT_BEGAN: AtomicU64 = AtomicU64::new(0);

/// Follows Redis's clock from now on: it was `told` in an answer to a question that was asked at `asked`. Answers that took
/// long are passed over, but for the first.
pub fn follow(told: Millis, asked: Instant) {
    let took = asked.elapsed();
    if took > PROMPT && REDIS_AT_BEGAN.load(Ordering::Relaxed) > 0 {
        return;
    }
    let redis_now = told.after(took / 2);
    REDIS_AT_BEGAN.store(redis_now.0.saturating_sub(millis(BEGAN.elapsed())), Ordering::Relaxed);
}

impl Millis {
    /// Now: by Redis's clock in a process that follows it ([`follow`]), else by this machine's.
    #[must_use]
    pub fn now() -> Self {
        match REDIS_AT_BEGAN.load(Ordering::Relaxed) {
            0 => Self::of_machine(),
            at_began => Self(at_began).after(BEGAN.elapsed()),
        }
    }

    /// This machine's clock, however it is set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn of_machine() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(millis(since))
    }

    /// This point in time, later by `span`.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This point in time, later by so many milliseconds.
    #[must_use]
    pub fn after_millis(self, span: u64) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// From `earlier` to here; nothing if `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A span as Redis takes it.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC, with milliseconds.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(i64::try_from(self.0).unwrap_or(i64::MAX)) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

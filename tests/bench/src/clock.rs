//! The clock that the sandbox's `received_ms` is compared with: finer than the milliseconds of `shared::clock`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, as Unix time in milliseconds with a fraction.
#[expect(clippy::disallowed_methods, reason = "latencies are far below the millisecond that `Millis::now` tells apart")]
pub(crate) fn unix_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

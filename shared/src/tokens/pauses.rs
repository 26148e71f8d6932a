//! How long to pause between two tries: the one place of the tokens that uses `backoff`. Decides nothing else.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// The first rest of an account after a refresh that failed, and the longest; both give or take half.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Pauses that grow, with jitter, until their time is over.
pub(super) struct Pauses(ExponentialBackoff);

impl Pauses {
    /// Between tries of one refresh: two pauses of about half a second and a second. No try begins later than 4 s
    /// after the first, so that the last one, with its time limit, still ends inside the lock.
    pub(super) fn of_refresh() -> impl Iterator<Item = Duration> {
        Self::new(Duration::from_millis(400), Duration::from_secs(2), Duration::from_secs(4)).take(2)
    }

    /// Between looks at a token that another process is fetching: 30 ms to half a second, for 10 s.
    pub(super) fn of_waiting() -> impl Iterator<Item = Duration> {
        Self::new(Duration::from_millis(30), Duration::from_millis(400), Duration::from_secs(10))
    }

    /// Between looks at what another account's first request tells of an OAuth2 client: for 3 s.
    pub(super) fn of_waiting_for_a_client() -> impl Iterator<Item = Duration> {
        Self::new(Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(3))
    }

    fn new(first: Duration, longest: Duration, in_all: Duration) -> Self {
        let mut pauses = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.3,
            multiplier: 1.8,
            max_interval: longest,
            max_elapsed_time: Some(in_all),
            ..ExponentialBackoff::default()
        };
        pauses.reset();
        Self(pauses)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }
}

/// The rest after so many refreshes in a row that failed: doubled each time, and scattered by half, so that neither the
/// accounts nor the processes come back together.
pub(super) fn of_rest(failed_before: u32) -> Duration {
    let middle = FIRST_REST.saturating_mul(2_u32.saturating_pow(failed_before.min(16))).min(LONGEST_REST);
    scattered_around(middle, 0.5)
}

/// A wish of the endpoint, and up to a quarter more: it tells all accounts the same.
pub(super) fn scattered(wish: Duration) -> Duration {
    scattered_around(wish.mul_f64(1.125), 1.0 / 9.0).max(wish)
}

fn scattered_around(middle: Duration, randomization_factor: f64) -> Duration {
    let mut pauses =
        ExponentialBackoff { current_interval: middle, randomization_factor, ..ExponentialBackoff::default() };
    pauses.max_elapsed_time = None;
    pauses.next_backoff().unwrap_or(middle)
}

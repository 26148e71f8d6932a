//! How long to pause between two tries: the one place of the tokens that uses `backoff`. Decides nothing else.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

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

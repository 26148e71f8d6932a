//! When a mail that failed for now is tried again: exponential with full jitter, by the `backoff` crate.
//!
//! This is the whole retry policy. It knows neither clocks nor chance: both are arguments, so that a test is a table.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use postroom_shared::settings::Source;

/// Base and cap of the pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `POSTROOM_RETRY_BASE`: the longest pause after the first attempt. Default 10 s.
    pub base: Duration,
    /// `POSTROOM_RETRY_CAP`: the longest pause after any. Default 30 min: with full jitter a mail of 24 h is
    /// tried about a hundred times.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { base: Duration::from_secs(10), cap: Duration::from_secs(1_800) }
    }
}

impl RetryPolicy {
    /// Reads both from the settings.
    pub fn read(source: &mut Source) -> Self {
        let Self { base, cap } = Self::default();
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(86_400));
        let base = source.span("POSTROOM_RETRY_BASE", base, least, most);
        let cap = source.span("POSTROOM_RETRY_CAP", cap, least, most);
        if base > cap {
            source.fault("POSTROOM_RETRY_BASE", "is longer than POSTROOM_RETRY_CAP");
        }
        Self { base, cap }
    }

    /// The pause after the attempt of this number (from 1): uniform between nothing and `min(cap, base · 2^(n-1))`, but
    /// never less than `floor`. `jitter` is the chance, from 0 to 1.
    #[must_use]
    pub fn pause(&self, attempt: u32, jitter: f64, floor: Duration) -> Duration {
        self.longest(attempt).mul_f64(jitter.clamp(0.0, 1.0)).max(floor)
    }

    fn longest(&self, attempt: u32) -> Duration {
        let mut steps = ExponentialBackoff {
            current_interval: self.base,
            initial_interval: self.base,
            max_interval: self.cap,
            multiplier: 2.0,
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        // After 64 doublings any base has reached any cap.
        let steps = (1..attempt.clamp(1, 64)).fold(&mut steps, |steps, _| {
            steps.next_backoff();
            steps
        });
        steps.next_backoff().unwrap_or(self.cap).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_spread_over_the_whole_interval() {
        let policy = RetryPolicy { base: Duration::from_secs(10), cap: Duration::from_secs(60) };
        let none = Duration::ZERO;
        for (attempt, jitter, seconds) in [
            (1, 1.0, 10),
            (2, 1.0, 20),
            (3, 1.0, 40),
            (4, 1.0, 60),
            (400, 1.0, 60),
            (3, 0.5, 20),
            (3, 0.0, 0),
            (0, 1.0, 10),
        ] {
            assert_eq!(policy.pause(attempt, jitter, none), Duration::from_secs(seconds), "{attempt} {jitter}");
        }
    }

    #[test]
    fn a_floor_holds_whatever_the_jitter() {
        let floor = Duration::from_secs(300);
        assert_eq!(RetryPolicy::default().pause(1, 0.0, floor), floor);
    }
}

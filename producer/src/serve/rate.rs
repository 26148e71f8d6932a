//! How many requests a second a key may make of this process.
//!
//! Counted in this process and not in Redis: what an account may send is counted for the whole fleet already, in its
//! ledger. This limit keeps one app that runs wild from taking a server from the others, and it must cost nothing to keep.

use std::num::NonZeroU32;

use axum::http::{HeaderMap, HeaderValue, header};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// The limit of one key: so many requests at once, and as many again within a second.
pub(super) struct RateLimit<C: Clock = DefaultClock> {
    limit: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>,
}

/// How a key stands with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    limit: u32,
    remaining: u32,
    refused: bool,
}

impl RateLimit {
    /// A limit of so many requests a second; `None`: 0 means no limit.
    pub(super) fn new(limit: u32) -> Option<Self> {
        Self::with_clock(limit, DefaultClock::default())
    }
}

impl<C: Clock> RateLimit<C> {
    fn with_clock(limit: u32, clock: C) -> Option<Self> {
        let limit = NonZeroU32::new(limit)?;
        let limiter = RateLimiter::direct_with_clock(Quota::per_second(limit), clock);
        Some(Self { limit, limiter: limiter.with_middleware() })
    }

    /// Requests a second.
    pub(super) fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// Takes one request.
    pub(super) fn take(&self) -> Standing {
        let standing = |remaining, refused| Standing { limit: self.limit(), remaining, refused };
        match self.limiter.check() {
            Ok(state) => standing(state.remaining_burst_capacity(), false),
            Err(_) => standing(0, true),
        }
    }
}

impl Standing {
    /// Whether the request must not be served.
    #[must_use]
    pub fn is_refused(self) -> bool {
        self.refused
    }

    /// Tells it in an answer's headers, as Resend does.
    pub fn write(self, headers: &mut HeaderMap) {
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        // A second gives back as many requests as there are, and at least one: neither is ever further away.
        headers.insert("ratelimit-reset", HeaderValue::from(1));
        if self.refused {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_second_gives_back_what_a_second_took() {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit::with_clock(3, clock.clone()).unwrap();
        let take = || (limit.take().remaining, limit.take().remaining, limit.take().remaining);
        assert_eq!(take(), (2, 1, 0));
        assert!(limit.take().is_refused());
        clock.advance(Duration::from_millis(400));
        assert!(!limit.take().is_refused());
        assert!(limit.take().is_refused());
        clock.advance(Duration::from_secs(1));
        assert_eq!(take(), (2, 1, 0));
        assert!(RateLimit::new(0).is_none());
    }

    #[test]
    fn it_is_told_in_headers() {
        let limit = RateLimit::with_clock(1, FakeRelativeClock::default()).unwrap();
        let told = |standing: Standing| {
            let mut headers = HeaderMap::new();
            standing.write(&mut headers);
            let names = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"];
            names.map(|name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(limit.take()), [some("1"), some("0"), some("1"), None]);
        assert_eq!(told(limit.take()), [some("1"), some("0"), some("1"), some("1")]);
    }
}

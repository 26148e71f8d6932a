//! The rest of an account after a refresh that failed: for so long nobody in the fleet asks for it, and everybody knows why.

use std::time::Duration;

use super::error::TokenError;
use super::pauses;

/// The endpoint's own wish is heeded within these.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(600);
/// Until the account is held, which a consent that is gone leads to. A person who acts ends it.
const CONSENT: Duration = Duration::from_secs(30);

const CONSENT_WORD: &str = "consent";
const PASSING_WORD: &str = "unavailable";

/// How long an account rests, and what is written down for those who would ask meanwhile.
pub(super) struct Rest {
    pub(super) span: Duration,
    pub(super) text: String,
}

/// What follows from a refresh that failed, after so many others that failed in a row.
pub(super) fn after(error: &TokenError, failed_before: u32) -> Rest {
    match error {
        TokenError::Passing { what, retry_after } => {
            let span = match retry_after {
                Some(hint) => pauses::scattered((*hint).clamp(SHORTEST, LONGEST)),
                None => pauses::of_rest(failed_before),
            };
            Rest { span, text: format!("{PASSING_WORD} {what}") }
        }
        TokenError::Consent { error, .. } => Rest { span: CONSENT, text: format!("{CONSENT_WORD} {error}") },
        // A wrong client has a circuit of its own (`client`), a service account's accounts are held; the others never reach the
        // endpoint.
        TokenError::Client { .. } | TokenError::Service(_) | TokenError::NoCredentials | TokenError::Sealed(_) => {
            Rest { span: Duration::ZERO, text: String::new() }
        }
    }
}

/// What somebody is told who would ask while the account rests for so long.
pub(super) fn told(text: &str, left: Duration) -> TokenError {
    match text.split_once(' ') {
        Some((CONSENT_WORD, error)) => {
            TokenError::Consent { error: error.to_owned(), description: "another worker was told so".to_owned() }
        }
        Some((PASSING_WORD, what)) => TokenError::Passing { what: what.to_owned(), retry_after: Some(left) },
        _ => TokenError::Passing { what: "the token endpoint failed lately".to_owned(), retry_after: Some(left) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_up_to_a_minute_and_are_scattered() {
        let error = TokenError::passing("down");
        let span = |failed| after(&error, failed).span.as_millis();
        for (failed, least, most) in [(0, 1_000, 3_000), (1, 2_000, 6_000), (3, 8_000, 24_000), (900, 30_000, 90_000)] {
            let spans: Vec<_> = (0..200).map(|_| span(failed)).collect();
            assert!(spans.iter().all(|span| (least..=most).contains(span)), "{failed}: {spans:?}");
            let (low, high) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
            assert!(high - low > (most - least) / 2, "{failed}: {low} to {high}");
        }
    }

    #[test]
    fn a_hint_is_heeded_within_bounds_and_never_cut_short() {
        for (hint, least) in [(0, 2), (17, 17), (600, 600), (86_400, 600)] {
            let hint = Some(Duration::from_secs(hint));
            let spans: Vec<_> = (0..50)
                .map(|_| after(&TokenError::Passing { what: String::new(), retry_after: hint }, 0).span)
                .collect();
            let least = Duration::from_secs(least);
            assert!(spans.iter().all(|span| *span >= least && *span <= least * 5 / 4), "{spans:?}");
            assert!(spans.windows(2).any(|pair| pair[0] != pair[1]), "{spans:?}");
        }
    }

    #[test]
    fn what_is_written_down_is_told_again() {
        let left = Duration::from_secs(5);
        let again = told(&after(&TokenError::passing("the token endpoint answered 503"), 0).text, left);
        let what = "the token endpoint answered 503".to_owned();
        assert_eq!(again, TokenError::Passing { what, retry_after: Some(left) });
        let gone = TokenError::Consent { error: "invalid_grant".to_owned(), description: String::new() };
        let again = told(&after(&gone, 0).text, left);
        assert!(matches!(&again, TokenError::Consent { error, .. } if error == "invalid_grant"), "{again:?}");
    }
}

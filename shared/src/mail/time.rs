//! When a mail shall go and how long it may take: `send_at` and `ttl`.
//!
//! `now` is an argument; no clock is read in here.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, Zoned};
use serde_json::Value;

use super::json::kind;
use super::words;
use crate::clock::Millis;

const DAY: u64 = 24 * 60 * 60;
/// The longest wait before a mail goes, and the longest time to live, in seconds.
const MAX_SECONDS: u64 = 30 * DAY;
/// The longest wait before a mail goes.
pub const LONGEST_WAIT: Duration = Duration::from_secs(MAX_SECONDS);

/// When a mail shall go, as a person or an app writes it; `None`: now, also for a time that has passed.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub fn send_time(text: &str, now: Millis) -> Result<Option<Millis>, String> {
    within(read(text, now)?, now, "")
}

/// Milliseconds since 1970.
fn read(text: &str, now: Millis) -> Result<i64, String> {
    let exact = text.parse::<Timestamp>().ok().or_else(|| Some(text.parse::<Zoned>().ok()?.timestamp()));
    // Without an offset it is UTC.
    let civil = || {
        let is_whole = text.len() > "2027-01-31".len() && !text.contains('[');
        let time = text.parse::<DateTime>().ok().filter(|_| is_whole && text.contains(['T', 't']))?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let in_words = || {
        let now = Timestamp::from_millisecond(i64::try_from(now.0).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        words::read(text, now).map_err(words::WordsError::told)
    };
    exact.or_else(civil).map_or_else(in_words, Ok).map(Timestamp::as_millisecond)
}

/// When the mail shall go; `None`: now, also for a time that has passed.
pub(super) fn send_at(value: &Value, now: Millis) -> Result<Option<Millis>, String> {
    let millis = match value {
        Value::String(text) => read(text, now)?,
        Value::Number(number) => number
            .as_i64()
            .and_then(|seconds| seconds.checked_mul(1_000))
            .ok_or_else(|| "not a whole number of seconds since 1970".to_owned())?,
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(format!("expected a time (RFC 3339 or words) or Unix seconds, not {}", kind(other)));
        }
    };
    // As seconds, such a number lies 1,200 years ahead; as milliseconds, in our days.
    let is_millis = value.as_i64().is_some_and(|number| number > 100_000_000_000);
    within(millis, now, if is_millis { " (a number means seconds, not milliseconds)" } else { "" })
}

/// The time if it is not too far ahead; `None`: it has passed.
fn within(millis: i64, now: Millis, hint: &str) -> Result<Option<Millis>, String> {
    let at = Millis(u64::try_from(millis).unwrap_or(0));
    if at.since(now) > LONGEST_WAIT {
        return Err(format!("more than 30 days ahead{hint}: hand the mail over later"));
    }
    Ok((at > now).then_some(at))
}

/// How long a mail may be tried, as a person or an app writes it.
///
/// # Errors
/// What is wrong with the text, and what to write.
pub fn time_to_live(text: &str) -> Result<Duration, String> {
    ttl(&Value::String(text.to_owned()))
}

/// How long Postroom may try.
pub(super) fn ttl(value: &Value) -> Result<Duration, String> {
    let span = match value {
        Value::String(text) => span(text).ok_or("not a span of time: write 90s, 15m, 24h, 3d or 1h30m")?,
        Value::Number(number) => Duration::from_secs(number.as_u64().ok_or("not a whole, positive number of seconds")?),
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(format!("expected a span such as \"15m\" or seconds, not {}", kind(other)));
        }
    };
    if (Duration::from_secs(1)..=Duration::from_secs(MAX_SECONDS)).contains(&span) {
        Ok(span)
    } else {
        Err("a mail lives 1 s at least and 30 d at most".to_owned())
    }
}

/// `1h30m`, `3d`; a day has 24 hours, months and years have no fixed length and are refused.
fn span(text: &str) -> Option<Duration> {
    if text.chars().any(char::is_control) {
        return None; // jiff takes line ends for blanks
    }
    let span: Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(Duration::from_millis(u64::try_from(length.as_millis()).ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn send_at_table() {
        let table = [
            (json!(1_800_000_060), Ok(Some(Millis(1_800_000_060_000)))),
            (json!("2027-01-15T08:01:00Z"), Ok(Some(Millis(1_800_000_060_000)))),
            (json!("2027-01-15T09:01:00.5+01:00"), Ok(Some(Millis(1_800_000_060_500)))),
            (json!(1_800_000_000), Ok(None)),
            (json!(0), Ok(None)),
            (json!(-5), Ok(None)),
            (json!("1969-01-01T00:00:00Z"), Ok(None)),
            (json!(1_800_000_000 + 30 * DAY), Ok(Some(Millis(1_802_592_000_000)))),
            (json!(1_800_000_001 + 30 * DAY), Err("more than 30 days ahead: hand the mail over later")),
            (json!(1_800_000_060_000_u64), Err("(a number means seconds, not milliseconds)")),
            (json!(1.5), Err("whole number")),
            (json!(u64::MAX), Err("whole number")),
            (json!("2027-01-15T08:01:00[UTC]"), Ok(Some(Millis(1_800_000_060_000)))),
            (json!("2027-01-15T08:01:00"), Ok(Some(Millis(1_800_000_060_000)))),
            (json!("in 1 min"), Ok(Some(Millis(1_800_000_060_000)))),
            (json!("today at 7am"), Ok(None)),
            (json!("in 30 days"), Ok(Some(Millis(1_802_592_000_000)))),
            (json!("in 31 days"), Err("more than 30 days ahead: hand the mail over later")),
            (json!("2027-01-15T08:01:00[Mars/Olympus]"), Err("RFC 3339")),
            (json!("2027-01-15"), Err("a day without a time")),
            (json!("tomorrow"), Err("tomorrow at 9am")),
            (json!("soon"), Err("RFC 3339")),
            (json!([]), Err("not an array")),
        ];
        for (value, expected) in table {
            match (send_at(&value, NOW), expected) {
                (Ok(at), Ok(expected)) => assert_eq!(at, expected, "{value}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{value}: {error}"),
                (got, _) => panic!("{value}: {got:?}"),
            }
        }
    }

    #[test]
    fn ttl_table() {
        let table = [
            (json!("90s"), Ok(90)),
            (json!("15m"), Ok(900)),
            (json!("24h"), Ok(DAY)),
            (json!("3d"), Ok(3 * DAY)),
            (json!("1h30m"), Ok(5_400)),
            (json!("1 hour 30 minutes"), Ok(5_400)),
            (json!(1), Ok(1)),
            (json!("30d"), Ok(MAX_SECONDS)),
            (json!("30d1s"), Err("30 d at most")),
            (json!("500ms"), Err("1 s at least")),
            (json!(0), Err("1 s at least")),
            (json!(-1), Err("positive")),
            (json!(1.5), Err("whole")),
            (json!("-5m"), Err("not a span")),
            (json!("1mo"), Err("not a span")),
            (json!("soon"), Err("not a span")),
            (json!(null), Err("not null")),
        ];
        for (value, expected) in table {
            match (ttl(&value), expected) {
                (Ok(span), Ok(seconds)) => assert_eq!(span, Duration::from_secs(seconds), "{value}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{value}: {error}"),
                (got, _) => panic!("{value}: {got:?}"),
            }
        }
    }
}

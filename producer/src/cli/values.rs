//! The values that arguments may have: accounts, addresses, ids, spans of time.
//!
//! An argument that cannot be read is never repeated: it may be an address, or a secret in the wrong place.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};
use jiff::{Span, SpanRelativeTo};
use postroom::templates::{TemplateName, TemplateRef};
use postroom::{AccountId, MailId, Millis, PoolName};
use postroom_shared::address::Address;
use postroom_shared::api_keys::{KeyId, MOST_RATE, Scope};

/// A parser of one value whose complaint tells the argument's name, not what was typed.
#[derive(Clone)]
pub(super) struct Quiet<T>(fn(&str) -> Result<T, String>);

/// See [`Quiet`].
pub(super) fn quiet<T>(parse: fn(&str) -> Result<T, String>) -> Quiet<T> {
    Quiet(parse)
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Quiet<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let parsed = value.to_str().ok_or_else(|| "not UTF-8".to_owned()).and_then(self.0);
        parsed.map_err(|why| {
            let name = arg.map(Arg::to_string).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{name}': {why}\n")).with_cmd(command)
        })
    }
}

pub(super) fn account_id(text: &str) -> Result<AccountId, String> {
    text.parse().map_err(|error: postroom_shared::address::AddressError| error.to_string())
}

pub(super) fn pool_name(text: &str) -> Result<PoolName, String> {
    text.parse()
}

pub(super) fn template_name(text: &str) -> Result<TemplateName, String> {
    text.parse()
}

pub(super) fn template_ref(text: &str) -> Result<TemplateRef, String> {
    text.parse()
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|error: postroom_shared::address::AddressError| error.to_string())
}

pub(super) fn mail_id(text: &str) -> Result<MailId, String> {
    text.parse().map_err(|_| "not the id of a mail: ids look like 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10".to_owned())
}

pub(super) fn key_id(text: &str) -> Result<KeyId, String> {
    text.parse().map_err(|error: postroom_shared::api_keys::KeyIdError| error.to_string())
}

pub(super) fn key_scope(text: &str) -> Result<Scope, String> {
    text.trim().parse()
}

/// Requests a second; 0: any number.
pub(super) fn key_rate(text: &str) -> Result<u32, String> {
    match text.trim().parse::<u32>() {
        Ok(rate) if rate <= MOST_RATE => Ok(rate),
        Ok(_) | Err(_) => Err(format!("not a whole number of requests a second from 0 (no limit) to {MOST_RATE}")),
    }
}

/// When a mail shall go, from now on; now, if that has passed.
pub(super) fn send_time(text: &str) -> Result<Millis, String> {
    let now = Millis::now();
    Ok(postroom_shared::mail::send_time(text, now)?.unwrap_or(now))
}

/// Mails a second, from one in 100 s to 10,000.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rate) if (0.01..=10_000.0).contains(&rate) => Ok(rate),
        Ok(_) | Err(_) => Err("not a number of mails a second from 0.01 to 10000".to_owned()),
    }
}

/// The domain of a mail address, in lower case.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim().to_lowercase();
    let probe: Result<Address, _> = format!("x@{domain}").parse();
    probe.map(|_| domain).map_err(|_| "not a domain: write it as in example.org, without an @".to_owned())
}

/// `2h`, `90m`, `1d12h`, or seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse::<u64>().ok().map(Duration::from_secs);
    let spelt = || {
        let span: Span = text.trim().parse().ok()?;
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(length).ok()
    };
    match seconds.or_else(spelt) {
        Some(span) if span >= Duration::from_secs(1) => Ok(span),
        Some(_) => Err("shorter than a second".to_owned()),
        None => Err("not a span of time: write 90s, 15m, 2h or 3d".to_owned()),
    }
}

/// How long a mail may be tried: as [`span`], at most 30 days.
pub(super) fn ttl(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(30 * 86_400);
    span(text).and_then(|span| if span > longest { Err("longer than 30 days".to_owned()) } else { Ok(span) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, seconds) in [("30", 30), ("90s", 90), ("15m", 900), ("2h", 7_200), ("1d12h", 129_600)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-2h", "soon", "1mo", "500ms"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn domains_are_not_addresses() {
        assert_eq!(domain("Example.ORG"), Ok("example.org".to_owned()));
        for text in ["", "ann@example.org", "@example.org", "two words"] {
            assert!(domain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn complaints_repeat_nothing() {
        for parse in [|text: &str| account_id(text).map(drop), |text: &str| mail_id(text).map(drop)] {
            assert!(!parse("s3cret@@example").unwrap_err().contains("s3cret"));
        }
    }
}

//! Mail addresses that print masked.
//!
//! An [`Address`] is parsed once, at the door. Its `Debug` and `Display` never show the local part;
//! [`Address::reveal`] is the one way to the real text, and easy to search for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A mail address (RFC 5321 `Mailbox`), as it goes into an envelope or a header.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

/// Why a text is not a mail address. The text itself is not repeated, so that it cannot reach a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mail address: {0}")]
pub struct AddressError(String);

impl Address {
    /// The address in the clear: for the wire, for Redis and for the person who owns it; never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed: lettre::Address =
            text.trim().parse().map_err(|e: lettre::address::AddressError| AddressError(e.to_string()))?;
        Ok(Self(parsed.to_string()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", mask(&self.0))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What we stored was parsed at the door: only its form is checked again, for this happens for every mail.
impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('@') && !text.contains(char::is_control) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom("not a mail address"))
        }
    }
}

/// `alice@example.com` → `a***@example.com`.
fn mask(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}***@{domain}", local.chars().next().unwrap_or('*')),
        None => "***".to_owned(),
    }
}

/// Masks whatever looks like a mail address in a text that others wrote, such as a server's reply.
#[must_use]
pub fn mask_addresses(text: &str) -> String {
    text.split_inclusive(|c: char| c.is_whitespace() || "<>()[]\",;".contains(c))
        .map(|word| {
            let end = word.trim_end_matches(|c: char| c.is_whitespace() || "<>()[]\",;".contains(c)).len();
            let (body, tail) = word.split_at(end);
            if body.contains('@') { format!("{}{tail}", mask(body)) } else { word.to_owned() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_masked_and_reveals_on_request() {
        let address: Address = "alice@example.com".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "a***@example.com Address(a***@example.com)");
        assert_eq!(address.reveal(), "alice@example.com");
    }

    #[test]
    fn refuses_what_is_no_address_without_repeating_it() {
        for text in ["", "alice", "a@b@c", "a b@example.com", "x@exa mple.com", "a\r\n@example.com"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn masks_addresses_in_a_reply() {
        assert_eq!(
            mask_addresses("5.1.1 <bob@example.com> no such user; see carol@x.org, please"),
            "5.1.1 <b***@example.com> no such user; see c***@x.org, please"
        );
    }
}

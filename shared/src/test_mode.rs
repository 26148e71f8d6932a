//! Test mode: mails that go the whole way, but end at a stand-in inside the worker and never at Gmail.
//!
//! A mail is a test mail by its account and by nothing else: the built-in one, [`ACCOUNT`], into whose lane no other mail
//! ever comes. It is chosen at the door and never changes. docs/test-mode.md says what an app sees of it.

use crate::address::Address;
use crate::mail::{Fault, unknown};

/// The built-in account of all test mails. It has no token, no limits, and no mailbox at Gmail.
pub const ACCOUNT: &str = "test@postroom.test";
/// Mails whose recipients are all in this domain are test mails. No real domain can have this name (RFC 6761).
pub const DOMAIN: &str = "postroom.test";
/// The names in [`DOMAIN`]; each may be followed by `+` and a label.
const NAMES: [&str; 3] = ["delivered", "bounced", "delayed"];
/// Attempts in which a delayed recipient is refused for now.
pub const DELAYED_ATTEMPTS: u32 = 2;

/// What the stand-in does with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes it.
    Delivered,
    /// It refuses it for good: there is no such mailbox.
    Bounced,
    /// It refuses it for now in the mail's first attempts ([`DELAYED_ATTEMPTS`]), then takes it.
    Delayed,
}

impl Behaviour {
    /// For an address as it stands in `RCPT`. Whatever is no name of [`DOMAIN`] is taken.
    #[must_use]
    pub fn of(address: &str) -> Self {
        let Some((local, domain)) = address.rsplit_once('@') else { return Self::Delivered };
        if !domain.eq_ignore_ascii_case(DOMAIN) {
            return Self::Delivered;
        }
        match name_of(local).as_str() {
            "bounced" => Self::Bounced,
            "delayed" => Self::Delayed,
            _ => Self::Delivered,
        }
    }
}

/// `Bounced+label` → `bounced`
fn name_of(local: &str) -> String {
    local.split('+').next().unwrap_or_default().to_lowercase()
}

/// Whether a mail to these recipients is a test mail: if that was asked for, or if all of them are in [`DOMAIN`].
///
/// # Errors
/// If a name in [`DOMAIN`] is none that is known, or only some recipients are in it and test mode was not asked for: the
/// others would get a real mail, or nothing would happen to those.
pub fn applies(recipients: &[Address], asked_for: bool) -> Result<bool, Fault> {
    let is_inside = |address: &&Address| address.domain().eq_ignore_ascii_case(DOMAIN);
    let local =
        |address: &Address| address.reveal().rsplit_once('@').map_or(String::new(), |(local, _)| name_of(local));
    let names = recipients.iter().filter(is_inside).map(local);
    let mut inside = 0;
    for name in names {
        if !NAMES.contains(&name.as_str()) {
            return Err(fault(format!("at {DOMAIN}: {}", unknown("name", &name, &NAMES))));
        }
        inside += 1;
    }
    if asked_for || inside == 0 {
        return Ok(asked_for);
    }
    if inside == recipients.len() {
        return Ok(true);
    }
    Err(fault(format!(
        "{inside} of {} recipients are at {DOMAIN}, where nothing is ever sent, and the others are real: give them mails of \
         their own, or hand the whole mail over in test mode",
        recipients.len()
    )))
}

fn fault(message: String) -> Fault {
    Fault { field: "to".to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountId;

    #[test]
    fn the_name_decides_what_the_stand_in_does() {
        for (address, expected) in [
            ("delivered@postroom.test", Behaviour::Delivered),
            ("bounced@postroom.test", Behaviour::Bounced),
            ("Bounced+order-7@Postroom.TEST", Behaviour::Bounced),
            ("delayed+a+b@postroom.test", Behaviour::Delayed),
            ("bounced@example.org", Behaviour::Delivered),
            ("bounced@sub.postroom.test", Behaviour::Delivered),
            ("bounced", Behaviour::Delivered),
        ] {
            assert_eq!(Behaviour::of(address), expected, "{address}");
        }
    }

    #[test]
    fn a_mail_is_a_test_mail_as_a_whole_or_not_at_all() {
        let applies = |names: &[&str], asked_for| {
            let recipients: Vec<Address> = names.iter().map(|name| name.parse().unwrap()).collect();
            applies(&recipients, asked_for).map_err(|fault| fault.to_string())
        };
        let (real, inside) = ("ann@example.org", "delivered+x@Postroom.test");
        assert_eq!(applies(&[real], false), Ok(false));
        assert_eq!(applies(&[real], true), Ok(true));
        assert_eq!(applies(&[inside, "bounced@postroom.test"], false), Ok(true));
        assert_eq!(applies(&[inside, real], true), Ok(true));
        let mixed = applies(&[inside, real, real], false).unwrap_err();
        assert!(mixed.starts_with("to: 1 of 3 recipients are at postroom.test"), "{mixed}");
        for asked_for in [true, false] {
            let wrong = applies(&["bouncd@postroom.test"], asked_for).unwrap_err();
            assert_eq!(wrong, "to: at postroom.test: unknown name \"bouncd\": did you mean \"bounced\"?");
        }
    }

    #[test]
    fn the_account_is_known_by_its_address() {
        assert!(AccountId::of_test_mode().is_test());
        assert!("Test@Postroom.Test".parse::<AccountId>().unwrap().is_test());
        assert!(!"test@example.com".parse::<AccountId>().unwrap().is_test());
    }
}

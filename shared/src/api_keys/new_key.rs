//! What is asked of a key that shall be made, and what can be wrong with it: all faults at once.

use super::scope::{Mode, Scopes};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::mail::Faults;

/// Characters of a name.
const LONGEST_NAME: usize = 50;
/// Accounts that one key may be bound to.
pub const MOST_ACCOUNTS: usize = 100;
/// Requests a second that a key's own limit may allow.
pub const MOST_RATE: u32 = 100_000;

/// A key that shall be made.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What people call it: 1 to 50 characters.
    pub name: String,
    /// Whether its mails really go.
    pub mode: Mode,
    /// What it may do.
    pub scopes: Scopes,
    /// The accounts that it is bound to; none: all.
    pub accounts: Vec<AccountId>,
    /// From when on it is refused; `None`: never.
    pub expires_at: Option<Millis>,
    /// Requests a second that it may make of one process; 0: any number; `None`: as many as the server lets all.
    pub rate: Option<u32>,
}

impl NewKey {
    /// Looks for faults.
    ///
    /// # Errors
    /// All that is wrong with it, by field.
    pub fn check(&self, now: Millis) -> Result<(), Faults> {
        let mut faults = Faults::default();
        let length = self.name.trim().chars().count();
        if length == 0 {
            faults.add("name", "missing: say what the key is for, such as \"shop\"");
        }
        if length > LONGEST_NAME {
            faults.add("name", format!("{length} characters: at most {LONGEST_NAME}"));
        }
        if self.name.chars().any(char::is_control) {
            faults.add("name", "has control characters: use letters, digits and blanks");
        }
        if self.scopes.is_empty() {
            faults.add("scopes", "none: give one or more of send, read, operate and admin");
        }
        if self.accounts.len() > MOST_ACCOUNTS {
            let given = self.accounts.len();
            faults.add("accounts", format!("{given} accounts: at most {MOST_ACCOUNTS}, or none for all accounts"));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            faults.add("expires_at", "has passed: give a time to come");
        }
        if self.rate.is_some_and(|rate| rate > MOST_RATE) {
            faults.add("rate", format!("more than {MOST_RATE} requests a second: give less, or 0 for no limit"));
        }
        faults.or(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::Scope;
    use super::*;

    #[test]
    fn all_faults_are_told_at_once() {
        let good = NewKey { name: "shop".to_owned(), scopes: [Scope::Send].into_iter().collect(), ..NewKey::default() };
        assert_eq!(good.check(Millis(5)), Ok(()));
        let bad = NewKey {
            name: "x\n".repeat(40),
            accounts: vec!["a@b.example".parse().unwrap(); 101],
            expires_at: Some(Millis(5)),
            rate: Some(100_001),
            ..NewKey::default()
        };
        let faults = bad.check(Millis(5)).unwrap_err();
        let fields: Vec<&str> = faults.as_slice().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["name", "name", "scopes", "accounts", "expires_at", "rate"]);
        assert!(NewKey { name: " ".to_owned(), ..good }.check(Millis(5)).unwrap_err().to_string().contains("missing"));
    }
}

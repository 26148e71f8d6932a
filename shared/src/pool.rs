//! A pool: several accounts under one name, of which any may send a mail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::account::AccountId;

/// Characters of a pool's name.
const LONGEST: usize = 64;

/// Names a pool: lower-case letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolName(String);

impl PoolName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        if name.is_empty() || name.len() > LONGEST || !name.chars().all(fits) {
            return Err(format!("not the name of a pool: 1 to {LONGEST} of a-z, 0-9, dot, hyphen and underscore"));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pool as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// Its accounts; one of them may have been removed since.
    pub accounts: Vec<AccountId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for name in ["shop", "shop-2", "a.b_c", " shop "] {
            assert_eq!(name.parse::<PoolName>().map(|name| name.to_string()).as_deref(), Ok(name.trim()));
        }
        for name in ["", "Shop", "a b", "a@b.example", "a:b", "a\nb", "ä", &"x".repeat(65)] {
            assert!(name.parse::<PoolName>().is_err(), "{name:?}");
        }
    }
}

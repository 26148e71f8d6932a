//! What a key may do, and whether its mails really go.
//!
//! The words stand in Redis and in the API: they may never change.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One thing that a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Hand mail over, and change or cancel it before it goes.
    Send,
    /// Look at mails, dead letters, accounts and the queue.
    Read,
    /// Look, and act: hold and resume accounts, retry and discard dead letters.
    Operate,
    /// Everything, also keys and templates.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Send, Self::Read, Self::Operate, Self::Admin];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| "not a scope: use send, read, operate or admin".to_owned())
    }
}

/// All that a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Whether the key may do this: `admin` may do everything, and whoever operates may look.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        let looks = scope == Scope::Read && self.0.contains(&Scope::Operate);
        looks || self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }

    /// Whether the key may do nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(Scope::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

/// Whether the mails of a key really go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They go out through Gmail.
    #[default]
    Live,
    /// They go the whole way through the queue, but never to Gmail.
    Test,
}

impl Mode {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// What the text of such a key begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Live => "pr_live_",
            Self::Test => "pr_test_",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_may_do_everything_and_the_others_only_themselves() {
        let of = |scopes: &[Scope]| scopes.iter().copied().collect::<Scopes>();
        for scope in Scope::ALL {
            assert!(of(&[Scope::Admin]).allow(scope));
            assert!(!of(&[]).allow(scope));
            assert_eq!(of(&[Scope::Send]).allow(scope), scope == Scope::Send);
            assert_eq!(of(&[Scope::Send, Scope::Read]).allow(scope), [Scope::Send, Scope::Read].contains(&scope));
            assert_eq!(of(&[Scope::Operate]).allow(scope), [Scope::Read, Scope::Operate].contains(&scope));
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert_eq!(of(&[Scope::Read, Scope::Send]).to_string(), "send, read");
        assert!("Send".parse::<Scope>().is_err());
    }
}

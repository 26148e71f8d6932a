//! How soon a mail shall go, compared with others of its account.
//!
//! The word goes into JSON and listings, the letter into Redis keys; neither may ever change.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Urgent goes before normal, normal before bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A person waits for it: a code, a password reset.
    Urgent,
    /// Everything else.
    #[default]
    Normal,
    /// A newsletter: when nothing else waits.
    Bulk,
}

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Normal, Self::Bulk];

    /// The word in JSON, settings and listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }

    /// The letter in Redis keys.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Urgent => 'u',
            Self::Normal => 'n',
            Self::Bulk => 'b',
        }
    }

    /// The priority that `letter` stands for.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.letter() == letter)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == word)
            .ok_or_else(|| format!("{} is no priority: use urgent, normal or bulk", super::fault::quoted(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_go_both_ways() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(priority));
            assert_eq!(Priority::from_letter(priority.letter()), Some(priority));
        }
        assert!("URGENT".parse::<Priority>().is_err());
        assert_eq!(Priority::from_letter('x'), None);
    }
}

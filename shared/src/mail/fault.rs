//! What is wrong with a mail: all of it at once, each fault with its field.
//!
//! Texts say what, why and what to do; they never repeat an address or a content in the clear.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::address::mask_addresses;

/// Faults that are kept of one mail; a list of a million bad addresses is not told in full.
const KEPT: usize = 100;

/// One thing that is wrong with a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Where: a path such as `to[2]` or `attachments[0].content`; empty: the mail as a whole.
    pub field: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// All that is wrong with a mail, in the order of its fields; never empty in an `Err`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A single fault.
    #[must_use]
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Fault { field: field.into(), message: message.into() }])
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// Takes one more, as long as there is room.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < KEPT {
            // A path may hold a name that the caller chose, such as a header's.
            let field: String = field.into();
            let field = if field.contains('@') { mask_addresses(&field) } else { field };
            self.0.push(Fault { field, message: message.into() });
        }
    }

    /// `value` if there is no fault.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => f.write_str(&self.message),
            field => write!(f, "{field}: {}", self.message),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let joint = if index == 0 { "" } else { "; " };
            write!(f, "{joint}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A name that a caller chose, fit to be told: short, escaped, without addresses.
pub(super) fn quoted(name: &str) -> String {
    let short: String = name.chars().take(60).collect();
    format!("{:?}", mask_addresses(&short))
}

/// `unknown field "subjct": did you mean "subject"?`
#[must_use]
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let wanted: String = name.to_lowercase().chars().take(60).collect();
    let near = known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(word, &wanted), *word))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3));
    match near {
        Some((_, word)) => format!("unknown {what} {}: did you mean {word:?}?", quoted(name)),
        None => format!("unknown {what} {}: use one of {}", quoted(name), known.join(", ")),
    }
}

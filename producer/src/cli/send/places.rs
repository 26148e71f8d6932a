//! Where a mail stands in its file, in the words of an error.

use std::fmt;

/// A mail's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The only mail.
    Only,
    /// A line of JSON Lines, counted from 1.
    Line(u64),
    /// An entry of a JSON array, counted from 1.
    Entry(usize),
}

/// `line 17: `, in front of what is wrong.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => Ok(()),
            Self::Line(number) => write!(f, "line {number}: "),
            Self::Entry(number) => write!(f, "mail {number}: "),
        }
    }
}

/// `line 17: `, or `line 17 to line 90: `.
pub(super) fn from_to(first: Place, last: Place) -> String {
    let first_words = first.to_string();
    if first == last { first_words } else { format!("{} to {last}", first_words.trim_end_matches(": ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_words() {
        assert_eq!(from_to(Place::Only, Place::Only), "");
        assert_eq!(from_to(Place::Line(17), Place::Line(17)), "line 17: ");
        assert_eq!(from_to(Place::Entry(1), Place::Entry(4)), "mail 1 to mail 4: ");
    }
}

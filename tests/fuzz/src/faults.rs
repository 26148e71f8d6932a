//! What is told of something that cannot be sent: little, and never an address in the clear.

use std::fmt::Display;

/// All that is told of one input, in bytes: a hundred faults, each with its field.
const MOST: usize = 256 << 10;

/// Examples that Postroom's own texts give.
const EXAMPLES: [&str; 3] = ["a@b.example", "Ann <a@b.example>", "it has no @"];

/// Panics if `told` is large, repeats an address in the clear, or holds a control character.
pub(crate) fn check(told: &impl Display) {
    let told = told.to_string();
    assert!(!told.is_empty(), "nothing is told");
    assert!(told.len() <= MOST, "{} bytes are told", told.len());
    assert!(!told.chars().any(char::is_control), "a control character is told: {told:?}");
    check_masked(&told);
}

/// Panics if an address stands in `text` as it was given: before an `@` there may be the three stars that hide its local part,
/// or nothing that could be one. A slash is taken for the end of a folder's name: `_parts/@.txt`.
pub(crate) fn check_masked(text: &str) {
    let rest = EXAMPLES.iter().fold(text.to_owned(), |text, example| text.replace(example, ""));
    for (at, _) in rest.match_indices('@') {
        let is_local = |c: char| c.is_alphanumeric() || "!#$%&'+-=?^_`{|}~.".contains(c);
        assert!(!rest[..at].ends_with(is_local), "not masked: {text:?}");
    }
}

//! The only place of the demo that writes to the terminal.

/// A line for the reader.
#[expect(clippy::print_stdout, reason = "a demonstration talks to its reader")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A line about what went wrong.
#[expect(clippy::print_stderr, reason = "the last word of a demonstration that failed")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

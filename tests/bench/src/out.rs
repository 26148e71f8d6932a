//! The only place of the bench that writes to the terminal.

/// A line for the reader.
#[expect(clippy::print_stdout, reason = "a benchmark's result is meant for the terminal")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A line about what went wrong.
#[expect(clippy::print_stderr, reason = "the last word of a benchmark that failed")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

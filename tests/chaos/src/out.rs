//! The only place of the runs that writes to the terminal.

/// A line for the reader.
#[expect(clippy::print_stdout, reason = "a run talks to its reader")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// A line about what went wrong.
#[expect(clippy::print_stderr, reason = "the last word of a run that failed")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

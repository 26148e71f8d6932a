//! Writing to standard output and standard error: buffered, and without a panic when nobody reads any more.
//!
//! Nothing in here decides what is said.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

use super::Failure;

/// Standard output.
pub(crate) struct Out(BufWriter<Stdout>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(unwritten)
    }

    /// A document, laid out for people and programs alike.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Failed(error.to_string()))?;
        self.line(text)
    }

    /// A document on one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
        self.line(text)
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(unwritten)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(unwritten)
    }
}

fn unwritten(error: io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::Closed;
    }
    Failure::Failed(format!("the output could not be written: {error}"))
}

/// One line to standard error. Nobody can be told if that fails.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

//! A place to write a body to that takes no more than a body may have.

use std::io::{self, Write};

use super::bounds::LARGEST_BODY;

/// What was written, up to the bound.
#[derive(Default)]
pub(super) struct Bounded(Vec<u8>);

impl Bounded {
    /// The text that was written.
    pub(super) fn text(self) -> Option<String> {
        String::from_utf8(self.0).ok()
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST_BODY {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

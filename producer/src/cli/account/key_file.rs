//! Reads the key file of a service account. Its text is overwritten in memory afterwards, and nothing of it is ever repeated.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use postroom_shared::tokens::ServiceAccount;
use secrecy::zeroize::Zeroizing;

use crate::cli::Failure;

/// Google's have about 2,400 bytes.
const LONGEST: usize = 64 * 1024;

pub(super) fn read(path: &Path) -> Result<ServiceAccount, Failure> {
    let fault = |what: &dyn std::fmt::Display| Failure::Failed(format!("the key file {}: {what}", path.display()));
    // Room from the start: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(LONGEST + 1));
    let read = File::open(path).and_then(|file| file.take(LONGEST as u64).read_to_string(&mut text));
    read.map_err(|error| fault(&format_args!("it cannot be read: {error}")))?;
    ServiceAccount::from_key_file(&text).map_err(|error| fault(&error))
}

//! Putting secrets together without leaving copies behind: memory that grows is copied, and what it leaves is not
//! overwritten. So each of these asks for the room it needs before it writes.

use std::io::{self, Write};

use secrecy::SecretString;
use serde::Serialize;
use zeroize::Zeroizing;

/// Parts as one secret.
#[must_use]
pub fn concat(parts: &[&str]) -> SecretString {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| text.push_str(part));
    // Nothing is copied: the room is exactly taken.
    text.into()
}

/// A value as JSON, in memory that is overwritten when it is dropped.
///
/// # Errors
/// If the value has no form in JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    let mut room = Room(0);
    serde_json::to_writer(&mut room, value)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room.0));
    serde_json::to_writer(&mut *bytes, value)?;
    Ok(bytes)
}

/// Counts what is written.
struct Room(usize);

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn there_is_room_for_exactly_what_is_written() {
        assert_eq!(concat(&["a", "", "bc"]).expose_secret(), "abc");
        let value = vec!["a \"quoted\" \u{1} text"; 50];
        let bytes = json(&value).unwrap();
        assert_eq!(bytes.as_slice(), serde_json::to_vec(&value).unwrap());
        assert_eq!(bytes.capacity(), bytes.len());
    }
}

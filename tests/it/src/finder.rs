//! Looks for values where they must not be: whole or in part, as they are, in base64 at any offset, in hex, as in a URL.
//!
//! Knows nothing of what it looks through.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Long values are cut into pieces of so many bytes: whoever leaks twice that leaks one of them.
const PIECE: usize = 24;
/// Shorter values would be found by chance.
const SHORTEST: usize = 8;
/// Bits of the table that tells most places from those worth a look.
const SIEVE: u32 = 22;
/// What is told of one place.
const TOLD: usize = 5;

/// Values to be looked for.
pub struct Finder {
    kinds: Vec<String>,
    /// By their first bytes.
    pieces: HashMap<[u8; SHORTEST], Vec<(Vec<u8>, usize)>>,
    sieve: Vec<u64>,
    values: usize,
}

impl Default for Finder {
    fn default() -> Self {
        Self { kinds: Vec::new(), pieces: HashMap::new(), sieve: vec![0; 1 << (SIEVE - 6)], values: 0 }
    }
}

impl Finder {
    /// Looks for this value, too, as it is and encoded. `kind` is what is told when it is found.
    ///
    /// # Panics
    /// If the value is so short that it would be found by chance.
    pub fn add(&mut self, kind: &str, value: &[u8]) {
        self.add_form(kind, value);
        self.add_encoded(kind, value);
        self.values += 1;
    }

    /// Looks for this value where it is encoded, but not as it is.
    ///
    /// # Panics
    /// If the value is so short that it would be found by chance.
    pub fn add_encoded(&mut self, kind: &str, value: &[u8]) {
        for offset in 0..3 {
            let mut bytes = vec![0; offset];
            bytes.extend_from_slice(value);
            // The first and last characters belong to what stands before and after, too.
            let (first, cut) = ((offset * 8).div_ceil(6), usize::from(!bytes.len().is_multiple_of(3)));
            for text in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                self.add_form(&format!("{kind} in base64"), &text.as_bytes()[first..text.len() - cut]);
            }
        }
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add_form(&format!("{kind} in hex"), hex.as_bytes());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let one = |byte: &u8| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        if !value.iter().all(plain) {
            self.add_form(&format!("{kind} as in a URL"), value.iter().map(one).collect::<String>().as_bytes());
        }
    }

    fn add_form(&mut self, kind: &str, value: &[u8]) {
        assert!(value.len() >= SHORTEST, "{kind} is too short to be looked for");
        let place = self.kinds.iter().position(|known| known == kind).unwrap_or_else(|| {
            self.kinds.push(kind.to_owned());
            self.kinds.len() - 1
        });
        let pieces = if value.len() < 2 * PIECE { vec![value] } else { value.chunks_exact(PIECE).collect() };
        for piece in pieces {
            let mut head = [0; SHORTEST];
            head.copy_from_slice(&piece[..SHORTEST]);
            let known = self.pieces.entry(head).or_default();
            if known.iter().all(|(other, _)| other != piece) {
                known.push((piece.to_vec(), place));
            }
            let bit = sieve_bit(head);
            self.sieve[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// How many values are looked for.
    #[must_use]
    pub fn values(&self) -> usize {
        self.values
    }

    /// What was found, in words, and where; nothing if nothing was.
    #[must_use]
    pub fn search(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let (mut found, mut told) = (Vec::new(), 0);
        for (at, window) in bytes.windows(SHORTEST).enumerate() {
            let mut head = [0; SHORTEST];
            head.copy_from_slice(window);
            let bit = sieve_bit(head);
            if self.sieve[bit / 64] & (1 << (bit % 64)) == 0 {
                continue;
            }
            let pieces = self.pieces.get(&head).map_or(&[][..], Vec::as_slice);
            let Some((piece, kind)) = pieces.iter().find(|(piece, _)| bytes[at..].starts_with(piece)) else { continue };
            // The next piece of what was told just now is no further place.
            if found.is_empty() || at > told {
                found.push(format!("{} stands in {place}, after: {}", self.kinds[*kind], before(bytes, at)));
            }
            told = at + piece.len();
            if found.len() == TOLD {
                break;
            }
        }
        found
    }
}

fn sieve_bit(head: [u8; SHORTEST]) -> usize {
    let mixed = u64::from_le_bytes(head).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (64 - SIEVE)).unwrap_or(0)
}

/// The beginning of the line in which something was found.
fn before(bytes: &[u8], at: usize) -> String {
    let from =
        bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |line| line + 1).max(at.saturating_sub(120));
    String::from_utf8_lossy(&bytes[from..at]).into_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const TOKEN: &str = "ya29.a0AfB_byC-1234567890~abcdefghijklmnopqrstuvwxyz/ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    #[test]
    fn a_value_is_found_in_every_form_and_its_parts_too() {
        let mut finder = Finder::default();
        finder.add("the token", TOKEN.as_bytes());
        finder.add("the key", &[7, 200, 3, 4, 5, 6, 99, 8, 9]);
        let login = |before: &str| STANDARD.encode(format!("{before}auth=Bearer {TOKEN}\x01\x01"));
        let hex: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            TOKEN.to_owned(),
            TOKEN[3..3 + 2 * PIECE].to_owned(),
            TOKEN.replace('~', "%7E").replace('/', "%2F"),
            login("a"),
            login("ab"),
            login("abc"),
            hex,
            STANDARD.encode([1, 7, 200, 3, 4, 5, 6, 99, 8, 9, 1]),
        ] {
            let told = finder.search("a log", format!("x\nline {text} end").as_bytes());
            // A value of which parts stand plainly in its other form is told for both.
            assert!((1..=2).contains(&told.len()), "{text}: {told:?}");
            assert!(told[0].contains("a log, after: line "), "{told:?}");
        }
        assert_eq!(finder.values(), 2);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let mut finder = Finder::default();
        finder.add("the token", TOKEN.as_bytes());
        let other = TOKEN.replace(['a', '1', 'K'], "_");
        assert_eq!(finder.search("a log", other.repeat(100).as_bytes()), Vec::<String>::new());
        assert!(finder.search("a log", &TOKEN.as_bytes()[..SHORTEST]).is_empty());
        let mut encoded = Finder::default();
        encoded.add_encoded("an address", b"alice@example.com");
        assert!(encoded.search("a log", b"alice@example.com").is_empty());
        assert_eq!(encoded.search("a log", b"alice%40example.com").len(), 1);
    }
}

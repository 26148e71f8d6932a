//! The text of a key: `pr_live_<id>_<secret><check>`. Made once, shown once, then known by its hash.
//!
//! The id in it says where to look; the check at its end tells a mistyped or cut key without asking Redis.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::id::{self, KeyId};
use super::scope::Mode;
use crate::secret;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Some 190 random bits.
const SECRET: usize = 32;
const CHECK: usize = 6;

/// A key's text with what it tells by itself. Prints masked.
#[derive(Clone)]
pub struct SecretKey {
    mode: Mode,
    id: KeyId,
    text: SecretString,
}

/// Why a text is not a key. The text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// It does not have the form of one.
    #[error("not an API key: keys begin with pr_live_ or pr_test_ and have 59 characters")]
    Form,
    /// It has the form, but its check says that a character is wrong.
    #[error("a mistyped API key: its last characters do not fit the others; copy it again")]
    Mistyped,
}

/// SHA-256 of a key's text: all that is stored of it.
///
/// No slow hash: those make it dear to try the likely passwords of a person. A key has 190 random bits, so there are no
/// likely ones, and every request would pay for it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeyHash(pub(super) [u8; 32]);

impl SecretKey {
    /// A new key.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn random(mode: Mode, id: KeyId) -> Result<Self, getrandom::Error> {
        let random = random_base62::<SECRET>()?;
        let check = check(&[mode.prefix(), id.as_str(), "_", &random]);
        let text = secret::concat(&[mode.prefix(), id.as_str(), "_", &random, &check]);
        Ok(Self { mode, id, text })
    }

    /// Reads a key that somebody presents.
    ///
    /// # Errors
    /// If it has not the form of a key, or was mistyped.
    pub fn parse(text: &str) -> Result<Self, SecretKeyError> {
        let modes = [Mode::Live, Mode::Test].into_iter();
        let (mode, rest) = modes
            .filter_map(|mode| Some((mode, text.strip_prefix(mode.prefix())?)))
            .next()
            .ok_or(SecretKeyError::Form)?;
        let (id, rest) = rest.split_once('_').ok_or(SecretKeyError::Form)?;
        let id: KeyId = id.parse().map_err(|_| SecretKeyError::Form)?;
        if rest.len() != SECRET + CHECK || !is_base62(rest) {
            return Err(SecretKeyError::Form);
        }
        let (body, written) = text.split_at(text.len() - CHECK);
        if check(&[body]) != written {
            return Err(SecretKeyError::Mistyped);
        }
        Ok(Self { mode, id, text: text.into() })
    }

    /// Whether it is a live or a test key.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The text in the clear: to show it once, or to present it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    pub(super) fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.reveal().as_bytes()).into())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({}{}_***)", self.mode.prefix(), self.id)
    }
}

impl KeyHash {
    /// Whether both are the same, in a time that does not tell where they differ.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let same: Choice = self.0.ct_eq(&other.0);
        same.into()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(***)")
    }
}

/// What the end of a key must be: it finds slips, it protects nothing.
fn check(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part.as_bytes()));
    let digest: [u8; 32] = digest.finalize().into();
    let digits = digest.iter().take(CHECK).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    digits.collect()
}

pub(super) fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Random letters and digits, each as likely as the others.
pub(super) fn random_base62<const N: usize>() -> Result<Zeroizing<String>, getrandom::Error> {
    // Beyond it the first characters of the alphabet would come more often.
    const FAIR: u8 = 248;
    const _: () = assert!((FAIR as usize).is_multiple_of(ALPHABET.len()));
    let mut text = Zeroizing::new(String::with_capacity(N));
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < N {
        getrandom::fill(bytes.as_mut())?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR).take(N - text.len());
        fair.for_each(|byte| text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])));
    }
    Ok(text)
}

const _: () = assert!(id::LENGTH + SECRET + CHECK + 9 == 59);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(mode: Mode) -> SecretKey {
        SecretKey::random(mode, KeyId::random().unwrap()).unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_made() {
        for mode in [Mode::Live, Mode::Test] {
            let made = key(mode);
            assert_eq!(made.reveal().len(), 59);
            assert!(made.reveal().starts_with(mode.prefix()));
            let read = SecretKey::parse(made.reveal()).unwrap();
            assert_eq!((read.mode(), read.id(), read.reveal()), (mode, made.id(), made.reveal()));
            assert!(read.hash().fits(&made.hash()));
            assert!(!key(mode).hash().fits(&made.hash()));
        }
    }

    #[test]
    fn the_text_is_fixed_for_ever() {
        let text = "pr_live_0123456789ab_0123456789abcdefghijklmnopqrstuvzZ5DOp";
        assert_eq!(SecretKey::parse(text).unwrap().id().as_str(), "0123456789ab");
    }

    #[test]
    fn every_slip_is_told() {
        let made = key(Mode::Live);
        let text = made.reveal();
        for place in 8..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            let slipped = String::from_utf8(bytes).unwrap();
            assert!(SecretKey::parse(&slipped).is_err(), "{place}");
        }
        let live_as_test = text.replacen("pr_live_", "pr_test_", 1);
        assert_eq!(SecretKey::parse(&live_as_test).unwrap_err(), SecretKeyError::Mistyped);
        for wrong in ["", "pr_live_", "re_123456789", &text[..58], &format!("{text}x"), &format!(" {text}")] {
            assert_eq!(SecretKey::parse(wrong).unwrap_err(), SecretKeyError::Form, "{wrong}");
        }
    }

    #[test]
    fn it_prints_masked() {
        let made = key(Mode::Test);
        let secret = &made.reveal()[21..53];
        for text in [format!("{made:?}"), format!("{:?}", made.hash())] {
            assert!(!text.contains(secret) && text.contains("***"), "{text}");
        }
    }

    #[test]
    fn all_characters_come() {
        let text = random_base62::<4000>().unwrap();
        assert_eq!(text.len(), 4000);
        // That one of 62 is missing among 4,000 has a chance of 4e-27.
        assert!(ALPHABET.iter().all(|byte| text.contains(char::from(*byte))));
    }
}

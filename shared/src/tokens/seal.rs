//! Sealing: what lies in Redis can be read only with a key from `POSTROOM_SECRET_KEY`, and only in its own place.
//!
//! A record is bound to its account and purpose, so it cannot be swapped for another. Nothing in here ever prints a key.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::settings::TokenSettings;

const VERSION: u8 = 1;
const ID: usize = 4;
const NONCE: usize = 24;
const TAG: usize = 16;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a record holds. A record sealed for one purpose does not open for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Client id, client secret and refresh token.
    Credentials,
    /// An access token.
    Access,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Access => "access",
        }
    }
}

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// There is no key.
    #[error("POSTROOM_SECRET_KEY is not set: make one with: head -c 32 /dev/urandom | base64")]
    Missing,
    /// A key cannot be used.
    #[error("POSTROOM_SECRET_KEY: key {number} {what}: make one with: head -c 32 /dev/urandom | base64")]
    Setting {
        /// Which of the keys, counted from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The record was sealed with a key that this process does not have.
    #[error("sealed with the key {id}, which is not in POSTROOM_SECRET_KEY: append that key, after a comma")]
    UnknownKey {
        /// The key's id: the first 4 bytes of its SHA-256, in hex.
        id: String,
    },
    /// The record is cut or damaged, or it was moved here from another account or purpose.
    #[error("the sealed record is cut, damaged, or belongs to another account: store the credentials again")]
    Damaged,
    /// The record was made by another version of Postroom.
    #[error("the sealed record has version {0}, which this version of Postroom does not know")]
    Version(u8),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

struct Key {
    id: [u8; ID],
    secret: SecretBox<[u8; 32]>,
}

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| "is not base64".to_owned())?);
        let secret: SecretBox<[u8; 32]> = SecretBox::new(Box::new(
            <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| format!("has {} bytes instead of 32", bytes.len()))?,
        ));
        let digest = Sha256::digest(secret.expose_secret());
        Ok(Self { id: [digest[0], digest[1], digest[2], digest[3]], secret })
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret.expose_secret().into())
    }
}

/// Seals with the first key and opens with all of them.
pub struct Sealer {
    first: Key,
    others: Vec<Key>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// From the group of settings.
    ///
    /// # Errors
    /// If there is no key, or one of them cannot be used.
    pub fn from_settings(settings: &TokenSettings) -> Result<Self, SealError> {
        settings.keys.as_ref().map_or(Err(SealError::Missing), Self::from_setting)
    }

    /// From the value of `POSTROOM_SECRET_KEY`: one or more keys of 32 bytes in base64, separated by commas.
    ///
    /// # Errors
    /// If there is no key, or one of them cannot be used.
    pub fn from_setting(setting: &SecretString) -> Result<Self, SealError> {
        if setting.expose_secret().trim().is_empty() {
            return Err(SealError::Missing);
        }
        let mut keys = Vec::new();
        for (index, text) in setting.expose_secret().split(',').enumerate() {
            keys.push(Key::parse(text).map_err(|what| SealError::Setting { number: index + 1, what })?);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(SealError::Missing)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// The ids of its keys, as errors name them: the first seals.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        std::iter::once(&self.first).chain(&self.others).map(|key| hex(&key.id)).collect()
    }

    /// Seals, with the first key: version, key id, nonce, ciphertext.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(&self, purpose: Purpose, account: &AccountId, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = &self.first;
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Random(error.to_string()))?;
        let aad = associated(purpose, account, key.id);
        let sealed = key
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .map_err(|_| SealError::Damaged)?;
        let mut record = Vec::with_capacity(1 + ID + NONCE + sealed.len());
        record.push(VERSION);
        record.extend_from_slice(&key.id);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    /// Opens a record of this purpose and account.
    ///
    /// # Errors
    /// If the key is not here, or the record is damaged, swapped or of another version.
    pub fn open(&self, purpose: Purpose, account: &AccountId, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (&version, rest) = record.split_first().ok_or(SealError::Damaged)?;
        if version != VERSION {
            return Err(SealError::Version(version));
        }
        let (&id, rest) = rest.split_first_chunk::<ID>().ok_or(SealError::Damaged)?;
        let (&nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Damaged)?;
        if sealed.len() < TAG {
            return Err(SealError::Damaged);
        }
        let unknown = || SealError::UnknownKey { id: hex(&id) };
        let key = std::iter::once(&self.first).chain(&self.others).find(|key| key.id == id).ok_or_else(unknown)?;
        let aad = associated(purpose, account, id);
        let opened = key.cipher().decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: &aad });
        Ok(Zeroizing::new(opened.map_err(|_| SealError::Damaged)?))
    }
}

/// What a record is bound to. No part may hold a zero byte, so no two places give the same bytes.
fn associated(purpose: Purpose, account: &AccountId, id: [u8; ID]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&id);
    for part in ["postroom", purpose.as_str(), account.reveal()] {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// The id of the key that a record was sealed with; `None`: it is too short to be one.
#[must_use]
pub(super) fn key_id(record: &[u8]) -> Option<String> {
    (record.len() >= 1 + ID + NONCE + TAG).then(|| hex(&record[1..=ID]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

    fn sealer(keys: &str) -> Sealer {
        Sealer::from_setting(&keys.to_owned().into()).unwrap()
    }

    fn account(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_only_in_its_place() {
        let (sealer, alice) = (sealer(OLD), account("alice@example.com"));
        let record = sealer.seal(Purpose::Access, &alice, b"secret").unwrap();
        assert_eq!(sealer.open(Purpose::Access, &alice, &record).unwrap().as_slice(), b"secret");
        assert_eq!(sealer.open(Purpose::Access, &account("bob@example.com"), &record), Err(SealError::Damaged));
        assert_eq!(sealer.open(Purpose::Credentials, &alice, &record), Err(SealError::Damaged));
        assert_ne!(record, sealer.seal(Purpose::Access, &alice, b"secret").unwrap());
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_found() {
        let (sealer, alice) = (sealer(OLD), account("alice@example.com"));
        let record = sealer.seal(Purpose::Access, &alice, b"secret").unwrap();
        for length in 0..record.len() {
            assert_eq!(sealer.open(Purpose::Access, &alice, &record[..length]), Err(SealError::Damaged), "{length}");
        }
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            let error = sealer.open(Purpose::Access, &alice, &changed).unwrap_err();
            match index {
                0 => assert_eq!(error, SealError::Version(0)),
                1..=4 => assert!(matches!(error, SealError::UnknownKey { .. })),
                _ => assert_eq!(error, SealError::Damaged),
            }
        }
    }

    #[test]
    fn keys_rotate_and_a_missing_key_is_named() {
        let alice = account("alice@example.com");
        let (old, new) = (sealer(OLD), sealer(NEW));
        let record = old.seal(Purpose::Access, &alice, b"secret").unwrap();
        let both = sealer(&format!("{NEW}, {OLD}"));
        assert_eq!(both.open(Purpose::Access, &alice, &record).unwrap().as_slice(), b"secret");
        let error = new.open(Purpose::Access, &alice, &record).unwrap_err();
        assert!(error.to_string().contains(&hex(&old.first.id)), "{error}");
        let again = both.seal(Purpose::Access, &alice, b"secret").unwrap();
        assert!(new.open(Purpose::Access, &alice, &again).is_ok());
    }

    #[test]
    fn a_wrong_setting_says_how_to_make_a_key_and_repeats_nothing() {
        for (setting, word) in [
            ("", "not set"),
            (" ", "not set"),
            ("c2hvcnQ=", "key 1 has 5 bytes"),
            ("***", "not base64"),
            (&format!("{OLD},c2hvcnQ"), "key 2 has"),
        ] {
            let error = Sealer::from_setting(&setting.to_owned().into()).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("head -c 32 /dev/urandom | base64"), "{error}");
            assert!(!error.contains("c2hv") && !error.contains("***"), "{error}");
        }
        assert!(!format!("{:?}", sealer(OLD)).contains("31"));
    }
}

//! Sealing: what lies in Redis can be read only with a key from `POSTROOM_SECRET_KEY`, and only in its own place.
//!
//! A record is bound to its account, purpose and OAuth2 client, so it cannot be swapped for another. Nothing in here ever
//! prints a key.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use zeroize::Zeroizing;

use super::record::{ClientTag, Head, KeyId, VERSION};
use crate::account::AccountId;
use crate::settings::TokenSettings;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a record holds. A record sealed for one purpose does not open for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Client id, client secret and refresh token; or which service account.
    Credentials,
    /// A service account's private key; sealed under the service account's address.
    ServiceKey,
    /// An access token.
    Access,
}

impl Purpose {
    /// The word in a record's associated data and on screens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::ServiceKey => "service-key",
            Self::Access => "access",
        }
    }

    /// The byte in a record's head.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Credentials => 1,
            Self::Access => 2,
            Self::ServiceKey => 3,
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
    /// The record is shorter than it was.
    #[error("the sealed record is cut: {left} bytes of it are left")]
    Cut {
        /// Bytes that are there.
        left: usize,
    },
    /// The record was moved here from another account.
    #[error("the sealed record belongs to another account ({hash} in the logs) and was put in this one's place")]
    OtherAccount {
        /// That account's hash.
        hash: String,
    },
    /// The record was moved here from another place of the same account.
    #[error("the sealed record was made for another purpose and was put in this one's place")]
    OtherPurpose,
    /// The record belongs to an OAuth2 client that the account does not have any more.
    #[error("the sealed record belongs to the OAuth2 client {sealed_for}, and the account has {wanted} now")]
    OtherClient {
        /// The client it was made for, as `account show --json` tells it.
        sealed_for: ClientTag,
        /// The client whose record was asked for.
        wanted: ClientTag,
    },
    /// The record's bytes were changed.
    #[error("the sealed record is damaged")]
    Damaged,
    /// A record of the first version, which cannot say more.
    #[error("the sealed record (version 1) is cut, damaged, or belongs to another account")]
    OldDamaged,
    /// The record was made by another version of Postroom.
    #[error("the sealed record has version {0}, which this version of Postroom does not know")]
    Version(u8),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(String),
}

impl SealError {
    /// Whether the record is at fault, and not the keys: no key will ever open it.
    #[must_use]
    pub fn is_of_the_record(&self) -> bool {
        match self {
            Self::Cut { .. }
            | Self::OtherAccount { .. }
            | Self::OtherPurpose
            | Self::OtherClient { .. }
            | Self::Damaged
            | Self::OldDamaged => true,
            Self::Missing | Self::Setting { .. } | Self::UnknownKey { .. } | Self::Version(_) | Self::Random(_) => {
                false
            }
        }
    }
}

pub(super) struct Key {
    pub(super) id: KeyId,
    secret: SecretBox<[u8; 32]>,
}

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| "is not base64".to_owned())?);
        if bytes.len() != 32 {
            return Err(format!("has {} bytes instead of 32", bytes.len()));
        }
        // Written in its place: an array that is moved leaves a copy behind.
        let secret = SecretBox::<[u8; 32]>::init_with_mut(|secret| secret.copy_from_slice(&bytes));
        Ok(Self { id: KeyId::of(secret.expose_secret()), secret })
    }

    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.secret.expose_secret().into())
    }
}

/// Seals with the first key and opens with all of them.
pub struct Sealer {
    pub(super) first: Key,
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

    /// The keys it has, in their order: the first seals.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|key| key.id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Seals, with the first key, in the form that `record` tells.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn seal(
        &self,
        purpose: Purpose,
        account: &AccountId,
        client: ClientTag,
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let key = &self.first;
        let mut nonce = [0_u8; 24];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Random(error.to_string()))?;
        let head = Head::new(key.id, nonce, (purpose, account, client), plain.len());
        let aad = head.associated(purpose, account);
        let sealed = key
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .map_err(|_| SealError::Damaged)?;
        let mut record = head.bytes();
        record.extend_from_slice(&sealed);
        Ok(record)
    }

    /// Opens a record of this purpose and account, and of this client unless that is `None`. A record of version 1 knows
    /// of no client.
    ///
    /// # Errors
    /// If the key is not here, or the record is cut, damaged, swapped or of another version.
    pub fn open(
        &self,
        purpose: Purpose,
        account: &AccountId,
        client: Option<ClientTag>,
        record: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, sealed) = Head::read(record)?;
        head.belongs(purpose, account, client)?;
        let unknown = || SealError::UnknownKey { id: head.key.to_string() };
        let key = self.keys().find(|key| key.id == head.key).ok_or_else(unknown)?;
        let aad = head.associated(purpose, account);
        let opened = key.cipher().decrypt(&XNonce::from(head.nonce), Payload { msg: sealed, aad: &aad });
        let damaged = if head.version == VERSION { SealError::Damaged } else { SealError::OldDamaged };
        Ok(Zeroizing::new(opened.map_err(|_| damaged)?))
    }

    /// Whether a record needs nothing: it says that it was sealed with the first key, in the present version.
    pub(super) fn is_current(&self, record: &[u8]) -> bool {
        Head::read(record).is_ok_and(|(head, _)| head.key == self.first.id && head.version == VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    /// What version 1 made with the key `OLD`: "secret" as alice's access token.
    const VERSION_1: &str = concat!(
        "01630dcd299f5e4fa66346a43bb50fe5dacc6c54b6c7161f92b9fc9f7292df99",
        "f7b779244874811ee8a16e538b8a4648a798db"
    );

    fn sealer(keys: &str) -> Sealer {
        Sealer::from_setting(&keys.to_owned().into()).unwrap()
    }

    fn account(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    fn alices(sealer: &Sealer) -> (AccountId, Vec<u8>) {
        let alice = account("alice@example.com");
        let record = sealer.seal(Purpose::Access, &alice, ClientTag::of("client"), b"secret").unwrap();
        (alice, record)
    }

    #[test]
    fn what_was_sealed_opens_only_in_its_place() {
        let sealer = sealer(OLD);
        let (alice, record) = alices(&sealer);
        let (own, other) = (ClientTag::of("client"), ClientTag::of("another"));
        for client in [None, Some(own)] {
            assert_eq!(sealer.open(Purpose::Access, &alice, client, &record).unwrap().as_slice(), b"secret");
        }
        let bob = account("bob@example.com");
        let hash = alice.hashed();
        let swapped = sealer.open(Purpose::Access, &bob, None, &record);
        assert_eq!(swapped, Err(SealError::OtherAccount { hash }));
        assert_eq!(sealer.open(Purpose::Credentials, &alice, None, &record), Err(SealError::OtherPurpose));
        let old_client = SealError::OtherClient { sealed_for: own, wanted: other };
        assert_eq!(sealer.open(Purpose::Access, &alice, Some(other), &record), Err(old_client));
        assert_ne!(record, alices(&sealer).1);
    }

    #[test]
    fn a_head_that_lies_does_not_open() {
        let sealer = sealer(OLD);
        let (alice, record) = alices(&sealer);
        let bob = account("bob@example.com");
        let other = ClientTag::of("another");
        let bobs = sealer.seal(Purpose::Credentials, &bob, other, b"secret").unwrap();
        // Each field of the head as another record has it: purpose, account, client.
        for (at, account) in [(5..6, &alice), (6..10, &bob), (10..18, &alice)] {
            let mut lies = record.clone();
            lies[at.clone()].copy_from_slice(&bobs[at.clone()]);
            let purpose = if at.start == 5 { Purpose::Credentials } else { Purpose::Access };
            let client = (at.start == 10).then_some(other);
            assert_eq!(sealer.open(purpose, account, client, &lies), Err(SealError::Damaged), "{at:?}");
        }
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_found() {
        let sealer = sealer(OLD);
        let (alice, record) = alices(&sealer);
        let open = |record: &[u8]| sealer.open(Purpose::Access, &alice, None, record);
        for left in 0..record.len() {
            assert_eq!(open(&record[..left]), Err(SealError::Cut { left }), "{left}");
        }
        assert_eq!(open(&[&record[..], b"x"].concat()), Err(SealError::Damaged));
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            let error = open(&changed).unwrap_err();
            match index {
                0 => assert_eq!(error, SealError::Version(3)),
                1..=4 => assert!(matches!(error, SealError::UnknownKey { .. })),
                5 => assert_eq!(error, SealError::OtherPurpose),
                6..=9 => assert!(matches!(error, SealError::OtherAccount { .. })),
                18..=21 => assert!(matches!(error, SealError::Cut { .. } | SealError::Damaged)),
                _ => assert_eq!(error, SealError::Damaged, "{index}"),
            }
        }
    }

    #[test]
    fn a_record_of_version_1_opens_and_is_not_current() {
        let (sealer, alice) = (sealer(OLD), account("alice@example.com"));
        let record: Vec<u8> = VERSION_1
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap())
            .collect();
        let client = Some(ClientTag::of("any"));
        let open = |account: &AccountId, record: &[u8]| sealer.open(Purpose::Access, account, client, record);
        assert_eq!(open(&alice, &record).unwrap().as_slice(), b"secret");
        assert_eq!(open(&account("bob@example.com"), &record), Err(SealError::OldDamaged));
        for length in 1..record.len() {
            assert_eq!(open(&alice, &record[..length]), Err(SealError::OldDamaged), "{length}");
        }
        assert!(!sealer.is_current(&record) && sealer.is_current(&alices(&sealer).1));
    }

    #[test]
    fn keys_rotate_and_a_missing_key_is_named() {
        let (old, new) = (sealer(OLD), sealer(NEW));
        let (alice, record) = alices(&old);
        let both = sealer(&format!("{NEW}, {OLD}"));
        assert_eq!(both.open(Purpose::Access, &alice, None, &record).unwrap().as_slice(), b"secret");
        assert!(!both.is_current(&record));
        let error = new.open(Purpose::Access, &alice, None, &record).unwrap_err();
        assert!(error.to_string().contains(&old.first.id.to_string()), "{error}");
        let (_, again) = alices(&both);
        assert!(new.open(Purpose::Access, &alice, None, &again).is_ok() && both.is_current(&again));
        assert!(both.key_ids().eq([new.first.id, old.first.id]));
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

//! The form of a sealed record: what stands in the clear before the ciphertext, so that a record which does not open can
//! say why. None of it is believed before the record has opened: all of it is associated data.
//!
//! Version 2: version (1 byte), key id (4), purpose (1), account (4, its hash as in the logs), client (8), length of the
//! rest (4), nonce (24); then ciphertext and tag. Version 1 had version, key id and nonce only, and knew of no client.

use std::fmt;

use sha2::{Digest, Sha256};

use super::seal::{Purpose, SealError};
use crate::account::AccountId;

/// The version that is written.
pub(super) const VERSION: u8 = 2;
/// The version before; it is still read.
pub(super) const OLD_VERSION: u8 = 1;
const KEY: usize = 4;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Bytes of a head without its nonce.
const BEFORE_NONCE: usize = 1 + KEY + 1 + 4 + 8 + 4;
/// Bytes of a whole head: enough of a record to ask [`client_in`].
pub(super) const HEAD: usize = BEFORE_NONCE + NONCE;
const OLD_HEAD: usize = 1 + KEY + NONCE;

/// Names a key of `POSTROOM_SECRET_KEY`: the first 4 bytes of its SHA-256, in hex on screens and in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; KEY]);

impl KeyId {
    pub(super) fn of(secret: &[u8; 32]) -> Self {
        let digest = Sha256::digest(secret);
        Self([digest[0], digest[1], digest[2], digest[3]])
    }

    pub(super) fn from_bytes(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(self) -> [u8; KEY] {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Stands for the OAuth2 client that a record belongs to: the first 8 bytes of the SHA-256 of its id. Its hex is what
/// [`crate::account::client_hash`] makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClientTag([u8; 8]);

impl ClientTag {
    /// The tag of a client, by its id.
    #[must_use]
    pub fn of(client_id: &str) -> Self {
        let mut tag = [0; 8];
        tag.copy_from_slice(&Sha256::digest(client_id.as_bytes())[..8]);
        Self(tag)
    }
}

impl fmt::Display for ClientTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ClientTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTag({self})")
    }
}

/// What a record says of itself in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u8,
    pub(super) key: KeyId,
    pub(super) nonce: [u8; NONCE],
    /// `None` in version 1.
    pub(super) place: Option<Place>,
}

/// Where a record belongs, as far as it says so in the clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    purpose: u8,
    account: [u8; 4],
    client: ClientTag,
    /// Bytes after the head.
    length: u32,
}

impl Head {
    /// The head of a record that is to be written; `plain` is the length of what it will hold.
    pub(super) fn new(
        key: KeyId,
        nonce: [u8; NONCE],
        (purpose, account, client): (Purpose, &AccountId, ClientTag),
        plain: usize,
    ) -> Self {
        let length = u32::try_from(plain + TAG).unwrap_or(u32::MAX);
        let place = Place { purpose: purpose.code(), account: short(account), client, length };
        Self { version: VERSION, key, nonce, place: Some(place) }
    }

    /// Parts a record into its head and what follows it.
    pub(super) fn read(record: &[u8]) -> Result<(Self, &[u8]), SealError> {
        let cut = || SealError::Cut { left: record.len() };
        let (&version, _) = record.split_first().ok_or_else(cut)?;
        let (head, rest) = match version {
            VERSION => (Self::parse(record).ok_or_else(cut)?, &record[HEAD..]),
            OLD_VERSION => (Self::parse_old(record).ok_or(SealError::OldDamaged)?, &record[OLD_HEAD..]),
            other => return Err(SealError::Version(other)),
        };
        match &head.place {
            Some(place) if rest.len() < place.length as usize => Err(cut()),
            Some(place) if rest.len() > place.length as usize => Err(SealError::Damaged),
            Some(_) => Ok((head, rest)),
            None if rest.len() < TAG => Err(SealError::OldDamaged),
            None => Ok((head, rest)),
        }
    }

    fn parse(record: &[u8]) -> Option<Self> {
        let (&version, rest) = record.split_first()?;
        let (&key, rest) = rest.split_first_chunk()?;
        let (&purpose, rest) = rest.split_first()?;
        let (&account, rest) = rest.split_first_chunk()?;
        let (&client, rest) = rest.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (&nonce, _) = rest.split_first_chunk()?;
        let place = Place { purpose, account, client: ClientTag(client), length: u32::from_be_bytes(length) };
        Some(Self { version, key: KeyId(key), nonce, place: Some(place) })
    }

    fn parse_old(record: &[u8]) -> Option<Self> {
        let (&version, rest) = record.split_first()?;
        let (&key, rest) = rest.split_first_chunk()?;
        let (&nonce, _) = rest.split_first_chunk()?;
        Some(Self { version, key: KeyId(key), nonce, place: None })
    }

    /// As it stands before the ciphertext.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.before_nonce();
        bytes.extend_from_slice(&self.nonce);
        bytes
    }

    fn before_nonce(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.push(self.version);
        bytes.extend_from_slice(&self.key.0);
        if let Some(place) = &self.place {
            bytes.push(place.purpose);
            bytes.extend_from_slice(&place.account);
            bytes.extend_from_slice(&place.client.0);
            bytes.extend_from_slice(&place.length.to_be_bytes());
        }
        bytes
    }

    /// The client it belongs to; `None` in version 1.
    pub(super) fn client(&self) -> Option<ClientTag> {
        self.place.as_ref().map(|place| place.client)
    }

    /// Whether it says that it belongs here; with no `client` any will do.
    pub(super) fn belongs(
        &self,
        purpose: Purpose,
        account: &AccountId,
        client: Option<ClientTag>,
    ) -> Result<(), SealError> {
        let Some(place) = &self.place else { return Ok(()) };
        if place.account != short(account) {
            return Err(SealError::OtherAccount { hash: hex(&place.account) });
        }
        if place.purpose != purpose.code() {
            return Err(SealError::OtherPurpose);
        }
        match client {
            Some(wanted) if wanted != place.client => Err(SealError::OtherClient { sealed_for: place.client, wanted }),
            Some(_) | None => Ok(()),
        }
    }

    /// What a record is bound to: all of its head, and the whole address. In version 1 no part may hold a zero byte, so
    /// no two places give the same bytes.
    pub(super) fn associated(&self, purpose: Purpose, account: &AccountId) -> Vec<u8> {
        let mut bytes = self.before_nonce();
        for part in ["postroom", purpose.as_str(), account.reveal()] {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        bytes
    }
}

/// The client that a record says it belongs to, by its first [`HEAD`] bytes. `None`: version 1, or no record.
pub(super) fn client_in(head: &[u8]) -> Option<ClientTag> {
    (head.first() == Some(&VERSION)).then(|| Head::parse(head)).flatten()?.client()
}

/// The hash of an account as its logs have it.
fn short(account: &AccountId) -> [u8; 4] {
    let digest = Sha256::digest(account.reveal().as_bytes());
    [digest[0], digest[1], digest[2], digest[3]]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::client_hash;

    #[test]
    fn names_are_those_of_the_logs_and_of_the_accounts() {
        let alice: AccountId = "alice@example.com".parse().unwrap();
        assert_eq!(hex(&short(&alice)), alice.hashed());
        assert_eq!(ClientTag::of("client").to_string(), client_hash("client"));
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let alice: AccountId = "alice@example.com".parse().unwrap();
        let place = (Purpose::Access, &alice, ClientTag::of("client"));
        let head = Head::new(KeyId([1, 2, 3, 4]), [7; NONCE], place, 5);
        let mut record = head.bytes();
        assert_eq!(record.len(), HEAD);
        assert_eq!(client_in(&record), Some(ClientTag::of("client")));
        record.extend_from_slice(&[0; 5 + TAG]);
        assert_eq!(Head::read(&record).unwrap(), (head, &[0_u8; 5 + TAG][..]));
        assert_eq!(client_in(&record[..HEAD - 1]), None);
        assert_eq!(client_in(&[]), None);
    }
}

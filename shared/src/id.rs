//! The id of a mail: a UUID version 7 (ordered by time) that also tells its shard.
//!
//! Whoever knows an id knows which shard of Redis to ask; nothing else is needed to find a mail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Millis;

/// Names a mail for ever. The twelve bits after the version carry the shard's number (0 to 1,023).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailId(Uuid);

/// A text that is not the id of a mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a mail: ids look like 0199d8f2-6b1c-7000-8a4e-3f1f2b7c9d10")]
pub struct MailIdError(String);

impl MailId {
    /// A new id of a mail in `shard`, made at `now`.
    #[must_use]
    pub fn new(shard: u16, now: Millis) -> Self {
        let mut tail = *Uuid::now_v7().as_bytes();
        tail[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
        tail[6..8].copy_from_slice(&(0x7000 | (shard & 0x0fff)).to_be_bytes());
        Self(Uuid::from_bytes(tail))
    }

    /// When the id was made: when the mail was handed over.
    #[must_use]
    pub fn made_at(self) -> Millis {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        Millis(u64::from_be_bytes(bytes))
    }

    /// Its sixteen bytes: what names it where room is scarce.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id that has these bytes; `None`: they are no id of a mail.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let uuid = Uuid::from_slice(bytes).ok()?;
        (uuid.get_version_num() == 7).then_some(Self(uuid))
    }

    /// The shard of the queue that keeps this mail.
    #[must_use]
    pub fn shard(self) -> u16 {
        let bytes = self.0.as_bytes();
        u16::from_be_bytes([bytes[6], bytes[7]]) & 0x0fff
    }
}

impl fmt::Display for MailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for MailId {
    type Err = MailIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || MailIdError(text.chars().take(60).collect());
        let uuid = Uuid::try_parse(text.trim()).map_err(|_| error())?;
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_shard_and_its_order() {
        let first = MailId::new(0, Millis(1_700_000_000_000));
        let later = MailId::new(1023, Millis(1_700_000_000_001));
        assert_eq!((first.shard(), later.shard()), (0, 1023));
        assert!(first < later);
        assert_eq!(later.made_at(), Millis(1_700_000_000_001));
        assert_eq!(first.to_string().parse::<MailId>().unwrap(), first);
        assert_eq!(MailId::from_bytes(first.as_bytes()), Some(first));
        assert_eq!((MailId::from_bytes(&[0; 16]), MailId::from_bytes(b"short")), (None, None));
        assert_ne!(MailId::new(0, Millis(1)), MailId::new(0, Millis(1)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "12", "00000000-0000-4000-8000-000000000000", "<script>"] {
            assert!(text.parse::<MailId>().is_err(), "{text}");
        }
    }
}

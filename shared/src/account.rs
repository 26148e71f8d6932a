//! An account: a Gmail mailbox that sends, with its limits and what keeps it from sending.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::address::{Address, AddressError, mask_addresses};
use crate::clock::Millis;
use crate::reason::Reason;

/// Names an account: its mailbox's address in lower case. Prints masked.
/// Clones share the text: a worker makes several a mail.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// The address in the clear: for Redis keys, `AUTH` and the operator's own screen.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Eight hex digits that stand for the account in logs, traces and metrics.
    #[must_use]
    pub fn hashed(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl AccountId {
    /// An id that we stored ourselves, checked only for its form: it was parsed when the account was added.
    pub(crate) fn from_stored(text: &str) -> Option<Self> {
        text.contains('@').then(|| Self(text.into()))
    }
}

impl From<&Address> for AccountId {
    fn from(address: &Address) -> Self {
        Self(address.reveal().to_lowercase().into())
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}

impl FromStr for AccountId {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::from(&text.parse::<Address>()?))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.hashed())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({})", self.hashed())
    }
}

/// What sort of mailbox an account is: decides its limits (gmail.md, "Limits").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A `gmail.com` mailbox: 500 messages in any 24 hours.
    #[default]
    Consumer,
    /// A Google Workspace mailbox: 2,000 messages in any 24 hours.
    Workspace,
    /// A Workspace user behind `smtp-relay.gmail.com`: 10,000 messages in any 24 hours.
    Relay,
}

impl AccountKind {
    /// The word in settings, listings and Redis.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Workspace => "workspace",
            Self::Relay => "relay",
        }
    }
}

impl FromStr for AccountKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Consumer, Self::Workspace, Self::Relay]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no kind of account: use consumer, workspace or relay"))
    }
}

/// An account as it is stored, without its secrets (those lie sealed in [`crate::tokens`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Names the account, and is the user that logs in.
    pub id: AccountId,
    /// What sort of mailbox it is.
    pub kind: AccountKind,
    /// Further addresses that Gmail lets this account send as ("Send mail as" in its settings).
    pub aliases: Vec<Address>,
    /// Connections this account may have at once over the whole fleet; `None`: the fleet's setting.
    pub connections: Option<u32>,
    /// Messages in any 24 hours; `None`: what its kind allows.
    pub limit: Option<u32>,
    /// Whether it is held, why and until when.
    pub hold: Option<Hold>,
}

impl Account {
    /// An account with the defaults: a consumer mailbox with the fleet's limits, not held.
    #[must_use]
    pub fn new(id: AccountId) -> Self {
        Self { id, kind: AccountKind::default(), aliases: Vec::new(), connections: None, limit: None, hold: None }
    }
}

/// An account that may not send now. Its `Debug` masks addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub reason: Reason,
    /// When it ends by itself; `None`: when a person acts.
    pub until: Option<Millis>,
    /// Since when.
    pub since: Millis,
    /// What a person is told: the server's words or the operator's note.
    pub note: String,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, until, since, note } = self;
        let note = mask_addresses(note);
        f.debug_struct("Hold")
            .field("reason", reason)
            .field("until", until)
            .field("since", since)
            .field("note", &note)
            .finish()
    }
}

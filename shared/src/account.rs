//! An account: a Gmail mailbox that sends, with its limits and what keeps it from sending.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::address::{Address, AddressError, mask_addresses};
use crate::clock::Millis;
use crate::reason::Reason;
use crate::test_mode;

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
    /// The built-in account of test mails.
    #[must_use]
    pub fn of_test_mode() -> Self {
        Self(test_mode::ACCOUNT.into())
    }

    /// Whether it is the built-in account of test mails, of which nothing ever goes to Gmail.
    #[must_use]
    pub fn is_test(&self) -> bool {
        &*self.0 == test_mode::ACCOUNT
    }

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
    /// No mailbox at all: the built-in account of test mails. Nobody can ask for this kind.
    Test,
}

impl AccountKind {
    /// Messages in any 24 hours (gmail.md, "Limits"); `None`: any number.
    #[must_use]
    pub fn messages(self) -> Option<u32> {
        match self {
            Self::Consumer => Some(500),
            Self::Workspace => Some(2_000),
            Self::Relay => Some(10_000),
            Self::Test => None,
        }
    }

    /// Recipients in any 24 hours (gmail.md, "Limits"); `None`: any number.
    #[must_use]
    pub fn recipients(self) -> Option<u32> {
        match self {
            Self::Consumer => Some(500),
            Self::Workspace | Self::Relay => Some(10_000),
            Self::Test => None,
        }
    }

    /// As it was stored, by [`AccountKind::as_str`].
    pub(crate) fn from_stored(word: &str) -> Result<Self, String> {
        if word == Self::Test.as_str() { Ok(Self::Test) } else { word.parse() }
    }

    /// The word in settings, listings and Redis.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Workspace => "workspace",
            Self::Relay => "relay",
            Self::Test => "test",
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

/// Stands for an OAuth2 client in Redis and on screens: 16 hex digits of a hash of its id.
#[must_use]
pub fn client_hash(client_id: &str) -> String {
    Sha256::digest(client_id.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// An account as it is stored, without its secrets (those lie sealed in [`crate::tokens`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Recipients in any 24 hours; `None`: what its kind allows, or no limit where `limit` is its own.
    #[serde(default)]
    pub recipients: Option<u32>,
    /// Per cent of both limits that only urgent mail may use. Default 0.
    #[serde(default)]
    pub urgent_share: u32,
    /// Mails a second over the whole fleet; `None`: as quickly as they go.
    #[serde(default)]
    pub rate: Option<f64>,
    /// Mails that may go at once after a pause, where there is a `rate`. Default 1.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Stands for the OAuth2 client, as [`client_hash`] makes it; accounts of one client fall and rise together.
    #[serde(default)]
    pub client: Option<String>,
    /// When its credentials were stored last, which is when a person consented. Only what the queue says, never read when
    /// an account is put.
    #[serde(default)]
    pub consented: Option<Millis>,
    /// The server found its connections too many: it may have so many at once until then. Only what the queue says, never
    /// read when an account is put.
    #[serde(default)]
    pub fewer: Option<(u32, Millis)>,
    /// What keeps it from sending, one hold for each reason; it sends again when none is left. Only what the queue says,
    /// never read when an account is put.
    pub holds: Vec<Hold>,
}

impl Account {
    /// An account with the defaults: a consumer mailbox with the fleet's limits, not held.
    #[must_use]
    pub fn new(id: AccountId) -> Self {
        Self {
            id,
            kind: AccountKind::default(),
            aliases: Vec::new(),
            connections: None,
            limit: None,
            recipients: None,
            urgent_share: 0,
            rate: None,
            burst: None,
            client: None,
            consented: None,
            fewer: None,
            holds: Vec::new(),
        }
    }

    /// Messages and recipients in any 24 hours; `None`: no limit.
    #[must_use]
    pub fn budget(&self) -> (Option<u32>, Option<u32>) {
        let recipients = match (self.recipients, self.limit) {
            (Some(own), _) => Some(own),
            (None, Some(_)) => None,
            (None, None) => self.kind.recipients(),
        };
        (self.limit.or(self.kind.messages()), recipients)
    }

    /// The hold that lasts longest: one that waits for a person before any that ends by itself.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        self.holds.iter().max_by_key(|hold| hold.until.unwrap_or(Millis(u64::MAX)))
    }

    /// Whether Gmail lets it send with this From: its own address or a declared alias. Any other it would rewrite.
    #[must_use]
    pub fn may_send_as(&self, from: &Address) -> bool {
        let from_id = AccountId::from(from);
        from_id == self.id || self.aliases.iter().any(|alias| AccountId::from(alias) == from_id)
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
    /// How many holds of this reason followed each other with no delivery in between, this one counted.
    #[serde(default)]
    pub times: u32,
}

/// For how long an account is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Until a person acts.
    UntilAPerson,
    /// For so long the first time, doubled each time the same reason comes again with no delivery in between, at most up
    /// to `most`; then it goes on by itself, with one mail first.
    For {
        /// The first pause.
        least: Duration,
        /// The longest; shorter than `least` means that the pause does not grow.
        most: Duration,
    },
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, until, since, note, times } = self;
        let note = mask_addresses(note);
        f.debug_struct("Hold")
            .field("reason", reason)
            .field("until", until)
            .field("since", since)
            .field("note", &note)
            .field("times", times)
            .finish()
    }
}

//! What is counted of an account's tokens, by reason: the words, and the counters of one process.
//!
//! The same figures of the whole fleet lie in Redis (`fleet_figures`). Nothing is ever counted where a token at hand is used.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

use super::access::{AccessToken, Age};
use super::error::TokenError;
use crate::account::AccountId;
use crate::clock::Millis;

/// Why an access token was fetched. A closed list; its words are the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefreshReason {
    /// The fleet had none that lived.
    None,
    /// The one it had was past its comfortable margin, and good meanwhile.
    Ageing,
    /// The one it had was past its hard margin.
    Ending,
    /// A login was refused.
    Forced,
}

/// Why a refresh gave no access token. A closed list; its words are the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefreshFailure {
    /// The person's consent is gone.
    Consent,
    /// The OAuth2 client is refused.
    Client,
    /// The token endpoint did not answer, or with nothing of use: it may work later.
    Unavailable,
    /// Nothing is stored for the account.
    NoCredentials,
    /// What is stored cannot be opened.
    Sealed,
}

impl RefreshReason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Ageing, Self::Ending, Self::Forced];

    /// The word in Redis, in listings and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ageing => "ageing",
            Self::Ending => "ending",
            Self::Forced => "forced",
        }
    }

    /// What the token at hand says of a refresh that no login asked for.
    pub(super) fn of(held: Option<&AccessToken>, account: &AccountId, now: Millis) -> Self {
        match held.map(|token| token.age(account, now)) {
            None | Some(Age::Over) => Self::None,
            Some(Age::Fresh | Age::Ageing) => Self::Ageing,
            Some(Age::Ending) => Self::Ending,
        }
    }
}

impl RefreshFailure {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Consent, Self::Client, Self::Unavailable, Self::NoCredentials, Self::Sealed];

    /// The word in Redis, in listings and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Client => "client",
            Self::Unavailable => "unavailable",
            Self::NoCredentials => "no_credentials",
            Self::Sealed => "sealed",
        }
    }
}

impl From<&TokenError> for RefreshFailure {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::Consent { .. } => Self::Consent,
            TokenError::Client { .. } | TokenError::Service(_) => Self::Client,
            TokenError::Passing { .. } => Self::Unavailable,
            TokenError::NoCredentials => Self::NoCredentials,
            TokenError::Sealed(_) => Self::Sealed,
        }
    }
}

impl Serialize for RefreshReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for RefreshFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How often tokens were refreshed, waited for and missed. Every word is there, though it be at 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenFigures {
    /// Access tokens fetched from the token endpoint.
    pub refreshes: BTreeMap<RefreshReason, u64>,
    /// Refreshes that gave no token.
    pub failures: BTreeMap<RefreshFailure, u64>,
    /// Times a process waited for another one's refresh.
    pub waits: u64,
    /// Times a newer token was stored while a process refreshed: its lock had run out.
    pub lock_losses: u64,
}

impl Default for TokenFigures {
    fn default() -> Self {
        Self {
            refreshes: RefreshReason::ALL.map(|reason| (reason, 0)).into(),
            failures: RefreshFailure::ALL.map(|failure| (failure, 0)).into(),
            waits: 0,
            lock_losses: 0,
        }
    }
}

impl TokenFigures {
    /// Access tokens fetched, for whatever reason.
    #[must_use]
    pub fn all_refreshes(&self) -> u64 {
        self.refreshes.values().sum()
    }

    /// Refreshes that gave no token, for whatever reason.
    #[must_use]
    pub fn all_failures(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The figures of one account in this process.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<TokenFigures>);

impl Counters {
    pub(super) fn refreshed(&self, reason: RefreshReason) {
        self.change(|figures| *figures.refreshes.entry(reason).or_default() += 1);
    }

    pub(super) fn failed(&self, failure: RefreshFailure) {
        self.change(|figures| *figures.failures.entry(failure).or_default() += 1);
    }

    pub(super) fn waited(&self) {
        self.change(|figures| figures.waits += 1);
    }

    pub(super) fn lost_its_lock(&self) {
        self.change(|figures| figures.lock_losses += 1);
    }

    pub(super) fn snapshot(&self) -> TokenFigures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut TokenFigures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

//! One refresh for the whole fleet (gmail.md): a token in memory, a token in Redis, and a lock for whoever fetches the next.
//!
//! Never asks the token endpoint without the lock, and never gives up a token that still lives because Redis or the
//! endpoint is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::access::{AccessToken, Age};
use super::answer::RefreshError;
use super::cache::{Cache, Lock};
use super::credentials::{self, Credentials};
use super::error::TokenError;
use super::figures::{Counters, TokenFigures, count};
use super::pauses::Pauses;
use super::refresh::{Grant, Refresher};
use super::seal::Sealer;
use super::slot::{Landed, Slot};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::settings::{TlsSettings, TokenSettings};
use crate::store::Store;

/// After a refresh that failed for now, the whole fleet waits this long; a hint of the endpoint is clamped into it.
const SHORTEST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The access tokens of all accounts, as one process of the fleet sees them. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) cache: Cache,
    pub(super) figures: Counters,
    refresher: Refresher,
    slots: Mutex<HashMap<AccountId, Arc<Slot>>>,
}

impl Tokens {
    /// Over a store, with the keys that seal there.
    ///
    /// # Errors
    /// If TLS to the token endpoint cannot be set up; the text says why.
    pub fn new(store: Store, sealer: Arc<Sealer>, settings: &TokenSettings, tls: &TlsSettings) -> Result<Self, String> {
        Ok(Self(Arc::new(Inner {
            cache: Cache::new(store, sealer),
            figures: Counters::default(),
            refresher: Refresher::new(settings, tls)?,
            slots: Mutex::default(),
        })))
    }

    /// An access token that lives: the one in memory, the fleet's, or a new one.
    ///
    /// # Errors
    /// If there is none to be had; see [`TokenError`].
    pub async fn access(&self, account: &AccountId) -> Result<AccessToken, TokenError> {
        let slot = self.0.slot(account);
        let now = Millis::now();
        if let Some(token) = slot.alive(now) {
            match token.age(account, now) {
                Age::Fresh => return Ok(token),
                Age::Ageing => {
                    if slot.may_begin_background(now) {
                        self.0.begin(account, &slot);
                    }
                    return Ok(token);
                }
                Age::Ending | Age::Over => {}
            }
        }
        let landed = match self.0.begin(account, &slot).wait_for(Option::is_some).await {
            Ok(landed) => landed.clone(),
            Err(_) => None,
        };
        match landed.unwrap_or_else(|| Err(TokenError::passing("the refresh was broken off"))) {
            Err(error) if error.is_passing() => slot.alive(Millis::now()).ok_or(error),
            landed => landed,
        }
    }

    /// Forgets what this process holds in memory for an account: for one that was removed or logged in anew.
    pub fn forget(&self, account: &AccountId) {
        self.0.slot(account).forget();
    }

    /// How often tokens were refreshed, waited for and missed.
    #[must_use]
    pub fn figures(&self) -> TokenFigures {
        self.0.figures.snapshot()
    }
}

impl Inner {
    pub(super) fn slot(&self, account: &AccountId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(account.clone()).or_default())
    }

    /// Joins the refresh that is under way in this process, or begins one.
    fn begin(self: &Arc<Self>, account: &AccountId, slot: &Arc<Slot>) -> watch::Receiver<Option<Landed>> {
        let (receiver, sender) = slot.join();
        if let Some(sender) = sender {
            let (inner, account, slot) = (Arc::clone(self), account.clone(), Arc::clone(slot));
            tokio::spawn(async move {
                let landed = inner.renew(&account, &slot).await;
                sender.send_replace(Some(landed));
            });
        }
        receiver
    }

    /// Takes the fleet's token if it is fresh, else fetches one under the lock, else waits for whoever has the lock.
    async fn renew(&self, account: &AccountId, slot: &Slot) -> Landed {
        let mut pauses = Pauses::of_waiting();
        let mut waited = false;
        loop {
            if let Some(token) = self.look(account, slot, Age::Fresh).await? {
                return Ok(token);
            }
            if let Some(lock) = self.cache.lock(account).await? {
                return self.renew_under(account, slot, lock).await;
            }
            let now = Millis::now();
            if let Some(token) = slot.alive(now).filter(|token| token.age(account, now) <= Age::Ageing) {
                return Ok(token);
            }
            if !std::mem::replace(&mut waited, true) {
                count(&self.figures.waits);
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(TokenError::passing("another process is fetching a token and has not ended")),
            }
        }
    }

    /// The newest token known, here or in Redis, if it is no older than `age`.
    async fn look(&self, account: &AccountId, slot: &Slot, age: Age) -> Result<Option<AccessToken>, TokenError> {
        if let Some(token) = self.cache.read(account).await? {
            slot.keep(&token);
        }
        let now = Millis::now();
        Ok(slot.alive(now).filter(|token| token.age(account, now) <= age))
    }

    /// Looks again, for somebody may have stored a token between our look and our lock; then fetches one.
    async fn renew_under(&self, account: &AccountId, slot: &Slot, lock: Lock) -> Landed {
        let landed = match self.look(account, slot, Age::Fresh).await {
            Ok(Some(token)) => Ok(token),
            Ok(None) => self.fetch(account, slot, lock.fence).await,
            Err(error) => Err(error),
        };
        self.cache.unlock(account, lock, rest_after(&landed)).await;
        landed
    }

    /// Asks the token endpoint and stores what it gives. The caller holds the lock, whose fence it is.
    pub(super) async fn fetch(&self, account: &AccountId, slot: &Slot, fence: u64) -> Landed {
        let fetched = self.fetch_and_store(account, slot, fence).await;
        if let Err(error) = &fetched {
            count(&self.figures.failures);
            tracing::warn!(account.hash = account.hashed(), %error, "no new access token");
        }
        fetched
    }

    async fn fetch_and_store(&self, account: &AccountId, slot: &Slot, fence: u64) -> Landed {
        let (store, sealer) = (self.cache.store(), self.cache.sealer());
        let loaded = credentials::load_sealed(store, sealer, account).await?;
        let (credentials, record) = loaded.ok_or(TokenError::NoCredentials)?;
        let (issued, grant) = self.ask(&credentials).await?;
        count(&self.figures.refreshes);
        let token = AccessToken::new(grant.access, issued, issued.after(grant.lifetime), fence).with_scope(grant.scope);
        slot.keep(&token);
        tracing::info!(
            account.hash = account.hashed(),
            token.lifetime_s = grant.lifetime.as_secs(),
            "new access token"
        );
        if let Some(refresh_token) = grant.refresh {
            let credentials = Credentials { refresh_token, ..credentials };
            if let Err(error) = credentials::replace(store, sealer, account, &credentials, &record).await {
                tracing::error!(account.hash = account.hashed(), %error, "the new refresh token could not be stored");
            }
        }
        match self.cache.write(account, &token).await {
            Ok(true) => {}
            Ok(false) => count(&self.figures.lock_losses),
            Err(error) => tracing::warn!(account.hash = account.hashed(), %error, "the new token is not shared"),
        }
        Ok(token)
    }

    /// Asks the token endpoint, a few times if it fails for now and names no time to come again.
    async fn ask(&self, credentials: &Credentials) -> Result<(Millis, Grant), RefreshError> {
        let mut pauses = Pauses::of_refresh();
        loop {
            let issued = Millis::now();
            let error = match self.refresher.refresh(credentials).await {
                Ok(grant) => return Ok((issued, grant)),
                Err(error) => error,
            };
            let again = match &error {
                RefreshError::Passing { retry_after: None, .. } => pauses.next(),
                RefreshError::Passing { .. } | RefreshError::Consent { .. } | RefreshError::Client { .. } => None,
            };
            match again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }
}

/// How long the lock stays after a refresh, so that nobody else asks an endpoint that refuses for now.
pub(super) fn rest_after(landed: &Landed) -> Duration {
    match landed {
        Err(TokenError::Passing { retry_after, .. }) => {
            retry_after.unwrap_or(SHORTEST_REST).clamp(SHORTEST_REST, LONGEST_REST)
        }
        Ok(_)
        | Err(
            TokenError::Consent { .. } | TokenError::Client { .. } | TokenError::NoCredentials | TokenError::Sealed(_),
        ) => Duration::ZERO,
    }
}

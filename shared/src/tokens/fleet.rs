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
use super::cache::{Cache, Lock, Turn};
use super::client::Clients;
use super::credentials::{self, Credentials};
use super::error::TokenError;
use super::figures::{RefreshFailure, RefreshReason, TokenFigures};
use super::pauses::Pauses;
use super::refresh::{Grant, Refresher};
use super::seal::Sealer;
use super::slot::{Landed, Slot};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::settings::{TlsSettings, TokenSettings};
use crate::store::Store;

/// Nobody waits longer for a token; the refresh itself may go on, and the next who asks finds what it brought.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Whatever the endpoint says, a token is not taken to live longer.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// The access tokens of all accounts, as one process of the fleet sees them. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) cache: Cache,
    clients: Clients,
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
            clients: Clients::new(store.clone()),
            cache: Cache::new(store, sealer),
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
        let mut refresh = self.0.begin(account, &slot);
        let landed = match tokio::time::timeout(LONGEST_WAIT, refresh.wait_for(Option::is_some)).await {
            Ok(Ok(landed)) => landed.clone(),
            Ok(Err(_)) => None,
            Err(_) => Some(Err(still_waiting())),
        };
        match landed.unwrap_or_else(|| Err(TokenError::passing("the refresh was broken off"))) {
            Err(error) if error.is_passing() => slot.alive(Millis::now()).ok_or(error),
            landed => landed,
        }
    }

    /// As [`Tokens::access`], and where the token came from: `cache`, `redis` or a `refresh` of this process.
    ///
    /// # Errors
    /// As for [`Tokens::access`].
    pub async fn access_from(&self, account: &AccountId) -> (Result<AccessToken, TokenError>, &'static str) {
        let slot = self.0.slot(account);
        let now = Millis::now();
        let at_hand = slot.alive(now).is_some_and(|token| token.age(account, now) <= Age::Ageing);
        if at_hand {
            return (self.access(account).await, "cache");
        }
        let before = slot.figures.snapshot().all_refreshes();
        let had = self.access(account).await;
        let refreshed = slot.figures.snapshot().all_refreshes() > before;
        (had, if refreshed { "refresh" } else { "redis" })
    }

    /// Forgets what this process holds in memory for an account: for one that was removed or logged in anew.
    pub fn forget(&self, account: &AccountId) {
        self.0.slot(account).forget();
    }

    /// How often this process refreshed tokens, waited for them and missed them, by account.
    #[must_use]
    pub fn figures(&self) -> Vec<(AccountId, TokenFigures)> {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|(account, slot)| (account.clone(), slot.figures.snapshot())).collect()
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
            let now = Millis::now();
            let held = slot.alive(now);
            let good = held.clone().filter(|token| token.age(account, now) <= Age::Ageing);
            match self.cache.lock(account, good.is_none() && !waited).await? {
                Turn::Ours(lock) => return self.renew_under(account, slot, lock).await,
                Turn::Nobodys(error) if error.is_passing() => return held.ok_or(error),
                Turn::Nobodys(error) => return Err(error),
                Turn::Theirs => {}
            }
            if let Some(token) = good {
                return Ok(token);
            }
            if !std::mem::replace(&mut waited, true) {
                slot.figures.waited();
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(still_waiting()),
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
        let known = match self.look(account, slot, Age::Fresh).await {
            Ok(Some(token)) => Some(Ok(token)),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        };
        if let Some(known) = known {
            self.cache.unlock(account, lock, None).await;
            return known;
        }
        let now = Millis::now();
        let reason = RefreshReason::of(slot.alive(now).as_ref(), account, now);
        let landed = self.fetch(account, slot, &lock, reason).await;
        self.cache.unlock(account, lock, landed.as_ref().err()).await;
        landed
    }

    /// Asks the token endpoint and stores what it gives. The caller holds the lock.
    pub(super) async fn fetch(&self, account: &AccountId, slot: &Slot, lock: &Lock, reason: RefreshReason) -> Landed {
        let fetched = self.fetch_and_store(account, slot, lock, reason).await;
        if let Err(error) = &fetched {
            let failure = RefreshFailure::from(error);
            slot.figures.failed(failure);
            tracing::warn!(account.hash = account.hashed(), failure = failure.as_str(), %error, "no new access token");
        }
        fetched
    }

    async fn fetch_and_store(&self, account: &AccountId, slot: &Slot, lock: &Lock, reason: RefreshReason) -> Landed {
        let (store, sealer) = (self.cache.store(), self.cache.sealer());
        let loaded = credentials::load_sealed(store, sealer, account).await?;
        let (credentials, record) = loaded.ok_or(TokenError::NoCredentials)?;
        let client = credentials.client();
        let leave = self.clients.turn(&credentials, &lock.owner).await?;
        let asked = self.ask(&credentials).await.map_err(TokenError::from);
        self.clients.told(leave, asked.as_ref()).await;
        let (issued, grant) = asked?;
        slot.figures.refreshed(reason);
        let lifetime = grant.lifetime.min(LONGEST_LIFE);
        let token = AccessToken::new(grant.access, issued, issued.after(lifetime), lock.fence).with_scope(grant.scope);
        slot.keep(&token);
        tracing::info!(
            account.hash = account.hashed(),
            token.lifetime_s = lifetime.as_secs(),
            reason = reason.as_str(),
            "new access token"
        );
        if let Some(refresh_token) = grant.refresh {
            let credentials = credentials.with_refresh_token(refresh_token);
            if let Err(error) = credentials::replace(store, sealer, account, &credentials, &record).await {
                tracing::error!(account.hash = account.hashed(), %error, "the new refresh token could not be stored");
            }
        }
        match self.cache.write(account, client, &token, reason).await {
            Ok(true) => {}
            Ok(false) => slot.figures.lost_its_lock(),
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
                Ok(grant) if grant.lifetime.is_zero() => {
                    RefreshError::passing("the token endpoint sent a token that has ended already")
                }
                Ok(grant) => return Ok((issued, grant)),
                Err(error) => error,
            };
            let again = match &error {
                RefreshError::Passing { retry_after: None, .. } => pauses.next(),
                RefreshError::Passing { .. }
                | RefreshError::Consent { .. }
                | RefreshError::Client { .. }
                | RefreshError::Service(_) => None,
            };
            match again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }
}

/// What somebody is told whose wait is over.
pub(super) fn still_waiting() -> TokenError {
    TokenError::passing("a refresh is under way and has not ended: is the token endpoint slow?")
}

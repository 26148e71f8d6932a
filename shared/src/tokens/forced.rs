//! After a refused login: take a newer token if there is one, else force one refresh, at most once in 30 s for the fleet.
//!
//! Never says that a fresh token was refused unless a refresh gave that very token: the account will be held for it.

use std::sync::Arc;

use super::access::{AccessToken, Age};
use super::cache::{Forced, Lock, Turn};
use super::error::TokenError;
use super::figures::RefreshReason;
use super::fleet::{Inner, LONGEST_WAIT, Tokens, still_waiting};
use super::pauses::Pauses;
use super::slot::Slot;
use crate::account::AccountId;
use crate::clock::Millis;

/// What to do after a login was refused.
#[derive(Debug, Clone)]
pub enum AfterRefusal {
    /// Log in with this other token.
    Try(AccessToken),
    /// The refused token was the newest to be had: scope or user is wrong, so hold the account.
    FreshRefused,
}

impl Tokens {
    /// Another token after `refused` was answered with a 535, or the news that there is no better one.
    ///
    /// # Errors
    /// If there is none to be had for now; see [`TokenError`].
    pub async fn after_refusal(&self, account: &AccountId, refused: &AccessToken) -> Result<AfterRefusal, TokenError> {
        if refused.age(account, Millis::now()) == Age::Over {
            return Ok(AfterRefusal::Try(self.access(account).await?));
        }
        let (inner, account, refused) = (Arc::clone(&self.0), account.clone(), refused.clone());
        let forcing = tokio::spawn(async move { inner.force(&account, &refused).await });
        match tokio::time::timeout(LONGEST_WAIT, forcing).await {
            Ok(forced) => forced.unwrap_or_else(|_| Err(TokenError::passing("the refresh was broken off"))),
            Err(_) => Err(still_waiting()),
        }
    }
}

impl Inner {
    async fn force(&self, account: &AccountId, refused: &AccessToken) -> Result<AfterRefusal, TokenError> {
        let slot = self.slot(account);
        let _one_at_a_time = slot.forcing.lock().await;
        let mut pauses = Pauses::of_waiting();
        let mut waited = false;
        loop {
            if let Some(token) = self.newer(account, &slot, refused).await? {
                return Ok(AfterRefusal::Try(token));
            }
            match self.cache.lock(account, !waited).await? {
                Turn::Ours(lock) => return self.force_under(account, &slot, refused, lock).await,
                Turn::Nobodys(error) => return Err(error),
                Turn::Theirs => {}
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

    /// A token that lives and is newer than the refused one, here or in Redis.
    async fn newer(
        &self,
        account: &AccountId,
        slot: &Slot,
        refused: &AccessToken,
    ) -> Result<Option<AccessToken>, TokenError> {
        let held = |slot: &Slot| slot.alive(Millis::now()).filter(|token| token.replaces(refused));
        if let Some(token) = held(slot) {
            return Ok(Some(token));
        }
        if let Some(token) = self.cache.read(account).await? {
            slot.keep(&token);
        }
        Ok(held(slot))
    }

    async fn force_under(
        &self,
        account: &AccountId,
        slot: &Slot,
        refused: &AccessToken,
        lock: Lock,
    ) -> Result<AfterRefusal, TokenError> {
        let known = match self.known_answer(account, slot, refused).await {
            Ok(known) => known.map(Ok),
            Err(error) => Some(Err(error)),
        };
        if let Some(known) = known {
            self.cache.unlock(account, lock, None).await;
            return known;
        }
        let landed = self.fetch(account, slot, &lock, RefreshReason::Forced).await;
        if let Err(error) = self.cache.mark_landed(account, &landed).await {
            tracing::debug!(account.hash = account.hashed(), %error, "the forced refresh is marked as one that failed");
        }
        self.cache.unlock(account, lock, landed.as_ref().err()).await;
        let token = landed?;
        Ok(if token.has_same_secret(refused) { AfterRefusal::FreshRefused } else { AfterRefusal::Try(token) })
    }

    /// The answer, where no refresh is needed or allowed; else nothing, and the forced refresh is marked.
    async fn known_answer(
        &self,
        account: &AccountId,
        slot: &Slot,
        refused: &AccessToken,
    ) -> Result<Option<AfterRefusal>, TokenError> {
        if let Some(token) = self.newer(account, slot, refused).await? {
            return Ok(Some(AfterRefusal::Try(token)));
        }
        match self.cache.forced(account).await? {
            Forced::Gave(given) if given <= refused.fence() => Ok(Some(AfterRefusal::FreshRefused)),
            Forced::Refused(error) => Err(error),
            Forced::Gave(_) => Err(TokenError::passing("the newest token is gone from Redis")),
            Forced::Failed(left) => {
                let what = "a login was refused, and a new token could not be had moments ago".to_owned();
                Err(TokenError::Passing { what, retry_after: Some(left) })
            }
            Forced::No => {
                self.cache.mark_tried(account).await?;
                Ok(None)
            }
        }
    }
}

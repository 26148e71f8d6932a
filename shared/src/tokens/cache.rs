//! What the fleet shares in Redis: each account's access token (sealed), the lock of whoever refreshes it, the rest after a
//! refresh that failed, and the mark of a forced refresh. A token that cannot be opened is told as such, and fetched again.

use std::sync::Arc;
use std::time::Duration;

use super::access::AccessToken;
use super::error::TokenError;
use super::figures::{RefreshFailure, RefreshReason};
use super::record::{ClientTag, HEAD, client_in};
use super::rest;
use super::seal::{Purpose, SealError, Sealer};
use super::unreadable::Unreadable;
use crate::account::AccountId;
use crate::clock::{Millis, millis};
use crate::store::{Script, Store, StoreError};

/// Longer than the tries of one refresh take (see `pauses`): 4 s and one more HTTP time limit.
const LOCK: Duration = Duration::from_secs(20);
/// At most one forced refresh of an account in this time.
const FORCED: Duration = Duration::from_secs(30);

pub(super) struct Cache {
    store: Store,
    sealer: Arc<Sealer>,
    unreadable: Unreadable,
    take_lock: Script,
    write_token: Script,
    end_lock: Script,
    mark_forced: Script,
}

/// The right to refresh an account's token, until its time runs out.
pub(super) struct Lock {
    pub(super) owner: String,
    /// Refreshes of the account that failed, one after the other, before this one.
    failed_before: u32,
    /// Higher than that of any token stored before.
    pub(super) fence: u64,
}

/// Whose turn it is to refresh an account's token.
pub(super) enum Turn {
    /// Ours.
    Ours(Lock),
    /// Somebody else's, who is at it.
    Theirs,
    /// Nobody's for now: a refresh failed, with this.
    Nobodys(TokenError),
}

/// What the mark of the last forced refresh says.
pub(super) enum Forced {
    /// None in the last seconds.
    No,
    /// It gave the token with this fence.
    Gave(u64),
    /// It gave none; another is allowed after this time.
    Failed(Duration),
    /// The token service refused it for good: only a person can help.
    Refused(TokenError),
}

/// What the words of the mark are in Redis.
const TRIED: &str = "0";
const CONSENT: &str = "consent";
const CLIENT: &str = "client";

impl Cache {
    pub(super) fn new(store: Store, sealer: Arc<Sealer>) -> Self {
        Self {
            store,
            sealer,
            unreadable: Unreadable::default(),
            take_lock: counting(include_str!("take_lock.lua")),
            write_token: counting(include_str!("write_token.lua")),
            end_lock: counting(include_str!("end_lock.lua")),
            mark_forced: Script::new(&[include_str!("mark_forced.lua")]),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    pub(super) async fn read(&self, account: &AccountId) -> Result<Option<AccessToken>, StoreError> {
        let keys = self.store.keys_of(account);
        // The credentials say in the clear which client's tokens are good; their own seal keeps that true.
        let (record, head): (Option<Vec<u8>>, Vec<u8>) = redis::pipe()
            .cmd("HGET")
            .arg(keys.token(account))
            .arg("sealed")
            .cmd("GETRANGE")
            .arg(keys.sealed(account))
            .arg(0)
            .arg(HEAD - 1)
            .query_async(&mut self.store.connection())
            .await?;
        let Some(record) = record else { return Ok(None) };
        let opened = self
            .sealer
            .open(Purpose::Access, account, client_in(&head), &record)
            .and_then(|bytes| AccessToken::from_stored(&bytes).ok_or(SealError::Damaged));
        Ok(self.unreadable.told(account, opened))
    }

    /// Stores a token that was given to this client; `false` if a newer one is there already. Counts why it was fetched.
    pub(super) async fn write(
        &self,
        account: &AccountId,
        client: ClientTag,
        token: &AccessToken,
        reason: RefreshReason,
    ) -> Result<bool, TokenError> {
        let bytes = token.to_stored().ok_or(SealError::Damaged)?;
        let sealed = self.sealer.seal(Purpose::Access, account, client, &bytes)?;
        let left = millis(token.expires().since(Millis::now())).max(1);
        let keys = self.store.keys_of(account);
        let written: bool = self
            .write_token
            .call(&keys)
            .key(keys.token(account))
            .key(keys.token_figures(account))
            .arg(sealed)
            .arg(token.issued().0)
            .arg(token.expires().0)
            .arg(token.fence())
            .arg(left)
            .arg(reason.as_str())
            .invoke_async(&mut self.store.connection())
            .await
            .map_err(StoreError::from)?;
        Ok(written)
    }

    /// Asks for the lock. `waits`: the caller has no token, so that a wait begins if it is not to be had.
    pub(super) async fn lock(&self, account: &AccountId, waits: bool) -> Result<Turn, TokenError> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|error| SealError::Random(error.to_string()))?;
        let owner = format!("{:032x}", u128::from_ne_bytes(random));
        let keys = self.store.keys_of(account);
        let (fence, failed_before, rest, left): (u64, u32, String, i64) = self
            .take_lock
            .call(&keys)
            .key(keys.token_lock(account))
            .key(keys.token(account))
            .key(keys.token_rest(account))
            .key(keys.token_figures(account))
            .arg(&owner)
            .arg(millis(LOCK))
            .arg(u8::from(waits))
            .invoke_async(&mut self.store.connection())
            .await
            .map_err(StoreError::from)?;
        if !rest.is_empty() {
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            return Ok(Turn::Nobodys(rest::told(&rest, left)));
        }
        Ok(if fence > 0 { Turn::Ours(Lock { owner, failed_before, fence }) } else { Turn::Theirs })
    }

    /// Gives the lock up; after a refresh that failed the account rests, and the failure is counted. If Redis is gone the
    /// lock ends by itself.
    pub(super) async fn unlock(&self, account: &AccountId, lock: Lock, failure: Option<&TokenError>) {
        let keys = self.store.keys_of(account);
        let rest = failure.map(|error| rest::after(error, lock.failed_before));
        let ended = self
            .end_lock
            .call(&keys)
            .key(keys.token_lock(account))
            .key(keys.token_rest(account))
            .key(keys.token_figures(account))
            .arg(lock.owner)
            .arg(failure.map_or("", |error| RefreshFailure::from(error).as_str()))
            .arg(failure.map(ToString::to_string).unwrap_or_default())
            .arg(rest.as_ref().map_or(0, |rest| millis(rest.span)))
            .arg(rest.map(|rest| rest.text).unwrap_or_default())
            .invoke_async::<()>(&mut self.store.connection())
            .await;
        if let Err(error) = ended.map_err(StoreError::from) {
            tracing::debug!(account.hash = account.hashed(), %error, "the refresh lock is left to end by itself");
        }
    }

    pub(super) async fn forced(&self, account: &AccountId) -> Result<Forced, StoreError> {
        let key = self.store.keys_of(account).token_forced(account);
        let (mark, left): (Option<String>, i64) =
            redis::pipe().get(&key).pttl(&key).query_async(&mut self.store.connection()).await?;
        let Some(mark) = mark else { return Ok(Forced::No) };
        let description = String::new();
        Ok(match mark.split_once(' ') {
            Some((CONSENT, error)) => Forced::Refused(TokenError::Consent { error: error.to_owned(), description }),
            Some((CLIENT, error)) => Forced::Refused(TokenError::Client { error: error.to_owned(), description }),
            _ => match mark.parse() {
                Ok(fence) if mark != TRIED => Forced::Gave(fence),
                Ok(_) | Err(_) => Forced::Failed(Duration::from_millis(u64::try_from(left).unwrap_or(0))),
            },
        })
    }

    /// Marks a forced refresh before it is tried.
    pub(super) async fn mark_tried(&self, account: &AccountId) -> Result<(), StoreError> {
        self.mark(account, TRIED.to_owned()).await
    }

    /// Marks what came of a forced refresh: whoever is refused in the next seconds asks no more.
    pub(super) async fn mark_landed(
        &self,
        account: &AccountId,
        landed: &Result<AccessToken, TokenError>,
    ) -> Result<(), StoreError> {
        match landed {
            Ok(token) => self.mark(account, token.fence().to_string()).await,
            Err(TokenError::Consent { error, .. }) => self.mark(account, format!("{CONSENT} {error}")).await,
            Err(TokenError::Client { error, .. }) => self.mark(account, format!("{CLIENT} {error}")).await,
            Err(
                TokenError::Passing { .. } | TokenError::Service(_) | TokenError::NoCredentials | TokenError::Sealed(_),
            ) => Ok(()),
        }
    }

    async fn mark(&self, account: &AccountId, what: String) -> Result<(), StoreError> {
        let keys = self.store.keys_of(account);
        let mut call = self.mark_forced.call(&keys);
        call.key(keys.token_forced(account)).arg(what).arg(millis(FORCED));
        Ok(call.invoke_async::<()>(&mut self.store.connection()).await?)
    }
}

fn counting(script: &str) -> Script {
    Script::new(&[include_str!("count.lua"), script])
}

//! What the fleet shares in Redis: each account's access token (sealed), the lock of whoever refreshes it, and the mark
//! of a forced refresh. A token that cannot be opened is told as such, and fetched again.

use std::sync::Arc;
use std::time::Duration;

use super::access::AccessToken;
use super::error::TokenError;
use super::record::{ClientTag, HEAD, client_in};
use super::seal::{Purpose, SealError, Sealer};
use super::unreadable::Unreadable;
use crate::account::AccountId;
use crate::clock::Millis;
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
    owner: String,
    /// Higher than that of any token stored before.
    pub(super) fence: u64,
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
            take_lock: Script::new(&[include_str!("take_lock.lua")]),
            write_token: Script::new(&[include_str!("write_token.lua")]),
            end_lock: Script::new(&[include_str!("end_lock.lua")]),
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

    /// Stores a token that was given to this client; `false` if a newer one is there already.
    pub(super) async fn write(
        &self,
        account: &AccountId,
        client: ClientTag,
        token: &AccessToken,
    ) -> Result<bool, TokenError> {
        let bytes = token.to_stored().ok_or(SealError::Damaged)?;
        let sealed = self.sealer.seal(Purpose::Access, account, client, &bytes)?;
        let left = millis(token.expires().since(Millis::now())).max(1);
        let keys = self.store.keys_of(account);
        let written: bool = self
            .write_token
            .call(&keys)
            .key(keys.token(account))
            .arg(sealed)
            .arg(token.issued().0)
            .arg(token.expires().0)
            .arg(token.fence())
            .arg(left)
            .invoke_async(&mut self.store.connection())
            .await
            .map_err(StoreError::from)?;
        Ok(written)
    }

    pub(super) async fn lock(&self, account: &AccountId) -> Result<Option<Lock>, TokenError> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).map_err(|error| SealError::Random(error.to_string()))?;
        let owner = format!("{:032x}", u128::from_ne_bytes(random));
        let keys = self.store.keys_of(account);
        let fence: u64 = self
            .take_lock
            .call(&keys)
            .key(keys.token_lock(account))
            .key(keys.token(account))
            .arg(&owner)
            .arg(millis(LOCK))
            .invoke_async(&mut self.store.connection())
            .await
            .map_err(StoreError::from)?;
        Ok((fence > 0).then_some(Lock { owner, fence }))
    }

    /// Gives the lock up, after a pause in which nobody in the fleet shall ask again. If Redis is gone the lock ends by
    /// itself.
    pub(super) async fn unlock(&self, account: &AccountId, lock: Lock, pause: Duration) {
        let keys = self.store.keys_of(account);
        let ended = self
            .end_lock
            .call(&keys)
            .key(keys.token_lock(account))
            .arg(lock.owner)
            .arg(millis(pause))
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

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

//! Sealing anew: moves what is sealed to the first key and the present version, record by record, while the fleet works.
//!
//! Never puts anything in the place of a record that somebody has changed meanwhile, and never removes one.

use futures::future::try_join_all;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials::CredentialsError;
use super::record::{ClientTag, Head, KeyId};
use super::seal::{Purpose, SealError, Sealer};
use super::service_keys;
use crate::account::AccountId;
use crate::address::Address;
use crate::store::keys::{SERVICE_SHARD, ShardKeys};
use crate::store::{Script, Store, StoreError};

/// Accounts to be given to [`reseal`] at once.
pub const SLICE: usize = 50;
/// How often a record is looked at again that others change meanwhile.
const LOOKS: usize = 5;
/// The field of a hash that holds a record.
const FIELD: &str = "sealed";

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Whose it is.
    pub account: AccountId,
    /// What it holds.
    pub purpose: Purpose,
    /// The key that it needs from now on, as far as it says so.
    pub key: Option<KeyId>,
    /// How it ended.
    pub end: End,
}

/// How it ended for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It needs nothing: it was sealed with the first key, in the present version.
    There,
    /// It was moved.
    Moved,
    /// It would be moved; this was only a look.
    Due,
    /// It cannot be opened, and stays as it was.
    Unopened(SealError),
    /// Others changed it at every look, and it stays as they left it.
    Busy,
}

/// Moves the records of these accounts, or only looks. What an account does not have is not told.
///
/// # Errors
/// If Redis does not answer; some records may have been moved, and doing it again harms nothing.
pub async fn reseal(
    store: &Store,
    sealer: &Sealer,
    accounts: &[AccountId],
    only_look: bool,
) -> Result<Vec<Resealed>, StoreError> {
    let mover = Mover { store, sealer, script: Script::new(&[include_str!("reseal.lua")]), only_look };
    let told = try_join_all(accounts.iter().map(|account| mover.account(account))).await?;
    Ok(told.into_iter().flatten().collect())
}

/// Moves the keys of these service accounts, or only looks.
///
/// # Errors
/// As [`reseal`].
pub async fn reseal_service_keys(
    store: &Store,
    sealer: &Sealer,
    emails: impl IntoIterator<Item = &Address>,
    only_look: bool,
) -> Result<Vec<Resealed>, StoreError> {
    let mover = Mover { store, sealer, script: Script::new(&[include_str!("reseal.lua")]), only_look };
    let mut told = Vec::new();
    for email in emails {
        let client = Some(service_keys::client(email));
        told.extend(mover.record(&service_keys::place(email), Purpose::ServiceKey, client).await?.0);
    }
    Ok(told)
}

/// What now lies in the place of an account's credentials, if it is the same as before but for its seal.
pub(super) async fn sealed_anew(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    before: &[u8],
) -> Result<Option<Vec<u8>>, CredentialsError> {
    let now = read(store, account, Purpose::Credentials).await?;
    let Some(now) = now.filter(|now| now != before) else { return Ok(None) };
    let open = |record: &[u8]| sealer.open(Purpose::Credentials, account, None, record);
    Ok((open(&now)? == open(before)?).then_some(now))
}

struct Mover<'a> {
    store: &'a Store,
    sealer: &'a Sealer,
    script: Script,
    only_look: bool,
}

impl Mover<'_> {
    async fn account(&self, account: &AccountId) -> Result<Vec<Resealed>, StoreError> {
        let mut told = Vec::with_capacity(2);
        let (credentials, client) = self.record(account, Purpose::Credentials, None).await?;
        told.extend(credentials);
        told.extend(self.record(account, Purpose::Access, client).await?.0);
        Ok(told)
    }

    /// One record, and the client that it belongs to. `client`: the account's, as far as it is known.
    async fn record(
        &self,
        account: &AccountId,
        purpose: Purpose,
        client: Option<ClientTag>,
    ) -> Result<(Option<Resealed>, Option<ClientTag>), StoreError> {
        let told = |key, end| Some(Resealed { account: account.clone(), purpose, key, end });
        let mut key = None;
        for _ in 0..LOOKS {
            let Some(record) = read(self.store, account, purpose).await? else { return Ok((None, None)) };
            key = Head::read(&record).ok().map(|(head, _)| head.key);
            let (plain, own) = match self.open(account, purpose, client, &record) {
                Ok(opened) => opened,
                Err(error) => return Ok((told(key, End::Unopened(error)), None)),
            };
            if self.sealer.is_current(&record) {
                return Ok((told(key, End::There), Some(own)));
            }
            if self.only_look {
                return Ok((told(key, End::Due), Some(own)));
            }
            let anew = match self.sealer.seal(purpose, account, own, &plain) {
                Ok(anew) => anew,
                Err(error) => return Ok((told(key, End::Unopened(error)), None)),
            };
            if self.put(account, purpose, &record, &anew).await? {
                return Ok((told(self.sealer.key_ids().next(), End::Moved), Some(own)));
            }
        }
        Ok((told(key, End::Busy), None))
    }

    /// What it holds, and the client it belongs to: by its head; in version 1 by what it holds, or the account's.
    fn open(
        &self,
        account: &AccountId,
        purpose: Purpose,
        client: Option<ClientTag>,
        record: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, ClientTag), SealError> {
        let plain = self.sealer.open(purpose, account, client, record)?;
        let told = Head::read(record)?.0.client().or(client).or_else(|| client_of(&plain));
        // Nothing is left but an old token without credentials: no client's.
        Ok((plain, told.unwrap_or_else(|| ClientTag::of(""))))
    }

    async fn put(
        &self,
        account: &AccountId,
        purpose: Purpose,
        before: &[u8],
        after: &[u8],
    ) -> Result<bool, StoreError> {
        let (keys, key, field) = place(self.store, account, purpose);
        let mut call = self.script.call(&keys);
        call.key(key).arg(field).arg(before).arg(after);
        Ok(call.invoke_async(&mut self.store.connection()).await?)
    }
}

async fn read(store: &Store, account: &AccountId, purpose: Purpose) -> Result<Option<Vec<u8>>, StoreError> {
    let (_, key, field) = place(store, account, purpose);
    let get = if field.is_empty() { redis::Cmd::get(key) } else { redis::Cmd::hget(key, field) };
    Ok(get.query_async(&mut store.connection()).await?)
}

/// Where a record lies: its shard, its key, and the field if that is a hash.
fn place(store: &Store, account: &AccountId, purpose: Purpose) -> (ShardKeys, String, &'static str) {
    let keys = if purpose == Purpose::ServiceKey { store.keys(SERVICE_SHARD) } else { store.keys_of(account) };
    let (key, field) = match purpose {
        Purpose::Credentials => (keys.sealed(account), ""),
        Purpose::Access => (keys.token(account), FIELD),
        Purpose::ServiceKey => (keys.service_key(account.reveal()), FIELD),
    };
    (keys, key, field)
}

/// The client of opened credentials.
fn client_of(plain: &[u8]) -> Option<ClientTag> {
    #[derive(Deserialize)]
    struct Client<'a> {
        #[serde(borrow)]
        #[serde(alias = "service_account")]
        client_id: std::borrow::Cow<'a, str>,
    }
    let client: Client<'_> = serde_json::from_slice(plain).ok()?;
    Some(ClientTag::of(&client.client_id))
}

//! Where the keys of service accounts lie: once each, sealed, however many accounts use them.
//!
//! They lie in the first shard, whatever the shards of their accounts: one place that one script can keep true. A key is
//! stored before any account refers to it, and goes with the last account that uses it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::credentials::CredentialsError;
use super::record::ClientTag;
use super::seal::{Purpose, SealError, Sealer};
use super::service_account::ServiceAccount;
use crate::account::AccountId;
use crate::address::Address;
use crate::secret;
use crate::store::keys::SERVICE_SHARD;
use crate::store::{Script, Store, StoreError};

/// What may be shown of an account's service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUse {
    /// Its address; prints masked.
    pub email: Address,
    /// The id of its key; empty if the key is gone.
    pub key_id: String,
    /// How many accounts use it.
    pub accounts: u64,
}

/// As it lies inside its seal.
#[derive(Serialize)]
struct Sealing<'a> {
    client_id: &'a str,
    key_id: &'a str,
    key: &'a str,
}

#[derive(Deserialize)]
struct Opened {
    client_id: String,
    key_id: String,
    key: SecretString,
}

/// Stores the key, in place of another one of the same service account, and that the account uses it.
pub(super) async fn bind(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    service: &ServiceAccount,
) -> Result<(), CredentialsError> {
    let script = Script::new(&[include_str!("bind_service.lua")]);
    script
        .call(&store.keys(SERVICE_SHARD))
        .arg(account.reveal())
        .arg(service.email.reveal())
        .arg(&service.key_id)
        .arg(seal(sealer, service)?)
        .invoke_async::<()>(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Forgets that the account uses any other service account than `keep`; keys that nobody uses any more go.
pub(super) async fn release(store: &Store, account: &AccountId, keep: Option<&Address>) -> Result<(), StoreError> {
    let script = Script::new(&[include_str!("release_service.lua")]);
    script
        .call(&store.keys(SERVICE_SHARD))
        .arg(account.reveal())
        .arg(keep.map_or("", Address::reveal))
        .invoke_async::<()>(&mut store.connection())
        .await?;
    Ok(())
}

/// A service account with its key.
pub(super) async fn load(
    store: &Store,
    sealer: &Sealer,
    email: &Address,
) -> Result<Option<ServiceAccount>, CredentialsError> {
    let key = store.keys(SERVICE_SHARD).service_key(email.reveal());
    let record: Option<Vec<u8>> = redis::cmd("HGET")
        .arg(key)
        .arg("sealed")
        .query_async(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    record.map(|record| open(sealer, email, &record)).transpose()
}

/// The service account that an account uses, without its secrets. More than one only after a change that broke off.
///
/// # Errors
/// If Redis does not answer.
pub async fn in_use(store: &Store, account: &AccountId) -> Result<Vec<ServiceUse>, StoreError> {
    let (keys, mut connection) = (store.keys(SERVICE_SHARD), store.connection());
    let emails: Vec<String> = redis::cmd("SMEMBERS").arg(keys.service_of(account)).query_async(&mut connection).await?;
    let mut found = Vec::with_capacity(emails.len());
    for email in emails.iter().filter_map(|email| email.parse::<Address>().ok()) {
        let (key_id, accounts): (Option<String>, u64) = redis::pipe()
            .cmd("HGET")
            .arg(keys.service_key(email.reveal()))
            .arg("id")
            .cmd("SCARD")
            .arg(keys.service_users(&email))
            .query_async(&mut connection)
            .await?;
        found.push(ServiceUse { email, key_id: key_id.unwrap_or_default(), accounts });
    }
    Ok(found)
}

/// Stands for a service account where others have an OAuth2 client.
pub(super) fn client(email: &Address) -> ClientTag {
    ClientTag::of(email.reveal())
}

/// What a service account's key is sealed for: its address stands where an account's does.
pub(super) fn place(email: &Address) -> AccountId {
    AccountId::from(email)
}

/// The service accounts that any of these accounts use.
///
/// # Errors
/// If Redis does not answer.
pub async fn of_all(store: &Store, accounts: &[AccountId]) -> Result<BTreeSet<Address>, StoreError> {
    let keys = store.keys(SERVICE_SHARD);
    let mut pipe = redis::pipe();
    for account in accounts {
        pipe.cmd("SMEMBERS").arg(keys.service_of(account));
    }
    let found: Vec<Vec<String>> = pipe.query_async(&mut store.connection()).await?;
    Ok(found.iter().flatten().filter_map(|email| email.parse().ok()).collect())
}

fn seal(sealer: &Sealer, service: &ServiceAccount) -> Result<Vec<u8>, SealError> {
    // As long as it gets, at once: memory that grows leaves copies behind.
    let mut key = Zeroizing::new(String::with_capacity(service.key.expose_secret().len().div_ceil(3) * 4));
    STANDARD.encode_string(service.key.expose_secret(), &mut key);
    let plain = Sealing { client_id: &service.client_id, key_id: &service.key_id, key: &key };
    let bytes = secret::json(&plain).map_err(|_| SealError::Damaged)?;
    sealer.seal(Purpose::ServiceKey, &place(&service.email), client(&service.email), &bytes)
}

fn open(sealer: &Sealer, email: &Address, record: &[u8]) -> Result<ServiceAccount, CredentialsError> {
    let bytes = sealer.open(Purpose::ServiceKey, &place(email), Some(client(email)), record)?;
    let plain: Opened = serde_json::from_slice(&bytes).map_err(|_| SealError::Damaged)?;
    let key = STANDARD.decode(plain.key.expose_secret()).map_err(|_| SealError::Damaged)?;
    Ok(ServiceAccount {
        email: email.clone(),
        client_id: plain.client_id,
        key_id: plain.key_id,
        key: Arc::new(SecretBox::new(Box::new(key))),
    })
}

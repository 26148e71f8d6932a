//! An account's credentials: client id and secret, refresh token. They lie in Redis sealed, and only here.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::seal::{Purpose, SealError, Sealer};
use crate::account::AccountId;
use crate::clock::Millis;
use crate::store::{Script, Store, StoreError};

/// What an account logs in with.
#[derive(Clone)]
pub struct Credentials {
    /// The OAuth2 client's id.
    pub client_id: String,
    /// The OAuth2 client's secret; empty for a public client.
    pub client_secret: SecretString,
    /// The refresh token that the person's consent gave.
    pub refresh_token: SecretString,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, ***)", self.client_id)
    }
}

/// Why credentials could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Redis did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They could not be sealed or opened.
    #[error(transparent)]
    Sealed(#[from] SealError),
}

/// As they lie inside their seal.
#[derive(Serialize, Deserialize)]
struct Plain<'a> {
    client_id: std::borrow::Cow<'a, str>,
    client_secret: std::borrow::Cow<'a, str>,
    refresh_token: std::borrow::Cow<'a, str>,
}

/// Stores an account's credentials. Its shared access token goes, since it came from the credentials before; the time is
/// noted as that of the consent.
///
/// # Errors
/// If they cannot be sealed or Redis does not take them.
pub async fn save(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    credentials: &Credentials,
) -> Result<(), CredentialsError> {
    let keys = store.keys_of(account);
    redis::pipe()
        .atomic()
        .set(keys.sealed(account), seal(sealer, account, credentials)?)
        .ignore()
        .del((keys.token(account), keys.token_forced(account)))
        .ignore()
        .hset(keys.account(account), "consented", Millis::now().0)
        .ignore()
        .query_async::<()>(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// Reads an account's credentials, if there are any.
///
/// # Errors
/// If Redis does not answer or they cannot be opened.
pub async fn load(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
) -> Result<Option<Credentials>, CredentialsError> {
    Ok(load_sealed(store, sealer, account).await?.map(|(credentials, _)| credentials))
}

/// Removes an account's credentials and its shared access token.
///
/// # Errors
/// If Redis does not do it.
pub async fn remove(store: &Store, account: &AccountId) -> Result<(), CredentialsError> {
    let keys = store.keys_of(account);
    redis::cmd("DEL")
        .arg((keys.sealed(account), keys.token(account), keys.token_forced(account)))
        .query_async::<()>(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    Ok(())
}

/// The credentials with the record they came in, by which [`replace`] knows that nobody has stored others meanwhile.
pub(super) async fn load_sealed(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
) -> Result<Option<(Credentials, Vec<u8>)>, CredentialsError> {
    let key = store.keys_of(account).sealed(account);
    let record: Option<Vec<u8>> =
        redis::cmd("GET").arg(key).query_async(&mut store.connection()).await.map_err(StoreError::from)?;
    let Some(record) = record else { return Ok(None) };
    let bytes = sealer.open(Purpose::Credentials, account, &record)?;
    let plain: Plain<'_> = serde_json::from_slice(&bytes).map_err(|_| SealError::Damaged)?;
    let credentials = Credentials {
        client_id: plain.client_id.into_owned(),
        client_secret: plain.client_secret.into_owned().into(),
        refresh_token: plain.refresh_token.into_owned().into(),
    };
    Ok(Some((credentials, record)))
}

/// Stores credentials in place of the record they were made from; not if a person has stored others meanwhile.
pub(super) async fn replace(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    credentials: &Credentials,
    before: &[u8],
) -> Result<bool, CredentialsError> {
    let keys = store.keys_of(account);
    let script = Script::new(&[include_str!("replace_credentials.lua")]);
    let replaced: bool = script
        .call(&keys)
        .key(keys.sealed(account))
        .arg(before)
        .arg(seal(sealer, account, credentials)?)
        .invoke_async(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    Ok(replaced)
}

fn seal(sealer: &Sealer, account: &AccountId, credentials: &Credentials) -> Result<Vec<u8>, SealError> {
    let plain = Plain {
        client_id: credentials.client_id.as_str().into(),
        client_secret: credentials.client_secret.expose_secret().into(),
        refresh_token: credentials.refresh_token.expose_secret().into(),
    };
    let bytes = Zeroizing::new(serde_json::to_vec(&plain).map_err(|_| SealError::Damaged)?);
    sealer.seal(Purpose::Credentials, account, &bytes)
}

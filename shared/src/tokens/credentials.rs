//! An account's credentials: a person's consent, or a service account. They lie in Redis sealed, and only here and in
//! `service_keys`.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::record::ClientTag;
use super::reseal;
use super::seal::{Purpose, SealError, Sealer};
use super::service_account::ServiceAccount;
use super::service_keys;
use crate::account::AccountId;
use crate::address::Address;
use crate::clock::Millis;
use crate::secret;
use crate::store::{Script, Store, StoreError};

/// What an account gets its access tokens with.
#[derive(Clone)]
pub enum Credentials {
    /// A person's consent.
    Consent {
        /// The OAuth2 client's id.
        client_id: String,
        /// The OAuth2 client's secret; empty for a public client.
        client_secret: SecretString,
        /// The refresh token that the person's consent gave.
        refresh_token: SecretString,
    },
    /// A service account to which the account's domain has delegated.
    ServiceAccount {
        /// Which, with its key.
        service: ServiceAccount,
        /// The user it acts for: the account.
        user: AccountId,
    },
}

impl Credentials {
    /// Stands for the OAuth2 client, or the service account: accounts of one fall and rise together, and what is sealed for
    /// an account is bound to it.
    #[must_use]
    pub fn client(&self) -> ClientTag {
        match self {
            Self::Consent { client_id, .. } => ClientTag::of(client_id),
            Self::ServiceAccount { service, .. } => service_keys::client(service.email()),
        }
    }

    /// With a new refresh token; a service account has none.
    #[must_use]
    pub(super) fn with_refresh_token(self, refresh_token: SecretString) -> Self {
        match self {
            Self::Consent { client_id, client_secret, .. } => Self::Consent { client_id, client_secret, refresh_token },
            Self::ServiceAccount { .. } => self,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Consent { client_id, .. } => write!(f, "Credentials({client_id}, ***)"),
            Self::ServiceAccount { service, .. } => write!(f, "Credentials({service:?})"),
        }
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

/// As they lie inside their seal. A consent lies there as it did before there were service accounts.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Plain<'a> {
    Consent {
        #[serde(borrow)]
        client_id: Cow<'a, str>,
        #[serde(borrow)]
        client_secret: Cow<'a, str>,
        #[serde(borrow)]
        refresh_token: Cow<'a, str>,
    },
    /// Its key lies elsewhere, once for all its accounts.
    ServiceAccount {
        #[serde(borrow)]
        service_account: Cow<'a, str>,
    },
}

/// Stores an account's credentials. Its shared access token goes, since it came from the credentials before; the time is
/// noted as that of the consent. The key of a service account takes the place of the one that was stored for it, for all its
/// accounts.
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
    let service = match credentials {
        Credentials::Consent { .. } => None,
        Credentials::ServiceAccount { service, .. } => Some(service),
    };
    if let Some(service) = service {
        service_keys::bind(store, sealer, account, service).await?;
    }
    redis::pipe()
        .atomic()
        .set(keys.sealed(account), seal(sealer, account, credentials)?)
        .ignore()
        .del((keys.token(account), keys.token_forced(account), keys.token_rest(account)))
        .ignore()
        .hset(keys.account(account), "consented", Millis::now().0)
        .ignore()
        .query_async::<()>(&mut store.connection())
        .await
        .map_err(StoreError::from)?;
    // Only now, when nothing refers to it any more.
    Ok(service_keys::release(store, account, service.map(ServiceAccount::email)).await?)
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

/// Removes an account's credentials and its shared access token; a service account's key, if no other account uses it.
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
    Ok(service_keys::release(store, account, None).await?)
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
    let bytes = sealer.open(Purpose::Credentials, account, None, &record)?;
    let plain: Plain<'_> = serde_json::from_slice(&bytes).map_err(|_| SealError::Damaged)?;
    let credentials = match plain {
        Plain::Consent { client_id, client_secret, refresh_token } => Credentials::Consent {
            client_id: client_id.into_owned(),
            client_secret: client_secret.into_owned().into(),
            refresh_token: refresh_token.into_owned().into(),
        },
        Plain::ServiceAccount { service_account } => {
            let email: Address = service_account.parse().map_err(|_| SealError::Damaged)?;
            let service = service_keys::load(store, sealer, &email).await?;
            let Some(service) = service else { return Ok(None) };
            Credentials::ServiceAccount { service, user: account.clone() }
        }
    };
    Ok(Some((credentials, record)))
}

/// Stores credentials in place of the record they were made from; not if a person has stored others meanwhile. A record
/// that was only sealed anew meanwhile still holds what they were made from.
pub(super) async fn replace(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    credentials: &Credentials,
    before: &[u8],
) -> Result<bool, CredentialsError> {
    let keys = store.keys_of(account);
    let script = Script::new(&[include_str!("replace_credentials.lua")]);
    let after = seal(sealer, account, credentials)?;
    let mut before = before.to_vec();
    loop {
        let replaced: bool = script
            .call(&keys)
            .key(keys.sealed(account))
            .arg(&before)
            .arg(&after)
            .invoke_async(&mut store.connection())
            .await
            .map_err(StoreError::from)?;
        if replaced {
            return Ok(true);
        }
        match reseal::sealed_anew(store, sealer, account, &before).await? {
            Some(anew) => before = anew,
            None => return Ok(false),
        }
    }
}

fn seal(sealer: &Sealer, account: &AccountId, credentials: &Credentials) -> Result<Vec<u8>, SealError> {
    let plain = match credentials {
        Credentials::Consent { client_id, client_secret, refresh_token } => Plain::Consent {
            client_id: client_id.as_str().into(),
            client_secret: client_secret.expose_secret().into(),
            refresh_token: refresh_token.expose_secret().into(),
        },
        Credentials::ServiceAccount { service, .. } => {
            Plain::ServiceAccount { service_account: service.email().reveal().into() }
        }
    };
    let bytes = secret::json(&plain).map_err(|_| SealError::Damaged)?;
    sealer.seal(Purpose::Credentials, account, credentials.client(), &bytes)
}

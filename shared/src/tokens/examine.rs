//! What lies stored of an account's access, looked at and left as it is: for `postroom doctor`.

use super::access::AccessToken;
use super::credentials::{self, CredentialsError};
use super::error::TokenError;
use super::fleet::Tokens;
use super::record::Head;
use super::seal::{SealError, Sealer};
use crate::account::AccountId;
use crate::store::{Store, StoreError};

/// What a look at an account's sealed credentials came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    /// None are stored.
    Missing,
    /// They open, with the key of this id.
    Opens(String),
    /// They were sealed with the key of this id, which is not among ours.
    UnknownKey(String),
    /// The record is shorter than any record can be.
    Cut(usize),
    /// The record is that of another account.
    Of(AccountId),
    /// The record does not open: it was changed, cut or moved here from elsewhere.
    Damaged,
    /// What else keeps it from opening, in words.
    Other(String),
}

/// Looks at an account's credentials; if they do not open, whether they are those of one of the other accounts.
///
/// # Errors
/// If Redis does not answer.
pub async fn examine(
    store: &Store,
    sealer: &Sealer,
    account: &AccountId,
    others: &[AccountId],
) -> Result<Sealed, StoreError> {
    let key = store.keys_of(account).sealed(account);
    let record: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut store.connection()).await?;
    let Some(record) = record else { return Ok(Sealed::Missing) };
    let error = match credentials::load(store, sealer, account).await {
        Ok(_) => {
            return Ok(Sealed::Opens(Head::read(&record).map(|(head, _)| head.key.to_string()).unwrap_or_default()));
        }
        Err(CredentialsError::Store(error)) => return Err(error),
        Err(CredentialsError::Sealed(error)) => error,
    };
    Ok(match error {
        SealError::UnknownKey { id } => Sealed::UnknownKey(id),
        SealError::Cut { left } => Sealed::Cut(left),
        SealError::Damaged | SealError::OldDamaged => Sealed::Damaged,
        SealError::OtherAccount { ref hash } => {
            let other = others.iter().find(|other| other.hashed() == *hash);
            other.map_or_else(|| Sealed::Other(error.to_string()), |other| Sealed::Of(other.clone()))
        }
        SealError::Missing
        | SealError::Setting { .. }
        | SealError::OtherPurpose
        | SealError::OtherClient { .. }
        | SealError::Version(_)
        | SealError::Random(_) => Sealed::Other(error.to_string()),
    })
}

impl Tokens {
    /// The token that the fleet shares, if it still lives. Never asks the token endpoint.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub async fn shared(&self, account: &AccountId) -> Result<Option<AccessToken>, TokenError> {
        let token = self.0.cache.read(account).await?;
        Ok(token.filter(|token| token.expires() > crate::clock::Millis::now()))
    }
}

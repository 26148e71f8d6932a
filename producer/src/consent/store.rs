//! Keeping what a login gave: the sealed credentials, and the account that has them.

use postroom_shared::account::{Account, AccountKind};
use postroom_shared::queue::{AccountError, Queue};
use postroom_shared::tokens::{CredentialsError, Sealer, credentials};

use super::Checked;

/// What became of the account.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// It is new.
    Added(Account),
    /// It was there, and has new credentials.
    Renewed(Account),
    /// The same, and it had been held.
    Resumed(Account),
}

/// Why it could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// The credentials could not be sealed or stored.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The account could not be stored.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Seals the credentials, then makes the account known, so that no worker finds one without. An account that is there
/// keeps its limits and aliases, and its kind if none is given; its holds end.
///
/// # Errors
/// If they cannot be sealed or Redis does not take them.
pub async fn store(
    queue: &Queue,
    sealer: &Sealer,
    checked: &Checked,
    kind: Option<AccountKind>,
) -> Result<Stored, NotStored> {
    let known = queue.account(&checked.account).await.map_err(AccountError::from)?;
    credentials::save(queue.store(), sealer, &checked.account, &checked.credentials).await?;
    let was_held = known.as_ref().map(|known| !known.holds.is_empty());
    let mut account = known.unwrap_or_else(|| Account::new(checked.account.clone()));
    account.kind = kind.unwrap_or(account.kind);
    account.client = Some(checked.credentials.client().to_string());
    account.holds.clear();
    queue.put_account(&account).await?;
    Ok(match was_held {
        None => Stored::Added(account),
        Some(false) => Stored::Renewed(account),
        Some(true) => Stored::Resumed(account),
    })
}

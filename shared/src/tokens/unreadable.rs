//! Shared tokens that cannot be opened here: each told once and not at every look, and never taken for none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::access::AccessToken;
use super::seal::SealError;
use crate::account::AccountId;

/// What was last told of which account.
#[derive(Default)]
pub(super) struct Unreadable(Mutex<HashMap<AccountId, SealError>>);

impl Unreadable {
    /// The token; else why it cannot be opened goes to the log, and the caller fetches another.
    pub(super) fn told(&self, account: &AccountId, opened: Result<AccessToken, SealError>) -> Option<AccessToken> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match opened {
            Ok(token) => {
                last.remove(account);
                Some(token)
            }
            Err(error) => {
                if last.get(account) != Some(&error) {
                    tracing::warn!(
                        account.hash = account.hashed(),
                        %error,
                        "the shared access token cannot be opened: another is fetched in its place"
                    );
                    last.insert(account.clone(), error);
                }
                None
            }
        }
    }
}

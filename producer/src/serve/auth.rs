//! Who asks. (The ring of keys comes with the next commits: until then nobody is let in.)

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use postroom_shared::account::AccountId;
use postroom_shared::queue::MailStatus;

use super::app::App;
use super::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Send,
    Read,
    Admin,
}

/// Whoever asks.
pub(super) struct Caller {
    accounts: Vec<AccountId>,
    test: bool,
    scopes: Vec<Scope>,
}

impl Caller {
    pub(super) fn demand(&self, scope: Scope) -> Result<(), ApiError> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "restricted_api_key", "This API key may not do this"))
    }

    pub(super) fn is_test(&self) -> bool {
        self.test
    }

    /// The accounts that it is bound to; `None`: any.
    pub(super) fn accounts(&self) -> Option<Arc<[AccountId]>> {
        (!self.accounts.is_empty()).then(|| self.accounts.clone().into())
    }

    /// Whether it may know of this account.
    pub(super) fn sees(&self, account: &AccountId) -> bool {
        self.accounts.is_empty() || self.accounts.contains(account)
    }

    /// Whether it may know of this mail.
    pub(super) fn sees_mail(&self, status: &MailStatus) -> bool {
        if self.test { status.test } else { self.sees(&status.account) }
    }

    pub(super) fn narrowed_to(&self, account: Option<AccountId>) -> Result<Option<Vec<AccountId>>, ApiError> {
        match account {
            Some(account) if self.sees(&account) => Ok(Some(vec![account])),
            Some(_) => Err(ApiError::not_found("Account")),
            None if self.test => Ok(Some(vec![AccountId::of_test_mode()])),
            None => Ok(self.accounts().map(|accounts| accounts.to_vec())),
        }
    }

    pub(super) fn key_id(&self) -> &str {
        ""
    }
}

pub(super) async fn demand_key(State(_): State<Arc<App>>, _: Request, _: Next) -> Response {
    ApiError::new(StatusCode::UNAUTHORIZED, "missing_api_key", "Missing API key in the authorization header")
        .into_response()
}

//! Who calls: `Authorization: Bearer pr_…`, looked up before anything of a request is served.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use postroom_shared::account::AccountId;
pub(super) use postroom_shared::api_keys::Scope;
use postroom_shared::api_keys::{ApiKey, Mode};
use postroom_shared::queue::MailStatus;
use postroom_shared::store::StoreError;

use super::error::ApiError;
use super::key_ring::KeyRing;
use super::rate::Standing;

/// Whoever calls: stands in the request's extensions as `Arc<Caller>`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key that was presented.
    pub key: Arc<ApiKey>,
}

impl Caller {
    /// Refuses what the key may not do.
    pub(super) fn demand(&self, scope: Scope) -> Result<(), ApiError> {
        if self.key.allows(scope) {
            return Ok(());
        }
        let message = match scope {
            // The words that Resend's own SDKs know.
            Scope::Read | Scope::Operate | Scope::Admin if !self.key.allows(Scope::Read) => {
                "This API key is restricted to only send emails".to_owned()
            }
            Scope::Send | Scope::Read | Scope::Operate | Scope::Admin => {
                format!("This API key does not have the scope \"{scope}\": use one that has it")
            }
        };
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "restricted_api_key", message))
    }

    /// Whether mails of this caller must never get to Gmail.
    pub(super) fn is_test(&self) -> bool {
        match self.key.mode {
            Mode::Test => true,
            Mode::Live => false,
        }
    }

    /// The accounts that it is bound to; `None`: any.
    pub(crate) fn accounts(&self) -> Option<Arc<[AccountId]>> {
        (!self.key.accounts.is_empty()).then(|| self.key.accounts.as_slice().into())
    }

    /// Whether it may know of this account.
    pub(super) fn sees(&self, account: &AccountId) -> bool {
        self.key.allows_account(account)
    }

    /// Whether it may know of this mail. Test mails belong to no account of anybody's: every key may see them.
    pub(crate) fn sees_mail(&self, status: &MailStatus) -> bool {
        self.sees_mail_of(&status.account)
    }

    /// The same of a mail that this account sends.
    pub(crate) fn sees_mail_of(&self, account: &AccountId) -> bool {
        account.is_test() || (!self.is_test() && self.sees(account))
    }

    /// The accounts that a listing of mails is narrowed to; `None`: all. One whose mails it may not see is no account for it.
    pub(crate) fn narrowed_to(&self, account: Option<AccountId>) -> Result<Option<Vec<AccountId>>, ApiError> {
        match account {
            Some(account) if self.sees_mail_of(&account) => Ok(Some(vec![account])),
            Some(_) => Err(ApiError::not_found("Account")),
            None if self.is_test() => Ok(Some(vec![AccountId::of_test_mode()])),
            None => Ok(self.accounts().map(|accounts| [&accounts[..], &[AccountId::of_test_mode()]].concat())),
        }
    }

    /// The id of its key: not secret.
    pub(crate) fn key_id(&self) -> &str {
        self.key.id.as_str()
    }
}

/// Why a request is not let in.
#[derive(Debug)]
pub enum Denied {
    /// There is no key in it.
    Missing,
    /// Its key is wrong, revoked or expired. Which of them is not told to whoever calls.
    Invalid,
    /// The key comes too often.
    TooFast(Standing),
    /// Redis cannot tell whether the key is good.
    Away(StoreError),
}

impl Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Missing => {
                let message = "Missing API key: send it in the header `Authorization: Bearer pr_live_...`";
                let error = ApiError::new(StatusCode::UNAUTHORIZED, "missing_api_key", message);
                let mut response = error.into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
            Self::Invalid => {
                ApiError::new(StatusCode::FORBIDDEN, "invalid_api_key", "API key is invalid").into_response()
            }
            Self::TooFast(standing) => {
                let message = "Too many requests: this key may make no more a second, wait as `retry-after` says";
                let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message);
                let mut response = error.into_response();
                standing.write(response.headers_mut());
                response
            }
            Self::Away(error) => ApiError::from(error).into_response(),
        }
    }
}

/// Lets nobody in without a good key, puts the [`Caller`] into the request, and tells how it stands with its limit.
pub async fn demand_key<F>(ring: &KeyRing, mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let admitted = match presented(request.headers()) {
        Some(key) => ring.admit(key).await,
        None => Err(Denied::Missing),
    };
    match admitted {
        Ok((caller, standing)) => {
            request.extensions_mut().insert(caller);
            let mut response = next(request).await;
            if let Some(standing) = standing {
                standing.write(response.headers_mut());
            }
            response
        }
        Err(denied) => denied.into_response(),
    }
}

/// The key in the header.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_read_from_the_header() {
        for (value, key) in [
            ("Bearer pr_live_x", Some("pr_live_x")),
            ("bearer  pr_live_x ", Some("pr_live_x")),
            ("Bearer ", None),
            ("Bearer", None),
            ("pr_live_x", None),
            ("Basic cHI6eA==", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(presented(&headers), key, "{value}");
        }
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}

//! Why there is no access token, in words for a person. Never holds a token or a secret.

use std::time::Duration;

use super::answer::RefreshError;
use super::credentials::CredentialsError;
use super::seal::SealError;
use super::service_refusal::ServiceRefusal;
use crate::store::StoreError;

/// Why there is no access token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The person's consent is gone: hold the account until they log in again.
    #[error("consent is needed again ({error}{}): log in again with `postroom account login`", told(description))]
    Consent {
        /// The endpoint's word, such as `invalid_grant`.
        error: String,
        /// The endpoint's own text; may be empty.
        description: String,
    },
    /// The OAuth2 client is wrong, for every account that uses it.
    #[error("the OAuth2 client is refused ({error}{}): correct the client's id, secret or scope", told(description))]
    Client {
        /// The endpoint's word, such as `invalid_client`.
        error: String,
        /// The endpoint's own text; may be empty.
        description: String,
    },
    /// A service account's JWT was refused: the text says what a person has to set right, and where.
    #[error("{0}")]
    Service(Box<ServiceRefusal>),
    /// It may work later.
    #[error("no access token for now: {what}")]
    Passing {
        /// What happened.
        what: String,
        /// When the endpoint asked to come again, or when another try is allowed.
        retry_after: Option<Duration>,
    },
    /// Nothing is stored for this account.
    #[error("no credentials are stored for this account: use `postroom account login` or `account add`")]
    NoCredentials,
    /// What is stored cannot be opened.
    #[error("the stored credentials cannot be opened: {0}{advice}", advice = advice(.0))]
    Sealed(#[from] SealError),
}

impl TokenError {
    /// Something that may work later.
    #[must_use]
    pub fn passing(what: impl Into<String>) -> Self {
        Self::Passing { what: what.into(), retry_after: None }
    }

    /// Whether it may work later by itself.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Passing { .. } => true,
            Self::Consent { .. } | Self::Client { .. } | Self::Service(_) | Self::NoCredentials | Self::Sealed(_) => {
                false
            }
        }
    }
}

/// What to do where no key can help; the other errors say it themselves.
fn advice(error: &SealError) -> &'static str {
    if error.is_of_the_record() { "; store them again with `postroom account add`" } else { "" }
}

/// `: text`, or nothing.
fn told(description: &str) -> String {
    if description.is_empty() { String::new() } else { format!(": {description}") }
}

impl From<RefreshError> for TokenError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Consent { error, description } => Self::Consent { error, description },
            RefreshError::Client { error, description } => Self::Client { error, description },
            RefreshError::Service(refusal) => Self::Service(refusal),
            RefreshError::Passing { what, retry_after } => Self::Passing { what, retry_after },
        }
    }
}

impl From<StoreError> for TokenError {
    fn from(error: StoreError) -> Self {
        Self::passing(error.to_string())
    }
}

impl From<CredentialsError> for TokenError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Store(error) => error.into(),
            CredentialsError::Sealed(error) => error.into(),
        }
    }
}

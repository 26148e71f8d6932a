//! What a refusal means that a service account's JWT got: never a person's consent, always something to be set right, and
//! the text says where.
//!
//! The words are Google's (its page on service accounts, "JWT error codes", and public issue threads). Where only one of
//! several domains, users or machines may be at fault, only the account that asked is held.

use std::fmt;

use super::answer::RefreshError;
use super::consent::SCOPE;
use super::service_account::ServiceAccount;
use crate::address::mask_addresses;

const DELEGATION: &str = "https://admin.google.com/ac/owl/domainwidedelegation";

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceFault {
    /// The user's domain has not delegated the scope to the service account, or not long enough ago. Of this domain only:
    /// others may have.
    NotDelegated,
    /// The clock of the machine that signed.
    Clock,
    /// The key: deleted, disabled, expired, or another service account's.
    Key,
    /// The service account: deleted or disabled.
    Gone,
    /// The user: unknown, suspended, deleted, or named by an alias.
    User,
    /// Anything else, such as a policy of the domain.
    Other,
}

/// Error word, words of the description (none: any), and what they mean. The first that fits counts.
const FAULTS: &[(&str, &str, ServiceFault)] = &[
    ("unauthorized_client", "", ServiceFault::NotDelegated),
    ("access_denied", "", ServiceFault::NotDelegated),
    ("invalid_client", "", ServiceFault::Gone),
    ("deleted_client", "", ServiceFault::Gone),
    ("disabled_client", "", ServiceFault::Gone),
    ("invalid_grant", "signature", ServiceFault::Key),
    ("invalid_grant", "short-lived", ServiceFault::Clock),
    ("invalid_grant", "timeframe", ServiceFault::Clock),
    ("invalid_grant", "robot is disabled", ServiceFault::Gone),
    ("invalid_grant", "account not found", ServiceFault::Gone),
    ("invalid_grant", "not a service account", ServiceFault::Gone),
    ("invalid_grant", "email", ServiceFault::User),
    ("invalid_grant", "account has been", ServiceFault::User),
    ("invalid_request", "sub", ServiceFault::User),
];

/// A service account got no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRefusal {
    /// What is wrong.
    pub fault: ServiceFault,
    error: String,
    description: String,
    client_id: String,
    key_id: String,
}

impl ServiceRefusal {
    pub(super) fn new(service: &ServiceAccount, error: String, description: &str) -> Self {
        let lower = description.to_lowercase();
        let fits = |(word, words, _): &&(&str, &str, ServiceFault)| *word == error && lower.contains(words);
        let fault = FAULTS.iter().find(fits).map_or(ServiceFault::Other, |(_, _, fault)| *fault);
        Self {
            fault,
            error,
            description: mask_addresses(description),
            client_id: service.client_id().to_owned(),
            key_id: service.key_id().to_owned(),
        }
    }

    /// The stored key cannot sign.
    pub(super) fn unusable_key(service: &ServiceAccount, why: &impl fmt::Display) -> Self {
        let refusal = Self::new(service, "no JWT".to_owned(), &why.to_string());
        Self { fault: ServiceFault::Key, ..refusal }
    }
}

/// What a refusal means where a JWT was refused.
pub(super) fn of_a_jwt(refused: RefreshError, service: &ServiceAccount) -> RefreshError {
    match refused {
        RefreshError::Consent { error, description } | RefreshError::Client { error, description } => {
            RefreshError::Service(Box::new(ServiceRefusal::new(service, error, &description)))
        }
        RefreshError::Service(_) | RefreshError::Passing { .. } => refused,
    }
}

impl fmt::Display for ServiceRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, error, description, client_id, key_id } = self;
        let colon = if description.is_empty() { "" } else { ": " };
        let told = format!("({error}{colon}{description})");
        match fault {
            ServiceFault::NotDelegated => write!(
                f,
                "the account's domain does not let the service account act for it, or not yet {told}: an administrator of the \
                 domain has to enter client id {client_id} with the scope {SCOPE} in the Admin console, Security > Access and \
                 data control > API controls > Manage domain-wide delegation ({DELEGATION}); Google takes up to 24 hours \
                 for it, and Postroom tries again by itself"
            ),
            ServiceFault::Clock => write!(
                f,
                "the token endpoint refused the time by this machine's clock {told}: have the clocks of all workers set by \
                 NTP; Postroom tries again by itself"
            ),
            ServiceFault::Key => write!(
                f,
                "the service account's key {key_id} is not accepted {told}: it was deleted or disabled, or is another service \
                 account's; make a new key in Google Cloud's console, under IAM & Admin > Service Accounts > Keys, and give \
                 it with `postroom account add ADDRESS --service-account FILE`: all accounts of the service account take it up"
            ),
            ServiceFault::Gone => write!(
                f,
                "the service account with client id {client_id} is disabled or deleted {told}: enable it in Google Cloud's \
                 console, under IAM & Admin > Service Accounts, then `postroom account resume`; or give another one's key with \
                 `postroom account add ADDRESS --service-account FILE`"
            ),
            ServiceFault::User => write!(
                f,
                "the service account cannot act for this user {told}: the account must be the primary address of an active \
                 user of the domain, no alias and no group; correct that, then `postroom account resume`"
            ),
            ServiceFault::Other => write!(
                f,
                "the service account with client id {client_id} gets no token {told}: correct what the words name, then \
                 `postroom account resume`"
            ),
        }
    }
}

#[cfg(test)]
#[path = "service_refusal_tests.rs"]
mod tests;

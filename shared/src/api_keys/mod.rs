//! API keys: who may use the HTTP API, for what, through which accounts and until when.
//!
//! A key's text is shown once; Redis has only its hash. Nothing in here knows HTTP.

mod id;
mod key;
mod new_key;
mod scope;
mod secret_key;
mod store;
mod stored;

pub use id::{KeyId, KeyIdError};
pub use key::ApiKey;
pub use new_key::{MOST_ACCOUNTS, MOST_RATE, NewKey};
pub use scope::{Mode, Scope, Scopes};
pub use secret_key::{SecretKey, SecretKeyError};
pub use store::{ApiKeys, KeyChanges, KeyError, MOST_KEYS};

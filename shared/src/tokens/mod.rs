//! Access tokens: one refresh for the whole fleet, and credentials that lie in Redis only sealed.
//!
//! Read `fleet` first; it rests on `cache` (what processes share), `refresh` (the token endpoint) and `seal` (`record`
//! is the form of what is sealed, `reseal` moves all of it to another key). `consent` is how a person gives the first token, in a
//! browser. Nothing in
//! here logs in to Gmail, and nothing ever writes a token, a secret or the endpoint's raw answer to a log.

mod access;
mod answer;
mod cache;
mod client;
pub mod consent;
pub mod credentials;
mod endpoint;
mod error;
pub mod examine;
mod figures;
mod fleet;
mod fleet_figures;
mod forced;
mod jwt;
mod pauses;
mod probe;
mod record;
mod refresh;
pub mod reseal;
mod rest;
mod seal;
mod service_account;
pub mod service_keys;
mod service_refusal;
mod session;
mod slot;
mod unreadable;

pub use access::{AccessToken, Age};
pub use answer::RefreshError;
pub use credentials::{Credentials, CredentialsError};
pub use error::TokenError;
pub use figures::{RefreshFailure, RefreshReason, TokenFigures};
pub use fleet::Tokens;
pub use fleet_figures::FleetFigures;
pub use forced::AfterRefusal;
pub use probe::{Probed, probe};
pub use record::{ClientTag, KeyId};
pub use refresh::{Grant, Refresher};
pub use seal::{Purpose, SealError, Sealer};
pub use service_account::{KeyFileError, ServiceAccount};
pub use service_refusal::{ServiceFault, ServiceRefusal};

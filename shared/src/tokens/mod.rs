//! Access tokens: one refresh for the whole fleet, and credentials that lie in Redis only sealed.
//!
//! Read `fleet` first; it rests on `cache` (what processes share), `refresh` (the token endpoint) and `seal`. Nothing in
//! here logs in to Gmail, and nothing ever writes a token, a secret or the endpoint's raw answer to a log.

mod access;
mod answer;
mod cache;
pub mod credentials;
mod endpoint;
mod error;
pub mod examine;
mod figures;
mod fleet;
mod forced;
mod pauses;
mod probe;
mod refresh;
mod seal;
mod slot;

pub use access::{AccessToken, Age};
pub use answer::RefreshError;
pub use credentials::{Credentials, CredentialsError};
pub use error::TokenError;
pub use figures::TokenFigures;
pub use fleet::Tokens;
pub use forced::AfterRefusal;
pub use probe::{Probed, probe};
pub use refresh::{Grant, Refresher};
pub use seal::{Purpose, SealError, Sealer};

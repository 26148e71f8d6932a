//! What producers and workers share: the words, the Redis queue, sealed tokens, settings, and the SMTP dialogue, with which
//! a worker sends and a producer finds out whether an account can log in.
//!
//! Read in the order of the modules below. Nothing in here prints an address or a secret in the clear.

pub mod account;
pub mod address;
pub mod api_keys;
pub mod clock;
pub mod dial;
pub mod http;
pub mod id;
pub mod mail;
pub mod message;
#[cfg(feature = "telemetry")]
pub mod metrics;
pub mod pool;
pub mod queue;
pub mod reason;
pub mod replies;
pub mod reply;
pub mod secret;
pub mod settings;
pub mod smtp;
pub mod store;
pub mod telemetry;
pub mod templates;
pub mod test_mode;
pub mod tokens;
pub mod xoauth2;

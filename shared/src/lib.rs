//! What producers and workers share: the words, the Redis queue, sealed tokens and settings.
//!
//! Read in the order of the modules below. Nothing in here opens an SMTP connection, and nothing in
//! here prints an address or a secret in the clear.

pub mod account;
pub mod address;
pub mod clock;
pub mod id;
pub mod mail;
pub mod message;
pub mod pool;
pub mod queue;
pub mod reason;
pub mod replies;
pub mod reply;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod tokens;

//! Settings: where they come from, and the groups that both binaries read.
//!
//! Each binary has one struct of its own, made of these groups; all faults are told at once.
//! This is the only module that reads the environment.

mod groups;
mod imap;
mod source;

pub(crate) use groups::ACCOUNT_CONNECTIONS;
pub use groups::{ConsentSettings, LimitSettings, LogFormat, LogSettings, RedisSettings, TlsSettings, TokenSettings};
pub use imap::imap_server;
pub use source::{SettingsError, Source};

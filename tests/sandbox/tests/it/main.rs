//! The sandbox as a client sees it: a raw TLS client and raw HTTP against a running one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod client;
mod consent;
mod faults;
mod http;
mod imap;
mod limits;
mod login;
mod mail;
mod program;
mod service_accounts;
mod tokens;

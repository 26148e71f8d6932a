//! The command line, the keys and the client, each against a Redis of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests: a test says what failed by failing")]

#[cfg(feature = "serve")]
mod auth;
mod batch;
mod cli;
mod client;
mod dead;
mod keys;
#[cfg(feature = "serve")]
mod openapi;
mod outlook;
mod pools;
mod reseal;
mod support;
mod templates;

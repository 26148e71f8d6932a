//! The look into the Sent mailbox, against a server that is played by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what failed by failing")]
#![allow(missing_docs, reason = "one binary: nothing in it is public")]

mod dialogue;
mod refusals;
mod server;

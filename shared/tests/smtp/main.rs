//! The SMTP dialogue against a server that each test plays by hand, line by line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::wildcard_enum_match_arm)]

mod broken;
mod one_flight;
mod opening;
mod other_ways;
mod server;

//! What must hold for anything that strangers send: one function a target, which panics if it does not.
//!
//! `libfuzzer/` tries them under a coverage-guided fuzzer, `tests/corpora.rs` with what that found and with random changes of
//! it. The time and memory that one input may take are bounded by whoever calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a property that does not hold is a panic")]

mod faults;
mod frozen;
mod smtp;
mod targets;

use postroom_shared::clock::Millis;

pub use self::targets::{TARGETS, Target, run};

/// The time of all inputs, so that each of them means the same for ever.
const NOW: Millis = Millis(1_800_000_000_000);

//! Lets the checker loose on the protocol. docs/protocol.md tells what it finds; `docs.rs` compares.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing")]

mod count;
mod docs;
mod flaws;
mod holds;
#[cfg(feature = "long")]
mod long;
mod windows;

use postroom_model::{Config, Faults, Protocol, check, names, progress};

/// Faults, in the order of their fields.
const fn faults(crashes: u8, stalls: u8, answers: u8, replies: u8, refusals: u8, looks: u8) -> Faults {
    Faults { crashes, stalls, answers, replies, refusals, looks }
}

const CRASH: Faults = faults(1, 0, 0, 0, 0, 0);
const STALL: Faults = faults(0, 1, 0, 0, 0, 0);
const REPLY: Faults = faults(0, 0, 0, 1, 0, 0);

/// All holds but the count of doubles, whose worth `count.rs` tells, and every mail comes to its end. Answers how many
/// states there are, and what was never reached.
fn all_holds(config: &Config) -> (usize, std::collections::BTreeSet<&'static str>) {
    let mut verdict = check(config);
    verdict.broken.remove(names::DOUBLES_COUNTED);
    assert!(verdict.broken.is_empty(), "{config:?}: {:?}", verdict.broken);
    let progress = progress(&Protocol(config.clone()));
    assert_eq!(progress.stuck, None, "{config:?}");
    assert_eq!(progress.states, verdict.states, "{config:?}");
    (verdict.states, verdict.unreached)
}

/// The docs.
fn docs() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md")).unwrap()
}

/// A number with commas, as the docs write it.
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

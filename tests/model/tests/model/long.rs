//! The larger bounds: `make model`.

use postroom_model::{Config, check, names};

use super::{STALL, all_holds, docs, faults, with_commas};

/// The docs tell how many states a run has.
fn told(run: &str, states: usize) {
    let told = format!("| {run} | {} |", with_commas(states));
    assert!(docs().contains(&told), "docs/protocol.md does not say: {told}");
}

#[test]
fn each_fault_once_in_one_run() {
    let mut verdict = check(&Config::small());
    verdict.broken.remove(names::DOUBLES_COUNTED);
    assert!(verdict.broken.is_empty(), "{:?}", verdict.broken);
    told("each of the six faults once; that every mail comes to an end is not walked here", verdict.states);
}

#[test]
fn two_mails_and_a_stall() {
    let (states, _) = all_holds(&Config { mails: 2, ..Config::small().with(STALL) });
    told("two mails, one stall", states);
}

#[test]
fn two_stalls_and_a_kill() {
    let (states, _) = all_holds(&Config::small().with(faults(1, 2, 0, 0, 0, 0)));
    told("two stalls and a kill", states);
}

#[test]
fn three_kills_until_a_mail_is_poison() {
    let config = Config { poison: 3, ttl: 12, ..Config::small().with(faults(3, 0, 0, 0, 0, 1)) };
    let (states, unreached) = all_holds(&config);
    assert!(!unreached.contains("poison"));
    told("three kills, poison at the third, Sent once out of reach", states);
}

#[test]
fn longer_times() {
    let times = Config { lease: 2, allowance: 4, indexing: 2, late: 2, ttl: 8, ..Config::small() };
    let (states, _) = all_holds(&times.with(faults(1, 1, 0, 1, 0, 0)));
    told("a kill, a stall and a lost reply, with all times doubled", states);
}

//! When a mail goes out twice: the exact bounds of "not doubled".

use std::collections::BTreeSet;

use postroom_model::{AtDeadline, Config, Faults, Imap, Protocol, check, names, progress};

use super::{CRASH, REPLY, STALL, faults};

fn doubled(config: &Config) -> bool {
    check(config).broken.contains(names::NOT_DOUBLED)
}

/// For every allowance, lateness and time of indexing, the checker agrees with a rule.
fn agree(faults: Faults, rule: impl Fn(&Config) -> bool) {
    let mut seen = BTreeSet::new();
    for allowance in 1..=2 {
        for late in 0..=2 {
            for indexing in 0..=4 {
                let config = Config { allowance, late, indexing, ttl: 6, ..Config::small().with(faults) };
                assert_eq!(doubled(&config), !rule(&config), "{config:?}");
                seen.insert(rule(&config));
            }
        }
    }
    assert_eq!(seen.len(), 2, "the rule never makes a difference");
}

/// A connection lost before the reply: the doubt begins then.
#[test]
fn after_a_lost_reply_indexing_must_keep_within_the_allowance() {
    agree(REPLY, |config| config.indexing <= config.allowance);
}

/// A kill: the doubt begins when the lease has run out, so that time helps.
#[test]
fn after_a_kill_indexing_may_take_the_lease_and_the_allowance() {
    agree(CRASH, |config| config.indexing <= config.lease + config.allowance);
}

/// A stalled worker whose data leaves after its lease was lost: lateness and indexing add up. A copy that can be found in
/// the tick in which it was sent may still come just after the look of that tick.
#[test]
fn after_a_stall_lateness_and_indexing_together_must_keep_within_the_allowance() {
    agree(STALL, |config| {
        let whole = config.late + config.indexing;
        whole <= config.allowance && (config.late == 0 || config.late < config.allowance)
    });
}

/// With `Resend`, a mail in doubt whose deadline comes while Sent cannot be asked is sent once more, and only once.
#[test]
fn without_sent_the_setting_resend_doubles_but_never_triples() {
    for imap in [Imap::Away, Imap::Reachable] {
        for faults in [faults(1, 0, 0, 0, 0, 1), faults(0, 0, 0, 2, 1, 1), faults(1, 1, 0, 1, 0, 1)] {
            let config = Config { imap, at_deadline: AtDeadline::Resend, ..Config::small().with(faults) };
            let mut broken = check(&config).broken;
            broken.remove(names::DOUBLES_COUNTED);
            assert_eq!(broken, BTreeSet::from([names::NOT_DOUBLED]), "{config:?}");
            assert_eq!(progress(&Protocol(config)).stuck, None);
        }
    }
}

//! What the count of doubles is worth.

use std::collections::BTreeSet;

use postroom_model::{Config, Counting, Mail, Outcome, check, names};

use super::{STALL, faults};

/// A mail that was found in Sent, and whose first worker tells of its 250 later, is one delivery and is counted as doubled.
#[test]
fn the_plain_count_may_be_too_high() {
    let verdict = check(&Config::small().with(STALL));
    assert_eq!(verdict.broken, BTreeSet::from([names::DOUBLES_COUNTED]));
}

/// Counting fences that heard a 250 is never too high, with answers lost too, and when there are doubles.
#[test]
fn counted_by_the_replies_it_is_not() {
    for (faults, late) in [(faults(0, 1, 2, 0, 0, 0), 1), (faults(0, 1, 1, 0, 0, 0), 3)] {
        let verdict = check(&Config { counting: Counting::ByReply, late, ..Config::small().with(faults) });
        assert!(!verdict.broken.contains(names::DOUBLES_COUNTED), "{:?}", verdict.broken);
        assert_eq!(verdict.broken.contains(names::NOT_DOUBLED), late == 3, "{:?}", verdict.broken);
    }
}

/// Its answer was lost, so it is told again, and counted again.
#[test]
fn the_plain_count_counts_a_repeated_settlement_again() {
    let config = Config::small();
    let mut mail = Mail::new(config.ttl);
    mail.claim(0, &config);
    mail.take_back(0, &config);
    mail.claim(1, &config);
    mail.settle(1, 2, Outcome::Sent, &config);
    for counted in 1..=2 {
        mail.settle(0, 1, Outcome::Sent, &config);
        assert_eq!(mail.doubled, counted);
    }
}

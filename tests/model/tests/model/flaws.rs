//! That the checker can fail: each rule of the protocol is broken once, and it tells what comes of it.

use postroom_model::{AtDeadline, Config, Faults, Flaw, Imap, Protocol, check, names, progress, shortest};

use super::{CRASH, REPLY, STALL, docs, faults};

/// A broken rule, what must be found, and the faults that bring it to light.
const FLAWS: [(Flaw, &str, Faults); 10] = [
    (Flaw::UnfencedSettle, names::KNOWN_IS_SENT, STALL),
    (Flaw::UnfencedSettle, names::REPEAT_HARMLESS, REPLY),
    (Flaw::TakeBackWithoutDoubt, names::NOT_DOUBLED, CRASH),
    (Flaw::LateSentThrownAway, names::KNOWN_IS_SENT, STALL),
    (Flaw::SendBeforeNoteIsHeard, names::NOT_DOUBLED, CRASH),
    (Flaw::UnfencedNote, names::NOT_DOUBLED, STALL),
    (Flaw::DoubtForgotten, names::NOT_DOUBLED, faults(2, 0, 0, 0, 0, 0)),
    (Flaw::ExpiredUnasked, names::DEAD_IS_TRUE, CRASH),
    (Flaw::JudgedAfterTheLook, names::NOT_DOUBLED, REPLY),
    (Flaw::ResentWithoutEnd, names::NOT_TRIPLED, faults(0, 0, 0, 2, 0, 0)),
];

/// The same bounds, with the rule or without it.
fn bounds(flaw: Flaw, faults: Faults) -> Config {
    let config = Config::small().with(faults);
    match flaw {
        // A copy that takes the whole allowance until it can be found.
        Flaw::JudgedAfterTheLook => Config { indexing: 2, late: 0, ..config },
        Flaw::ResentWithoutEnd => Config { imap: Imap::Away, at_deadline: AtDeadline::Resend, ..config },
        Flaw::UnfencedSettle
        | Flaw::TakeBackWithoutDoubt
        | Flaw::LateSentThrownAway
        | Flaw::SendBeforeNoteIsHeard
        | Flaw::UnfencedNote
        | Flaw::DoubtForgotten
        | Flaw::ExpiredUnasked
        | Flaw::NeverTakenBack => config,
    }
}

#[test]
fn each_broken_rule_is_found_and_only_because_it_is_broken() {
    let (docs, mut untold) = (docs(), Vec::new());
    for (flaw, name, faults) in FLAWS {
        let kept = bounds(flaw, faults);
        assert!(!check(&kept).broken.contains(name), "{flaw:?}: {name} is broken without it");
        let broken = kept.flawed(flaw);
        assert!(check(&broken).broken.contains(name), "{flaw:?}: {name} holds all the same");
        let steps = shortest(&broken, name, 30).unwrap().len();
        let told = format!("| `{flaw:?}` | {name} | {steps} |");
        if !docs.contains(&told) {
            untold.push(told);
        }
    }
    assert!(untold.is_empty(), "docs/protocol.md does not say:\n{}", untold.join("\n"));
}

#[test]
fn a_mail_that_is_never_taken_back_is_stuck() {
    let config = Config::small().with(CRASH).flawed(Flaw::NeverTakenBack);
    assert!(progress(&Protocol(config)).stuck.is_some());
}

//! What the protocol promises, whatever two faults happen, and some three.

use std::collections::BTreeSet;

use postroom_model::{AtDeadline, Config, Faults, Imap};

use super::{CRASH, REPLY, all_holds, docs, faults, with_commas};

/// Every pair of faults, of one kind or of two, but for two stalls (see `long.rs`).
fn pairs() -> Vec<Faults> {
    let mut pairs = vec![Faults::NONE];
    for first in 0..6 {
        for second in first..6 {
            let mut count = [0; 6];
            count[first] += 1;
            count[second] += 1;
            let [crashes, stalls, answers, replies, refusals, looks] = count;
            if stalls < 2 {
                pairs.push(faults(crashes, stalls, answers, replies, refusals, looks));
            }
        }
    }
    pairs
}

/// The runs of `make test`.
fn runs() -> Vec<Config> {
    let mut runs: Vec<Config> = pairs().into_iter().map(|faults| Config::small().with(faults)).collect();
    for third in
        [faults(1, 1, 1, 0, 0, 0), faults(1, 1, 0, 1, 0, 0), faults(1, 1, 0, 0, 1, 0), faults(1, 1, 0, 0, 0, 1)]
    {
        runs.push(Config::small().with(third));
    }
    for faults in [CRASH, REPLY, faults(0, 0, 1, 0, 0, 0), faults(1, 0, 0, 1, 0, 0)] {
        runs.push(Config { mails: 2, ..Config::small().with(faults) });
    }
    runs
}

#[test]
fn it_holds_under_every_pair_of_faults_and_some_three() {
    let (mut states, mut runs_done, mut unreached) = (0, 0, None::<BTreeSet<_>>);
    for config in runs() {
        let (visited, missing) = all_holds(&config);
        states += visited;
        runs_done += 1;
        unreached = Some(unreached.map_or_else(|| missing.clone(), |before| &before & &missing));
    }
    assert_eq!(unreached, Some(BTreeSet::new()), "never happened in any run: they show nothing");
    let told = format!("{runs_done} runs, {} states", with_commas(states));
    assert!(docs().contains(&told), "docs/protocol.md does not say: {told}");
}

/// While Sent cannot be asked, a mail in doubt waits for its deadline. With `Dead` nothing is ever sent twice, however
/// late a stalled worker sends and however slowly Gmail indexes.
#[test]
fn without_sent_nothing_is_sent_twice_if_the_setting_says_dead() {
    for (late, indexing) in [(1, 1), (4, 4)] {
        for faults in [faults(1, 1, 0, 1, 0, 0), faults(1, 0, 0, 2, 1, 0)] {
            let config = Config { imap: Imap::Away, late, indexing, ..Config::small().with(faults) };
            assert_eq!(config.at_deadline, AtDeadline::Dead);
            all_holds(&config);
        }
    }
}

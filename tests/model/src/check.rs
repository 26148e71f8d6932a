//! Runs the checker over one configuration and gathers what it found.

use std::collections::{BTreeMap, BTreeSet};

use stateright::{Checker, Expectation, HasDiscoveries, Model as _};

use crate::config::Config;
use crate::step::{Protocol, Step};

/// What the checker found.
#[derive(Debug)]
pub struct Verdict {
    /// Different states that were visited.
    pub states: usize,
    /// What does not hold.
    pub broken: BTreeSet<&'static str>,
    /// What never happened although it should be possible in some run.
    pub unreached: BTreeSet<&'static str>,
}

/// Walks through every state that can be reached.
#[must_use]
pub fn check(config: &Config) -> Verdict {
    let protocol = Protocol(config.clone());
    let properties = protocol.properties();
    let checker = protocol.checker().spawn_bfs().join();
    let found: BTreeMap<_, _> = checker.discoveries().into_iter().collect();
    let mut verdict =
        Verdict { states: checker.unique_state_count(), broken: BTreeSet::new(), unreached: BTreeSet::new() };
    for property in properties {
        match (property.expectation, found.contains_key(property.name)) {
            (Expectation::Always | Expectation::Eventually, true) => verdict.broken.insert(property.name),
            (Expectation::Sometimes, false) => verdict.unreached.insert(property.name),
            (Expectation::Always | Expectation::Eventually, false) | (Expectation::Sometimes, true) => false,
        };
    }
    verdict
}

/// A shortest way to a state in which a property does not hold, if there is one of at most so many steps.
///
/// The checker tells the last way that it found, so it is asked with a rising bound.
#[must_use]
pub fn shortest(config: &Config, name: &'static str, most: usize) -> Option<Vec<Step>> {
    (1..=most).find_map(|steps| {
        let checker = Protocol(config.clone())
            .checker()
            .target_max_depth(steps + 2)
            .finish_when(HasDiscoveries::AnyOf(BTreeSet::from([name])))
            .spawn_bfs()
            .join();
        checker.discovery(name).map(stateright::Path::into_actions)
    })
}

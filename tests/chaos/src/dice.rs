//! Chance by seed, so that the same seed gives the same throws on every machine.

use postroom_it::Splitmix;

/// Throws by seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(Splitmix);

impl Dice {
    /// Throws of one seed; each `purpose` has its own, so that one more throw here shifts none there.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut numbers = Splitmix::new(seed ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95));
        numbers.next();
        Self(numbers)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next().checked_rem(end).unwrap_or(0)
    }

    /// A number from `least` to below `end`.
    pub(crate) fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.below(end.saturating_sub(least))
    }

    /// Whether one throw of so many in a hundred hits.
    pub(crate) fn percent(&mut self, part: u64) -> bool {
        self.below(100) < part
    }

    /// One of several by weight; `None` if all weights are 0.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(T, u64)]) -> Option<T> {
        let sum = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.below(sum);
        for (choice, weight) in choices {
            if left < *weight {
                return Some(*choice);
            }
            left -= weight;
        }
        None
    }
}

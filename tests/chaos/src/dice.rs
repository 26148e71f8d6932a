//! Chance by seed: splitmix64, so that the same seed gives the same throws on every machine.

/// Throws by seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Throws of one seed; each `purpose` has its own, so that one more throw here shifts none there.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
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

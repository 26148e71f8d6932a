//! Numbers that a seed decides (splitmix64): the same on every machine, so that a run can be repeated.
//!
//! The sandbox and the example in `shared` have this of their own: this crate depends on both of their packages.

/// The stream of numbers of one seed.
#[derive(Debug, Clone)]
pub struct Splitmix(u64);

impl Splitmix {
    /// The stream of this seed, from its beginning.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "no iterator: it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers that the algorithm's published implementation gives for this seed: a seed noted in a report must
    /// go on meaning the same run.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut numbers = Splitmix::new(1_234_567);
        assert_eq!(
            [numbers.next(), numbers.next(), numbers.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}

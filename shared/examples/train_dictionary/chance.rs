//! A stream of numbers that a seed decides (splitmix64).

/// See above.
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    /// One of them; nothing of nothing.
    pub(crate) fn one<'a>(&mut self, all: &'a [String]) -> &'a str {
        let at = self.below(all.len() as u64) as usize;
        all.get(at).map_or("", String::as_str)
    }
}

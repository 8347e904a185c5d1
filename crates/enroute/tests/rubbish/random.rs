//! Rubbish from a seed.

/// `SplitMix64` (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From `ENROUTE_RUBBISH_SEED`, or 1; printed, so that a failure can be had again.
    pub(crate) fn from_environment() -> Self {
        let seed = std::env::var("ENROUTE_RUBBISH_SEED").ok();
        let seed = seed.map_or(1, |seed| seed.parse().expect("a number"));
        eprintln!("ENROUTE_RUBBISH_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    /// `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.flatten().take(count).collect()
    }

    /// Some bytes, at most `most`.
    pub(crate) fn some_bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        self.bytes(count)
    }
}

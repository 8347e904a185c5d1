//! All chance of a run comes from its seed, through here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A generator whose stream is fixed by its seed.
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.any() % (high - low + 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.any() % u64::try_from(n).unwrap()).unwrap()
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.any() % 100 < percent
    }

    /// From `-most` to `most`.
    pub(crate) fn around(&mut self, most: i64) -> i64 {
        let most = u64::try_from(most).unwrap();
        i64::try_from(self.between(0, 2 * most)).unwrap() - i64::try_from(most).unwrap()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

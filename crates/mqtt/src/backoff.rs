//! How long to wait before the next attempt: pure, from a seed.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(2);
/// A connection that lived so long was a good one: start again with the first wait.
pub(crate) const GOOD: Duration = Duration::from_secs(2);

/// Doubling waits with jitter.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Starts with the first wait.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            next: FIRST,
            random: seed,
        }
    }

    /// Back to the first wait.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The wait before the next attempt: between half and all of the nominal one.
    pub(crate) fn wait(&mut self) -> Duration {
        let nominal = self.next;
        self.next = nominal.saturating_mul(2).min(LONGEST);
        let half = nominal / 2;
        let thousandths = u32::try_from(self.random() % 1001).unwrap_or(0);
        half + half * thousandths / 1000
    }

    /// `SplitMix64` (Steele, Lea and Flood 2014): a good stream from any seed.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_and_keep_their_jitter() {
        let mut backoff = Backoff::new(7);
        let mut nominal = FIRST;
        for _ in 0..12 {
            let wait = backoff.wait();
            assert!(
                wait >= nominal / 2 && wait <= nominal,
                "{wait:?} of {nominal:?}"
            );
            nominal = (nominal * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }

    #[test]
    fn the_seed_decides() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}

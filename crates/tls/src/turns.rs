//! When an address may make us shake hands: a handshake costs a signature and the
//! verification of another, which is more than it costs who asks for one.
//!
//! An address has so many at once, and then one after the other at a fixed pace: who
//! comes too early waits in its own place, and who would wait too long is turned away.
//! Nothing was computed for either. Others are not touched.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Addresses that are remembered, each for as long as it has handshakes to make up for.
/// Beyond that a new one is not slowed: an attacker with so many needs no pace.
const ADDRESSES_MAX: usize = 8_192;

/// How often an address may shake hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// At once, after a rest.
    pub at_once: u32,
    /// One more after each of these.
    pub each: Duration,
    /// Who would wait longer is turned away.
    pub wait_max: Duration,
}

impl Default for Pace {
    /// A hospital's screens behind one address come back after a restart within half a
    /// minute; a flood costs two hundredths of a processor.
    fn default() -> Self {
        Self {
            at_once: 500,
            each: Duration::from_millis(50),
            wait_max: Duration::from_secs(10),
        }
    }
}

/// Whose turn is when.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// When each address will have made up for all of its handshakes.
    even: BTreeMap<IpAddr, Instant>,
}

impl Turns {
    /// How long one from `address` has to wait; `None`: too long.
    pub(crate) fn take(&mut self, pace: &Pace, address: IpAddr, now: Instant) -> Option<Duration> {
        let even = self.even.get(&address).copied().unwrap_or(now).max(now);
        let ahead = pace.each.saturating_mul(pace.at_once.saturating_sub(1));
        let wait = even.saturating_duration_since(now).saturating_sub(ahead);
        if wait > pace.wait_max {
            return None;
        }
        if self.even.len() >= ADDRESSES_MAX {
            self.even.retain(|_, even| *even > now);
        }
        if self.even.len() < ADDRESSES_MAX || self.even.contains_key(&address) {
            self.even.insert(address, even + pace.each);
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        at_once: 3,
        each: Duration::from_millis(100),
        wait_max: Duration::from_millis(250),
    };

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[tokio::test]
    async fn a_flood_has_so_many_at_once_then_its_pace_and_others_are_not_touched() {
        let (mut turns, start) = (Turns::default(), Instant::now());
        let mut take = |of, ms| {
            let now = start + Duration::from_millis(ms);
            let wait = turns.take(&PACE, address(of), now);
            wait.map(|wait| wait.as_millis())
        };
        let first: Vec<_> = (0..7).map(|_| take(1, 0)).collect();
        let paced = [Some(0), Some(0), Some(0), Some(100), Some(200), None, None];
        assert_eq!(first, paced);
        assert_eq!(take(2, 0), Some(0), "another address");
        // Who was turned away takes nothing of those who come later.
        assert_eq!(take(1, 100), Some(200));
        assert_eq!(take(1, 100), None);
        // After a rest it has all of it again, and not more.
        let rested: Vec<_> = (0..4).map(|_| take(1, 60_000)).collect();
        assert_eq!(rested, [Some(0), Some(0), Some(0), Some(100)]);
    }

    #[tokio::test]
    async fn a_flood_of_addresses_takes_bounded_room() {
        let (mut turns, start) = (Turns::default(), Instant::now());
        for number in 0..20_000 {
            assert!(turns.take(&PACE, address(number), start).is_some());
        }
        assert_eq!(turns.even.len(), ADDRESSES_MAX);
        let later = start + Duration::from_secs(1);
        assert!(turns.take(&PACE, address(20_001), later).is_some());
        assert_eq!(turns.even.len(), 1, "those who are even are forgotten");
    }
}

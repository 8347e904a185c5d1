//! How much of one gateway is taken. A gateway that goes mad, or is not one, must not
//! take the time of the others.
//!
//! Each gateway has a budget that fills as time goes on; a publish costs its bytes,
//! unpacked, [`PUBLISH_BYTES`], and [`FRAME_BYTES`] for each of its frames. One that comes while there is
//! debt is refused unread. Nothing is lost by that: it stays in its spool and comes
//! again.

use crate::recent::Recent;
use enroute_model::ids::GatewayId;
use enroute_model::time::EngineTime;

/// What a second gives, in bytes. Everything that a monitor can have, 32 waveforms at
/// 500 samples a second and all numerics, is a 200th part of it; history that fills a
/// link of 20 Mbit/s, unpacked, is about a half. An engine that is fed with so much
/// takes a fifth to a half of one core.
pub(crate) const BYTES_PER_SECOND: i64 = 8 << 20;
/// What there is at most: a backlog of six hours with five waveforms comes at once.
pub(crate) const BYTES_MAX: i64 = 64 << 20;
/// What a publish costs beside its bytes: 2,048 of them in a second, for ever. A gateway
/// in real time makes about three, and history comes many frames at once.
const PUBLISH_BYTES: usize = 4 << 10;
/// What a frame costs beside its bytes: its record, its order, its receipt.
const FRAME_BYTES: usize = 256;

/// What is on the live lane costs so many times as much: it comes a moment at a time and
/// never as a backlog, and stands before the live frames of others.
pub(crate) const LIVE: usize = 4;

/// Budgets by gateway; those heard of longest ago are forgotten, and begin anew.
#[derive(Debug)]
pub(crate) struct Rates(Recent<GatewayId, Budget>);

#[derive(Clone, Copy, Debug)]
struct Budget {
    bytes: i64,
    at: EngineTime,
}

impl Rates {
    pub(crate) fn new(gateways_max: usize) -> Self {
        Self(Recent::new(gateways_max))
    }

    /// Whether a publish of this gateway may be read.
    pub(crate) fn allows(&mut self, gateway: &GatewayId, now: EngineTime) -> bool {
        let Some(budget) = self.0.get(gateway) else {
            return true;
        };
        budget.fill(now);
        budget.bytes > 0
    }

    /// Counts a publish that was read: its frames and their bytes, by the weight of its
    /// lane.
    pub(crate) fn spend(
        &mut self,
        gateway: &GatewayId,
        now: EngineTime,
        (frames, bytes): (usize, usize),
        weight: usize,
    ) {
        let cost = frames.saturating_mul(FRAME_BYTES).saturating_add(bytes);
        let cost = cost.saturating_add(PUBLISH_BYTES).saturating_mul(weight);
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        if let Some(budget) = self.0.get(gateway) {
            budget.fill(now);
            budget.bytes = budget.bytes.saturating_sub(cost);
        } else {
            let bytes = BYTES_MAX.saturating_sub(cost);
            self.0.put(gateway.clone(), Budget { bytes, at: now });
        }
    }
}

impl Budget {
    fn fill(&mut self, now: EngineTime) {
        let passed = now.since(self.at).scaled(BYTES_PER_SECOND, 1_000_000);
        // A part of a byte is not lost by asking often.
        if passed.0 > 0 {
            self.bytes = self.bytes.saturating_add(passed.0).min(BYTES_MAX);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn gateway(id: &str) -> GatewayId {
        GatewayId::new(id).unwrap()
    }

    /// Publishes of a mebibyte that are taken, offered as fast as can be for so long.
    fn taken(rates: &mut Rates, from: i64, seconds: i64) -> i64 {
        let mut taken = 0;
        for millis in 0..seconds * 1_000 {
            let now = EngineTime(from + millis * 1_000);
            if rates.allows(&gateway("gw-1"), now) {
                rates.spend(&gateway("gw-1"), now, (0, 1 << 20), 1);
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn a_flood_gets_what_the_budget_gives_and_no_more() {
        let mut rates = Rates::new(16);
        // The whole budget, and what ten seconds add; one may be begun with a byte.
        assert!((143..=145).contains(&taken(&mut rates, 0, 10)));
        assert!((79..=81).contains(&taken(&mut rates, 10 * SECOND, 10)));
        // After a pause there is a budget again, and not more than one.
        assert!((71..=73).contains(&taken(&mut rates, 3_600 * SECOND, 1)));
    }

    #[test]
    fn a_flood_of_the_smallest_publishes_is_one_too() {
        let mut rates = Rates::new(16);
        let mut taken = 0;
        for micros in 0..10 * SECOND / 10 {
            let now = EngineTime(micros * 10);
            if rates.allows(&gateway("gw-1"), now) {
                rates.spend(&gateway("gw-1"), now, (1, 50), 1);
                taken += 1;
            }
        }
        // The whole budget, and what ten seconds add, at some 4,400 bytes each.
        assert!((34_000..=35_500).contains(&taken), "{taken}");
    }

    #[test]
    fn another_gateway_does_not_notice() {
        let mut rates = Rates::new(16);
        rates.spend(&gateway("gw-1"), EngineTime(0), (4_096, 200 << 20), 1);
        assert!(!rates.allows(&gateway("gw-1"), EngineTime(0)));
        assert!(rates.allows(&gateway("gw-2"), EngineTime(0)));
    }

    /// Six hours of five waveforms as they come out of a spool, then all that a
    /// monitor can have.
    #[test]
    fn an_honest_gateway_never_meets_it() {
        let mut rates = Rates::new(16);
        let hours = 6 * 3_600;
        for _ in 0..hours / 30 {
            assert!(rates.allows(&gateway("gw-1"), EngineTime(0)));
            rates.spend(
                &gateway("gw-1"),
                EngineTime(0),
                (30 * 3, 30 * (5 * 360 + 256)),
                1,
            );
        }
        for second in 60..120 {
            let now = EngineTime(second * SECOND);
            assert!(rates.allows(&gateway("gw-1"), now));
            rates.spend(&gateway("gw-1"), now, (8, 32 * 500 * 2 + 1_000), LIVE);
        }
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut rates = Rates::new(16);
        rates.spend(&gateway("gw-1"), EngineTime(5 * SECOND), (0, 65 << 20), 1);
        assert!(!rates.allows(&gateway("gw-1"), EngineTime(0)));
        assert!(!rates.allows(&gateway("gw-1"), EngineTime(5 * SECOND)));
        assert!(rates.allows(&gateway("gw-1"), EngineTime(6 * SECOND)));
    }
}

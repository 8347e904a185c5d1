//! How many transfers may be in memory, how soon those that have ended leave it, and
//! what becomes of those for which there is no room.

use crate::faults::Fault;
use crate::rng::Rng;
use crate::world::{Event, FAULTS_END, World};
use bytes::Bytes;
use enroute_live::Options;
use enroute_model::time::Span;

/// Drawn apart, so that the rest of a seed's world stays what it was.
pub(crate) fn draw(seed: u64, options: &mut Options) -> Rng {
    let mut rng = Rng::new(!seed);
    let plenty = options.transfers_max;
    options.transfers_max = [plenty, plenty, 1, 2][rng.below(4)];
    let usual = options.sleep_after;
    options.sleep_after = [usual, Span::ZERO, Span::from_secs(6)][rng.below(3)];
    rng
}

impl World {
    /// Some crews go on to the next transfer early, so that the one before it sleeps
    /// and is woken by what comes late.
    pub(crate) fn plan_sleep(&mut self) {
        for number in 0..self.gateways.len() {
            if self.sleeps.chance(40) {
                let at = self.sleeps.between(6_000_000, FAULTS_END - 15_000_000);
                self.at(at, Event::Fault(Fault::NextLeg(number)));
            }
        }
    }

    /// The operator raises the limit, which takes a restart.
    pub(crate) fn make_room(&mut self) {
        let plenty = Options::default().transfers_max;
        if self.live_options.transfers_max < plenty {
            self.live_options.transfers_max = plenty;
            self.crash_server();
        }
    }

    /// A publish was refused for want of room: it may be acknowledged, and no receipt
    /// may cover what is in it until it comes again.
    pub(crate) fn had_no_room(&mut self, topic: &str, payload: &Bytes) {
        let max = self.live_options.transfers_max;
        assert!(max < 10, "refused, and {max} are allowed");
        self.tally.add("publishes refused for want of room", 1);
        self.model.refused(topic, payload);
    }
}

//! A gateway goes from one transfer to the next, or gets another disk.

use crate::gateway::transfer_id;
use crate::world::World;
use enroute_model::frame::{Body, CrewEvent};

impl World {
    /// The crew ends the transfer and begins the next one, which somebody watches.
    pub(crate) fn next_leg(&mut self, number: usize) {
        let it = &self.gateways[number];
        if it.on.is_none() || it.next_leg.is_some() {
            return;
        }
        self.tally.add("transfers ended by the crew", 1);
        self.record(number, vec![Body::Crew(CrewEvent::End)]);
        let it = &mut self.gateways[number];
        let next = transfer_id(number, it.transfers.len() + 1);
        it.next_leg = Some(next.clone());
        self.begin_leg(number, &next);
        self.tell_transfer(number);
    }

    /// Its disk is gone, and with it what no receipt covered.
    pub(crate) fn lose_spool(&mut self, number: usize) {
        self.power_off(number);
        self.forget_all_unwritten(number);
        let dir = &self.gateways[number].config.spool.dir;
        if std::fs::remove_dir_all(dir).is_ok() {
            self.tally.add("spools lost", 1);
        }
        let lines = self.model.produced.keys();
        let lost: Vec<_> = lines.filter(|line| line.0 == number).copied().collect();
        self.model.disk_lost.extend(lost);
    }
}

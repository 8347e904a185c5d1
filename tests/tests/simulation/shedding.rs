//! A full spool gives up waveforms before numerics before events, and of each the
//! oldest first. Looked at are frames that never left: others may wait in the
//! broker while their spool gives them up.

use crate::model::{Line, stream_number};
use crate::world::World;
use enroute_model::ids::Stream;
use enroute_wire::v1;

/// A moment at which a spool gave up frames.
pub(crate) struct Shedding {
    gateway: usize,
    /// The gateway's clock.
    at_us: i64,
    /// Frames that were nowhere else, with the order in which they were produced.
    open: Vec<(Line, u64, u64)>,
}

impl World {
    /// Frames of a gateway that nobody else has.
    pub(crate) fn open_on_board(&self, gateway: usize) -> Vec<(Line, u64, u64)> {
        let open = self.model.open_frames();
        let open = open
            .filter(|(line, sequence)| line.0 == gateway && !self.model.has_left(*line, *sequence));
        let all =
            open.map(|(line, sequence)| (line, sequence, self.model.order[&(line, sequence)]));
        all.collect()
    }

    pub(crate) fn note_shedding(&mut self, gateway: usize, open: Vec<(Line, u64, u64)>) {
        let at_us = self.gateways[gateway].wall.at(self.now);
        self.sheddings.push(Shedding {
            gateway,
            at_us,
            open,
        });
    }

    pub(crate) fn the_least_went_first(&self) {
        for (line, given) in &self.model.journal.shed {
            let full = given
                .iter()
                .filter(|it| it.cause == v1::GapCause::SpoolFull);
            for it in full {
                let mut moments = self.sheddings.iter();
                let moment = moments.find(|m| m.gateway == line.0 && m.at_us == it.captured_at);
                let Some(moment) = moment else { continue };
                // One that its disk took without saying so.
                let Some(first) = self.model.order.get(&(*line, it.first)) else {
                    continue;
                };
                for (other, sequence, order) in &moment.open {
                    let older = other.2 == line.2 && order < first;
                    if older || worth(other.2) < worth(line.2) {
                        let went = self.model.journal.given_up(*other, *sequence).is_some()
                            || self.model.disk_lost.contains(other);
                        assert!(went, "{line:?} {it:?} went before {other:?} {sequence}");
                    }
                }
            }
        }
    }
}

/// The more, the longer it is kept.
fn worth(stream: i32) -> u8 {
    match stream {
        it if it == stream_number(Stream::Waveforms) => 0,
        it if it == stream_number(Stream::Numerics) => 1,
        _ => 2,
    }
}

//! What a link report says of the spool.

use super::{Life, Spool, StreamLife};
use enroute_model::frame::StreamReport;
use enroute_model::ids::{Epoch, Stream};
use enroute_wire::limits::LINK_STREAMS_MAX;

impl Spool {
    /// What was produced in this life, and in earlier ones that still hold
    /// frames which no receipt covers, or may have to declare some: the server
    /// takes a life that is no longer named as lost. What was sent is not counted.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamReport> {
        let now = Stream::ALL.map(|stream| (self.epoch, stream));
        let before = self.lives.iter();
        let before = before.filter(|(life, entry)| life.0 != self.epoch && entry.matters());
        now.into_iter()
            .chain(before.map(|(life, _)| *life))
            .take(LINK_STREAMS_MAX)
            .map(|life| self.report(life))
            .collect()
    }

    fn report(&self, life: StreamLife) -> StreamReport {
        let (epoch, stream) = life;
        StreamReport {
            epoch,
            stream,
            produced: self.lives.get(&life).map_or(0, Life::last),
            sent: None,
            leg_first: self.leg_first(epoch, stream),
        }
    }

    /// Where the leg that goes on, or ended last, begins in a life of the spool.
    fn leg_first(&self, epoch: Epoch, stream: Stream) -> Option<u64> {
        let now = self.legs.last()?;
        let same = |leg: &&super::Leg| leg.epoch == epoch && leg.transfer == now.transfer;
        self.legs.iter().rfind(same).map(|leg| leg.first(stream))
    }
}

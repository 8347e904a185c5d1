//! What a recording holds and when each of it was captured, from its headers.
//!
//! A frame's moment is its gateway's monotonic clock, which no one sets, put on
//! the server's by the shortest way that one of the first 1,000 live frames of the
//! same start of the gateway took: of the first ones, so that what comes later moves
//! nothing. A start of which nothing came live is placed by its wall clock, less the
//! difference that it states. So a clock that was set, or a link that was slow, moves
//! nothing against its neighbours.

use crate::replay::source::Recorded;
use enroute_journal::Stored;
use enroute_model::frame::Header;
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, StreamKey};
use enroute_model::ranges::RangeSet;
use enroute_model::record::Entry;
use enroute_model::registry::RegistryAction;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Live frames of a start that say how far its clock is from the server's.
const TRUSTED: u32 = 1_000;

/// One start of a gateway.
type Life = (GatewayId, Epoch, u32);

/// What is known of the clock of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Clock {
    /// Which start this is, in the order in which they were first heard.
    number: u32,
    /// Live frames that were looked at.
    live: u32,
    /// Least time from its monotonic clock to the server's, of live frames.
    shortest: Option<i64>,
    /// The same by its wall clock, of the first frame.
    stated: i64,
    /// Its earliest frame, by its monotonic clock.
    earliest: i64,
}

impl Clock {
    fn shift(&self) -> Span {
        Span(self.shortest.unwrap_or(self.stated))
    }
}

/// A record of the recording. Ordered as they are played, given equal moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Number of the start; those without one come first.
    life: Option<u32>,
    /// By the start's monotonic clock; without a start when it was received.
    raw: i64,
    stream: Option<Stream>,
    sequence: u64,
    pub(crate) position: Position,
}

/// What was seen so far: deterministic, whether it was read at once or bit by bit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survey {
    lives: BTreeMap<Life, Clock>,
    seen: BTreeMap<StreamKey, RangeSet>,
}

/// The clocks of all starts by their numbers: when a place was captured.
pub(crate) struct Clocks(Vec<Clock>);

impl Clocks {
    pub(crate) fn at(&self, place: &Place) -> EngineTime {
        let clock = place.life.and_then(|life| self.get(life));
        EngineTime(place.raw).plus(clock.map_or(Span::ZERO, Clock::shift))
    }

    fn get(&self, life: u32) -> Option<&Clock> {
        self.0.get(usize::try_from(life).ok()?)
    }

    /// From when on these put frames elsewhere than `before`; `None`: nowhere.
    pub(crate) fn moved_since(&self, before: &Self) -> Option<EngineTime> {
        let moved = before.0.iter().zip(&self.0);
        let moved = moved.filter(|(was, is)| was.shift() != is.shift());
        let from =
            moved.map(|(was, is)| was.shift().min(is.shift()).0.saturating_add(was.earliest));
        from.min().map(EngineTime)
    }
}

impl Survey {
    pub(crate) fn clocks(&self) -> Clocks {
        let mut clocks: Vec<_> = self.lives.values().copied().collect();
        clocks.sort_unstable_by_key(|clock| clock.number);
        Clocks(clocks)
    }

    /// One more record, in the order of arrival; its place, if it has one in the
    /// order of capture.
    pub(crate) fn add(&mut self, recorded: &Recorded, stored: &Stored) -> Option<Place> {
        let place = Place {
            life: None,
            raw: stored.at.0,
            stream: None,
            sequence: 0,
            position: stored.position,
        };
        match recorded.decode(stored).entry {
            Entry::Frame {
                gateway,
                lane,
                frame,
                ..
            } => self.frame((gateway, lane, &frame.header), stored.at, place),
            Entry::Registry { action, .. } if stored.transfer == recorded.transfer => {
                is_kept(&action).then_some(place)
            }
            Entry::RuleBook { .. } if stored.transfer == recorded.transfer => Some(place),
            Entry::Registry { .. }
            | Entry::Presence { .. }
            | Entry::Unrecorded(_)
            | Entry::Rejected { .. }
            | Entry::RuleBook { .. }
            | Entry::Poisoned { .. } => None,
        }
    }

    /// The place of a frame that was not seen before.
    fn frame(
        &mut self,
        (gateway, lane, header): (GatewayId, Lane, &Header),
        at: EngineTime,
        place: Place,
    ) -> Option<Place> {
        let key = StreamKey {
            gateway: gateway.clone(),
            epoch: header.epoch,
            stream: header.stream,
        };
        let sequences = self.seen.entry(key).or_default();
        if !sequences.insert(header.sequence, header.sequence) {
            return None;
        }
        let raw = header.monotonic.0;
        let number = u32::try_from(self.lives.len()).unwrap_or(u32::MAX);
        let life = self.lives.entry((gateway, header.epoch, header.boot));
        let clock = life.or_insert_with(|| Clock {
            number,
            live: 0,
            shortest: None,
            stated: stated(header),
            earliest: raw,
        });
        clock.earliest = clock.earliest.min(raw);
        if lane == Lane::Live && clock.live < TRUSTED {
            clock.live = clock.live.saturating_add(1);
            let took = at.0.saturating_sub(raw);
            clock.shortest = Some(clock.shortest.map_or(took, |least| least.min(took)));
        }
        Some(Place {
            life: Some(clock.number),
            raw,
            stream: Some(header.stream),
            sequence: header.sequence,
            ..place
        })
    }
}

/// From the monotonic clock to the server's, as the gateway says.
fn stated(header: &Header) -> i64 {
    let ahead = header.clocks.and_then(|clocks| clocks.gateway);
    let ahead = ahead.map_or(0, |gateway| gateway.offset.0);
    let wall = header.captured_at.0.saturating_sub(ahead);
    wall.saturating_sub(header.monotonic.0)
}

/// What people did about the alerts of the other course is not of this one.
fn is_kept(action: &RegistryAction) -> bool {
    match action {
        RegistryAction::JoinInto(_) | RegistryAction::Alert { .. } => false,
        RegistryAction::Put(_)
        | RegistryAction::HandOverTo(_)
        | RegistryAction::SetBaseline { .. }
        | RegistryAction::NoteToCrew(_)
        | RegistryAction::ReadNotes { .. }
        | RegistryAction::Close
        | RegistryAction::Reopen
        | RegistryAction::SetLimits { .. }
        | RegistryAction::AutoLimits { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::time::GatewayTime;

    /// A frame of this second, received at that one.
    fn came(survey: &mut Survey, second: i64, received: i64) {
        let header = Header {
            epoch: Epoch(1),
            stream: Stream::Numerics,
            sequence: second.unsigned_abs(),
            leg_first: 1,
            captured_at: GatewayTime(0),
            observed_at: None,
            boot: 1,
            monotonic: Span::from_secs(second),
            clocks: None,
            exercise: false,
        };
        let place = Place {
            life: None,
            raw: 0,
            stream: None,
            sequence: 0,
            position: Position(0),
        };
        let gateway = GatewayId::new("gw").unwrap();
        let frame = (gateway, Lane::Live, &header);
        let at = EngineTime(0).plus(Span::from_secs(received));
        assert!(survey.frame(frame, at, place).is_some());
    }

    #[test]
    fn a_clock_known_better_moves_all_of_its_start_until_it_is_trusted() {
        let mut survey = Survey::default();
        came(&mut survey, 10, 17);
        let slow = survey.clocks();
        came(&mut survey, 20, 22);
        let fast = survey.clocks();
        let first = EngineTime(0).plus(Span::from_secs(12));
        assert_eq!(fast.moved_since(&slow), Some(first));
        for second in 0..i64::from(TRUSTED) {
            came(&mut survey, 100 + second, 103 + second);
        }
        assert_eq!(survey.clocks().moved_since(&fast), None);
        came(&mut survey, 5_000, 5_000);
        assert_eq!(survey.clocks().moved_since(&fast), None);
    }
}

//! A recording in the order of its capture: what would have been seen had every
//! frame come at once, and once.
//!
//! A frame's moment is its gateway's monotonic clock, which no one sets, put on
//! the server's by the shortest way that a live frame of the same start of the
//! gateway took. A start of which nothing came live is placed by its wall clock,
//! less the difference that it states. So a clock that was set, or a link that
//! was slow, moves nothing against its neighbours.
//!
//! What the link did is left out: presence, refused publishes, the interval that a
//! thin link declares. So is what people did about the alerts of the other course,
//! and joins: all parts are one transfer from the start.

use crate::directory::Directory;
use crate::replay::PlayError;
use crate::replay::course::Course;
use crate::replay::source::{Recorded, Source, Taken};
use enroute_journal::{Classes, ReadError, Scan, Stored};
use enroute_model::frame::{Body, CrewEvent, Frame, Header};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, StreamKey};
use enroute_model::ranges::RangeSet;
use enroute_model::record::{Entry, Record};
use enroute_model::registry::RegistryAction;
use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;

/// Frames and entries of one recording that can be ordered: at five a second, four
/// and a half days; 96 MB.
const PLACES_MAX: usize = 2_000_000;
/// Records read past the one that was wanted; more, and it is read from anew.
const PAST_MAX: u64 = 256;
/// Of those, so many are kept.
const KEPT_MAX: usize = 1_024;

/// One start of a gateway.
type Life = (GatewayId, Epoch, u32);

/// What is known of the clock of a start.
#[derive(Clone, Copy, Default)]
struct Clock {
    /// Least time from its monotonic clock to the server's, of live frames.
    shortest: Option<i64>,
    /// The same by its wall clock, of the first frame.
    stated: i64,
}

/// A record to come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: EngineTime,
    /// Index of the life; those without one come first.
    life: Option<u32>,
    stream: Option<Stream>,
    sequence: u64,
    position: Position,
    member: u16,
}

/// The records in the order of their capture.
pub(crate) struct DeviceOrder {
    recorded: Recorded,
    places: Vec<Place>,
    next: usize,
    shelf: Shelf,
}

impl DeviceOrder {
    pub(crate) fn new(recorded: Recorded) -> Result<Self, PlayError> {
        let mut survey = Survey::default();
        let mut merge = recorded.merge(Position(0));
        loop {
            match merge.next() {
                Some(Ok(stored)) => survey.add(&recorded, &stored),
                // As good as one that was never there.
                Some(Err(ReadError::Record { .. })) => {}
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
            if survey.places.len() > PLACES_MAX {
                return Err(PlayError::TooLong { max: PLACES_MAX });
            }
        }
        Ok(Self {
            recorded,
            places: survey.ordered(),
            next: 0,
            shelf: Shelf::default(),
        })
    }

    /// The record as it would have been.
    fn corrected(&self, stored: &Stored, at: EngineTime) -> Taken {
        let mut taken = self.recorded.taken(stored);
        let record = &mut taken.record;
        record.at = at;
        record.transfer = self.recorded.transfer.clone();
        if let Entry::Frame { lane, frame, .. } = &mut record.entry {
            *lane = Lane::Live;
            without_link(frame);
        }
        taken
    }
}

fn without_link(frame: &mut Frame) {
    match &mut frame.body {
        Body::Link(report) => report.numerics_interval = Span::ZERO,
        body @ Body::Crew(CrewEvent::Join { .. }) => *body = Body::Unknown,
        Body::Numerics(_)
        | Body::Waveforms(_)
        | Body::DeviceAlarms(_)
        | Body::Position(_)
        | Body::Crew(_)
        | Body::Shed(_)
        | Body::Unknown => {}
    }
}

impl Source for DeviceOrder {
    fn next(&mut self) -> Result<Option<Taken>, ReadError> {
        while let Some(place) = self.places.get(self.next).copied() {
            self.next = self.next.saturating_add(1);
            if let Some(stored) = self.shelf.read(&self.recorded, place)? {
                let mut taken = self.corrected(&stored, place.at);
                taken.place = u64::try_from(self.next).unwrap_or(u64::MAX);
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    fn seek(&mut self, after: u64) {
        self.next = usize::try_from(after).unwrap_or(usize::MAX);
    }

    fn refresh(&mut self) -> Result<(), ReadError> {
        Ok(())
    }

    fn bounds(&self) -> (EngineTime, EngineTime) {
        let at = |place: Option<&Place>| place.map_or(EngineTime(0), |place| place.at);
        (at(self.places.first()), at(self.places.last()))
    }

    fn stored(&self, _: EngineTime) -> Result<Option<(u64, Course)>, ReadError> {
        Ok(None)
    }

    fn directory(&self) -> Directory {
        self.recorded.directory.clone()
    }
}

/// What there is, before its moments are known.
#[derive(Default)]
struct Survey {
    /// Their time is the monotonic clock's where there is a life.
    places: Vec<Place>,
    lives: BTreeMap<Life, (u32, Clock)>,
    seen: BTreeMap<StreamKey, RangeSet>,
}

impl Survey {
    fn add(&mut self, recorded: &Recorded, stored: &Stored) {
        let member = recorded
            .members
            .iter()
            .position(|id| *id == stored.transfer);
        let Some(member) = member.and_then(|index| u16::try_from(index).ok()) else {
            return;
        };
        let Record { entry, .. } = recorded.decode(stored);
        let mut place = Place {
            at: stored.at,
            life: None,
            stream: None,
            sequence: 0,
            position: stored.position,
            member,
        };
        match entry {
            Entry::Frame {
                gateway,
                lane,
                frame,
                ..
            } => {
                let header = &frame.header;
                let Some(life) = self.frame(gateway, lane, header, stored.at) else {
                    return;
                };
                place.life = Some(life);
                place.at = EngineTime(header.monotonic.0);
                place.stream = Some(header.stream);
                place.sequence = header.sequence;
            }
            Entry::Registry { action, .. } if stored.transfer == recorded.transfer => {
                match action {
                    RegistryAction::JoinInto(_) | RegistryAction::Alert { .. } => return,
                    RegistryAction::Put(_)
                    | RegistryAction::HandOverTo(_)
                    | RegistryAction::SetBaseline { .. }
                    | RegistryAction::NoteToCrew(_)
                    | RegistryAction::ReadNotes { .. }
                    | RegistryAction::Close
                    | RegistryAction::Reopen
                    | RegistryAction::SetLimits { .. }
                    | RegistryAction::AutoLimits { .. } => {}
                }
            }
            Entry::RuleBook { .. } if stored.transfer == recorded.transfer => {}
            Entry::Registry { .. }
            | Entry::Presence { .. }
            | Entry::Unrecorded(_)
            | Entry::Rejected { .. }
            | Entry::RuleBook { .. }
            | Entry::Poisoned { .. } => return,
        }
        self.places.push(place);
    }

    /// The life of a frame that was not seen before.
    fn frame(
        &mut self,
        gateway: GatewayId,
        lane: Lane,
        header: &Header,
        at: EngineTime,
    ) -> Option<u32> {
        let key = StreamKey {
            gateway: gateway.clone(),
            epoch: header.epoch,
            stream: header.stream,
        };
        let sequences = self.seen.entry(key).or_default();
        if !sequences.insert(header.sequence, header.sequence) {
            return None;
        }
        let number = u32::try_from(self.lives.len()).unwrap_or(u32::MAX);
        let ahead = header.clocks.and_then(|clocks| clocks.gateway);
        let ahead = ahead.map_or(0, |gateway| gateway.offset.0);
        let life = self.lives.entry((gateway, header.epoch, header.boot));
        let (number, clock) = life.or_insert_with(|| {
            let wall = header.captured_at.0.saturating_sub(ahead);
            let stated = wall.saturating_sub(header.monotonic.0);
            let shortest = None;
            (number, Clock { shortest, stated })
        });
        if lane == Lane::Live {
            let took = at.0.saturating_sub(header.monotonic.0);
            clock.shortest = Some(clock.shortest.map_or(took, |least| least.min(took)));
        }
        Some(*number)
    }

    fn ordered(mut self) -> Vec<Place> {
        let clocks: BTreeMap<u32, Clock> = self.lives.into_values().collect();
        for place in &mut self.places {
            if let Some(clock) = place.life.and_then(|life| clocks.get(&life)) {
                let shift = clock.shortest.unwrap_or(clock.stated);
                place.at = place.at.plus(Span(shift));
            }
        }
        self.places.sort_unstable();
        self.places
    }
}

/// Reads records that lie nearly in order: what was read past is kept for a while.
#[derive(Default)]
struct Shelf {
    scan: Option<(u16, Scan)>,
    /// The last position that the scan gave.
    at: Position,
    kept: BTreeMap<Position, Stored>,
}

impl Shelf {
    fn read(&mut self, recorded: &Recorded, place: Place) -> Result<Option<Stored>, ReadError> {
        if let Some(stored) = self.kept.remove(&place.position) {
            return Ok(Some(stored));
        }
        let ahead = place.position.0.checked_sub(self.at.0);
        let near = ahead.is_some_and(|ahead| (1..=PAST_MAX).contains(&ahead));
        let there = self
            .scan
            .as_ref()
            .is_some_and(|(of, _)| *of == place.member);
        if !near || !there {
            let Some(member) = recorded.members.get(usize::from(place.member)) else {
                return Ok(None);
            };
            self.at = Position(place.position.0.saturating_sub(1));
            let scan = recorded.reader.scan(member, Classes::All, self.at);
            self.scan = Some((place.member, scan));
        }
        while self.at < place.position {
            let Some(next) = self.scan.as_mut().and_then(|(_, scan)| scan.next()) else {
                return Ok(None);
            };
            let stored = match next {
                Ok(stored) => stored,
                Err(ReadError::Record { position, .. }) => {
                    self.at = position;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.at = stored.position;
            if stored.position == place.position {
                return Ok(Some(stored));
            }
            self.kept.insert(stored.position, stored);
            if self.kept.len() > KEPT_MAX {
                self.kept.pop_first();
            }
        }
        Ok(None)
    }
}

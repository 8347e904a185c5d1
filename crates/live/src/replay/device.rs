//! A recording in the order of its capture: what would have been seen had every
//! frame come at once, and once. When that was is found out in `survey.rs`.
//!
//! ```text
//!  ─ part ─┼─ part ─┼─ part ─┼───── tail ─────►   in the order of capture
//!  as the journal keeps it (`captured.rs`);   what came since, and all from the
//!  one part at a time is in memory            first place that it changes on
//! ```
//!
//! What the link did is left out: presence, refused publishes, the interval that a
//! thin link declares. So is what people did about the alerts of the other course,
//! and joins: all members are one transfer from the start.

use crate::directory::Directory;
use crate::replay::PlayError;
use crate::replay::captured::{self, Head, Part, Row};
use crate::replay::course::Course;
use crate::replay::shelf::Shelf;
use crate::replay::source::{Recorded, Source, Taken};
use crate::replay::survey::{Clocks, Place, Survey};
use enroute_journal::{ReadError, Stored};
use enroute_model::frame::{Body, CrewEvent, Frame};
use enroute_model::ids::{Lane, Position};
use enroute_model::record::Entry;
use enroute_model::time::{EngineTime, Span};

/// Places that are put in order at once: at five a second, four and a half days;
/// 112 MB.
const PLACES_MAX: usize = 2_000_000;

/// A place and its moment.
pub(crate) type Moment = (EngineTime, Place);

/// The records in the order of their capture.
pub(crate) struct DeviceOrder {
    recorded: Recorded,
    /// What is known of the records through this one.
    through: Position,
    survey: Survey,
    clocks: Clocks,
    parts: Vec<Part>,
    at_hand: Option<(usize, Vec<Moment>)>,
    /// Places before the tail.
    before_tail: u64,
    tail: Vec<Moment>,
    bounds: (EngineTime, EngineTime),
    next: u64,
    shelf: Shelf,
}

impl DeviceOrder {
    /// All that is recorded by now.
    pub(crate) fn new(recorded: Recorded) -> Result<Self, PlayError> {
        let all = Position(u64::MAX);
        match captured::head(&recorded)? {
            Some(head) => match Self::read(recorded.clone(), head, all)? {
                Some(order) => Ok(order),
                None => Self::anew(recorded, all),
            },
            None => Self::anew(recorded, all),
        }
    }

    /// Without what the journal keeps of the order.
    fn anew(recorded: Recorded, through: Position) -> Result<Self, PlayError> {
        let order = Self::read(recorded, Head::default(), through)?;
        order.ok_or(PlayError::TooLong { max: PLACES_MAX })
    }

    /// `None`: a part that the head names is not there.
    fn read(recorded: Recorded, head: Head, through: Position) -> Result<Option<Self>, PlayError> {
        let before = head.survey.clocks();
        let mut order = Self {
            recorded,
            through: head.through,
            clocks: head.survey.clocks(),
            survey: head.survey,
            parts: head.parts,
            at_hand: None,
            before_tail: head.count,
            tail: Vec::new(),
            bounds: (EngineTime(0), head.ends_at),
            next: 0,
            shelf: Shelf::default(),
        };
        let mut places = order.newer(through)?;
        order.clocks = order.survey.clocks();
        let since = places.iter().map(|place| order.clocks.at(place));
        let since = since.chain(order.clocks.moved_since(&before)).min();
        if let Some(since) = since
            && !order.reopen(since, &mut places)?
        {
            return Ok(None);
        }
        let moments = places
            .into_iter()
            .map(|place| (order.clocks.at(&place), place));
        order.tail = moments.collect();
        order.tail.sort_unstable();
        let first = order.parts.first().map(|part| part.starts_at);
        let tail = order.tail.first().zip(order.tail.last());
        if let Some(((starts, _), (ends, _))) = tail {
            order.bounds = (first.unwrap_or(*starts).min(*starts), *ends);
        } else if let Some(first) = first {
            order.bounds.0 = first;
        }
        Ok(Some(order))
    }

    /// The places of the records behind those that are known, through `through`.
    fn newer(&mut self, through: Position) -> Result<Vec<Place>, PlayError> {
        let mut places = Vec::new();
        for stored in self.recorded.merge(self.through) {
            match stored {
                Ok(stored) if stored.position > through => break,
                Ok(stored) => {
                    self.through = stored.position;
                    places.extend(self.survey.add(&self.recorded, &stored));
                }
                // As good as one that was never there.
                Err(ReadError::Record { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if places.len() > PLACES_MAX {
                return Err(PlayError::TooLong { max: PLACES_MAX });
            }
        }
        Ok(places)
    }

    /// Something is new from `since` on: parts behind it are kept no longer, and
    /// the places from the last one on belong to the tail. `false`: one is missing.
    fn reopen(&mut self, since: EngineTime, places: &mut Vec<Place>) -> Result<bool, ReadError> {
        let hold = self.parts.partition_point(|part| part.starts_at < since);
        let last = hold.max(1).saturating_sub(1);
        for number in last..self.parts.len() {
            let Some(row) = self.row(number)? else {
                return Ok(false);
            };
            places.extend(row.places);
        }
        if let Some(part) = self.parts.get(last) {
            self.before_tail = part.first;
        }
        self.parts.truncate(hold.max(1));
        Ok(true)
    }

    fn row(&self, number: usize) -> Result<Option<Row>, ReadError> {
        let part = self.parts.get(number);
        part.map_or(Ok(None), |part| captured::row(&self.recorded, number, part))
    }

    /// The place with this number.
    fn moment(&mut self, number: u64) -> Result<Option<Moment>, ReadError> {
        let within = |first: u64| usize::try_from(number.saturating_sub(first)).ok();
        if number >= self.before_tail {
            let index = within(self.before_tail);
            return Ok(index.and_then(|index| self.tail.get(index)).copied());
        }
        let behind = self.parts.partition_point(|part| part.first <= number);
        let index = behind.saturating_sub(1);
        if self
            .at_hand
            .as_ref()
            .is_none_or(|(at_hand, _)| *at_hand != index)
        {
            let Some(row) = self.row(index)? else {
                self.forget_parts()?;
                return self.moment(number);
            };
            let moments = row.places.into_iter();
            let moments = moments.map(|place| (self.clocks.at(&place), place));
            self.at_hand = Some((index, moments.collect()));
        }
        let first = self.parts.get(index).map_or(0, |part| part.first);
        let moments = self.at_hand.as_ref().map(|(_, moments)| moments);
        let moment = moments.and_then(|moments| moments.get(within(first)?));
        Ok(moment.copied())
    }

    /// A part was damaged or written anew since: the same order comes of the records.
    fn forget_parts(&mut self) -> Result<(), ReadError> {
        let order = match Self::anew(self.recorded.clone(), self.through) {
            Ok(order) => order,
            Err(PlayError::Read(error)) => return Err(error),
            Err(error) => return Err(ReadError::Store(error.to_string().into())),
        };
        *self = Self {
            next: self.next,
            ..order
        };
        Ok(())
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

    /// The record of this moment; `None`: it does not read any more.
    pub(crate) fn take(&mut self, (at, place): Moment) -> Result<Option<Taken>, ReadError> {
        let stored = self.shelf.read(&self.recorded, place.position)?;
        Ok(stored.map(|stored| self.corrected(&stored, at)))
    }

    /// Nothing came that the journal does not keep.
    pub(crate) fn is_kept(&self) -> bool {
        self.tail.is_empty()
    }

    /// What the journal does not keep yet: the parts that stay, the tail, and the course
    /// at its start; see [`captured::keep`].
    pub(crate) fn unkept(&mut self) -> Result<(Head, Vec<Moment>, Course), ReadError> {
        let last = self.parts.len().checked_sub(1);
        let row = last.map_or(Ok(None), |last| self.row(last))?;
        let course = row.and_then(|row| row.course(&self.recorded));
        if course.is_none() && last.is_some() {
            self.forget_parts()?;
        }
        let head = Head {
            through: self.through,
            survey: self.survey.clone(),
            parts: self.parts.clone(),
            count: self.before_tail,
            ends_at: self.bounds.1,
        };
        let course = course.unwrap_or_else(|| Course::new(self.directory()));
        Ok((head, std::mem::take(&mut self.tail), course))
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
        while let Some(moment) = self.moment(self.next)? {
            self.next = self.next.saturating_add(1);
            if let Some(mut taken) = self.take(moment)? {
                taken.place = self.next;
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    fn seek(&mut self, after: u64) {
        self.next = after;
    }

    fn refresh(&mut self) -> Result<(), ReadError> {
        Ok(())
    }

    fn bounds(&self) -> (EngineTime, EngineTime) {
        self.bounds
    }

    fn stored(&self, by: EngineTime) -> Result<Option<(u64, Course)>, ReadError> {
        let known = self.parts.partition_point(|part| part.course_at <= by);
        let Some(number) = known.checked_sub(1) else {
            return Ok(None);
        };
        let first = self.parts.get(number).map_or(0, |part| part.first);
        let row = self.row(number)?.filter(|_| first > 0);
        let course = row.and_then(|row| row.course(&self.recorded));
        Ok(course.map(|course| (first, course)))
    }

    fn directory(&self) -> Directory {
        self.recorded.directory.clone()
    }
}

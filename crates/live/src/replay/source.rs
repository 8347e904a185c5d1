//! Where a course's records come from: [`Source`], and the journal's order as one.

use crate::books;
use crate::core::{decoded, raised_at};
use crate::directory::Directory;
use crate::engines::Slot;
use crate::replay::course::Course;
use crate::snapshots::{Envelope, checkpoint_of, snapshot_of};
use bytes::Bytes;
use enroute_journal::{Class, Merge, ReadError, Reader, Stored};
use enroute_model::ids::{BookHash, Lane, Position, TransferId};
use enroute_model::record::{Entry, Record};
use enroute_model::time::EngineTime;
use std::collections::BTreeMap;

/// One record, in the order of its source.
pub(crate) struct Taken {
    /// Counts on with each record of the source, with holes.
    pub(crate) place: u64,
    pub(crate) record: Record,
    pub(crate) class: Class,
    /// The frame as its gateway wrote it, and the lane it took; empty for others.
    pub(crate) frame: Option<(Lane, Bytes)>,
}

/// The records of one recording in an order. Reads block.
pub(crate) trait Source: Send {
    /// The next record; `None`: there is none (yet).
    fn next(&mut self) -> Result<Option<Taken>, ReadError>;
    /// The next record will be the first behind this place.
    fn seek(&mut self, after: u64);
    /// Looks for records that came since it ended.
    fn refresh(&mut self) -> Result<(), ReadError>;
    /// The first record and the end of what is recorded.
    fn bounds(&self) -> (EngineTime, EngineTime);
    /// The newest stored course from `by` or before, and its place.
    fn stored(&self, by: EngineTime) -> Result<Option<(u64, Course)>, ReadError>;
    /// All transfers of the journal.
    fn directory(&self) -> Directory;
}

/// One transfer and what was joined to it.
#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) reader: Reader,
    /// The id it goes by, and all that its records lie under.
    pub(crate) transfer: TransferId,
    pub(crate) members: Vec<TransferId>,
    pub(crate) directory: Directory,
    poisons: BTreeMap<Position, String>,
}

impl Recorded {
    pub(crate) fn open(
        reader: &Reader,
        transfer: TransferId,
        members: Vec<TransferId>,
    ) -> Result<Self, ReadError> {
        let directory = Directory::of(reader)?;
        let marks = reader.poisons()?.into_iter();
        Ok(Self {
            reader: reader.clone(),
            transfer,
            members,
            directory,
            poisons: marks.map(|mark| (mark.position, mark.reason)).collect(),
        })
    }

    /// Poisoned records of the journal.
    pub(crate) fn poisoned(&self) -> usize {
        self.poisons.len()
    }

    pub(crate) fn merge(&self, after: Position) -> Merge {
        let starts = self.members.iter().map(|member| (member.clone(), after));
        self.reader.merge(&starts.collect::<Vec<_>>())
    }

    /// The record as the engine had it.
    pub(crate) fn decode(&self, stored: &Stored) -> Record {
        let poisoned = |reason: String| Entry::Poisoned { reason };
        let entry = match self.poisons.get(&stored.position) {
            Some(reason) => poisoned(reason.clone()),
            None => decoded(stored)
                .unwrap_or_else(|why| poisoned(format!("the record does not decode: {why}"))),
        };
        Record {
            position: stored.position,
            at: stored.at,
            received_at: stored.received_at,
            transfer: stored.transfer.clone(),
            entry,
        }
    }

    pub(crate) fn taken(&self, stored: &Stored) -> Taken {
        let record = self.decode(stored);
        let lane = match &record.entry {
            Entry::Frame { lane, .. } => Some(*lane),
            Entry::RuleBook { hash } => {
                self.learn(*hash);
                None
            }
            Entry::Presence { .. }
            | Entry::Registry { .. }
            | Entry::Unrecorded(_)
            | Entry::Rejected { .. }
            | Entry::Poisoned { .. } => None,
        };
        Taken {
            place: stored.position.0,
            class: stored.class,
            frame: lane.zip(enroute_wire::record::frame_in(&stored.payload)),
            record,
        }
    }

    /// A book that was stored since; the engines have the same shelf.
    fn learn(&self, hash: BookHash) {
        let books = &self.directory.books;
        if books.get(hash).is_none()
            && let Err(error) = books::learn(&self.reader, books)
        {
            tracing::warn!(%error, %hash, "a rule book cannot be read");
        }
    }

    /// Engine time of the last step that was stored, of ticks behind the last
    /// record too.
    fn last_step(&self) -> Result<Option<EngineTime>, ReadError> {
        let mut last = None;
        for member in &self.members {
            for row in self.reader.derived(member, 0) {
                match row {
                    Ok((_, bytes)) => last = last.max(raised_at(bytes)),
                    Err(ReadError::Record { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(last)
    }
}

/// The records in the order in which they were received.
pub(crate) struct Arrival {
    recorded: Recorded,
    merge: Merge,
    /// Given or skipped so far, and how far the merge looks.
    after: Position,
    through: Position,
    bounds: (EngineTime, EngineTime),
}

impl Arrival {
    pub(crate) fn new(recorded: Recorded) -> Result<Self, ReadError> {
        let (mut first, mut last) = (None, None);
        for member in &recorded.members {
            let ends = recorded.reader.ends(member)?;
            if let Some((from, to)) = ends {
                first = Some(first.map_or(from.at, |first: EngineTime| first.min(from.at)));
                last = last.max(Some(to.at));
            }
        }
        let last = last.max(recorded.last_step()?).unwrap_or_default();
        let through = recorded.reader.last_position();
        Ok(Self {
            merge: recorded.merge(Position(0)),
            recorded,
            after: Position(0),
            through,
            bounds: (first.unwrap_or(last), last),
        })
    }
}

impl Source for Arrival {
    fn next(&mut self) -> Result<Option<Taken>, ReadError> {
        for stored in self.merge.by_ref() {
            match stored {
                Ok(stored) => {
                    self.after = stored.position;
                    self.bounds.1 = self.bounds.1.max(stored.at);
                    return Ok(Some(self.recorded.taken(&stored)));
                }
                // As in a restart: as good as one that was never there.
                Err(ReadError::Record { .. }) => {}
                Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error),
            }
        }
        Ok(None)
    }

    fn seek(&mut self, after: u64) {
        self.after = Position(after);
        self.through = self.recorded.reader.last_position();
        self.merge = self.recorded.merge(self.after);
    }

    fn refresh(&mut self) -> Result<(), ReadError> {
        let last = self.recorded.reader.last_position();
        if last > self.through {
            let after = self.after.max(self.through);
            self.seek(after.0);
        }
        Ok(())
    }

    fn bounds(&self) -> (EngineTime, EngineTime) {
        self.bounds
    }

    /// One that holds all of the transfer's parts, or none: parts that are not in
    /// it would have to be run from another place.
    fn stored(&self, by: EngineTime) -> Result<Option<(u64, Course)>, ReadError> {
        let Recorded {
            reader,
            transfer,
            members,
            directory,
            ..
        } = &self.recorded;
        let books = &directory.books;
        let newest = snapshot_of(reader, books, transfer, reader.last_position())?;
        let found = match newest.filter(|(_, envelope, _)| envelope.at <= by) {
            Some(newest) => Some(newest),
            None => checkpoint_of(reader, books, transfer, by)?,
        };
        let whole = |envelope: &Envelope| {
            let in_it = |member: &TransferId| envelope.aliases.contains(member);
            members
                .iter()
                .all(|member| member == transfer || in_it(member))
        };
        let found = found.filter(|(_, envelope, _)| whole(envelope));
        let Some((position, envelope, engine)) = found else {
            return Ok(None);
        };
        let mut course = Course::new(self.directory());
        course.now = envelope.at;
        let mut slot = Slot::new(engine, position, envelope.at);
        slot.notes = envelope.notes;
        course.engines.insert(transfer, slot);
        for alias in envelope.aliases {
            course.engines.aliases.insert(alias, transfer.clone());
        }
        Ok(Some((position.0, course)))
    }

    fn directory(&self) -> Directory {
        self.recorded.directory.clone()
    }
}

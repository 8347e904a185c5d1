//! What will never come, said so: there was no room for it, the disk did not take
//! it or cannot give it back, or it was dropped after the server had it, and the server lost it.
//!
//! A shed record is a frame whose number is the last of the range it replaces.
//! The log takes only growing numbers, so the records are a note of their own (their
//! frames, as a batch), written before what they replace is dropped. A record that a
//! receipt covers stays, as a frame does, so that it can be said again.
//!
//! Records are few: beyond the most there may be, those that a receipt covers are
//! forgotten first. If none covers any, what can wait to be declared waits (what the
//! server lost, what the disk cannot give back); a spool that is full joins its
//! record with the one before where nothing on board lies between, and at the very
//! last the oldest record goes: the server then counts a gap without a cause.

use super::life::without;
use super::{Spool, SpoolError, StreamLife};
use bytes::Bytes;
use enroute_model::frame::{Body, Frame, GapCause, Header, Shed};
use enroute_model::ranges::RangeSet;
use enroute_model::time::GatewayTime;
use enroute_wire::{Message, frame as wire, v1};

/// Key of the note that holds the shed records.
pub(super) const NOTE: &str = "shed";
/// Most records; each is about 60 bytes of the note.
pub(super) const RECORDS_MAX: usize = 256;

/// Frames looked at to learn when a lost one was captured.
const CAPTURED_LOOKED_AT: usize = 16;

/// A range that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShedRecord {
    life: StreamLife,
    leg_first: u64,
    first: u64,
    last: u64,
    first_captured_at: GatewayTime,
    cause: GapCause,
    /// The frame that says so, encoded once: its identity has one content.
    frame: Bytes,
}

impl ShedRecord {
    fn of(frame: &Frame, encoded: Bytes) -> Option<Self> {
        let Body::Shed(shed) = &frame.body else {
            return None;
        };
        Some(Self {
            life: (frame.header.epoch, frame.header.stream),
            leg_first: frame.header.leg_first,
            first: shed.first,
            last: shed.last,
            first_captured_at: shed.first_captured_at,
            cause: shed.cause?,
            frame: encoded,
        })
    }

    /// The first and last number that it stands for.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.first, self.last)
    }

    pub(super) fn life(&self) -> StreamLife {
        self.life
    }

    pub(super) fn payload(&self) -> Bytes {
        self.frame.clone()
    }

    /// Whether the frames may still be on disk, after a crash between the note and
    /// the drop. What is damaged is better left alone.
    pub(super) fn may_remain(&self) -> bool {
        self.cause == GapCause::SpoolFull
    }
}

/// Reads the note.
pub(super) fn read(note: &[u8]) -> Result<Vec<ShedRecord>, SpoolError> {
    let batch = v1::Batch::decode(note).map_err(|error| damaged(&error))?;
    let record = |encoded: Bytes| {
        let frame = wire::decode(&encoded).map_err(|error| damaged(&error))?;
        ShedRecord::of(&frame, encoded).ok_or_else(|| damaged(&"another frame"))
    };
    batch.frame.into_iter().map(record).collect()
}

fn damaged(why: &dyn std::fmt::Display) -> SpoolError {
    SpoolError::Notes(format!("{NOTE}: {why}"))
}

impl Spool {
    /// Says, durably, that these numbers will never come.
    pub(super) fn declare(
        &mut self,
        life: StreamLife,
        lost: &RangeSet,
        cause: GapCause,
    ) -> Result<(), SpoolError> {
        for range in lost.iter() {
            for (from, to) in self.by_legs(life, range) {
                self.add_shed(life, (from, to), cause, None);
            }
        }
        self.note_given_up(life, lost.count(), cause)
    }

    /// The same of what can wait until there is room for a record of it. What is
    /// declared already is left out; gives what has to wait.
    pub(super) fn declare_with_room(
        &mut self,
        life: StreamLife,
        lost: &RangeSet,
        cause: GapCause,
    ) -> Result<RangeSet, SpoolError> {
        let (mut told, mut waits) = (0, RangeSet::default());
        for range in without(lost, &self.declared(life)).iter() {
            for (from, to) in self.by_legs(life, range) {
                self.forget_covered();
                if self.shed.len() < RECORDS_MAX {
                    self.add_shed(life, (from, to), cause, None);
                    told += to - from + 1;
                } else {
                    waits.insert(from, to);
                }
            }
        }
        if told > 0 {
            self.note_given_up(life, told, cause)?;
        }
        Ok(waits)
    }

    fn note_given_up(
        &mut self,
        life: StreamLife,
        frames: u64,
        cause: GapCause,
    ) -> Result<(), SpoolError> {
        match self.given_up.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count = count.saturating_add(frames),
            None => self.given_up.push((cause, frames)),
        }
        self.settle(life);
        self.write_shed()
    }

    /// The numbers that shed records stand for.
    fn declared(&self, life: StreamLife) -> RangeSet {
        let mut declared = RangeSet::default();
        for (_, record) in self.shed.range((life, 0)..=(life, u64::MAX)) {
            declared.insert(record.first, record.last);
        }
        declared
    }

    /// A range, cut where a leg ends: a record never crosses legs.
    fn by_legs(&self, life: StreamLife, (from, to): (u64, u64)) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut next = Some(from);
        while let Some(from) = next.filter(|from| *from <= to) {
            let end = self.leg_end(life.0, life.1, from).min(to);
            parts.push((from, end));
            next = end.checked_add(1);
        }
        parts
    }

    /// `since`: when the first of them was captured; none: look for it.
    pub(super) fn add_shed(
        &mut self,
        life: StreamLife,
        (from, to): (u64, u64),
        cause: GapCause,
        since: Option<GatewayTime>,
    ) {
        self.forget_covered();
        let (epoch, stream) = life;
        let leg_first = { self.leg_of(epoch, stream, from) }.map_or(1, |leg| leg.first(stream));
        let mut first = from;
        let mut first_captured_at = None;
        for key in self.to_absorb(life, (from, to), leg_first, cause) {
            if let Some(record) = self.shed.remove(&key)
                && record.first <= first
            {
                (first, first_captured_at) = (record.first, Some(record.first_captured_at));
            }
        }
        let first_captured_at = first_captured_at.or(since);
        let first_captured_at = first_captured_at.unwrap_or_else(|| self.captured_at(life, from));
        let body = Body::Shed(Shed {
            first,
            last: to,
            first_captured_at,
            cause: Some(cause),
        });
        let header = Header {
            epoch,
            stream,
            sequence: to,
            leg_first,
            captured_at: self.moment.captured_at,
            observed_at: None,
            boot: self.boot,
            monotonic: self.moment.monotonic,
            clocks: None,
            exercise: self.moment.exercise,
        };
        let frame = Frame { header, body };
        let encoded = Bytes::from(wire::encode(&frame));
        while self.shed.len() >= RECORDS_MAX && self.forget_oldest() {}
        if let Some(record) = ShedRecord::of(&frame, encoded) {
            self.shed.insert((life, to), record);
        }
    }

    /// The records that a new one takes the place of: those in its range, and the
    /// one before it, if it says the same and no receipt covers it; where records are
    /// many, also over numbers that the server has and that are not on board.
    fn to_absorb(
        &self,
        life: StreamLife,
        (from, to): (u64, u64),
        leg_first: u64,
        cause: GapCause,
    ) -> Vec<(StreamLife, u64)> {
        let inside = self.shed.range((life, from)..=(life, to));
        let mut keys: Vec<_> = inside.map(|(key, _)| *key).collect();
        let crowded = self.shed.len() >= RECORDS_MAX;
        if let Some((key, before)) = self.shed.range(..(life, from)).next_back() {
            let same_leg = key.0 == life && before.leg_first == leg_first;
            let between = (key.1.saturating_add(1), from.saturating_sub(1));
            let next = between.0 > between.1 || (crowded && self.is_off_board(life, between));
            if same_leg && before.cause == cause && next && !self.is_covered(*key) {
                keys.push(*key);
            }
        }
        keys
    }

    fn is_off_board(&self, life: StreamLife, (from, to): (u64, u64)) -> bool {
        let entry = self.lives.get(&life);
        entry.is_some_and(|entry| entry.evicted.missing(from, to).next().is_none())
    }

    /// What a receipt covers makes room for what none does.
    fn forget_covered(&mut self) {
        while self.shed.len() >= RECORDS_MAX {
            let covered = self.shed.keys().copied().find(|key| self.is_covered(*key));
            let Some(key) = covered else { return };
            self.forget(key);
        }
    }

    /// Of what is forgotten is known that it is not on board.
    fn forget(&mut self, key: (StreamLife, u64)) {
        if let Some(record) = self.shed.remove(&key)
            && let Some(entry) = self.lives.get_mut(&record.life)
        {
            entry.evicted.insert(record.first, record.last);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest = self.shed.iter().min_by_key(|(_, it)| it.first_captured_at);
        let Some(key) = oldest.map(|(key, _)| *key) else {
            return false;
        };
        tracing::error!(stream = ?key.0.1, last = key.1, "too many gaps: one is no longer declared");
        self.forget(key);
        self.settle(key.0);
        true
    }

    fn is_covered(&self, key: (StreamLife, u64)) -> bool {
        let (entry, record) = (self.lives.get(&key.0), self.shed.get(&key));
        let both = entry.zip(record);
        both.is_some_and(|(entry, record)| entry.covers(record.first, record.last))
    }

    /// Works out again which numbers need not be sent.
    pub(super) fn settle(&mut self, life: StreamLife) {
        let records = self.shed.range((life, 0)..=(life, u64::MAX));
        let records = records.map(|(_, record)| record);
        self.lives.entry(life).or_default().settle(records);
    }

    pub(super) fn write_shed(&mut self) -> Result<(), SpoolError> {
        let batch = v1::Batch {
            frame: self.shed.values().map(ShedRecord::payload).collect(),
            ..v1::Batch::default()
        };
        self.put_note_bytes(NOTE, &batch.encode_to_vec(), true)
    }

    /// When the first frame from here on that can be read was captured.
    fn captured_at(&self, life: StreamLife, sequence: u64) -> GatewayTime {
        let found = { self.log.scan(life.1, life.0, sequence..=u64::MAX) }
            .take(CAPTURED_LOOKED_AT)
            .filter_map(Result::ok)
            .find_map(|(_, payload)| wire::decode_header(&payload).ok());
        found.map_or(self.moment.captured_at, |header| header.captured_at)
    }
}

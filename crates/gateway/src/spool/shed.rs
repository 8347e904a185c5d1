//! What will never come, said so: there was no room for it, the disk did not take
//! it or cannot give it back, or it was dropped after the server had it, and the server lost it.
//!
//! A shed record is a frame whose number is the last of the range it replaces.
//! The log takes only growing numbers, so the records are a note of their own,
//! written before what they replace is dropped. A record that a receipt covers
//! stays, as a frame does, so that it can be said again.

use super::{Spool, SpoolError, StreamLife};
use bytes::Bytes;
use enroute_model::frame::{Body, Frame, GapCause, Header, Shed};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::ranges::RangeSet;
use enroute_model::time::GatewayTime;
use enroute_wire::frame as wire;
use serde::{Deserialize, Serialize};

/// Key of the note that holds the shed records.
pub(super) const NOTE: &str = "shed";
/// Most records; beyond it, those that a receipt covers are forgotten, then
/// neighbours of one leg are joined even if what lies between them was not given up.
const RECORDS_MAX: usize = 256;

/// Frames looked at to learn when a lost one was captured.
const CAPTURED_LOOKED_AT: usize = 16;

/// A range that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShedRecord {
    epoch: Epoch,
    stream: Stream,
    leg_first: u64,
    first: u64,
    last: u64,
    first_captured_at: GatewayTime,
    cause: GapCause,
    /// The frame that says so, encoded once: its identity has one content.
    frame: Vec<u8>,
}

impl ShedRecord {
    /// The first and last number that it stands for.
    pub(super) fn numbers(&self) -> (u64, u64) {
        (self.first, self.last)
    }

    pub(super) fn life(&self) -> StreamLife {
        (self.epoch, self.stream)
    }

    pub(super) fn payload(&self) -> Bytes {
        Bytes::copy_from_slice(&self.frame)
    }

    /// Whether the frames may still be on disk, after a crash between the note and
    /// the drop. What is damaged is better left alone.
    pub(super) fn may_remain(&self) -> bool {
        self.cause == GapCause::SpoolFull
    }
}

impl Spool {
    /// Says, durably, that these numbers will never come.
    pub(super) fn declare(
        &mut self,
        life: StreamLife,
        lost: &RangeSet,
        cause: GapCause,
    ) -> Result<(), SpoolError> {
        match self.given_up.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count = count.saturating_add(lost.count()),
            None => self.given_up.push((cause, lost.count())),
        }
        for (from, to) in lost.iter() {
            let mut from = from;
            while from <= to {
                let end = self.leg_end(life.0, life.1, from).min(to);
                self.add_shed(life, (from, end), cause, None);
                from = end.saturating_add(1);
            }
        }
        self.settle(life);
        self.write_shed()
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
        let record = ShedRecord {
            epoch,
            stream,
            leg_first,
            first,
            last: to,
            first_captured_at,
            cause,
            frame: wire::encode(&Frame { header, body }),
        };
        self.shed.insert((life, to), record);
    }

    /// The records that a new one takes the place of: those in its range, and the
    /// one just before it, if it says the same and no receipt covers it.
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
            let next = key.1.saturating_add(1) == from && before.cause == cause;
            if same_leg && (next || crowded) && !self.is_covered(*key) {
                keys.push(*key);
            }
        }
        keys
    }

    /// What a receipt covers makes room for what none does.
    fn forget_covered(&mut self) {
        while self.shed.len() >= RECORDS_MAX {
            let covered = self.shed.keys().copied().find(|key| self.is_covered(*key));
            let Some(record) = covered.and_then(|key| self.shed.remove(&key)) else {
                return;
            };
            if let Some(entry) = self.lives.get_mut(&record.life()) {
                entry.evicted.insert(record.first, record.last);
            }
        }
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
        let records: Vec<ShedRecord> = self.shed.values().cloned().collect();
        self.put_note(NOTE, &records, true)
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

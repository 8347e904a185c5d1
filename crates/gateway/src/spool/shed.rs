//! Giving up the oldest when there is no room, with a record of what went.
//!
//! A shed record is a frame whose number is the last of the range it replaces.
//! The log takes only growing numbers, so the records are a note of their own,
//! written before what they replace is dropped.

use super::{Draft, Spool, SpoolError, StreamLife};
use bytes::Bytes;
use enroute_journal::LogSlice;
use enroute_model::frame::{Body, Frame, GapCause, Header, Shed};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::time::GatewayTime;
use enroute_wire::frame as wire;
use serde::{Deserialize, Serialize};

/// Key of the note that holds the shed records.
pub(super) const NOTE: &str = "shed";
/// Most records that wait for a receipt; beyond it, neighbours of one leg are
/// joined even if what lies between them was not given up.
const RECORDS_MAX: usize = 1_024;

/// A range that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShedRecord {
    epoch: Epoch,
    stream: Stream,
    leg_first: u64,
    first: u64,
    last: u64,
    first_captured_at: GatewayTime,
    /// The frame that says so, encoded once: its identity has one content.
    frame: Vec<u8>,
}

impl ShedRecord {
    /// The numbers that it stands for.
    pub(super) fn range(&self) -> std::ops::RangeInclusive<u64> {
        self.first..=self.last
    }

    pub(super) fn life(&self) -> StreamLife {
        (self.epoch, self.stream)
    }

    pub(super) fn payload(&self) -> Bytes {
        Bytes::copy_from_slice(&self.frame)
    }
}

impl Spool {
    /// Drops slices until `bytes` more fit; gives how many frames went.
    pub(super) fn make_room(&mut self, bytes: u64, now: &Draft) -> Result<u64, SpoolError> {
        let mut shed = 0;
        while self.log.bytes().saturating_add(bytes) > self.bytes_max {
            let order = [Stream::Waveforms, Stream::Numerics, Stream::Events];
            let oldest = order
                .iter()
                .find_map(|s| self.log.slices(*s).first().copied());
            let Some(slice) = oldest else { break };
            shed += self.give_up(&slice, now)?;
        }
        self.shed_frames = self.shed_frames.saturating_add(shed);
        Ok(shed)
    }

    fn give_up(&mut self, slice: &LogSlice, now: &Draft) -> Result<u64, SpoolError> {
        let life = (slice.epoch, slice.stream);
        let held: Vec<(u64, u64)> = self.lives.get(&life).map_or_else(Vec::new, |entry| {
            entry.gone.missing(slice.first, slice.last).collect()
        });
        let mut went = 0;
        for (from, to) in held {
            let mut from = from;
            while from <= to {
                let end = self.leg_end(slice.epoch, slice.stream, from).min(to);
                self.add_shed(life, from, end, now);
                went += end - from + 1;
                from = end + 1;
            }
        }
        self.write_shed()?;
        self.log.drop_slice(slice)?;
        Ok(went)
    }

    fn add_shed(&mut self, life: StreamLife, from: u64, to: u64, now: &Draft) {
        let (epoch, stream) = life;
        let leg_first = self
            .leg_of(epoch, stream, from)
            .map_or(1, |leg| leg.first(stream));
        let captured = self.captured_at(life, from).unwrap_or(now.captured_at);
        let crowded = self.shed.len() >= RECORDS_MAX;
        let before = self.shed.range(..(life, from)).next_back();
        let before = before.filter(|((l, last), record)| {
            *l == life && record.leg_first == leg_first && (last + 1 == from || crowded)
        });
        let before = before.map(|(key, record)| (*key, record.clone()));
        let (first, first_captured_at) = match before {
            Some((key, record)) => {
                self.shed.remove(&key);
                (record.first, record.first_captured_at)
            }
            None => (from, captured),
        };
        let body = Body::Shed(Shed {
            first,
            last: to,
            first_captured_at,
            cause: Some(GapCause::SpoolFull),
        });
        let header = Header {
            epoch,
            stream,
            sequence: to,
            leg_first,
            captured_at: now.captured_at,
            observed_at: None,
            boot: self.boot,
            monotonic: now.monotonic,
            clocks: None,
            exercise: now.exercise,
        };
        self.hold_shed(ShedRecord {
            epoch,
            stream,
            leg_first,
            first,
            last: to,
            first_captured_at,
            frame: wire::encode(&Frame { header, body }),
        });
    }

    /// Takes a record into account: its range is gone, its own number is held.
    pub(super) fn hold_shed(&mut self, record: ShedRecord) {
        let life = (record.epoch, record.stream);
        let entry = self.lives.entry(life).or_default();
        entry.next = entry.next.max(record.last.saturating_add(1));
        // Rebuilt without the record's own number, which a restart marks as gone.
        let all = std::mem::take(&mut entry.gone);
        for (from, to) in all.iter() {
            entry
                .gone
                .insert(from, to.min(record.last.saturating_sub(1)));
            entry
                .gone
                .insert(from.max(record.last.saturating_add(1)), to);
        }
        entry
            .gone
            .insert(record.first, record.last.saturating_sub(1));
        self.shed.insert((life, record.last), record);
    }

    pub(super) fn write_shed(&self) -> Result<(), SpoolError> {
        let records: Vec<&ShedRecord> = self.shed.values().collect();
        let bytes = serde_json::to_vec(&records).map_err(|e| SpoolError::Notes(e.to_string()))?;
        Ok(self.log.put_meta(NOTE, &bytes)?)
    }

    fn captured_at(&self, life: StreamLife, sequence: u64) -> Option<GatewayTime> {
        let mut scan = self.log.scan(life.1, life.0, sequence..=sequence);
        let (_, payload) = scan.next()?.ok()?;
        Some(wire::decode(&payload).ok()?.header.captured_at)
    }
}

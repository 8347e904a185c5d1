//! What the history lane sends next.

use super::{Spool, SpoolError, StreamLife};
use crate::config::HistoryOrder;
use bytes::Bytes;
use enroute_journal::ReadError;
use enroute_model::frame::GapCause;
use enroute_model::ids::{Stream, TransferId};
use enroute_model::ranges::RangeSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Frames read one by one in one step, where the disk gives errors.
const SINGLY_MAX: u64 = 256;

/// Which frames may be picked.
#[derive(Debug)]
pub struct Wanted {
    /// Oldest or newest gaps first.
    pub order: HistoryOrder,
    /// Sent, and too early to send again.
    pub sent: Arc<BTreeMap<StreamLife, RangeSet>>,
    /// In the life that goes on: the last number of each stream that the live lane
    /// has had its chance with; none: all of them.
    pub through: Option<BTreeMap<StreamLife, u64>>,
    /// Most bytes of frames; at least one frame is picked all the same.
    pub bytes_max: usize,
    /// Most frames.
    pub frames_max: usize,
}

/// Frames of one stream and transfer, for one publish.
#[derive(Debug)]
pub struct Picked {
    /// Their stream and life.
    pub life: StreamLife,
    /// The transfer to publish them under.
    pub transfer: TransferId,
    /// Number and encoded frame, ascending.
    pub frames: Vec<(u64, Bytes)>,
}

impl Spool {
    /// The next frames for the history lane: events before numerics before
    /// waveforms, as they would be kept.
    ///
    /// # Errors
    /// When the spool fails, and when it has failed: it may know of legs and shed
    /// records by then that are not on its disk, and such must not be sent.
    pub fn pick(&mut self, wanted: &Wanted) -> Result<Option<Picked>, SpoolError> {
        if let Some(failure) = self.log.failure() {
            return Err(failure.into());
        }
        for stream in Stream::ALL {
            let lives: Vec<StreamLife> = self
                .lives
                .keys()
                .copied()
                .filter(|l| l.1 == stream)
                .collect();
            for life in self.in_order(lives, wanted.order) {
                if let Some(picked) = self.pick_from(life, wanted)? {
                    return Ok(Some(picked));
                }
            }
        }
        Ok(None)
    }

    /// Earlier lives of the spool hold older frames; their numbers say nothing
    /// of their age.
    fn in_order(&self, lives: Vec<StreamLife>, order: HistoryOrder) -> Vec<StreamLife> {
        let (now, before): (Vec<_>, Vec<_>) = lives.into_iter().partition(|l| l.0 == self.epoch);
        match order {
            HistoryOrder::Oldest => before.into_iter().chain(now).collect(),
            HistoryOrder::Newest => now.into_iter().chain(before).collect(),
        }
    }

    fn pick_from(
        &mut self,
        life: StreamLife,
        wanted: &Wanted,
    ) -> Result<Option<Picked>, SpoolError> {
        while let Some((from, to)) = self.gap(life, wanted) {
            let picked = self.read(life, from, to, wanted)?;
            if picked.is_some() {
                return Ok(picked);
            }
            // What was not there is declared, and comes next.
        }
        Ok(None)
    }

    /// The next run of numbers to send, of one leg.
    fn gap(&self, life: StreamLife, wanted: &Wanted) -> Option<(u64, u64)> {
        let entry = self.lives.get(&life)?;
        let mut last = entry.next.saturating_sub(1);
        if let Some(through) = wanted.through.as_ref().filter(|_| life.0 == self.epoch) {
            last = last.min(through.get(&life).copied().unwrap_or(0));
        }
        let none = RangeSet::default();
        let sent = wanted.sent.get(&life).unwrap_or(&none);
        let unreadable = self.unreadable.get(&life).unwrap_or(&none);
        let held = entry.gone.missing(1, last);
        let held = held.flat_map(|(from, to)| unreadable.missing(from, to));
        let mut gaps = held.flat_map(|(from, to)| sent.missing(from, to));
        match wanted.order {
            HistoryOrder::Oldest => {
                let (from, to) = gaps.next()?;
                Some((from, to.min(self.leg_end(life.0, life.1, from))))
            }
            HistoryOrder::Newest => {
                let (from, to) = gaps.last()?;
                let count = u64::try_from(wanted.frames_max.clamp(1, 32)).unwrap_or(1);
                let from = from.max(to.saturating_sub(count - 1));
                let leg = self
                    .leg_of(life.0, life.1, to)
                    .map_or(from, |l| l.first(life.1));
                Some((from.max(leg), to))
            }
        }
    }

    fn read(
        &mut self,
        life: StreamLife,
        from: u64,
        to: u64,
        wanted: &Wanted,
    ) -> Result<Option<Picked>, SpoolError> {
        let (frames, through) = self.collect(life, from, to, wanted)?;
        let mut found = RangeSet::default();
        for (sequence, _) in &frames {
            found.insert(*sequence, *sequence);
        }
        let mut damaged = RangeSet::default();
        for (from, to) in found.missing(from, through) {
            damaged.insert(from, to);
        }
        if damaged.count() > 0 {
            self.note_damaged(life, &damaged)?;
        }
        let leg = self.leg_of(life.0, life.1, from);
        let Some(transfer) = leg.map(|leg| leg.transfer.clone()) else {
            // Of a transfer that nobody remembers: it can never be sent.
            if let Some(entry) = self.lives.get_mut(&life) {
                entry.gone.insert(from, through);
            }
            return Ok(None);
        };
        Ok((!frames.is_empty()).then_some(Picked {
            life,
            transfer,
            frames,
        }))
    }

    /// What the disk cannot give back is declared, and the record sent instead;
    /// where there is no room for a record, it is left aside until there is.
    fn note_damaged(&mut self, life: StreamLife, damaged: &RangeSet) -> Result<(), SpoolError> {
        let frames = damaged.count();
        self.damaged_frames = self.damaged_frames.saturating_add(frames);
        let ranges: Vec<(u64, u64)> = damaged.iter().collect();
        tracing::error!(stream = ?life.1, ?ranges, "spooled frames are damaged and given up");
        let waits = self.declare_with_room(life, damaged, GapCause::Damaged)?;
        let aside = self.unreadable.entry(life).or_default();
        waits.iter().for_each(|(from, to)| {
            aside.insert(from, to);
        });
        Ok(())
    }

    /// Frames from `from` on, and the number through which all was looked at: what
    /// is not among them cannot be read.
    fn collect(
        &self,
        life: StreamLife,
        from: u64,
        to: u64,
        wanted: &Wanted,
    ) -> Result<(Vec<(u64, Bytes)>, u64), SpoolError> {
        if let Some(record) = self.shed.get(&(life, from)) {
            return Ok((vec![(from, record.payload())], from));
        }
        let shed = self.shed.range((life, from)..=(life, to)).next();
        let to = shed.map_or(to, |((_, number), _)| number - 1);
        let mut frames = Frames::new(wanted);
        for item in self.log.scan(life.1, life.0, from..=to) {
            match item {
                Ok((sequence, payload)) => {
                    if !frames.take(sequence, payload) {
                        return Ok(frames.through());
                    }
                }
                Err(ReadError::Record { .. }) => {}
                // A part of a file: what lies in it is found one by one.
                Err(ReadError::Store(error)) if frames.list.is_empty() => {
                    tracing::error!(%error, "the spool's disk gives read errors");
                    return Ok(self.collect_singly(life, from, to, wanted));
                }
                Err(ReadError::Store(_)) => return Ok(frames.through()),
                Err(error @ ReadError::Failed(_)) => return Err(error.into()),
            }
        }
        Ok((frames.list, to))
    }

    fn collect_singly(
        &self,
        life: StreamLife,
        from: u64,
        to: u64,
        wanted: &Wanted,
    ) -> (Vec<(u64, Bytes)>, u64) {
        let to = to.min(from.saturating_add(SINGLY_MAX - 1));
        let mut frames = Frames::new(wanted);
        for sequence in from..=to {
            if let Ok(Some(payload)) = self.log.get(life.1, life.0, sequence)
                && !frames.take(sequence, payload)
            {
                return frames.through();
            }
        }
        (frames.list, to)
    }
}

/// Frames as they are collected.
struct Frames<'a> {
    wanted: &'a Wanted,
    bytes: usize,
    list: Vec<(u64, Bytes)>,
}

impl<'a> Frames<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        Self {
            wanted,
            bytes: 0,
            list: Vec::new(),
        }
    }

    /// False: there is no room.
    fn take(&mut self, sequence: u64, payload: Bytes) -> bool {
        let full = self.bytes + payload.len() > self.wanted.bytes_max
            || self.list.len() >= self.wanted.frames_max;
        if full && !self.list.is_empty() {
            return false;
        }
        self.bytes += payload.len();
        self.list.push((sequence, payload));
        true
    }

    /// All up to the last one was looked at.
    fn through(self) -> (Vec<(u64, Bytes)>, u64) {
        let through = self.list.last().map_or(0, |(last, _)| *last);
        (self.list, through)
    }
}

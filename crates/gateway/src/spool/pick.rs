//! What the history lane sends next.

use super::{Spool, SpoolError, StreamLife};
use crate::config::HistoryOrder;
use bytes::Bytes;
use enroute_journal::ReadError;
use enroute_model::ids::{Stream, TransferId};
use enroute_model::ranges::RangeSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which frames may be picked.
#[derive(Debug)]
pub struct Wanted {
    /// Oldest or newest gaps first.
    pub order: HistoryOrder,
    /// Sent, and too early to send again.
    pub sent: Arc<BTreeMap<StreamLife, RangeSet>>,
    /// In this life: the last number in events, numerics and waveforms that the
    /// live lane has had its chance with.
    pub through: BTreeMap<Stream, u64>,
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
    pub fn pick(&mut self, wanted: &Wanted) -> Result<Option<Picked>, SpoolError> {
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
            // Nothing was there: the numbers are known to be gone now.
        }
        Ok(None)
    }

    /// The next run of numbers to send, of one leg.
    fn gap(&self, life: StreamLife, wanted: &Wanted) -> Option<(u64, u64)> {
        let entry = self.lives.get(&life)?;
        let mut last = entry.next.saturating_sub(1);
        if life.0 == self.epoch {
            last = last.min(wanted.through.get(&life.1).copied().unwrap_or(0));
        }
        let none = RangeSet::default();
        let sent = wanted.sent.get(&life).unwrap_or(&none);
        let held = entry.gone.missing(1, last);
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
        let leg = self.leg_of(life.0, life.1, from);
        let transfer = leg.map(|l| l.transfer.clone());
        let (frames, through) = self.collect(life, from, to, wanted)?;
        // Freed before a restart, or unreadable: nothing will ever be sent.
        let mut found = RangeSet::default();
        for (sequence, _) in &frames {
            found.insert(*sequence, *sequence);
        }
        if let Some(entry) = self.lives.get_mut(&life) {
            for (from, to) in found.missing(from, through) {
                entry.gone.insert(from, to);
            }
        }
        let Some(transfer) = transfer.filter(|_| !frames.is_empty()) else {
            if let Some(entry) = self.lives.get_mut(&life) {
                entry.gone.insert(from, through);
            }
            return Ok(None);
        };
        Ok(Some(Picked {
            life,
            transfer,
            frames,
        }))
    }

    /// Frames from `from` on, and the number through which all was looked at.
    fn collect(
        &self,
        life: StreamLife,
        from: u64,
        to: u64,
        wanted: &Wanted,
    ) -> Result<(Vec<(u64, Bytes)>, u64), SpoolError> {
        let mut frames: Vec<(u64, Bytes)> = Vec::new();
        let mut bytes = 0;
        if let Some(record) = self.shed.get(&(life, from)) {
            return Ok((vec![(from, record.payload())], from));
        }
        let shed = self.shed.range((life, from)..=(life, to)).next();
        let to = shed.map_or(to, |((_, number), _)| number - 1);
        for item in self.log.scan(life.1, life.0, from..=to) {
            let (sequence, payload) = match item {
                Ok(frame) => frame,
                Err(ReadError::Record { position, what }) => {
                    tracing::error!(sequence = position.0, %what, "a spooled frame is damaged");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let full =
                bytes + payload.len() > wanted.bytes_max || frames.len() >= wanted.frames_max;
            if full && !frames.is_empty() {
                let through = frames.last().map_or(from, |(last, _)| *last);
                return Ok((frames, through));
            }
            bytes += payload.len();
            frames.push((sequence, payload));
        }
        Ok((frames, to))
    }
}

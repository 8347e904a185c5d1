//! Making room: freed frames first, oldest first; only when none is left on
//! board, frames that no receipt covers, in the order waveforms, numerics, events.

use super::life::{within, without};
use super::{Spool, SpoolError};
use enroute_journal::LogSlice;
use enroute_model::frame::GapCause;
use enroute_model::ids::Stream;
use enroute_model::ranges::RangeSet;

/// Kept free for notes, which receipts and legs make grow between two appends:
/// a 64th of the spool, at most this.
const NOTES_ROOM_MAX: u64 = 64 * 1024;

impl Spool {
    /// Drops until `bytes` more fit; gives how many unconfirmed frames went.
    pub(super) fn make_room(&mut self, bytes: u64) -> Result<u64, SpoolError> {
        let mut shed = 0;
        let wanted = bytes.saturating_add(NOTES_ROOM_MAX.min(self.bytes_max / 64));
        while self.bytes().0.saturating_add(wanted) > self.bytes_max {
            if self.evict()? {
                continue;
            }
            let order = [Stream::Waveforms, Stream::Numerics, Stream::Events];
            let oldest = { order.iter() }.find_map(|s| self.log.slices(*s).first().copied());
            let Some(slice) = oldest else { break };
            shed += self.give_up(&slice)?;
        }
        self.shed_frames = self.shed_frames.saturating_add(shed);
        Ok(shed)
    }

    /// Drops the oldest freed frames: a slice that holds nothing else, or else
    /// those of a slice that does. False: there are none.
    fn evict(&mut self) -> Result<bool, SpoolError> {
        let mut slices: Vec<LogSlice> = { Stream::ALL.iter() }
            .flat_map(|stream| self.log.slices(*stream))
            .collect();
        slices.sort_unstable_by_key(|slice| slice.id);
        let whole = slices.iter().find(|slice| self.holds_nothing(slice));
        if let Some(slice) = whole {
            self.note_evicted(slice)?;
            self.log.drop_slice(slice)?;
            return Ok(true);
        }
        for slice in &slices {
            let ranges = self.note_evicted(slice)?;
            for (from, to) in ranges.iter() {
                self.log.remove(slice.stream, slice.epoch, from..=to)?;
            }
            if ranges.count() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn holds_nothing(&self, slice: &LogSlice) -> bool {
        let entry = self.lives.get(&(slice.epoch, slice.stream));
        entry.is_none_or(|entry| entry.gone.missing(slice.first, slice.last).next().is_none())
    }

    /// Remembers that the freed frames of a slice are dropped; gives their numbers.
    fn note_evicted(&mut self, slice: &LogSlice) -> Result<RangeSet, SpoolError> {
        let Some(entry) = self.lives.get_mut(&(slice.epoch, slice.stream)) else {
            return Ok(RangeSet::default());
        };
        let freed = within(&entry.freed, slice.first, slice.last.min(entry.last()));
        let fresh = without(&freed, &entry.evicted);
        if fresh.count() > 0 {
            for (from, to) in fresh.iter() {
                entry.evicted.insert(from, to);
            }
            self.write_freed()?;
        }
        Ok(fresh)
    }

    /// Drops a slice with frames that no receipt covers, and says so first.
    fn give_up(&mut self, slice: &LogSlice) -> Result<u64, SpoolError> {
        let life = (slice.epoch, slice.stream);
        let held = self
            .lives
            .get(&life)
            .map_or_else(RangeSet::default, |entry| {
                let mut held = RangeSet::default();
                for (from, to) in entry.gone.missing(slice.first, slice.last) {
                    held.insert(from, to);
                }
                held
            });
        self.declare(life, &held, GapCause::SpoolFull)?;
        self.log.drop_slice(slice)?;
        Ok(held.count())
    }
}

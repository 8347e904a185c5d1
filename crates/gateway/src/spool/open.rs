//! Opening and closing: which life of the spool it is, and what it still holds.

use super::legs::{self, Note};
use super::shed::{self, ShedRecord};
use super::{Life, Spool, SpoolError};
use crate::config::SpoolConfig;
use enroute_journal::{Log, LogOptions, Origin};
use enroute_model::ids::{Epoch, Stream, TransferId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Key of the note that holds the life.
const NOTE: &str = "life";
/// A spool is dropped in no larger parts than this share of its bound.
const SLICES_MIN: u64 = 16;

/// What is written of the life; `next` is right only after a clean close.
#[derive(Debug, Serialize, Deserialize)]
struct LifeNote {
    epoch: Epoch,
    boot: u32,
    /// Of events, numerics, waveforms.
    next: [u64; 3],
    shed_frames: u64,
}

impl Spool {
    /// Opens the spool in `config.dir`, a new one if there is none. The leg that
    /// went on goes on, unless another transfer is configured.
    pub fn open(config: &SpoolConfig, transfer: Option<&TransferId>) -> Result<Self, SpoolError> {
        Self::open_as(config, transfer, getrandom::u64)
    }

    /// The same with epochs drawn by `draw`; only a simulation brings its own.
    #[doc(hidden)]
    pub fn open_as(
        config: &SpoolConfig,
        transfer: Option<&TransferId>,
        draw: impl FnOnce() -> Result<u64, getrandom::Error>,
    ) -> Result<Self, SpoolError> {
        let mut options = LogOptions::default();
        let slice = (config.bytes_max / SLICES_MIN).max(1);
        options.slice_bytes_max = options.slice_bytes_max.min(slice);
        let log = Log::open(&config.dir, &options)?;
        let last: Option<LifeNote> = read_note(&log, NOTE)?;
        // An unclean tail may lack numbers that were used: a new life begins.
        let last = last.filter(|_| log.origin() == Origin::Clean);
        let mut spool = Self {
            epoch: match &last {
                Some(note) => note.epoch,
                None => Epoch(draw().map_err(SpoolError::Random)?),
            },
            boot: last.as_ref().map_or(1, |note| note.boot.saturating_add(1)),
            shed_frames: last.as_ref().map_or(0, |note| note.shed_frames),
            bytes_max: config.bytes_max,
            lives: BTreeMap::new(),
            legs: Vec::new(),
            active: false,
            shed: BTreeMap::new(),
            log,
        };
        let next = last.map_or([1; 3], |note| note.next);
        spool.find_held(next)?;
        spool.go_on(transfer)?;
        spool.write_life()?;
        Ok(spool)
    }

    /// Rebuilds from the slices which numbers are held. A freed number inside a
    /// slice counts as held until it is found missing.
    fn find_held(&mut self, next: [u64; 3]) -> Result<(), SpoolError> {
        for (stream, next) in Stream::ALL.into_iter().zip(next) {
            let mut ends: BTreeMap<Epoch, Vec<(u64, u64)>> = BTreeMap::new();
            ends.insert(self.epoch, Vec::new());
            for slice in self.log.slices(stream) {
                if slice.frames > 0 {
                    let held = ends.entry(slice.epoch).or_default();
                    held.push((slice.first, slice.last));
                }
            }
            for (epoch, held) in ends {
                let after = held.iter().map(|(_, last)| last.saturating_add(1));
                let known = if epoch == self.epoch { next.max(1) } else { 1 };
                let mut life = Life {
                    next: after.max().unwrap_or(1).max(known),
                    ..Life::default()
                };
                let mut from = 1;
                for (first, last) in held {
                    life.gone.insert(from, first.saturating_sub(1));
                    from = last.saturating_add(1);
                }
                life.gone.insert(from, life.next.saturating_sub(1));
                self.lives.insert((epoch, stream), life);
            }
        }
        let shed: Vec<ShedRecord> = read_note(&self.log, shed::NOTE)?.unwrap_or_default();
        for record in shed {
            // After a crash between the note and the drop, they are still there.
            let (epoch, stream) = record.life();
            self.log.remove(stream, epoch, record.range())?;
            self.hold_shed(record);
        }
        Ok(())
    }

    fn go_on(&mut self, transfer: Option<&TransferId>) -> Result<(), SpoolError> {
        let note: Note = read_note(&self.log, legs::NOTE)?.unwrap_or_default();
        (self.legs, self.active) = (note.legs, note.active);
        let last = self.legs.last().filter(|_| self.active).cloned();
        match (last, transfer) {
            (Some(leg), Some(wanted)) if leg.began_as != *wanted => {
                self.start_leg(Some(wanted.clone()))
            }
            (Some(leg), _) if leg.epoch != self.epoch => {
                self.begin_leg(Some(leg.transfer))?;
                if let Some(last) = self.legs.last_mut() {
                    last.began_as = leg.began_as;
                }
                let note = self.legs_note()?;
                Ok(self.log.put_meta(legs::NOTE, &note)?)
            }
            (None, Some(wanted)) => self.start_leg(Some(wanted.clone())),
            _ => Ok(()),
        }
    }

    fn write_life(&self) -> Result<(), SpoolError> {
        let next = |stream| self.lives.get(&(self.epoch, stream)).map_or(1, |l| l.next);
        let note = LifeNote {
            epoch: self.epoch,
            boot: self.boot,
            next: Stream::ALL.map(next),
            shed_frames: self.shed_frames,
        };
        let bytes = serde_json::to_vec(&note).map_err(|e| SpoolError::Notes(e.to_string()))?;
        Ok(self.log.put_meta(NOTE, &bytes)?)
    }

    /// Closes it cleanly: the next start goes on with the same life.
    pub fn close(&self) -> Result<(), SpoolError> {
        self.write_life()?;
        Ok(self.log.close()?)
    }
}

fn read_note<T: for<'a> Deserialize<'a>>(log: &Log, key: &str) -> Result<Option<T>, SpoolError> {
    let Some(bytes) = log.meta(key)? else {
        return Ok(None);
    };
    let note = serde_json::from_slice(&bytes);
    note.map(Some)
        .map_err(|e| SpoolError::Notes(format!("{key}: {e}")))
}

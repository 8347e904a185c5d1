//! Opening and closing: which life of the spool it is, and what it still holds.

use super::legs::{self, Note};
use super::shed;
use super::trust::Trust;
use super::{Life, Moment, Spool, SpoolError, receipt};
use crate::config::SpoolConfig;
use enroute_journal::{Log, LogOptions, Origin};
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::ranges::RangeSet;
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
    ///
    /// # Errors
    /// When the spool fails.
    pub fn open(config: &SpoolConfig, transfer: Option<&TransferId>) -> Result<Self, SpoolError> {
        Self::open_as(config, transfer, getrandom::u64, LogOptions::default())
    }

    /// The same with epochs drawn by `draw`, on a store that may fail as `options`
    /// say; only a simulation brings its own.
    #[doc(hidden)]
    pub fn open_as(
        config: &SpoolConfig,
        transfer: Option<&TransferId>,
        draw: impl FnOnce() -> Result<u64, getrandom::Error>,
        mut options: LogOptions,
    ) -> Result<Self, SpoolError> {
        let slice = (config.bytes_max / SLICES_MIN).max(1);
        options.keys.clone_from(&config.keys);
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
            undeclared: true,
            unreadable: BTreeMap::new(),
            damaged_frames: 0,
            given_up: Vec::new(),
            trust: Trust::default(),
            moment: Moment::default(),
            note_bytes: BTreeMap::new(),
            log,
        };
        let next = last.map_or([1; 3], |note| note.next);
        spool.read_lives(next)?;
        spool.go_on(transfer)?;
        spool.write_life()?;
        Ok(spool)
    }

    /// Which numbers there are, from the slices and the notes. A number that no
    /// note accounts for counts as held: should the disk not give it back, it is
    /// declared as damaged.
    fn read_lives(&mut self, next: [u64; 3]) -> Result<(), SpoolError> {
        let note: Option<receipt::Note> = self.read_note(receipt::NOTE)?;
        for (stream, next) in Stream::ALL.into_iter().zip(next) {
            self.life((self.epoch, stream)).next = next.max(1);
        }
        for known in note.iter().flat_map(|note| &note.lives) {
            let life = self.life((known.epoch, known.stream));
            life.next = life.next.max(known.next);
            life.freed = known.freed.clone();
            life.evicted = known.evicted.clone();
        }
        let slices: Vec<_> = { Stream::ALL.iter() }
            .flat_map(|stream| self.log.slices(*stream))
            .collect();
        for slice in slices {
            let life = self.life((slice.epoch, slice.stream));
            life.next = life.next.max(slice.last.saturating_add(1));
        }
        let note_of_shed = self.log.meta(shed::NOTE)?.unwrap_or_default();
        self.note_bytes.insert(shed::NOTE, note_of_shed.len());
        for record in shed::read(&note_of_shed)? {
            let ((epoch, stream), (first, last)) = (record.life(), record.numbers());
            if record.may_remain() {
                self.log.remove(stream, epoch, first..=last)?;
            }
            let life = self.life((epoch, stream));
            life.next = life.next.max(last.saturating_add(1));
            self.shed.insert(((epoch, stream), last), record);
        }
        if let Some(note) = note {
            self.trust = note.trust;
        } else {
            self.forget_absent();
            self.write_freed()?;
        }
        let lives: Vec<_> = self.lives.keys().copied().collect();
        for life in lives {
            self.settle(life);
        }
        Ok(())
    }

    /// Reads a note, and counts it as a part of what is on disk.
    fn read_note<T: for<'a> Deserialize<'a>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, SpoolError> {
        let bytes = self.log.meta(key)?.map_or(0, |bytes| bytes.len());
        self.note_bytes.insert(key, bytes);
        read_note(&self.log, key)
    }

    fn life(&mut self, life: (Epoch, Stream)) -> &mut Life {
        self.lives.entry(life).or_default()
    }

    /// Without a note of what was freed, what is not there was.
    fn forget_absent(&mut self) {
        for ((epoch, stream), life) in &mut self.lives {
            let mut there = RangeSet::default();
            for slice in self.log.slices(*stream) {
                if slice.epoch == *epoch {
                    there.insert(slice.first, slice.last);
                }
            }
            for (from, to) in there.missing(1, life.last()) {
                life.freed.insert(from, to);
                life.evicted.insert(from, to);
            }
        }
    }

    fn go_on(&mut self, transfer: Option<&TransferId>) -> Result<(), SpoolError> {
        let note: Note = self.read_note(legs::NOTE)?.unwrap_or_default();
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
                self.write_legs()
            }
            (None, Some(wanted)) => self.start_leg(Some(wanted.clone())),
            _ => Ok(()),
        }
    }

    fn write_life(&mut self) -> Result<(), SpoolError> {
        let next = |stream| self.lives.get(&(self.epoch, stream)).map_or(1, |l| l.next);
        let note = LifeNote {
            epoch: self.epoch,
            boot: self.boot,
            next: Stream::ALL.map(next),
            shed_frames: self.shed_frames,
        };
        self.put_note(NOTE, &note, true)
    }

    /// Closes it cleanly: the next start goes on with the same life.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn close(&mut self) -> Result<(), SpoolError> {
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

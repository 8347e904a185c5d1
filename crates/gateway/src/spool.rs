//! The spool: frames on disk from before they are published until a receipt
//! covers them (I3), and after that for as long as there is room: a server that
//! is restored from an older copy is sent them again. Numbers them, knows which
//! transfer each belongs to, and sheds when the disk's share is full.
//!
//! Synchronous and without a clock: every method that reaches the disk blocks.
//! Held in memory is only what is gone, as ranges; a frame's bytes are read
//! back from disk when it is sent again.
//!
//! `life` has the states of a number, `receipt` what a receipt changes and `trust`
//! which receipts are believed, `room` what goes first. `legs` says which sequences
//! belong to which transfer, `shed` holds the shed records. Legs, shed records and
//! what is freed are small values of the log, written before what relies on them.

mod legs;
mod life;
mod open;
mod pick;
mod receipt;
mod report;
mod room;
mod shed;
mod trust;
mod unwritten;
mod word;

use legs::Leg;
use life::Life;
pub use pick::{Picked, Wanted};
pub use receipt::Heard;
pub use unwritten::Unwritten;
pub use word::Word;

use crate::spool::shed::ShedRecord;
use crate::spool::trust::Trust;
use bytes::Bytes;
use enroute_journal::{Failure, Log, LogAppend, OpenError, ReadError};
use enroute_model::frame::{Body, ClockOffsets, Frame, GapCause, Header};
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_wire::frame as wire;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why the spool cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A write or a sync failed: nothing more is recorded or called so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// What an earlier run left cannot be understood.
    #[error("the spool's own notes are damaged ({0}); move its folder away to begin a new one")]
    Notes(String),
    /// It failed, and is being opened anew.
    #[error("the disk of this box failed; it is being tried again")]
    Reopening,
    /// The system gave no random bytes.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// One stream of one life of the spool.
pub type StreamLife = (Epoch, Stream);

/// A frame before it has a number.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it carries.
    pub body: Body,
    /// Monitor's clock.
    pub observed_at: Option<DeviceTime>,
    /// Our wall clock.
    pub captured_at: GatewayTime,
    /// Since the gateway started.
    pub monotonic: Span,
    /// Estimates to state, if one changed.
    pub clocks: Option<ClockOffsets>,
    /// Simulated or published again.
    pub exercise: bool,
}

/// A frame that is on disk.
#[derive(Clone, Debug)]
pub struct Spooled {
    /// Stream and life.
    pub life: StreamLife,
    /// Its number.
    pub sequence: u64,
    /// The transfer to publish it under.
    pub transfer: TransferId,
    /// The encoded frame.
    pub payload: Bytes,
}

/// What an append did.
#[derive(Debug, Default)]
pub struct Appended {
    /// The frames, in the order given.
    pub frames: Vec<Spooled>,
    /// Drafts that break a limit of the contract and were dropped: why.
    pub refused: Vec<String>,
    /// Frames given up to make room.
    pub shed: u64,
}

/// When the spool is used, for what it has to say itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Our wall clock.
    pub captured_at: GatewayTime,
    /// Since the gateway started.
    pub monotonic: Span,
    /// Simulated or published again.
    pub exercise: bool,
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    log: Log,
    bytes_max: u64,
    epoch: Epoch,
    boot: u32,
    lives: BTreeMap<StreamLife, Life>,
    legs: Vec<Leg>,
    /// Whether the last leg goes on.
    active: bool,
    /// By stream, life and their own number.
    shed: BTreeMap<(StreamLife, u64), ShedRecord>,
    /// Something is to be declared once there is room for records.
    undeclared: bool,
    /// What the disk could not give back, and there is no room yet to say so.
    unreadable: BTreeMap<StreamLife, RangeSet>,
    shed_frames: u64,
    /// Frames that the disk could not give back since it was opened.
    damaged_frames: u64,
    /// Frames declared as given up, not yet counted outside.
    given_up: Vec<(GapCause, u64)>,
    trust: Trust,
    moment: Moment,
    /// Sizes of the notes.
    note_bytes: BTreeMap<&'static str, usize>,
}

impl Spool {
    /// The last number used in each stream of this life.
    #[must_use]
    pub fn through(&self) -> BTreeMap<StreamLife, u64> {
        let lives = self.lives.iter().filter(|(life, _)| life.0 == self.epoch);
        lives
            .map(|(life, entry)| (*life, entry.next.saturating_sub(1)))
            .collect()
    }

    /// What it says from now on, it says of this moment.
    pub fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// Bytes of frames and notes on disk, and the most there may be.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let notes: usize = self.note_bytes.values().sum();
        let notes = u64::try_from(notes).unwrap_or(u64::MAX);
        (self.log.bytes().saturating_add(notes), self.bytes_max)
    }

    /// Bytes of frames that no receipt covers, as far as slices tell: of a slice
    /// that holds others too, their part by number.
    #[must_use]
    pub fn unconfirmed_bytes(&self) -> u64 {
        let slices = Stream::ALL
            .into_iter()
            .flat_map(|stream| self.log.slices(stream));
        let bytes = slices.filter_map(|slice| {
            let entry = self.lives.get(&(slice.epoch, slice.stream))?;
            let missing = entry
                .gone
                .missing(slice.first, slice.last.min(entry.last()));
            let held = missing.fold(0_u64, |sum, (from, to)| sum.saturating_add(to - from + 1));
            let part = u128::from(slice.bytes) * u128::from(held.min(slice.frames));
            u64::try_from(part / u128::from(slice.frames.max(1))).ok()
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// Frames that no receipt covers.
    #[must_use]
    pub fn unconfirmed(&self) -> u64 {
        self.lives.values().map(Life::held).sum()
    }

    /// Frames given up for want of space, in this life of the spool.
    #[must_use]
    pub fn shed_frames(&self) -> u64 {
        self.shed_frames
    }

    /// Frames that the disk could not give back, since it was opened.
    #[must_use]
    pub fn damaged_frames(&self) -> u64 {
        self.damaged_frames
    }

    /// What was declared as given up since this was last asked.
    pub(crate) fn take_given_up(&mut self) -> Vec<(GapCause, u64)> {
        std::mem::take(&mut self.given_up)
    }

    /// Numbers the drafts, makes room, and writes them with one sync. Starts a
    /// leg with a fresh transfer if none goes on.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Appended, SpoolError> {
        let mut done = Appended::default();
        let started = !self.active;
        if started {
            self.begin_leg(None)?;
        }
        let mut appends = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match self.number(draft) {
                Ok(frame) => {
                    appends.push(LogAppend {
                        stream: frame.life.1,
                        epoch: frame.life.0,
                        sequence: frame.sequence,
                        payload: frame.payload.clone(),
                    });
                    done.frames.push(frame);
                }
                Err(why) => done.refused.push(why),
            }
        }
        if let Some(draft) = drafts.last() {
            self.moment = Moment {
                captured_at: draft.captured_at,
                monotonic: draft.monotonic,
                exercise: draft.exercise,
            };
        }
        let legs = self.legs_note()?;
        self.note_bytes.insert(legs::NOTE, legs.len());
        let bytes = { appends.iter() }.map(|a| u64::try_from(a.payload.len()).unwrap_or(0));
        done.shed = self.make_room(bytes.sum())?;
        let meta = [(legs::NOTE, legs.as_slice())];
        let meta = if started { meta.as_slice() } else { &[] };
        if !appends.is_empty() {
            self.log.append(&appends, meta)?;
        }
        Ok(done)
    }

    /// Gives a draft its number and bytes, if it keeps the contract's limits: a
    /// frame that every receiver refuses would never be covered by a receipt.
    fn number(&mut self, draft: &Draft) -> Result<Spooled, String> {
        let stream = wire::stream_of(&draft.body).ok_or("a body of no stream")?;
        let life = (self.epoch, stream);
        let leg = self.legs.last().ok_or("no leg")?;
        let entry = self.lives.entry(life).or_default();
        let sequence = entry.next.max(1);
        let frame = Frame {
            header: Header {
                epoch: self.epoch,
                stream,
                sequence,
                leg_first: leg.first(stream),
                captured_at: draft.captured_at,
                observed_at: draft.observed_at,
                boot: self.boot,
                monotonic: draft.monotonic,
                clocks: draft.clocks,
                exercise: draft.exercise,
            },
            body: draft.body.clone(),
        };
        let payload = Bytes::from(wire::encode(&frame));
        wire::decode(&payload).map_err(|refusal| refusal.to_string())?;
        entry.next = sequence + 1;
        Ok(Spooled {
            life,
            sequence,
            transfer: leg.transfer.clone(),
            payload,
        })
    }

    /// Writes a note; what the disk has of it is replaced.
    fn put_note<T: Serialize>(
        &mut self,
        key: &'static str,
        note: &T,
        synced: bool,
    ) -> Result<(), SpoolError> {
        let bytes = serde_json::to_vec(note).map_err(|e| SpoolError::Notes(e.to_string()))?;
        self.put_note_bytes(key, &bytes, synced)
    }

    fn put_note_bytes(
        &mut self,
        key: &'static str,
        bytes: &[u8],
        synced: bool,
    ) -> Result<(), SpoolError> {
        self.note_bytes.insert(key, bytes.len());
        if synced {
            self.log.put_meta(key, bytes)?;
        } else {
            self.log.put_meta_unsynced(key, bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

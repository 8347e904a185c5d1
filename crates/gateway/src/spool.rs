//! The spool: frames on disk from before they are published until a receipt
//! covers them (I3). Numbers them, knows which transfer each belongs to, and
//! sheds when the disk's share is full.
//!
//! Synchronous and without a clock: every method that reaches the disk blocks.
//! Held in memory is only what is gone, as ranges; a frame's bytes are read
//! back from disk when it is sent again.
//!
//! `legs` says which sequences belong to which transfer, `shed` holds the shed
//! records; both are small values of the log, written before what relies on them.

mod legs;
mod open;
mod pick;
mod report;
mod shed;

use legs::Leg;
pub use pick::{Picked, Wanted};

use crate::spool::shed::ShedRecord;
use bytes::Bytes;
use enroute_journal::{Failure, Log, LogAppend, OpenError, ReadError};
use enroute_model::frame::{Body, ClockOffsets, Frame, Header};
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_model::time::{DeviceTime, GatewayTime, Span};
use enroute_wire::frame as wire;
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

/// Which numbers of a stream are used, and which of them need nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The number of the next frame.
    next: u64,
    /// Freed, or covered by a shed record (whose own number is not gone before
    /// a receipt covers it).
    gone: RangeSet,
}

impl Life {
    /// The last number given out.
    fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn held(&self) -> u64 {
        self.next
            .saturating_sub(1)
            .saturating_sub(self.gone.count())
    }
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
    shed_frames: u64,
}

impl Spool {
    /// The last number used in each stream of this life.
    pub fn through(&self) -> BTreeMap<Stream, u64> {
        let lives = self.lives.iter().filter(|(life, _)| life.0 == self.epoch);
        lives
            .map(|(life, entry)| (life.1, entry.next.saturating_sub(1)))
            .collect()
    }

    /// Payload bytes held, and the most that may be.
    pub fn bytes(&self) -> (u64, u64) {
        (self.log.bytes(), self.bytes_max)
    }

    /// Frames that no receipt covers.
    pub fn unconfirmed(&self) -> u64 {
        self.lives.values().map(Life::held).sum()
    }

    /// Frames given up since it was opened.
    pub fn shed_frames(&self) -> u64 {
        self.shed_frames
    }

    /// Numbers the drafts, makes room, and writes them with one sync. Starts a
    /// leg with a fresh transfer if none goes on.
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
            let bytes = appends
                .iter()
                .map(|a| u64::try_from(a.payload.len()).unwrap_or(0));
            done.shed = self.make_room(bytes.sum(), draft)?;
        }
        let legs = self.legs_note()?;
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

    /// Frees what is durable at the server; gives how many frames went.
    pub fn free(&mut self, life: StreamLife, durable: &RangeSet) -> Result<u64, SpoolError> {
        let Some(entry) = self.lives.get_mut(&life) else {
            return Ok(0);
        };
        let last = entry.next.saturating_sub(1);
        let mut freed = Vec::new();
        for (from, to) in durable.iter() {
            freed.extend(entry.gone.missing(from.max(1), to.min(last)));
        }
        let mut shed_changed = false;
        for (from, to) in &freed {
            self.log.remove(life.1, life.0, *from..=*to)?;
            entry.gone.insert(*from, *to);
            let covered = |key: &(StreamLife, u64)| key.0 == life && (*from..=*to).contains(&key.1);
            let before = self.shed.len();
            self.shed.retain(|key, _| !covered(key));
            shed_changed |= self.shed.len() < before;
        }
        if entry.held() == 0 && life.0 != self.epoch {
            self.lives.remove(&life);
        }
        if shed_changed {
            self.write_shed()?;
        }
        Ok(freed.iter().map(|(from, to)| to - from + 1).sum())
    }
}

#[cfg(test)]
mod tests;

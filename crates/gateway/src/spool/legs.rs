//! Which sequences belong to which transfer.

use super::{Spool, SpoolError};
use enroute_model::ids::{Epoch, Stream, TransferId};
use serde::{Deserialize, Serialize};

/// Key of the note that holds the legs.
pub(super) const NOTE: &str = "legs";
/// Legs remembered, beside those with frames that no receipt covers.
const LEGS_MAX: usize = 256;
/// Hexadecimal digits of a fresh transfer id: 2^64 values.
const ID_BYTES: usize = 8;

/// A part of a transfer that this gateway carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leg {
    /// Life of the spool.
    pub(crate) epoch: Epoch,
    /// The id to publish under now.
    pub(crate) transfer: TransferId,
    /// The id it began under; differs after it was joined to another transfer.
    pub(crate) began_as: TransferId,
    /// First sequence in events, numerics, waveforms.
    first: [u64; 3],
}

impl Leg {
    pub(crate) fn first(&self, stream: Stream) -> u64 {
        let [events, numerics, waveforms] = self.first;
        match stream {
            Stream::Events => events,
            Stream::Numerics => numerics,
            Stream::Waveforms => waveforms,
        }
    }
}

/// What is written of the legs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) legs: Vec<Leg>,
    pub(super) active: bool,
}

impl Spool {
    /// The transfer of the leg that goes on.
    #[must_use]
    pub fn transfer(&self) -> Option<&TransferId> {
        self.legs
            .last()
            .filter(|_| self.active)
            .map(|l| &l.transfer)
    }

    /// Starts a leg from the next frames on; without an id, with a fresh one.
    /// Not durable before the next append or note.
    pub(super) fn begin_leg(&mut self, transfer: Option<TransferId>) -> Result<(), SpoolError> {
        let transfer = transfer.map_or_else(fresh, Ok)?;
        let next = |stream| {
            self.lives
                .get(&(self.epoch, stream))
                .map_or(1, |l| l.next.max(1))
        };
        let leg = Leg {
            epoch: self.epoch,
            began_as: transfer.clone(),
            transfer,
            first: Stream::ALL.map(next),
        };
        self.forget_legs();
        self.legs.push(leg);
        self.active = true;
        self.declare_of_other_transfers()
    }

    /// Starts a leg, durably.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn start_leg(&mut self, transfer: Option<TransferId>) -> Result<(), SpoolError> {
        self.begin_leg(transfer)?;
        self.write_legs()
    }

    /// Ends the leg that goes on, durably.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn end_leg(&mut self) -> Result<(), SpoolError> {
        self.active = false;
        self.write_legs()
    }

    /// Publishes this leg under another id from now on, durably. Says whether
    /// the leg that goes on was known as `instead_of`.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn use_transfer(
        &mut self,
        instead_of: &TransferId,
        transfer: &TransferId,
    ) -> Result<bool, SpoolError> {
        let active = self.active;
        let leg = self.legs.last_mut();
        let Some(leg) = leg.filter(|leg| active && leg.transfer == *instead_of) else {
            return Ok(false);
        };
        // Lives of the spool before this one carried the same leg.
        let began_as = leg.began_as.clone();
        for leg in self.legs.iter_mut().filter(|leg| leg.began_as == began_as) {
            leg.transfer = transfer.clone();
        }
        self.write_legs()?;
        Ok(true)
    }

    /// The leg that a frame belongs to.
    pub(super) fn leg_of(&self, epoch: Epoch, stream: Stream, sequence: u64) -> Option<&Leg> {
        let of = |leg: &&Leg| leg.epoch == epoch && leg.first(stream) <= sequence;
        self.legs.iter().rfind(of)
    }

    /// The last sequence of the leg that holds `sequence`.
    pub(super) fn leg_end(&self, epoch: Epoch, stream: Stream, sequence: u64) -> u64 {
        let firsts = self.legs.iter().filter(|leg| leg.epoch == epoch);
        let next = firsts
            .map(|leg| leg.first(stream))
            .filter(|first| *first > sequence);
        next.min().map_or(u64::MAX, |first| first - 1)
    }

    /// Legs that no receipt is awaited for are forgotten, the oldest first, so
    /// that the note stays small; what is left of them on board only waits to be
    /// evicted. So are earlier lives of the spool without a leg.
    fn forget_legs(&mut self) {
        let mut surplus = self.legs.len().saturating_sub(LEGS_MAX);
        let waits: Vec<bool> = self.legs.iter().map(|leg| self.waits(leg)).collect();
        let mut waits = waits.into_iter();
        self.legs.retain(|_| {
            let keep = waits.next().unwrap_or(true) || surplus == 0;
            surplus = surplus.saturating_sub(usize::from(!keep));
            keep
        });
        let epoch = self.epoch;
        let legs = &self.legs;
        let has_leg = |of: Epoch| legs.iter().any(|leg| leg.epoch == of);
        self.lives
            .retain(|life, entry| life.0 == epoch || entry.held() > 0 || has_leg(life.0));
    }

    /// Whether no receipt covers some of its frames.
    fn waits(&self, leg: &Leg) -> bool {
        Stream::ALL.iter().any(|stream| {
            let first = leg.first(*stream);
            let life = self.lives.get(&(leg.epoch, *stream));
            life.is_some_and(|life| {
                let last = self.leg_end(leg.epoch, *stream, first).min(life.last());
                life.gone.missing(first, last).next().is_some()
            })
        })
    }

    pub(super) fn legs_note(&self) -> Result<Vec<u8>, SpoolError> {
        let note = Note {
            legs: self.legs.clone(),
            active: self.active,
        };
        serde_json::to_vec(&note).map_err(|e| SpoolError::Notes(e.to_string()))
    }

    pub(super) fn write_legs(&mut self) -> Result<(), SpoolError> {
        let note = self.legs_note()?;
        self.note_bytes.insert(NOTE, note.len());
        Ok(self.log.put_meta(NOTE, &note)?)
    }
}

/// A transfer id that says nothing and that nobody can guess.
fn fresh() -> Result<TransferId, SpoolError> {
    use std::fmt::Write as _;
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes).map_err(SpoolError::Random)?;
    let mut id = "t".to_owned();
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(id, "{byte:02x}").map_err(|e| SpoolError::Notes(e.to_string()))?;
    }
    TransferId::new(&id).map_err(|e| SpoolError::Notes(e.to_string()))
}

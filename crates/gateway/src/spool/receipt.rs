//! What a receipt changes: frames are freed, or, when the server lost its past,
//! held again.

use super::life::{within, without};
use super::trust::{LegKey, Trust, Verdict};
use super::word::{Part, Word};
use super::{Life, Spool, SpoolError, StreamLife};
use enroute_model::frame::GapCause;
use enroute_model::ids::{Epoch, Stream};
use enroute_model::ranges::RangeSet;
use enroute_model::time::GatewayTime;
use serde::{Deserialize, Serialize};

/// Key of the note that holds what is freed.
pub(super) const NOTE: &str = "freed";

/// What is written of what the server has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) trust: Trust,
    pub(super) lives: Vec<LifeNote>,
}

/// Of one stream and life.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LifeNote {
    pub(super) epoch: Epoch,
    pub(super) stream: Stream,
    pub(super) next: u64,
    pub(super) freed: RangeSet,
    pub(super) evicted: RangeSet,
}

/// What a receipt did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Frames freed.
    pub freed: u64,
    /// The server lost its past: what is on its way may have been lost with it.
    pub restored: bool,
}

impl Spool {
    /// Takes a receipt that arrived `now`.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn hear(&mut self, word: &Word, now: GatewayTime) -> Result<Heard, SpoolError> {
        let missing: Vec<LegKey> = { word.parts.iter() }
            .filter(|part| self.is_short(part))
            .map(|part| (part.life, part.first))
            .collect();
        let verdict = self.trust.judge(word, &missing, now);
        let restored = verdict == Verdict::Restored;
        match verdict {
            Verdict::Late => return Ok(Heard::default()),
            Verdict::Believed => {}
            Verdict::Restored => {
                self.hold_again();
                self.undeclared = true;
            }
        }
        if self.undeclared {
            self.declare_of_other_transfers()?;
        }
        let mut freed = 0;
        for part in &word.parts {
            if !self.trust.is_suspect((part.life, part.first)) {
                freed += self.free_part(part)?;
            }
        }
        if restored {
            let held = self.unconfirmed();
            tracing::warn!(
                held,
                "the server lost its past: what is on board is sent again"
            );
        }
        if freed > 0 || restored {
            // There may be room now to declare it.
            self.unreadable.clear();
            self.write_freed()?;
        }
        Ok(Heard { freed, restored })
    }

    /// Whether a part does not cover what receipts covered before.
    fn is_short(&self, part: &Part) -> bool {
        let Some((entry, last)) = self.known_leg(part) else {
            return false;
        };
        let freed = within(&entry.freed, part.first, last);
        without(&freed, &part.durable).count() > 0
    }

    /// The numbers that a part speaks of, if its leg is remembered. Of a leg that is
    /// not, nobody knows where it ends.
    fn known_leg(&self, part: &Part) -> Option<(&Life, u64)> {
        let (epoch, stream) = part.life;
        let leg = self.leg_of(epoch, stream, part.first)?;
        let entry = self.lives.get(&part.life)?;
        let last = self.leg_end(epoch, stream, part.first);
        let last = last.min(entry.last()).min(part.told_through);
        (leg.first(stream) == part.first).then_some((entry, last))
    }

    /// Everything that is remembered is to be covered anew.
    fn hold_again(&mut self) {
        let firsts: Vec<(StreamLife, Option<u64>)> = { self.lives.keys() }
            .map(|life| {
                let legs = self.legs.iter().filter(|leg| leg.epoch == life.0);
                (*life, legs.map(|leg| leg.first(life.1)).min())
            })
            .collect();
        for (life, first) in firsts {
            if let (Some(entry), Some(first)) = (self.lives.get_mut(&life), first) {
                // What lies below has no transfer any more to be sent under.
                entry.freed = within(&entry.freed, 1, first.saturating_sub(1));
            }
            self.settle(life);
        }
    }

    /// What was evicted of legs that no report names any more: the server may have
    /// forgotten that there were any, and then never speaks of them. To one that has
    /// the frames a shed record says nothing.
    pub(super) fn declare_of_other_transfers(&mut self) -> Result<(), SpoolError> {
        let Some(now) = self.legs.last().map(|leg| leg.transfer.clone()) else {
            return Ok(());
        };
        let others = self.legs.iter().filter(|leg| leg.transfer != now);
        let mut doubts = Vec::new();
        for (leg, stream) in others.flat_map(|leg| Stream::ALL.map(|stream| (leg, stream))) {
            let (life, first) = ((leg.epoch, stream), leg.first(stream));
            let last = self.leg_end(leg.epoch, stream, first);
            let doubt = self
                .lives
                .get(&life)
                .map(|entry| entry.in_doubt(first, last));
            doubts.extend(
                doubt
                    .filter(|doubt| doubt.count() > 0)
                    .map(|doubt| (life, doubt)),
            );
        }
        self.undeclared = false;
        for (life, doubt) in doubts {
            let waits = self.declare_with_room(life, &doubt, GapCause::Restored)?;
            self.undeclared |= waits.count() > 0;
        }
        Ok(())
    }

    fn free_part(&mut self, part: &Part) -> Result<u64, SpoolError> {
        let freed = self.free_life(part.life, &part.durable);
        // What is on board no more, and not there either, is lost for good.
        let lost = self.known_leg(part).map(|(entry, last)| {
            let doubt = entry.in_doubt(part.first, last);
            without(&doubt, &part.durable)
        });
        let lost = lost.filter(|lost| lost.count() > 0);
        if let Some(lost) = lost {
            // What has to wait is found again by the next receipt.
            self.declare_with_room(part.life, &lost, GapCause::Restored)?;
        }
        Ok(freed)
    }

    /// Frees what is durable at the server; gives how many frames were not before.
    pub(super) fn free_life(&mut self, life: StreamLife, durable: &RangeSet) -> u64 {
        let Some(entry) = self.lives.get_mut(&life) else {
            return 0;
        };
        let before = entry.held();
        for (from, to) in durable.iter() {
            let (from, to) = (from.max(1), to.min(entry.last()));
            if from <= to {
                entry.free(from, to);
            }
        }
        // A shed record of which only the number is covered still waits.
        if self
            .shed
            .range((life, 0)..=(life, u64::MAX))
            .next()
            .is_some()
        {
            self.settle(life);
        }
        let held = self.lives.get(&life).map_or(0, Life::held);
        before.saturating_sub(held)
    }

    /// Not synced: at worst, some frames are sent once more after a restart. What
    /// is synced later, such as the drop of a slice, brings it to the disk too.
    pub(super) fn write_freed(&mut self) -> Result<(), SpoolError> {
        let lives = self.lives.iter().map(|(life, entry)| LifeNote {
            epoch: life.0,
            stream: life.1,
            next: entry.next,
            freed: entry.freed.clone(),
            evicted: entry.evicted.clone(),
        });
        let note = Note {
            trust: self.trust.clone(),
            lives: lives.collect(),
        };
        self.put_note(NOTE, &note, false)
    }
}

//! What arrived of one stream: sequences, content, what never will, and why.

mod given_up;
mod received;
#[cfg(test)]
mod tests;

use crate::bounds::{DIGESTS_MAX, GAPS_SHOWN_MAX, RANGES_MAX, RECEIPT_RANGES_MAX};
use crate::effects::StreamReceipt;
use enroute_model::frame::{GapCause, Shed};
use enroute_model::ids::{Epoch, GatewayId, Stream, StreamKey};
use enroute_model::state::{Gap, StreamCompleteness};
use enroute_model::time::GatewayTime;
use given_up::{Given, GivenUp};
use received::{Hole, Received};
use serde::{Deserialize, Serialize};

/// One stream of one epoch and one leg. Legs are kept apart because what lies
/// between two legs of a gateway belongs to another transfer: it is neither
/// missing here nor may a receipt of this transfer cover it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    received: Received,
    given_up: GivenUp,
    /// Highest sequence known to exist, by a frame or by the gateway's report.
    highest: u64,
    /// By the gateway's report.
    sent: Option<u64>,
    duplicates: u64,
    conflicts: u64,
    /// Digest of sequence `n` at `n % DIGESTS_MAX`, for the newest sequences.
    digests: Vec<u32>,
}

/// What a frame is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    New,
    Duplicate,
    Conflict,
    /// No room for one more gap.
    Full,
}

impl Ledger {
    /// Books a frame; `at` is the gateway's clock in its header.
    pub(crate) fn take(&mut self, sequence: u64, at: GatewayTime, digest: u32) -> Taken {
        if self.received.contains(sequence) {
            return self.repeated(sequence, digest);
        }
        let full = self.received.run_count() >= RANGES_MAX;
        if full && !self.received.touches(sequence) {
            return Taken::Full;
        }
        self.received.insert(sequence, at);
        self.highest = self.highest.max(sequence);
        if self.is_remembered(sequence) {
            self.remember(sequence, digest);
        }
        Taken::New
    }

    /// Books a shed record. It has the number of the last frame in whose place it
    /// stands; that frame may have arrived after all, its receipt lost: then the
    /// record contradicts nothing.
    pub(crate) fn take_shed(&mut self, sequence: u64, at: GatewayTime, digest: u32) -> Taken {
        if self.received.contains(sequence) {
            self.duplicates = self.duplicates.saturating_add(1);
            return Taken::Duplicate;
        }
        self.take(sequence, at, digest)
    }

    fn repeated(&mut self, sequence: u64, digest: u32) -> Taken {
        let kept = self.digests.get(Self::place(sequence)).copied();
        let other = self.is_remembered(sequence) && kept.is_some_and(|kept| kept != digest);
        // The frame itself, behind the record in its place.
        if other && !self.given_up.contains(sequence) {
            self.conflicts = self.conflicts.saturating_add(1);
            return Taken::Conflict;
        }
        self.duplicates = self.duplicates.saturating_add(1);
        Taken::Duplicate
    }

    /// The spool gave up `shed.first..=last`. A cause that is not told is a full
    /// spool: the only one there was before causes were told.
    pub(crate) fn give_up(&mut self, shed: &Shed, first: u64, last: u64) {
        let given = Given {
            first,
            last,
            cause: shed.cause.unwrap_or(GapCause::SpoolFull),
            first_at: (first == shed.first).then_some(shed.first_captured_at),
        };
        self.given_up.insert(given, RANGES_MAX);
        self.highest = self.highest.max(last);
    }

    /// The gateway's word of what it made and sent. An older word, come late,
    /// takes nothing back.
    pub(crate) fn reported(&mut self, produced: u64, sent: Option<u64>) {
        self.highest = self.highest.max(produced);
        self.sent = self.sent.max(sent);
    }

    /// The other's frames are this one's too; what both have came twice.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.merge_digests(other);
        let came = self.received.count().saturating_add(other.received.count());
        self.received.merge(&other.received, RANGES_MAX);
        let twice = came.saturating_sub(self.received.count());
        self.duplicates = self.duplicates.saturating_add(twice);
        for given in other.given_up.iter() {
            self.given_up.insert(given, RANGES_MAX);
        }
        self.highest = self.highest.max(other.highest);
        self.sent = self.sent.max(other.sent);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.conflicts = self.conflicts.saturating_add(other.conflicts);
    }

    fn merge_digests(&mut self, other: &Self) {
        let newest = self.received.highest().max(other.received.highest());
        let window = u64::try_from(DIGESTS_MAX).unwrap_or(1).saturating_sub(1);
        for sequence in newest.saturating_sub(window)..=newest {
            let place = Self::place(sequence);
            if let Some(digest) = other.digests.get(place)
                && other.received.contains(sequence)
                && !self.received.contains(sequence)
            {
                self.remember(sequence, *digest);
            }
        }
    }

    /// `lost`: the spool that held what is missing is gone.
    pub(crate) fn completeness(
        &self,
        (epoch, stream, first): (Epoch, Stream, u64),
        lost: bool,
    ) -> StreamCompleteness {
        let durable = self.received.count();
        let repeated = self.duplicates.saturating_add(self.conflicts);
        let produced = self.highest.saturating_sub(first).saturating_add(1);
        let mut counted = StreamCompleteness {
            epoch,
            stream,
            first,
            highest: self.highest,
            sent: self.sent.map(|sent| sent.min(produced)),
            received: durable.saturating_add(repeated),
            durable,
            shed: 0,
            duplicates: self.duplicates,
            conflicts: self.conflicts,
            missing: 0,
            gaps: Vec::new(),
            more_gaps: 0,
        };
        for gap in self.gaps(first, lost.then_some(GapCause::SpoolLost)) {
            let frames = (gap.last - gap.first).saturating_add(1);
            let sum = match gap.cause {
                Some(_) => &mut counted.shed,
                None => &mut counted.missing,
            };
            *sum = sum.saturating_add(frames);
            if counted.gaps.len() < GAPS_SHOWN_MAX {
                counted.gaps.push(gap);
            } else {
                counted.more_gaps = counted.more_gaps.saturating_add(1);
            }
        }
        counted
    }

    /// Through which number frames have come or been given up without a hole, at
    /// the least, from this one on.
    pub(crate) fn through(&self, sequence: u64) -> Option<u64> {
        let received = self.received.through(sequence);
        received.or_else(|| {
            let mut given = self.given_up.within(sequence, sequence);
            given.next().map(|given| given.last)
        })
    }

    /// The first missing frame, and how many will never come.
    pub(crate) fn standing(&self, first: u64, lost: bool) -> (Option<u64>, u64) {
        let (mut oldest, mut gone) = (None, 0_u64);
        for gap in self.gaps(first, lost.then_some(GapCause::SpoolLost)) {
            if gap.cause.is_some() {
                let frames = (gap.last - gap.first).saturating_add(1);
                gone = gone.saturating_add(frames);
            } else {
                oldest = oldest.or(Some(gap.first));
            }
        }
        (oldest, gone)
    }

    /// All that the journal does not hold, ascending; `why` for what nobody
    /// gave up.
    fn gaps(&self, first: u64, why: Option<GapCause>) -> impl Iterator<Item = Gap> + '_ {
        let holes = self.received.holes(first, self.highest);
        holes.flat_map(move |hole| {
            let given = self.given_up.within(hole.first, hole.last);
            parts(hole, given, why)
        })
    }

    /// Nothing was produced, as far as is known: there is nothing to receipt. Of
    /// what a report alone names a receipt says that none of it is here: a gateway
    /// that no longer has it learns that it is lost.
    pub(crate) fn is_empty(&self, first: u64) -> bool {
        self.highest < first && self.covered().next().is_none()
    }

    /// What was given up counts as covered: there is nothing left to send. What
    /// is only believed lost does not: if it is there after all, it shall come.
    pub(crate) fn receipt(
        &self,
        gateway: &GatewayId,
        (epoch, stream, first): (Epoch, Stream, u64),
    ) -> StreamReceipt {
        let through = match self.covered().next() {
            Some(range) if range.0 <= first => range.1,
            Some(_) | None => first.saturating_sub(1),
        };
        let above = self.covered().filter(|range| range.0 > through);
        StreamReceipt {
            key: StreamKey {
                gateway: gateway.clone(),
                epoch,
                stream,
            },
            first,
            through,
            above: above.take(RECEIPT_RANGES_MAX).collect(),
        }
    }

    /// Received or given up, as ranges that never touch, ascending.
    fn covered(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut received = self.received.iter().peekable();
        let given = self.given_up.iter().map(|given| (given.first, given.last));
        let mut given = given.peekable();
        let mut lowest = move || match (received.peek(), given.peek()) {
            (Some(a), Some(b)) if a.0 <= b.0 => received.next(),
            (Some(_), None) => received.next(),
            (_, Some(_)) => given.next(),
            (None, None) => None,
        };
        let mut ahead = lowest();
        std::iter::from_fn(move || {
            let mut range = ahead.take()?;
            ahead = lowest();
            while let Some(next) = ahead.filter(|next| next.0 <= range.1.saturating_add(1)) {
                range.1 = range.1.max(next.1);
                ahead = lowest();
            }
            Some(range)
        })
    }

    fn is_remembered(&self, sequence: u64) -> bool {
        let age = self.received.highest().saturating_sub(sequence);
        usize::try_from(age).is_ok_and(|age| age < DIGESTS_MAX)
    }

    fn remember(&mut self, sequence: u64, digest: u32) {
        let place = Self::place(sequence);
        if place >= self.digests.len() {
            self.digests.resize(place.saturating_add(1), 0);
        }
        if let Some(kept) = self.digests.get_mut(place) {
            *kept = digest;
        }
    }

    fn place(sequence: u64) -> usize {
        let size = u64::try_from(DIGESTS_MAX).unwrap_or(1);
        usize::try_from(sequence % size).unwrap_or(0)
    }
}

/// A hole, cut where what was given up begins and ends.
fn parts(
    hole: Hole,
    given: impl Iterator<Item = Given>,
    why: Option<GapCause>,
) -> impl Iterator<Item = Gap> {
    let mut given = given.peekable();
    let mut next = Some(hole.first);
    std::iter::from_fn(move || {
        let first = next.filter(|first| *first <= hole.last)?;
        let (last, cause, first_at) = match given.next_if(|given| given.first <= first) {
            Some(given) => (given.last.min(hole.last), Some(given.cause), given.first_at),
            None => match given.peek() {
                Some(behind) => (behind.first.saturating_sub(1), why, None),
                None => (hole.last, why, None),
            },
        };
        next = last.checked_add(1);
        Some(Gap {
            first,
            last,
            from: hole.from.or(first_at),
            to: hole.to,
            cause,
        })
    })
}

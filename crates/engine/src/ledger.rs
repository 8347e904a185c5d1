//! What arrived of one stream: sequences, content, and what never will.

use crate::bounds::{DIGESTS_MAX, GAPS_SHOWN_MAX, RANGES_MAX, RECEIPT_RANGES_MAX};
use crate::effects::StreamReceipt;
use enroute_model::ids::{Epoch, GatewayId, Stream, StreamKey};
use enroute_model::ranges::RangeSet;
use enroute_model::state::{Gap, StreamCompleteness};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One stream of one epoch and one leg. Legs are kept apart because what lies
/// between two legs of a gateway belongs to another transfer: it is neither
/// missing here nor may a receipt of this transfer cover it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    received: RangeSet,
    /// What shed records say; may overlap with what was received before.
    given_up: RangeSet,
    /// Highest sequence known to exist.
    highest: u64,
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
    pub(crate) fn take(&mut self, sequence: u64, digest: u32) -> Taken {
        if self.received.contains(sequence) {
            return self.repeated(sequence, digest);
        }
        if self.is_full() && !self.touches(sequence) {
            return Taken::Full;
        }
        self.received.insert(sequence, sequence);
        self.highest = self.highest.max(sequence);
        if self.is_remembered(sequence) {
            let place = Self::place(sequence);
            if place >= self.digests.len() {
                self.digests.resize(place.saturating_add(1), 0);
            }
            if let Some(kept) = self.digests.get_mut(place) {
                *kept = digest;
            }
        }
        Taken::New
    }

    fn repeated(&mut self, sequence: u64, digest: u32) -> Taken {
        let kept = self.digests.get(Self::place(sequence)).copied();
        if self.is_remembered(sequence) && kept.is_some_and(|kept| kept != digest) {
            self.conflicts = self.conflicts.saturating_add(1);
            return Taken::Conflict;
        }
        self.duplicates = self.duplicates.saturating_add(1);
        Taken::Duplicate
    }

    /// The spool gave up this range. Nothing at all beyond the bound: the
    /// frames then stay missing, which is the cautious reading.
    pub(crate) fn give_up(&mut self, first: u64, last: u64) {
        if self.given_up.range_count() < RANGES_MAX {
            self.given_up.insert(first, last);
            self.highest = self.highest.max(last);
        }
    }

    /// The other's frames are this one's too.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (first, last) in other.received.iter() {
            if self.received.range_count() < RANGES_MAX {
                self.received.insert(first, last);
            }
        }
        for (first, last) in other.given_up.iter() {
            self.give_up(first, last);
        }
        if other.highest > self.highest {
            self.digests.clone_from(&other.digests);
        }
        self.highest = self.highest.max(other.highest);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.conflicts = self.conflicts.saturating_add(other.conflicts);
    }

    pub(crate) fn completeness(
        &self,
        epoch: Epoch,
        stream: Stream,
        first: u64,
    ) -> StreamCompleteness {
        let (durable, covered) = (self.received.count(), self.covered());
        let accounted = covered.count();
        let gaps = covered.missing(first, self.highest);
        let missing = covered
            .missing(first, self.highest)
            .fold(0u64, |sum, (a, b)| {
                sum.saturating_add(b - a).saturating_add(1)
            });
        StreamCompleteness {
            epoch,
            stream,
            first,
            highest: self.highest,
            sent: None,
            received: durable
                .saturating_add(self.duplicates)
                .saturating_add(self.conflicts),
            durable,
            shed: accounted.saturating_sub(durable),
            duplicates: self.duplicates,
            conflicts: self.conflicts,
            missing,
            gaps: gaps
                .take(GAPS_SHOWN_MAX)
                .map(|(first, last)| Gap {
                    first,
                    last,
                    from: None,
                    to: None,
                    cause: None,
                })
                .collect(),
        }
    }

    /// What was given up counts as covered: there is nothing left to send.
    pub(crate) fn receipt(
        &self,
        gateway: &GatewayId,
        epoch: Epoch,
        stream: Stream,
        first: u64,
    ) -> StreamReceipt {
        let covered = self.covered();
        let through = covered.through(first);
        let above = covered.iter().filter(|range| range.0 > through);
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

    fn covered(&self) -> Cow<'_, RangeSet> {
        if self.given_up.range_count() == 0 {
            return Cow::Borrowed(&self.received);
        }
        let mut covered = self.received.clone();
        for (first, last) in self.given_up.iter() {
            covered.insert(first, last);
        }
        Cow::Owned(covered)
    }

    fn is_full(&self) -> bool {
        self.received.range_count() >= RANGES_MAX
    }

    fn touches(&self, sequence: u64) -> bool {
        let before = sequence
            .checked_sub(1)
            .is_some_and(|n| self.received.contains(n));
        before
            || sequence
                .checked_add(1)
                .is_some_and(|n| self.received.contains(n))
    }

    fn is_remembered(&self, sequence: u64) -> bool {
        usize::try_from(self.highest.saturating_sub(sequence)).is_ok_and(|age| age < DIGESTS_MAX)
    }

    fn place(sequence: u64) -> usize {
        let size = u64::try_from(DIGESTS_MAX).unwrap_or(1);
        usize::try_from(sequence % size).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Clone, Debug)]
    enum Action {
        Frame(u64, u32),
        Shed(u64, u64),
    }

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let action = prop_oneof![
            9 => (1..40u64, 0..2u32).prop_map(|(n, d)| Action::Frame(n, d)),
            1 => (1..40u64, 0..5u64).prop_map(|(n, l)| Action::Shed(n, n + l)),
        ];
        prop::collection::vec(action, 0..100)
    }

    proptest! {
        #[test]
        fn counts_like_a_set_of_numbers(actions in actions()) {
            let mut ledger = Ledger::default();
            let (mut first_seen, mut shed) = (BTreeMap::new(), BTreeSet::new());
            let (mut duplicates, mut conflicts, mut highest) = (0, 0, 0);
            for action in actions {
                match action {
                    Action::Frame(n, digest) => {
                        highest = highest.max(n);
                        let wanted = match first_seen.get(&n) {
                            None => { first_seen.insert(n, digest); Taken::New }
                            Some(d) if *d == digest => { duplicates += 1; Taken::Duplicate }
                            Some(_) => { conflicts += 1; Taken::Conflict }
                        };
                        prop_assert_eq!(ledger.take(n, digest), wanted);
                    }
                    Action::Shed(from, to) => {
                        highest = highest.max(to);
                        shed.extend(from..=to);
                        ledger.give_up(from, to);
                    }
                }
            }
            let c = ledger.completeness(Epoch(1), Stream::Numerics, 1);
            let only_shed = shed.iter().filter(|n| !first_seen.contains_key(n)).count() as u64;
            let missing: Vec<u64> = (1..=highest)
                .filter(|n| !shed.contains(n) && !first_seen.contains_key(n)).collect();
            prop_assert_eq!((c.durable, c.shed, c.missing), (first_seen.len() as u64, only_shed, missing.len() as u64));
            prop_assert_eq!((c.duplicates, c.conflicts, c.highest), (duplicates, conflicts, highest));
            prop_assert_eq!(c.durable + c.shed + c.missing, highest);
            let r = ledger.receipt(&GatewayId::new("g").unwrap(), Epoch(1), Stream::Numerics, 1);
            let listed: Vec<u64> = (r.first..=r.through).chain(r.above.iter().flat_map(|(a, b)| *a..=*b)).collect();
            let covered: BTreeSet<u64> = first_seen.keys().copied().chain(shed).collect();
            prop_assert_eq!(listed, covered.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn content_is_remembered_for_the_newest_only() {
        let mut ledger = Ledger::default();
        for n in 1..=1025 {
            assert_eq!(ledger.take(n, 7), Taken::New);
        }
        assert_eq!(ledger.take(2, 8), Taken::Conflict);
        assert_eq!(ledger.take(1, 8), Taken::Duplicate);
    }

    #[test]
    fn a_stream_of_gaps_is_refused_and_not_receipted() {
        let mut ledger = Ledger::default();
        for n in 1..=4_096 {
            assert_eq!(ledger.take(n * 2, 0), Taken::New);
        }
        assert_eq!(ledger.take(9_000, 0), Taken::Full);
        assert_eq!(ledger.take(3, 0), Taken::New, "it closes a gap");
        assert_eq!(ledger.take(9_000, 0), Taken::New, "and makes room");
        assert_eq!(ledger.take(u64::MAX, 0), Taken::Full);
    }
}

//! What is known of the numbers of one stream in one life of the spool.
//!
//! ```text
//!              receipt                    room is needed
//!   held ─────────────────► kept ─────────────────────────► evicted
//!   (to be sent)            (freed, still on disk)          (freed, no bytes)
//!    │  ▲                    │                               │
//!    │  └── server restored ─┘               server restored ┘ in doubt, until the
//!    │                                       server speaks of the leg: covered, or
//!    ▼ no room, or unreadable                declared as restored
//!   a shed record stands for it
//! ```

use super::shed::ShedRecord;
use enroute_model::ranges::RangeSet;

/// Which numbers are used, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The number of the next frame.
    pub(super) next: u64,
    /// Covered by a receipt that still holds.
    pub(super) freed: RangeSet,
    /// Freed once, and dropped to make room.
    pub(super) evicted: RangeSet,
    /// What need not be sent: freed, evicted, or in the range of a shed record,
    /// whose own number stays out until a receipt covers all of it.
    pub(super) gone: RangeSet,
}

impl Life {
    /// The last number given out.
    pub(super) fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// How many frames no receipt covers.
    pub(super) fn held(&self) -> u64 {
        self.last().saturating_sub(self.gone.count())
    }

    /// Whether the server still has to hear of it.
    pub(super) fn matters(&self) -> bool {
        self.held() > 0 || self.in_doubt(1, self.last()).count() > 0
    }

    /// A receipt covers these.
    pub(super) fn free(&mut self, first: u64, last: u64) {
        self.freed.insert(first, last);
        self.gone.insert(first, last);
    }

    /// Whether a receipt covers all of these. That it covers the last of them is
    /// not enough for a shed record: the frame of that number may be there itself.
    pub(super) fn covers(&self, first: u64, last: u64) -> bool {
        self.freed.missing(first, last).next().is_none()
    }

    /// Evicted, and of late not covered by any receipt.
    pub(super) fn in_doubt(&self, first: u64, last: u64) -> RangeSet {
        let evicted = within(&self.evicted, first, last);
        let ranges = evicted.iter();
        collect(ranges.flat_map(|(from, to)| self.freed.missing(from, to)))
    }

    /// Works out `gone` again, with the shed records of this life.
    pub(super) fn settle<'a>(&mut self, records: impl Iterator<Item = &'a ShedRecord>) {
        let mut gone = self.freed.clone();
        let add = |gone: &mut RangeSet, set: &RangeSet| {
            for (from, to) in set.iter() {
                gone.insert(from, to);
            }
        };
        add(&mut gone, &self.evicted);
        let mut waiting = RangeSet::default();
        for record in records {
            let (first, last) = record.numbers();
            gone.insert(first, last);
            self.next = self.next.max(last.saturating_add(1));
            if !self.covers(first, last) {
                waiting.insert(last, last);
            }
        }
        self.gone = without(&gone, &waiting);
    }
}

/// The numbers of `set` in `first..=last`.
pub(super) fn within(set: &RangeSet, first: u64, last: u64) -> RangeSet {
    let cut = set.iter().map(|(a, b)| (a.max(first), b.min(last)));
    collect(cut.filter(|(a, b)| a <= b))
}

/// The numbers of `set` that are not in `other`.
pub(super) fn without(set: &RangeSet, other: &RangeSet) -> RangeSet {
    collect(set.iter().flat_map(|(a, b)| other.missing(a, b)))
}

fn collect(ranges: impl Iterator<Item = (u64, u64)>) -> RangeSet {
    let mut set = RangeSet::default();
    for (from, to) in ranges {
        set.insert(from, to);
    }
    set
}

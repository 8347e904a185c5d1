//! A set of sequence numbers as disjoint ranges: what arrived, what is durable.

use serde::{Deserialize, Serialize};

/// Disjoint, ascending, never touching ranges, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSet {
    ranges: Vec<(u64, u64)>,
}

impl RangeSet {
    /// Adds `first..=last`; an empty range (`first > last`) changes nothing.
    /// Says whether any number was new. In order, this costs O(1).
    pub fn insert(&mut self, first: u64, last: u64) -> bool {
        if first > last {
            return false;
        }
        if let Some(tail) = self.ranges.last_mut()
            && first > tail.1
            && first - tail.1 == 1
        {
            tail.1 = last;
            return true;
        }
        // The first range that touches or lies behind, and the first beyond.
        let start = self
            .ranges
            .partition_point(|r| r.1.saturating_add(1) < first);
        let end = self
            .ranges
            .partition_point(|r| r.0 <= last.saturating_add(1));
        let touched = self.ranges.get(start..end).unwrap_or_default();
        let (Some(head), Some(tail)) = (touched.first(), touched.last()) else {
            self.ranges.insert(start, (first, last));
            return true;
        };
        if head.0 <= first && last <= head.1 {
            return false;
        }
        let merged = (head.0.min(first), tail.1.max(last));
        self.ranges.splice(start..end, [merged]);
        true
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let index = self.ranges.partition_point(|r| r.1 < number);
        self.ranges.get(index).is_some_and(|r| r.0 <= number)
    }

    /// The last number of the range that begins at or before `first` and holds
    /// it, or `first - 1` if `first` is missing.
    #[must_use]
    pub fn through(&self, first: u64) -> u64 {
        let index = self.ranges.partition_point(|r| r.1 < first);
        match self.ranges.get(index) {
            Some(r) if r.0 <= first => r.1,
            _ => first.saturating_sub(1),
        }
    }

    /// The ranges, ascending.
    #[must_use = "iterators are lazy"]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().copied()
    }

    /// The ranges in `first..=last` that are not in the set, ascending.
    pub fn missing(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let inside = self.ranges.partition_point(|r| r.1 < first);
        let ends = self.ranges.get(inside..).unwrap_or_default();
        let mut next = Some(first);
        ends.iter()
            .copied()
            .chain([(u64::MAX, u64::MAX)])
            .map_while(move |(from, to)| {
                let start = next.filter(|n| *n <= last)?;
                next = to.checked_add(1);
                Some((start < from).then(|| (start, (from - 1).min(last))))
            })
            .flatten()
    }

    /// How many numbers the set holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges
            .iter()
            .fold(0, |sum, (a, b)| sum.saturating_add(b - a).saturating_add(1))
    }

    /// The highest number, if any.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.ranges.last().map(|r| r.1)
    }

    /// How many ranges it takes.
    #[must_use]
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(inserts in prop::collection::vec((1u64..60, 0u64..8), 0..40)) {
            let (mut set, mut model) = (RangeSet::default(), BTreeSet::new());
            for (first, length) in inserts {
                let new = (first..first + length).filter(|n| model.insert(*n)).count();
                // An empty range is written as first > last.
                prop_assert_eq!(set.insert(first, first + length - u64::from(length > 0) - u64::from(length == 0)), new > 0);
            }
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.highest(), model.last().copied());
            let expanded: BTreeSet<u64> = set.iter().flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(&expanded, &model);
            prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.1 + 1 < b.0));
            for n in 0..80 {
                prop_assert_eq!(set.contains(n), model.contains(&n));
                let through = (n..100).take_while(|x| model.contains(x)).last().unwrap_or(n.saturating_sub(1));
                prop_assert_eq!(set.through(n), through);
            }
            let missing: Vec<u64> = set.missing(5, 50).flat_map(|(a, b)| a..=b).collect();
            let expected: Vec<u64> = (5..=50).filter(|n| !model.contains(n)).collect();
            prop_assert_eq!(missing, expected);
        }
    }

    #[test]
    fn the_ends_of_the_number_line_are_safe() {
        let mut set = RangeSet::default();
        assert!(set.insert(u64::MAX, u64::MAX));
        assert!(set.insert(0, 0));
        assert!(!set.insert(0, 0));
        assert_eq!(
            set.missing(0, u64::MAX).collect::<Vec<_>>(),
            [(1, u64::MAX - 1)]
        );
        assert_eq!(set.through(u64::MAX), u64::MAX);
    }
}

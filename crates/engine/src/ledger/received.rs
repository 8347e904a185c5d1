//! Frames that came, as runs without a hole, each with the gateway's clock at
//! its ends: so much is kept of the times, and no more.

use enroute_model::time::GatewayTime;
use serde::{Deserialize, Serialize};

/// Disjoint, ascending runs that never touch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Received {
    runs: Vec<Run>,
}

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Run {
    first: u64,
    last: u64,
    first_at: GatewayTime,
    last_at: GatewayTime,
}

/// What did not come between two runs, or outside them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hole {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Gateway's clock of the frame before it.
    pub(super) from: Option<GatewayTime>,
    /// Gateway's clock of the frame behind it.
    pub(super) to: Option<GatewayTime>,
}

impl Run {
    /// `number` is its next.
    fn ends_before(&self, number: u64) -> bool {
        self.last.checked_add(1) == Some(number)
    }
}

impl Received {
    pub(super) fn contains(&self, number: u64) -> bool {
        let index = self.runs.partition_point(|run| run.last < number);
        self.runs.get(index).is_some_and(|run| run.first <= number)
    }

    /// The last number of the run that holds it.
    pub(super) fn through(&self, number: u64) -> Option<u64> {
        let index = self.runs.partition_point(|run| run.last < number);
        let run = self.runs.get(index).filter(|run| run.first <= number)?;
        Some(run.last)
    }

    /// Whether it would lengthen a run instead of beginning one.
    pub(super) fn touches(&self, number: u64) -> bool {
        let before = number.checked_sub(1).is_some_and(|n| self.contains(n));
        before || number.checked_add(1).is_some_and(|n| self.contains(n))
    }

    /// Adds a number that it does not hold. In order, this costs O(1).
    pub(super) fn insert(&mut self, number: u64, at: GatewayTime) {
        if let Some(tail) = self.runs.last_mut()
            && tail.ends_before(number)
        {
            (tail.last, tail.last_at) = (number, at);
            return;
        }
        let index = self.runs.partition_point(|run| run.last < number);
        let before = index.checked_sub(1).filter(|before| {
            self.runs
                .get(*before)
                .is_some_and(|r| r.ends_before(number))
        });
        let behind = self
            .runs
            .get(index)
            .copied()
            .filter(|run| number.checked_add(1) == Some(run.first));
        match (before.and_then(|before| self.runs.get_mut(before)), behind) {
            (Some(before), Some(behind)) => {
                (before.last, before.last_at) = (behind.last, behind.last_at);
                self.runs.remove(index);
            }
            (Some(before), None) => (before.last, before.last_at) = (number, at),
            (None, Some(_)) => {
                if let Some(run) = self.runs.get_mut(index) {
                    (run.first, run.first_at) = (number, at);
                }
            }
            (None, None) => self.runs.insert(
                index,
                Run {
                    first: number,
                    last: number,
                    first_at: at,
                    last_at: at,
                },
            ),
        }
    }

    /// Adds what the other holds, as far as `runs_max` allows.
    pub(super) fn merge(&mut self, other: &Self, runs_max: usize) {
        self.runs.extend_from_slice(&other.runs);
        self.runs.sort_by_key(|run| run.first);
        self.runs.dedup_by(|next, run| {
            let joined = next.first <= run.last.saturating_add(1);
            if joined && next.last > run.last {
                (run.last, run.last_at) = (next.last, next.last_at);
            }
            joined
        });
        self.runs.truncate(runs_max);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|run| (run.first, run.last))
    }

    /// The highest number, 0 if there is none.
    pub(super) fn highest(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.last)
    }

    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// How many numbers it holds.
    pub(super) fn count(&self) -> u64 {
        self.iter()
            .fold(0, |sum, (a, b)| sum.saturating_add(b - a).saturating_add(1))
    }

    /// What is not there in `first..=last`, ascending. Nothing it holds lies
    /// below `first`.
    pub(super) fn holes(&self, first: u64, last: u64) -> impl Iterator<Item = Hole> + '_ {
        let edge = |index: usize| self.runs.get(index);
        (0..=self.runs.len()).filter_map(move |index| {
            let before = index.checked_sub(1).and_then(edge);
            let behind = edge(index);
            let hole = Hole {
                first: match before {
                    Some(run) => run.last.checked_add(1)?,
                    None => first,
                },
                last: behind
                    .map_or(last, |run| run.first.saturating_sub(1))
                    .min(last),
                from: before.map(|run| run.last_at),
                to: behind.map(|run| run.first_at),
            };
            (hole.first <= hole.last).then_some(hole)
        })
    }
}

//! Frames that the gateway says will never come, as runs with their causes.

use enroute_model::frame::GapCause;
use enroute_model::time::GatewayTime;
use serde::{Deserialize, Serialize};

/// Disjoint, ascending runs; those that touch differ in their cause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GivenUp {
    runs: Vec<Given>,
}

/// Both ends included. May overlap with what was received before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) cause: GapCause,
    /// Gateway's clock of the first of them, where it was told.
    pub(super) first_at: Option<GatewayTime>,
}

impl GivenUp {
    /// Adds a statement. What was given up before keeps its cause. Nothing at
    /// all beyond `runs_max`: the frames then stay missing, which is the
    /// cautious reading.
    pub(super) fn insert(&mut self, given: Given, runs_max: usize) {
        if given.first > given.last || self.runs.len() >= runs_max {
            return;
        }
        let mut parts = Vec::new();
        let mut next = Some(given.first);
        let begin = self.runs.partition_point(|run| run.last < given.first);
        let known = self.runs.iter().skip(begin);
        for run in known.take_while(|run| run.first <= given.last) {
            if let Some(first) = next.filter(|first| *first < run.first) {
                parts.push((first, run.first - 1));
            }
            next = run.last.checked_add(1);
        }
        if let Some(first) = next.filter(|first| *first <= given.last) {
            parts.push((first, given.last));
        }
        for (first, last) in parts {
            let first_at = given.first_at.filter(|_| first == given.first);
            self.put(Given {
                first,
                last,
                first_at,
                ..given
            });
        }
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        let index = self.runs.partition_point(|run| run.last < sequence);
        self.runs
            .get(index)
            .is_some_and(|run| run.first <= sequence)
    }

    /// Adds a run that overlaps with none.
    fn put(&mut self, given: Given) {
        let index = self.runs.partition_point(|run| run.last < given.first);
        self.runs.insert(index, given);
        // A neighbour behind it first, so that the index before stays right.
        self.unite(index);
        if let Some(before) = index.checked_sub(1) {
            self.unite(before);
        }
    }

    /// Makes one run of two that touch and have the same cause.
    fn unite(&mut self, index: usize) {
        let behind = self.runs.get(index.saturating_add(1)).copied();
        if let (Some(run), Some(behind)) = (self.runs.get_mut(index), behind)
            && run.last.checked_add(1) == Some(behind.first)
            && run.cause == behind.cause
        {
            run.last = behind.last;
            self.runs.remove(index.saturating_add(1));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Given> + '_ {
        self.runs.iter().copied()
    }

    /// Those that reach into `first..=last`, ascending.
    pub(super) fn within(&self, first: u64, last: u64) -> impl Iterator<Item = Given> + '_ {
        let begin = self.runs.partition_point(|run| run.last < first);
        let rest = self.runs.get(begin..).unwrap_or_default().iter().copied();
        rest.take_while(move |run| run.first <= last)
    }
}

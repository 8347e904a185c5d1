//! Where a playback has been: courses saved on the way, and when alerts asked for
//! attention. Complete from the start of the recording through one moment, so that
//! a seek within it runs only a short stretch again.

use crate::engines::Step;
use crate::replay::course::{Course, Saved};
use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeSet;

/// Courses kept; when full every second one goes, and the next are further apart.
const SAVED_MAX: usize = 128;
/// Recorded time between two of them at first.
const SAVE_EVERY: Span = Span::from_secs(60);
/// Alerts remembered; jumping knows no later ones.
const RAISED_MAX: usize = 100_000;

pub(crate) struct Index {
    saved: Vec<(u64, Saved)>,
    every: Span,
    raised: BTreeSet<EngineTime>,
    /// Complete through here.
    pub(crate) through: EngineTime,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            saved: Vec::new(),
            every: SAVE_EVERY,
            raised: BTreeSet::new(),
            through: EngineTime(i64::MIN),
        }
    }

    /// The course has come on, from the start without a hole, through the record
    /// at `place`.
    pub(crate) fn extend(&mut self, course: &Course, place: u64, steps: &[Step]) {
        if course.now < self.through {
            return;
        }
        self.through = course.now;
        for at in raised(steps) {
            if self.raised.len() < RAISED_MAX {
                self.raised.insert(at);
            }
        }
        let last = self.saved.last().map(|(_, saved)| saved.now);
        if last.is_none_or(|last| course.now.since(last) >= self.every) {
            self.save(course, place);
        }
    }

    fn save(&mut self, course: &Course, place: u64) {
        if self.saved.len() >= SAVED_MAX {
            let mut keep = false;
            self.saved.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.scaled(2, 1);
        }
        self.saved.extend(course.save().map(|saved| (place, saved)));
    }

    /// The last course saved at or before `at`, and its place.
    pub(crate) fn before(&self, at: EngineTime) -> Option<&(u64, Saved)> {
        let count = self.saved.partition_point(|(_, saved)| saved.now <= at);
        self.saved.get(count.checked_sub(1)?)
    }

    /// The first alert after `at`.
    pub(crate) fn alert_after(&self, at: EngineTime) -> Option<EngineTime> {
        self.raised.range(at.plus(Span(1))..).next().copied()
    }

    /// The last alert before `at`.
    pub(crate) fn alert_before(&self, at: EngineTime) -> Option<EngineTime> {
        self.raised.range(..at).next_back().copied()
    }
}

/// When steps asked for attention; what is found in late data never does (I11).
pub(crate) fn raised(steps: &[Step]) -> impl Iterator<Item = EngineTime> {
    let alerts = steps.iter().flat_map(|step| match step {
        Step::Effects { effects, .. } => effects.alerts.as_slice(),
        Step::Handled { .. } | Step::Joined { .. } | Step::Rebuilt { .. } => &[],
    });
    alerts
        .filter(|alert| alert.alert.raised == alert.ordinal && !alert.alert.is_retrospective())
        .map(|alert| alert.at)
}

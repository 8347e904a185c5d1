//! A bound with hysteresis, and the short breaches of one that come again and
//! again.

use super::Input;
use super::machine::Truth;
use crate::limit::Side;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// Breaches that are remembered: a rule may ask for so many.
pub(super) const TIMES_MAX: usize = 8;

/// A bound of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) side: Side,
    /// Beyond it, strictly.
    pub(super) limit: f64,
    /// At this value or further inside it is over.
    pub(super) clears_at: f64,
}

impl Bound {
    pub(super) fn beyond(&self, value: f64) -> bool {
        match self.side {
            Side::Low => value < self.limit,
            Side::High => value > self.limit,
        }
    }

    fn short_of_clearing(&self, value: f64) -> bool {
        match self.side {
            Side::Low => value < self.clears_at,
            Side::High => value > self.clears_at,
        }
    }

    /// Inside the hysteresis it holds on only while its rule is raised, so that
    /// a delay runs through breaches alone.
    pub(super) fn judge(&self, value: f64, on: Option<&mut bool>, raised: bool) -> Truth {
        let was_on = on.as_ref().is_some_and(|on| **on);
        let holds = self.beyond(value) || raised && was_on && self.short_of_clearing(value);
        if let Some(on) = on {
            *on = holds;
        }
        if holds { Truth::Present } else { Truth::Absent }
    }
}

/// Breaches that lasted long enough to count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Episodes {
    /// Beyond since; a gap in the data goes on, a stop does not.
    since: Option<EngineTime>,
    counted: bool,
    blind: bool,
    /// When they had lasted long enough, newest first.
    times: [Option<EngineTime>; TIMES_MAX],
}

impl Episodes {
    pub(super) fn note(&mut self, input: Input, bound: &Bound, lasts: Span, now: EngineTime) {
        self.blind = true;
        match input {
            Input::Value(value) => {
                self.blind = false;
                let goes_on = self.since.is_some() && bound.short_of_clearing(value);
                if bound.beyond(value) || goes_on {
                    self.since.get_or_insert(now);
                } else {
                    self.since = None;
                    self.counted = false;
                }
            }
            Input::Gap => {}
            Input::Stopped => {
                self.since = None;
                self.counted = false;
            }
        }
        let due = self.due(lasts);
        if due.is_some_and(|due| due <= now) {
            self.counted = true;
            self.times.rotate_right(1);
            if let Some(newest) = self.times.first_mut() {
                *newest = Some(now);
            }
        }
    }

    /// How many within the span before.
    pub(super) fn within(&self, span: Span, now: EngineTime) -> u8 {
        let lately = |time: &&Option<EngineTime>| time.is_some_and(|t| now.since(t) < span);
        u8::try_from(self.times.iter().filter(lately).count()).unwrap_or(u8::MAX)
    }

    /// When the present one counts, and when so many are no longer together.
    pub(super) fn deadlines(&self, lasts: Span, times: u8, span: Span) -> [Option<EngineTime>; 2] {
        let last = usize::from(times).checked_sub(1);
        let oldest = last.and_then(|place| *self.times.get(place)?);
        [self.due(lasts), oldest.map(|at| at.plus(span))]
    }

    /// A breach goes on.
    pub(super) fn is_open(&self) -> bool {
        self.since.is_some()
    }

    fn due(&self, lasts: Span) -> Option<EngineTime> {
        let waits = !self.counted && !self.blind;
        self.since.filter(|_| waits).map(|since| since.plus(lasts))
    }
}

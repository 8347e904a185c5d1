//! Which rules need not be asked: nothing that they look at has changed.
//!
//! Most values of a frame move a little and change no answer. So a rule that does
//! not hold, is not raised and waits for nothing is *quiet*: its answer, and all
//! that it remembers, stays what it is
//!
//! - while every channel that it looked at gives values inside of a [`Band`],
//! - until a time at which a window or a gap of the data becomes another one,
//! - while marks, baselines, doubts and the source stay what they are.
//!
//! To ask a quiet rule again is always right and never needed. So nothing of this
//! is in a snapshot: behind a restore, and behind every change that is not a value,
//! all rules are asked.

use super::repeated::Bound;
use crate::limit::Side;
use enroute_model::time::EngineTime;

/// Values of one channel that give the same answers, ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    least: f64,
    greatest: f64,
}

impl Band {
    /// Whatever it is.
    pub(super) const ANY: Self = Self {
        least: f64::NEG_INFINITY,
        greatest: f64::INFINITY,
    };
    /// No other value.
    pub(super) const NONE: Self = Self {
        least: f64::INFINITY,
        greatest: f64::NEG_INFINITY,
    };

    pub(super) fn at_least(least: f64) -> Self {
        Self { least, ..Self::ANY }
    }

    pub(super) fn at_most(greatest: f64) -> Self {
        Self {
            greatest,
            ..Self::ANY
        }
    }

    /// All on the same side of a bound.
    pub(super) fn beside(bound: &Bound, value: f64) -> Self {
        match (bound.side, bound.beyond(value)) {
            (Side::Low, true) => Self::at_most(bound.limit.next_down()),
            (Side::Low, false) => Self::at_least(bound.limit),
            (Side::High, true) => Self::at_least(bound.limit.next_up()),
            (Side::High, false) => Self::at_most(bound.limit),
        }
    }

    pub(super) fn holds(self, value: f64) -> bool {
        (self.least..=self.greatest).contains(&value)
    }

    pub(super) fn narrow(&mut self, to: Self) {
        self.least = self.least.max(to.least);
        self.greatest = self.greatest.min(to.greatest);
    }
}

/// What is known of the rules of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    /// A bit for each rule's place: `RULES_MAX` of them.
    rules: u64,
    /// One for each channel; none before the first asking.
    pub(super) bands: Vec<Band>,
    /// Behind this time all are asked.
    until: Option<EngineTime>,
    marks: Vec<String>,
    silent: bool,
}

impl Quiet {
    /// Rules are about to be asked.
    pub(super) fn begin(&mut self, (marks, silent): (&[String], bool), now: EngineTime) {
        if self.until.is_some_and(|until| until < now) || self.silent != silent {
            self.ask_all();
            self.until = None;
            self.silent = silent;
        }
        if self.marks != marks {
            self.ask_all();
            self.marks = marks.to_vec();
        }
    }

    pub(super) fn holds(&self, place: usize) -> bool {
        self.rules & bit(place) != 0
    }

    /// A rule was asked, and stays what it is until then if no value leaves its band.
    pub(super) fn add(&mut self, place: usize, until: Option<EngineTime>) {
        self.rules |= bit(place);
        self.until = super::earliest(self.until, until);
    }

    /// Something other than a value is not what it was.
    pub(super) fn ask_all(&mut self) {
        self.rules = 0;
    }

    /// Whether a value changes nothing.
    pub(super) fn is_same(&self, channel: usize, value: f64) -> bool {
        let band = self.bands.get(channel);
        band.is_some_and(|band| band.holds(value))
    }

    #[cfg(test)]
    pub(super) fn count_for_test(&self) -> u32 {
        self.rules.count_ones()
    }

    /// A channel has changed for these rules.
    pub(super) fn ask(&mut self, channel: usize, rules: u64) {
        self.rules &= !rules;
        if let Some(band) = self.bands.get_mut(channel) {
            *band = Band::ANY;
        }
    }
}

/// The bit of a rule's place.
pub(super) fn bit(place: usize) -> u64 {
    let shift = u32::try_from(place).unwrap_or(u32::MAX);
    1_u64.checked_shl(shift).unwrap_or(0)
}

//! What a rule asks, and the answer at one moment: it holds, it does not, or
//! there is not enough to tell.
//!
//! *Not enough* goes through and, or and counting by Kleene's three-valued
//! logic: an *all* with one clause that does not hold does not hold, whatever
//! the unknown ones would say.

use super::answers::{
    TOO_LITTLE, count, difference, gone, holds, lately, measuring, on, plain, slope, sustained,
    swing, usable, version_of,
};
use super::machine::Truth;
use super::quiet::Band;
use super::repeated::{Bound, Episodes};
use super::window::Window;
use super::{Channel, Input, RuleState, earliest};
use crate::limit::Side;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// What a rule asks. `usize` are places of channels, windows, earlier rules and
/// of the rule's own memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clause {
    /// The first usable value is beyond a bound.
    Level {
        of: Vec<usize>,
        bound: Bound,
        memory: usize,
    },
    /// The first less the second is beyond a bound.
    Difference {
        of: [usize; 2],
        bound: Bound,
        memory: usize,
    },
    /// Of what came within a window at least this share was beyond a bound;
    /// the window is of ones and zeros.
    Sustained {
        of: Vec<(usize, usize)>,
        share: f64,
        limit: f64,
    },
    /// Moved away from its baseline: one that a clinician set, else the median
    /// of the oldest part of the window.
    Change {
        of: Vec<(usize, usize)>,
        side: Side,
        amount: f64,
        percent: bool,
        hysteresis: f64,
        part: Span,
        memory: usize,
    },
    /// Robust slope per minute over a window.
    Slope {
        of: Vec<(usize, usize)>,
        bound: Bound,
        memory: usize,
    },
    /// Away by so much from the least or greatest of a window, which may be of
    /// another channel: a score rises for certain when its lower end is above
    /// an earlier upper end.
    Swing {
        of: Vec<Swings>,
        side: Side,
        by: f64,
        manual: bool,
    },
    /// Short breaches that come again and again.
    Repeated {
        of: Vec<usize>,
        bound: Bound,
        lasts: Span,
        times: u8,
        within: Span,
        memory: usize,
    },
    /// One of them has a usable value.
    Usable(Vec<usize>),
    /// It was there, and is not any more, or is below what can be true.
    Gone {
        of: usize,
        below: Option<f64>,
    },
    /// The transfer is marked with this word.
    Marked(String),
    /// A measurement is due about now, or just came.
    Measuring {
        of: usize,
        before: Span,
        after: Span,
    },
    /// An earlier rule is raised.
    Raised(usize),
    UnlessRaised(usize),
    Not(Box<Clause>),
    All(Vec<Clause>),
    Any(Vec<Clause>),
    /// So many of them, each now or within the span before.
    AtLeast {
        count: usize,
        within: Span,
        of: Vec<(Clause, usize)>,
    },
}

/// One value of a [`Clause::Swing`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Swings {
    pub(super) channel: usize,
    pub(super) window: usize,
    /// What fills the window.
    pub(super) from: usize,
}

/// What a clause remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Memory {
    /// Held when last asked.
    On(bool),
    /// The baseline of a change, kept while its rule is raised, and the last
    /// one computed with the version of its window.
    Baseline {
        held: Option<f64>,
        fresh: Option<f64>,
        version: i64,
    },
    /// A slope with the version of its window.
    Slope {
        on: bool,
        slope: Option<f64>,
        version: i64,
    },
    Episodes(Episodes),
    /// Held last.
    Last(Option<EngineTime>),
}

/// The answer of a clause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) truth: Truth,
    /// Everything that it needs was there once: else it says nothing of this
    /// patient, and nobody misses it.
    pub(super) applies: bool,
}

/// What a clause may look at.
pub(super) struct Moment<'a> {
    pub(super) now: EngineTime,
    pub(super) channels: &'a [Channel],
    /// For each channel, what leaves the answer as it is.
    pub(super) bands: &'a mut [Band],
    pub(super) windows: &'a [Window],
    pub(super) marks: &'a [String],
    /// Rules before this one.
    pub(super) earlier: &'a [RuleState],
    /// The rule judges the values' own quality: doubts of others do not count.
    pub(super) raw: bool,
    /// The source is not heard.
    pub(super) silent: bool,
    /// The rule is raised: hysteresis counts.
    pub(super) raised: bool,
    /// The bound that was broken, for display.
    pub(super) limit: Option<f64>,
    /// The first channel that had a value.
    pub(super) spoke: Option<usize>,
    /// When the answer may become another one though nothing comes.
    pub(super) due: Option<EngineTime>,
    /// Behind this time it may be another one, for whoever asks then.
    pub(super) until: Option<EngineTime>,
}

impl Moment<'_> {
    /// The first usable value with its place in the list. Who asks says which other
    /// values of that channel give the same answer ([`Moment::same_within`]).
    pub(super) fn first(
        &mut self,
        of: impl Iterator<Item = usize>,
    ) -> Result<(usize, f64), Answer> {
        let (mut gap, mut seen) = (false, false);
        for (place, index) in of.enumerate() {
            let Some(channel) = self.channels.get(index) else {
                continue;
            };
            seen |= channel.is_seen();
            match channel.input(self.now, self.raw) {
                Input::Value(value) => {
                    self.spoke.get_or_insert(index);
                    return Ok((place, value));
                }
                Input::Gap => {
                    gap = true;
                    self.same_until(channel.gap_until());
                }
                Input::Stopped => {}
            }
            self.same_within(index, Band::NONE);
        }
        Err(Answer {
            truth: Truth::Unknown { stopped: !gap },
            applies: seen,
        })
    }

    /// Values of a channel that leave the answer as it is.
    pub(super) fn same_within(&mut self, channel: usize, band: Band) {
        if let Some(known) = self.bands.get_mut(channel) {
            known.narrow(band);
        }
    }

    /// A time until which it stays as it is.
    pub(super) fn same_until(&mut self, until: Option<EngineTime>) {
        self.until = earliest(self.until, until);
    }

    pub(super) fn wake(&mut self, at: EngineTime) {
        if at > self.now {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
    }

    pub(super) fn interval(&self, channel: usize) -> Span {
        self.channels
            .get(channel)
            .map_or(Span::ZERO, |channel| channel.interval)
    }

    pub(super) fn broke(&mut self, truth: Truth, limit: f64) -> Answer {
        if truth == Truth::Present {
            self.limit.get_or_insert(limit);
        }
        plain(truth)
    }
}

impl Clause {
    pub(super) fn ask(&self, memory: &mut [Memory], at: &mut Moment) -> Answer {
        match self.judge(memory, at) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn judge(&self, memory: &mut [Memory], at: &mut Moment) -> Result<Answer, Answer> {
        Ok(match self {
            Self::Level {
                of,
                bound,
                memory: place,
            } => {
                let (chosen, value) = at.first(of.iter().copied())?;
                if let Some(channel) = of.get(chosen) {
                    at.same_within(*channel, Band::beside(bound, value));
                }
                let truth = bound.judge(value, on(memory, *place), at.raised);
                at.broke(truth, bound.limit)
            }
            Self::Difference {
                of,
                bound,
                memory: place,
            } => {
                let (a, b) = difference(*of, bound, at)?;
                let truth = bound.judge(a - b, on(memory, *place), at.raised);
                at.broke(truth, bound.limit)
            }
            Self::Sustained { of, share, limit } => sustained((of, *share, *limit), at)?,
            Self::Change { .. } => self.change(memory, at)?,
            Self::Slope {
                of,
                bound,
                memory: place,
            } => slope((of, bound), memory, *place, at)?,
            Self::Swing {
                of,
                side,
                by,
                manual,
            } => swing((of, *side, *by, *manual), at)?,
            Self::Repeated { .. } => self.repeated(memory, at),
            Self::Usable(of) => usable(of, at),
            Self::Gone { of, below } => gone(*of, *below, at),
            Self::Marked(word) => plain(holds(at.marks.iter().any(|mark| mark == word))),
            Self::Measuring { of, before, after } => measuring(*of, (*before, *after), at),
            Self::Raised(rule) => {
                let rule = at.earlier.get(*rule);
                rule.map_or(TOO_LITTLE, RuleState::as_clause)
            }
            Self::UnlessRaised(rule) => {
                let rule = at.earlier.get(*rule);
                plain(holds(!rule.is_some_and(|rule| rule.machine.is_raised())))
            }
            Self::Not(clause) => {
                let asked = clause.ask(memory, at);
                let truth = match asked.truth {
                    Truth::Present => Truth::Absent,
                    Truth::Absent => Truth::Present,
                    unknown @ Truth::Unknown { .. } => unknown,
                };
                Answer { truth, ..asked }
            }
            Self::All(clauses) => count(clauses.iter().map(|c| c.ask(memory, at)), clauses.len()),
            Self::Any(clauses) => count(clauses.iter().map(|c| c.ask(memory, at)), 1),
            Self::AtLeast {
                count: wanted,
                within,
                of,
            } => {
                let asked = of.iter().map(|(clause, place)| {
                    let asked = clause.ask(memory, at);
                    lately(asked, (memory, *place), *within, at)
                });
                count(asked, *wanted)
            }
        })
    }

    fn change(&self, memory: &mut [Memory], at: &mut Moment) -> Result<Answer, Answer> {
        let Self::Change {
            of,
            side,
            amount,
            percent,
            hysteresis,
            part,
            memory: place,
        } = self
        else {
            return Err(TOO_LITTLE);
        };
        let (chosen, value) = at.first(of.iter().map(|(channel, _)| *channel))?;
        let (
            Some((channel, window)),
            Some(Memory::Baseline {
                held,
                fresh,
                version,
            }),
        ) = (of.get(chosen), memory.get_mut(*place))
        else {
            return Err(TOO_LITTLE);
        };
        let declared = at
            .channels
            .get(*channel)
            .and_then(|channel| channel.baseline);
        let window = at.windows.get(*window).ok_or(TOO_LITTLE)?;
        let now_at = version_of(window.version(), chosen);
        if *version != now_at || fresh.is_none() {
            *version = now_at;
            *fresh = window.baseline(*part, at.interval(*channel));
        }
        // It is looked for again each time.
        at.same_until(fresh.map_or(Some(at.now), |_| window.until()));
        let baseline = declared.or(if at.raised { *held } else { None }).or(*fresh);
        let baseline = baseline.ok_or(TOO_LITTLE)?;
        *held = at.raised.then_some(baseline);
        let amount = if at.raised {
            amount - hysteresis
        } else {
            *amount
        };
        let by = if *percent {
            baseline.abs() * amount / 100.0
        } else {
            amount
        };
        let (moved, limit) = match side {
            Side::Low => (value <= baseline - by, baseline - by),
            Side::High => (value >= baseline + by, baseline + by),
        };
        let same = match (side, moved) {
            (Side::Low, true) => Band::at_most(limit),
            (Side::Low, false) => Band::at_least(limit.next_up()),
            (Side::High, true) => Band::at_least(limit),
            (Side::High, false) => Band::at_most(limit.next_down()),
        };
        at.same_within(*channel, same);
        Ok(at.broke(holds(moved), (limit * 10.0).round() / 10.0))
    }

    fn repeated(&self, memory: &mut [Memory], at: &mut Moment) -> Answer {
        let Self::Repeated {
            of,
            bound,
            lasts,
            times,
            within,
            memory: place,
        } = self
        else {
            return TOO_LITTLE;
        };
        let Some(Memory::Episodes(episodes)) = memory.get_mut(*place) else {
            return TOO_LITTLE;
        };
        let value = at.first(of.iter().copied());
        let input = match value {
            Ok((_, value)) => Input::Value(value),
            Err(Answer {
                truth: Truth::Unknown { stopped: false },
                ..
            }) => Input::Gap,
            Err(_) => Input::Stopped,
        };
        episodes.note(input, bound, *lasts, at.now);
        for due in episodes
            .deadlines(*lasts, *times, *within)
            .into_iter()
            .flatten()
        {
            at.wake(due);
        }
        match value {
            Ok((chosen, value)) => {
                let calm = !episodes.is_open();
                if let Some(channel) = of.get(chosen) {
                    let same = if calm {
                        Band::beside(bound, value)
                    } else {
                        Band::NONE
                    };
                    at.same_within(*channel, same);
                }
                let enough = episodes.within(*within, at.now) >= *times;
                at.broke(holds(enough), bound.limit)
            }
            Err(unknown) => unknown,
        }
    }
}

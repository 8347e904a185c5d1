//! The life of one rule's alert, from what its clause says.
//!
//! ```text
//!           present             for the on-delay
//!   normal ─────────► pending ──────────────────► active ⇄ unknown
//!      ▲                 │                           │ absent for the off-delay
//!      └─────────────────┴───────────────────────────┴─► over, or latched
//! ```
//!
//! Pending and clearing are internal. What is not known raises nothing and
//! clears nothing (I6): a short gap stops both delays where they are, data that
//! stopped for longer starts them anew.

use enroute_model::frame::Priority;
use enroute_model::state::AlertPhase;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// What a clause says of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It holds.
    Present,
    /// It does not hold.
    Absent,
    /// There is not enough to tell.
    Unknown {
        /// Not only for a moment: data stopped, or too little came.
        stopped: bool,
    },
}

/// How fast a rule's alert comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How urgent.
    pub priority: Priority,
    /// How long it must hold before it is raised.
    pub on_delay: Span,
    /// How long it must not hold before it is over.
    pub off_delay: Span,
    /// Stays until somebody looks.
    pub latching: bool,
}

/// What viewers know of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Shown {
    #[default]
    Nothing,
    Open {
        phase: AlertPhase,
        since: EngineTime,
        /// It latches when it ends; not any more once somebody has looked.
        latches: bool,
    },
}

/// One rule's alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// Holds without a break since.
    present_since: Option<EngineTime>,
    /// Does not hold, without a break, since; kept while it is shown only.
    absent_since: Option<EngineTime>,
    shown: Shown,
    blind: bool,
}

impl Machine {
    /// What the clause says now. Gives the phase that viewers are to be told,
    /// if it is another one.
    pub(super) fn input(
        &mut self,
        timing: Timing,
        truth: Truth,
        now: EngineTime,
    ) -> Option<AlertPhase> {
        match truth {
            Truth::Present => {
                self.blind = false;
                self.absent_since = None;
                self.present_since.get_or_insert(now);
            }
            Truth::Absent => {
                self.blind = false;
                self.present_since = None;
                let clearing = self.is_raised();
                self.absent_since = clearing.then(|| self.absent_since.unwrap_or(now));
            }
            Truth::Unknown { stopped } => return self.nothing_known(stopped),
        }
        self.settle(timing, now)
    }

    /// When a delay ends.
    pub(super) fn next_timeout(&self, timing: Timing) -> Option<EngineTime> {
        if self.blind {
            return None;
        }
        if self.is_raised() {
            return Some(self.absent_since?.plus(timing.off_delay));
        }
        Some(self.present_since?.plus(timing.on_delay))
    }

    /// Over for another reason than its clause. Says whether viewers saw it.
    pub(super) fn end(&mut self) -> bool {
        let seen = self.shown != Shown::Nothing;
        *self = Self::default();
        seen
    }

    /// Somebody has looked: what is latched is over, and what is present does
    /// not latch. The caller ends the alert of the former.
    pub(super) fn looked_at(&mut self) {
        match &mut self.shown {
            Shown::Open {
                phase: AlertPhase::Latched,
                ..
            } => self.shown = Shown::Nothing,
            Shown::Open { latches, .. } => *latches = false,
            Shown::Nothing => {}
        }
    }

    /// Present for viewers, or it was when the data stopped.
    pub(super) fn is_raised(&self) -> bool {
        match self.shown {
            Shown::Open { phase, .. } => phase != AlertPhase::Latched,
            Shown::Nothing => false,
        }
    }

    /// Active, unknown or latched.
    pub(super) fn is_shown(&self) -> bool {
        self.shown != Shown::Nothing
    }

    /// Nothing is unknown, and no delay runs.
    pub(super) fn is_settled(&self) -> bool {
        !self.blind && (self.present_since.is_none() || self.is_raised())
    }

    /// What it means to a rule that is made of this one.
    pub(super) fn truth(&self) -> Truth {
        match self.shown {
            Shown::Open {
                phase: AlertPhase::Active,
                ..
            } => Truth::Present,
            Shown::Open {
                phase: AlertPhase::Unknown,
                ..
            } => Truth::Unknown { stopped: true },
            Shown::Open { .. } | Shown::Nothing if self.blind => Truth::Unknown { stopped: false },
            Shown::Open { .. } | Shown::Nothing => Truth::Absent,
        }
    }

    /// When what is shown began.
    pub(super) fn since(&self) -> Option<EngineTime> {
        match self.shown {
            Shown::Open { since, .. } => Some(since),
            Shown::Nothing => None,
        }
    }

    fn nothing_known(&mut self, stopped: bool) -> Option<AlertPhase> {
        self.blind = true;
        if stopped {
            self.present_since = None;
            self.absent_since = None;
        }
        match &mut self.shown {
            Shown::Open { phase, .. } if *phase == AlertPhase::Active => {
                *phase = AlertPhase::Unknown;
                Some(AlertPhase::Unknown)
            }
            Shown::Open { .. } | Shown::Nothing => None,
        }
    }

    /// Brings what is shown in line with what lasted for long enough.
    fn settle(&mut self, timing: Timing, now: EngineTime) -> Option<AlertPhase> {
        if self.blind {
            return None;
        }
        match self.shown {
            Shown::Open {
                phase,
                since,
                latches,
            } if phase != AlertPhase::Latched => {
                let over = self
                    .absent_since
                    .is_some_and(|from| from.plus(timing.off_delay) <= now);
                let next = match (over, latches) {
                    (true, true) => AlertPhase::Latched,
                    (true, false) => AlertPhase::Ended,
                    (false, _) if self.absent_since.is_some() => phase,
                    (false, _) => AlertPhase::Active,
                };
                self.show(next, since, latches, (phase != next).then_some(next))
            }
            Shown::Open { .. } | Shown::Nothing => {
                let since = self.present_since?;
                if since.plus(timing.on_delay) > now {
                    return None;
                }
                let next = AlertPhase::Active;
                self.show(next, since, timing.latching, Some(next))
            }
        }
    }

    fn show(
        &mut self,
        phase: AlertPhase,
        since: EngineTime,
        latches: bool,
        told: Option<AlertPhase>,
    ) -> Option<AlertPhase> {
        self.shown = if phase == AlertPhase::Ended {
            Shown::Nothing
        } else {
            Shown::Open {
                phase,
                since,
                latches,
            }
        };
        if !self.is_raised() {
            self.absent_since = None;
        }
        told
    }
}

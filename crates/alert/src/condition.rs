//! Conditions that are more than one value beyond one limit: changes, slopes,
//! sustained and repeated breaches, scores that rise, and all that *and*, *or*
//! and *so many of* can make of them. Rules of the rule book (`[[condition]]`),
//! without code.
//!
//! ```text
//!   live values ──► channels ──► clauses ──► machine per rule ──► alert
//!                      └► windows ┘   ▲
//!                  marks, baselines ──┘
//! ```
//!
//! [`Rules`] are read from a book and shared; [`Conditions`] are what one source
//! knows: bounded by the book, in the engine's snapshot. They are asked when
//! something live comes and at their own deadlines, and by nothing else (I11).
//! What cannot be told is unknown: it raises nothing, clears nothing, and is
//! listed as [unavailable](Conditions::unavailable).
//!
//! Start with [`row::Row`] for what a book may say, `machine` for how an alert
//! comes and goes, and `clause` for what can be asked.

mod answers;
mod clause;
mod compile;
mod machine;
mod quiet;
mod repeated;
pub mod row;
mod rules;
mod window;

pub use compile::{CLAUSES_MAX, RULES_MAX, TIME_S_MAX};
pub use machine::Timing;
pub use rules::{Quantity, Rule, Rules};

use clause::{Answer, Memory, Moment};
use enroute_model::state::AlertPhase;
use enroute_model::time::{EngineTime, Span};
use machine::{Machine, Truth};
use quiet::{Band, Quiet};
use serde::{Deserialize, Serialize};
use window::Window;

/// After this time without a usable value data counts as stopped, even while
/// unusable values keep coming; or after three of its intervals.
const GAP_MAX: Span = Span::from_secs(10);

/// What a channel has for a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// A usable value.
    Value(f64),
    /// None at this moment.
    Gap,
    /// None for longer, or none ever.
    Stopped,
}

/// One value of a source, as rules see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Channel {
    value: Option<f64>,
    /// When the last usable value came; `None`: none ever did.
    heard_at: Option<EngineTime>,
    /// No longer fresh.
    stopped: bool,
    /// How often it ought to come live.
    interval: Span,
    /// A rule says that it is not to be believed.
    doubted: bool,
    /// Set by a clinician.
    baseline: Option<f64>,
}

impl Channel {
    fn is_seen(&self) -> bool {
        self.heard_at.is_some()
    }

    fn patience(&self) -> Span {
        GAP_MAX.max(self.interval.scaled(3, 1))
    }

    /// The last moment at which a gap is one, if time ends it.
    fn gap_until(&self) -> Option<EngineTime> {
        let last = Span(self.patience().0.saturating_sub(1));
        Some(self.heard_at?.plus(last)).filter(|_| self.value.is_none())
    }

    fn input(&self, now: EngineTime, raw: bool) -> Input {
        match (self.value, self.heard_at) {
            (Some(_), _) if self.doubted && !raw => Input::Gap,
            (Some(value), _) if !self.stopped => Input::Value(value),
            (None, Some(heard_at)) if !self.stopped => {
                if now.since(heard_at) < self.patience() {
                    Input::Gap
                } else {
                    Input::Stopped
                }
            }
            (Some(_) | None, _) => Input::Stopped,
        }
    }
}

/// What a source knows of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RuleState {
    id: String,
    machine: Machine,
    memory: Vec<Memory>,
    /// The bound that was broken last.
    limit: Option<f64>,
    unavailable: bool,
    applies: bool,
}

impl RuleState {
    fn as_clause(&self) -> Answer {
        Answer {
            truth: self.machine.truth(),
            applies: self.applies,
        }
    }
}

/// A step of a rule's alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Where it stands now.
    pub phase: AlertPhase,
    /// When it began.
    pub since: EngineTime,
    /// The bound that was broken.
    pub limit: Option<f64>,
    /// The channel that spoke; `None`: none has a usable value.
    pub spoke: Option<usize>,
}

/// All rules of one source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Conditions {
    channels: Vec<Channel>,
    windows: Vec<Window>,
    rules: Vec<RuleState>,
    due: Option<EngineTime>,
    #[serde(skip)]
    quiet: Quiet,
}

/// What an asking changed beside alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The list of what is unavailable.
    pub unavailable: bool,
    /// A rule that doubts or covers values was raised, or is over.
    pub doubts: bool,
}

impl Conditions {
    /// Makes room for the rules of a book. Rules that are the same in both keep
    /// what they know; others begin anew, and those that are no more and were
    /// seen are told to `ended`, by id.
    pub fn adopt(&mut self, old: Option<&Rules>, rules: &Rules, mut ended: impl FnMut(&str)) {
        let mut before = std::mem::take(self);
        let kept = |id: &str| {
            let old = old.and_then(|old| old.rule(id));
            old.is_some() && old.map(|rule| &rule.row) == rules.rule(id).map(|rule| &rule.row)
        };
        for state in &mut before.rules {
            if !kept(&state.id) && state.machine.end() {
                ended(&state.id);
            }
        }
        *self = Self::new(rules);
        let Some(old) = old else { return };
        for (place, spec) in rules.channels().iter().enumerate() {
            let known = old
                .channel(spec.of)
                .and_then(|old| before.channels.get(old));
            if let (Some(channel), Some(known)) = (self.channels.get_mut(place), known) {
                *channel = *known;
            }
        }
        for (place, spec) in rules.windows().iter().enumerate() {
            let same = old.windows().iter().position(|window| {
                let of = |rules: &Rules, at: usize| rules.channels().get(at).map(|c| c.of);
                of(old, window.channel) == of(rules, spec.channel)
                    && (window.span, window.bound) == (spec.span, spec.bound)
            });
            let known = same.and_then(|at| before.windows.get(at));
            if let (Some(window), Some(known)) = (self.windows.get_mut(place), known) {
                window.clone_from(known);
            }
        }
        for state in &mut self.rules {
            let known = before.rules.iter().find(|known| known.id == state.id);
            if let Some(known) = known.filter(|known| kept(&known.id)) {
                state.clone_from(known);
            }
        }
    }

    fn new(rules: &Rules) -> Self {
        let window = |spec: &rules::WindowSpec| Window::new(spec.span);
        let rule = |rule: &Rule| RuleState {
            id: rule.id.clone(),
            machine: Machine::default(),
            memory: rule.memory.clone(),
            limit: None,
            unavailable: false,
            applies: false,
        };
        Self {
            channels: vec![Channel::default(); rules.channels().len()],
            windows: rules.windows().iter().map(window).collect(),
            rules: rules.rules().iter().map(rule).collect(),
            due: None,
            quiet: Quiet::default(),
        }
    }

    /// A live reading came: a usable value, or none. `interval`: how often it
    /// ought to come.
    pub fn note(
        &mut self,
        rules: &Rules,
        channel: usize,
        value: Option<f64>,
        interval: Span,
        now: EngineTime,
    ) {
        let (Some(state), Some(spec)) = (
            self.channels.get_mut(channel),
            rules.channels().get(channel),
        ) else {
            return;
        };
        let spoke = state.value.is_some() && !state.stopped && state.interval == interval;
        let same = spoke && value.is_some_and(|value| self.quiet.is_same(channel, value));
        if !same {
            self.quiet.ask(channel, spec.rules);
        }
        state.value = value;
        state.stopped = false;
        state.interval = interval;
        let Some(value) = value else { return };
        state.heard_at = Some(now);
        if state.doubted {
            return;
        }
        for place in &spec.windows {
            let bound = rules.windows().get(*place).and_then(|spec| spec.bound);
            let pushed = bound.map_or(value, |bound| f64::from(u8::from(bound.beyond(value))));
            if let Some(window) = self.windows.get_mut(*place)
                && window.push(now, pushed)
            {
                self.quiet.ask(channel, spec.rules);
            }
        }
    }

    /// It is no longer fresh.
    pub fn stopped(&mut self, channel: usize) {
        self.quiet.ask_all();
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.stopped = true;
        }
    }

    /// Nothing is fresh: the source is not heard, or does not speak for the
    /// patient.
    pub fn all_stopped(&mut self) {
        self.quiet.ask_all();
        for channel in &mut self.channels {
            channel.stopped = true;
        }
    }

    /// A clinician said what is usual for this patient.
    pub fn set_baseline(&mut self, channel: usize, baseline: Option<f64>) {
        self.quiet.ask_all();
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.baseline = baseline;
        }
    }

    /// Values that a raised rule doubts.
    pub fn set_doubted(&mut self, channel: usize, doubted: bool) {
        self.quiet.ask_all();
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.doubted = doubted;
        }
    }

    /// Asks all rules that are not quiet, in the book's order. `marks`: what the
    /// transfer is marked with; `silent`: the source is not heard.
    pub fn ask(
        &mut self,
        rules: &Rules,
        (marks, silent): (&[String], bool),
        now: EngineTime,
        mut out: impl FnMut(&Rule, Step),
    ) -> Changed {
        for window in &mut self.windows {
            window.forget(now);
        }
        let mut changed = Changed::default();
        self.due = None;
        self.quiet.begin((marks, silent), now);
        self.quiet.bands.resize(self.channels.len(), Band::ANY);
        for (place, rule) in rules.rules().iter().enumerate() {
            if self.quiet.holds(place) {
                continue;
            }
            let (earlier, from) = self.rules.split_at_mut(place);
            let Some(state) = from.first_mut() else { break };
            let mut moment = Moment {
                now,
                channels: &self.channels,
                bands: &mut self.quiet.bands,
                windows: &self.windows,
                marks,
                earlier,
                raw: rule.judges_quality(),
                silent,
                raised: state.machine.is_raised(),
                limit: None,
                spoke: None,
                due: None,
                until: None,
            };
            let before = (state.machine, state.applies);
            let answer = rule.when.ask(&mut state.memory, &mut moment);
            let (due, limit, spoke) = (moment.due, moment.limit, moment.spoke);
            let until = moment.until;
            if answer.truth == Truth::Present {
                state.limit = limit;
            }
            state.applies = answer.applies;
            let unavailable =
                answer.applies && answer.truth == Truth::Unknown { stopped: true } && !rule.silent;
            changed.unavailable |= state.unavailable != unavailable;
            state.unavailable = unavailable;
            let raised = state.machine.is_raised();
            let since = state.machine.since();
            let told = state.machine.input(rule.timing, answer.truth, now);
            changed.doubts |= rule.judges_quality() && raised != state.machine.is_raised();
            if let Some(phase) = told.filter(|_| !rule.silent) {
                let since = state.machine.since().or(since).unwrap_or(now);
                let limit = state.limit;
                let step = Step {
                    phase,
                    since,
                    limit,
                    spoke,
                };
                out(rule, step);
            }
            let next = state.machine.next_timeout(rule.timing);
            let over = until.is_some_and(|until| until <= now);
            let waits = over || due.is_some() || next.is_some();
            if (state.machine, state.applies) != before {
                // Itself it may remember something else next time, and others may be
                // made of it.
                self.quiet.ask_all();
            } else if !waits && answer.truth != Truth::Present && !raised {
                self.quiet.add(place, until);
            }
            self.due = earliest(earliest(self.due, due), next);
        }
        changed
    }

    /// When they are to be asked again though nothing comes.
    #[must_use]
    pub fn next_timeout(&self) -> Option<EngineTime> {
        self.due
    }

    /// Every rule is over for another reason than its own. The caller ends
    /// their alerts.
    pub fn end(&mut self) {
        self.quiet.ask_all();
        for state in &mut self.rules {
            state.machine.end();
        }
        self.due = None;
    }

    /// The same for some of them.
    pub fn end_those(&mut self, rules: &Rules, which: impl Fn(&Rule) -> bool) {
        self.quiet.ask_all();
        for (state, rule) in self.rules.iter_mut().zip(rules.rules()) {
            if which(rule) {
                state.machine.end();
            }
        }
    }

    /// Whether they were made for these rules.
    #[must_use]
    pub fn fits(&self, rules: &Rules) -> bool {
        let ids = self.rules.iter().map(|state| &state.id);
        ids.eq(rules.rules().iter().map(|rule| &rule.id))
            && self.channels.len() == rules.channels().len()
            && self.windows.len() == rules.windows().len()
    }

    /// Whether a rule says for sure that it holds or does not, and waits for
    /// nothing.
    #[must_use]
    pub fn is_settled(&self, id: &str) -> bool {
        let state = self.rules.iter().find(|state| state.id == id);
        state.is_some_and(|state| state.applies && state.machine.is_settled())
    }

    /// Rules that viewers see.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        let open = self.rules.iter().filter(|state| state.machine.is_shown());
        open.map(|state| state.id.as_str())
    }

    /// One rule is over for another reason than its own.
    pub fn end_one(&mut self, id: &str) {
        self.quiet.ask_all();
        if let Some(state) = self.rules.iter_mut().find(|state| state.id == id) {
            state.machine.end();
        }
    }

    /// Somebody has looked at a rule's alert.
    pub fn looked_at(&mut self, id: &str) {
        self.quiet.ask_all();
        if let Some(state) = self.rules.iter_mut().find(|state| state.id == id) {
            state.machine.looked_at();
        }
    }

    /// Whether viewers see a rule: active, unknown or latched.
    #[must_use]
    pub fn is_shown(&self, id: &str) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|state| state.id == id && state.machine.is_shown())
    }

    /// Whether any rule is shown.
    #[must_use]
    pub fn has_open(&self) -> bool {
        self.rules.iter().any(|state| state.machine.is_shown())
    }

    /// Rules that are raised now, with their place in the book.
    pub fn raised<'a>(&'a self, rules: &'a Rules) -> impl Iterator<Item = &'a Rule> {
        let states = self.rules.iter().zip(rules.rules());
        states.filter_map(|(state, rule)| state.machine.is_raised().then_some(rule))
    }

    /// Rules that would say something of this patient, for which too little data
    /// comes: not normal, but unknown.
    pub fn unavailable(&self) -> impl Iterator<Item = &str> {
        let states = self.rules.iter().filter(|state| state.unavailable);
        states.map(|state| state.id.as_str())
    }
}

/// The earlier of two deadlines, where there are any.
fn earliest(one: Option<EngineTime>, other: Option<EngineTime>) -> Option<EngineTime> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;

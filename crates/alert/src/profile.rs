//! The limits that apply to one patient, vital sign by vital sign: those of the
//! population, with what lies on top of them put in their place. Where they come
//! from is [`crate::book`].

use enroute_model::frame::{Code, Priority};
use enroute_model::state::LimitsInForce;
use enroute_model::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One level (warn or crit) of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Beyond it, strictly, the condition is present.
    pub limit: f64,
    /// At this value or further inside it is over: the limit moved inwards by
    /// the hysteresis.
    pub clears_at: f64,
    /// How it is raised and ends.
    pub manner: Manner,
}

/// How a level is raised and ends, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How urgent.
    pub priority: Priority,
    /// How long the condition must last before it is raised.
    pub on_delay: Span,
    /// How long the value must be inside the hysteresis before it has ended.
    pub off_delay: Span,
    /// Stays until somebody looks.
    pub latching: bool,
}

impl Manner {
    /// Of a warning whose limits somebody set where the book has none.
    pub const WARN: Self = Self {
        priority: Priority::Medium,
        on_delay: Span::from_secs(10),
        off_delay: Span::ZERO,
        latching: false,
    };
    /// The same, for the further limit.
    pub const CRIT: Self = Self {
        priority: Priority::High,
        on_delay: Span::from_secs(5),
        ..Self::WARN
    };
}

/// The levels of one side; crit lies at or beyond warn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// The nearer one.
    pub warn: Option<Level>,
    /// The further one.
    pub crit: Option<Level>,
}

/// The limits of one vital sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitRule {
    /// Of what.
    pub code: Code,
    /// Evaluated only while this other vital sign has no usable value, because
    /// it is the better measurement of the same thing.
    pub only_without: Option<Code>,
    /// Below.
    pub low: Levels,
    /// Above.
    pub high: Levels,
    /// Least and greatest value beyond none of the limits.
    inside: [f64; 2],
    terms: Terms,
}

/// What a rule's levels are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// The figures.
    pub limits: LimitsInForce,
    /// Of the nearer limits.
    pub warn: Manner,
    /// Of the further limits.
    pub crit: Manner,
    /// In the vital sign's unit.
    pub hysteresis: f64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            limits: LimitsInForce::default(),
            warn: Manner::WARN,
            crit: Manner::CRIT,
            hysteresis: 0.0,
        }
    }
}

impl Terms {
    fn level(&self, limit: Option<f64>, inwards: f64, manner: Manner) -> Option<Level> {
        let limit = limit?;
        Some(Level {
            limit,
            // So that 41 - 0.2 is the number that "40.8" reads as.
            clears_at: ((limit + inwards * self.hysteresis) * 1e6).round() / 1e6,
            manner,
        })
    }
}

impl LimitRule {
    /// The rule of these terms.
    #[must_use]
    pub fn new(code: Code, only_without: Option<Code>, terms: Terms) -> Self {
        let limits = terms.limits;
        let low = [limits.warn_low, limits.crit_low].into_iter().flatten();
        let high = [limits.warn_high, limits.crit_high].into_iter().flatten();
        Self {
            code,
            only_without,
            low: Levels {
                warn: terms.level(limits.warn_low, 1.0, terms.warn),
                crit: terms.level(limits.crit_low, 1.0, terms.crit),
            },
            high: Levels {
                warn: terms.level(limits.warn_high, -1.0, terms.warn),
                crit: terms.level(limits.crit_high, -1.0, terms.crit),
            },
            inside: [
                low.fold(f64::NEG_INFINITY, f64::max),
                high.fold(f64::INFINITY, f64::min),
            ],
            terms,
        }
    }

    /// What it is made of.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether a value is beyond none of the limits.
    #[must_use]
    pub fn is_inside(&self, value: f64) -> bool {
        let [least, greatest] = self.inside;
        least <= value && value <= greatest
    }

    /// The limits as viewers see them.
    #[must_use]
    pub fn in_force(&self) -> LimitsInForce {
        self.terms.limits
    }

    /// The same rule with other figures.
    #[must_use]
    pub fn with_limits(&self, limits: LimitsInForce) -> Self {
        Self::new(
            self.code,
            self.only_without,
            Terms {
                limits,
                ..self.terms
            },
        )
    }
}

/// The limits that apply to one patient. Cheap to copy: rules are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    rules: BTreeMap<Code, Arc<LimitRule>>,
}

impl Profile {
    /// The rule for a vital sign, if it has one.
    #[must_use]
    pub fn rule(&self, code: Code) -> Option<&Arc<LimitRule>> {
        self.rules.get(&code)
    }

    /// All rules, by code.
    pub fn rules(&self) -> impl Iterator<Item = &LimitRule> {
        self.rules.values().map(|rule| &**rule)
    }

    /// Puts a rule in the place of what was.
    pub fn put(&mut self, rule: LimitRule) {
        self.rules.insert(rule.code, Arc::new(rule));
    }

    /// A clinician's own limits for one vital sign: the figures are theirs, how
    /// they are raised and end stays as it was.
    pub fn put_own(&mut self, code: Code, limits: LimitsInForce) {
        let rule = self.rules.get(&code).map_or_else(
            || LimitRule::new(code, None, Terms::default()),
            |rule| **rule,
        );
        self.put(rule.with_limits(limits));
    }
}

/// Whether the figures are finite and in order: crit at or beyond warn, and
/// everything low below everything high.
#[must_use]
pub fn is_ordered(limits: &LimitsInForce) -> bool {
    let all = [
        limits.crit_low,
        limits.warn_low,
        limits.warn_high,
        limits.crit_high,
    ];
    let lowest_high = limits.warn_high.or(limits.crit_high);
    let highest_low = limits.warn_low.or(limits.crit_low);
    let apart = highest_low
        .zip(lowest_high)
        .is_none_or(|(low, high)| low < high);
    let figures = all.iter().copied().flatten();
    apart && figures.clone().all(f64::is_finite) && figures.is_sorted()
}

#[cfg(test)]
mod tests;

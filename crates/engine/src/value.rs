//! The newest value of one metric: its age, its trend, its limits.

use crate::source::derived::is_derived;
use enroute_alert::condition::{Quantity, Rules};
use enroute_alert::limit::LimitCondition;
use enroute_alert::profile::{LimitRule, Profile};
use enroute_alert::technical::stale_after;
use enroute_alert::trend::Trend;
use enroute_model::catalogue::{Cadence, VitalSign, catalogue};
use enroute_model::frame::Metric;
use enroute_model::ids::{Epoch, Stream};
use enroute_model::reading::{Reading, Validity};
use enroute_model::state::ValueState;
use enroute_model::time::{DeviceTime, EngineTime, GatewayTime, ServerTime, Span};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Order in which a source produced things, whatever any clock says: epochs by
/// the engine time at which they were first heard live (one that never was is
/// older than all), within an epoch by sequence. Comparable within a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) epoch_heard: EngineTime,
    pub(crate) epoch: Epoch,
    pub(crate) sequence: u64,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) stream: Stream,
    pub(crate) order: Order,
    pub(crate) observed_at: Option<DeviceTime>,
    pub(crate) captured_at: GatewayTime,
    /// On the server's clock, and how uncertain that is.
    pub(crate) measured_at: Option<(ServerTime, Span)>,
    pub(crate) late: bool,
}

impl Origin {
    /// The time that labels it on a trend.
    pub(crate) fn label_us(&self) -> i64 {
        self.observed_at.map_or(self.captured_at.0, |t| t.0)
    }
}

/// One metric of one source.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, in any combination"
)]
pub(crate) struct Slot {
    pub(crate) reading: Reading,
    /// As the source gave it; empty: the catalogue's.
    unit: String,
    pub(crate) origin: Origin,
    pub(crate) heard_at: EngineTime,
    /// The last live reading that could raise an alert, and when it came.
    pub(crate) last_usable: Option<(Reading, EngineTime)>,
    pub(crate) interval: Span,
    /// The source sends live numerics at most this often; zero: as they come.
    declared: Span,
    /// Not stale earlier: what was declared became shorter after it came.
    patience: Option<EngineTime>,
    pub(crate) stale: bool,
    /// Its stale alert is open.
    pub(crate) stale_alert: bool,
    /// When a stale value that was excused by silence of the whole source is
    /// to be told after all.
    pub(crate) stale_alert_at: Option<EngineTime>,
    pub(crate) condition: LimitCondition,
    pub(crate) trend: Trend,
    /// A raised rule says that it is not to be believed.
    pub(crate) doubted: bool,
    /// A raised rule says the same as its limits, better.
    pub(crate) covered: bool,
    #[serde(skip)]
    pub(crate) about: About,
}

/// What the tables say of a metric; looked up again after a restore.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) vital: Option<&'static VitalSign>,
    pub(crate) rule: Option<Arc<LimitRule>>,
    /// Where conditions look for it.
    pub(crate) channel: Option<usize>,
    /// Computed here.
    derived: bool,
}

impl About {
    pub(crate) fn of(metric: &Metric, profile: &Profile, rules: &Rules) -> Self {
        let channel = rules.channel(Quantity::Value(metric.code));
        Self {
            channel: channel.filter(|_| metric.label.is_empty()),
            vital: catalogue().vital(metric.code),
            rule: profile.rule(metric.code).cloned(),
            derived: is_derived(metric.code),
        }
    }
}

/// A value as it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) reading: Reading,
    pub(crate) unit: &'a str,
    pub(crate) interval: Span,
    pub(crate) origin: Origin,
}

impl Slot {
    pub(crate) fn new(about: About, incoming: &Incoming, declared: Span, at: EngineTime) -> Self {
        let mut slot = Self {
            reading: incoming.reading,
            unit: incoming.unit.to_owned(),
            origin: incoming.origin,
            heard_at: at,
            last_usable: None,
            interval: incoming.interval,
            declared,
            patience: None,
            stale: false,
            stale_alert: false,
            stale_alert_at: None,
            condition: LimitCondition::default(),
            trend: Trend::default(),
            doubted: false,
            covered: false,
            about,
        };
        slot.note(incoming, at);
        slot
    }

    fn note(&mut self, incoming: &Incoming, at: EngineTime) -> Option<f64> {
        let (reading, origin) = (incoming.reading, incoming.origin);
        let value = self.judge(reading)?;
        if !origin.late {
            self.last_usable = Some((reading, at));
        }
        self.trend.push(origin.label_us(), value, origin.late);
        Some(value)
    }

    /// Takes the place of the value before. Gives what may raise an alert of it, and
    /// whether the interval is new.
    pub(crate) fn update(&mut self, incoming: &Incoming, at: EngineTime) -> (Option<f64>, bool) {
        let given = !(self.unit.is_empty() && incoming.unit.is_empty());
        if given && self.unit != incoming.unit {
            self.unit.clear();
            self.unit.push_str(incoming.unit);
        }
        let other_interval = self.interval != incoming.interval;
        self.interval = incoming.interval;
        self.reading = incoming.reading;
        self.origin = incoming.origin;
        self.heard_at = at;
        self.stale = false;
        self.patience = None;
        self.stale_alert_at = None;
        (self.note(incoming, at), other_interval)
    }

    /// Puts a usable reading into the trend.
    pub(crate) fn note_trend(&mut self, reading: Reading, origin: Origin) {
        if let Some(value) = self.judge(reading) {
            self.trend.push(origin.label_us(), value, origin.late);
        }
    }

    /// The value that may raise an alert: measured, plausible, fresh, and not in
    /// doubt.
    pub(crate) fn usable(&self) -> Option<f64> {
        self.as_came().filter(|_| !self.stale && !self.doubted)
    }

    /// The same, whatever rules say of it.
    pub(crate) fn as_came(&self) -> Option<f64> {
        self.judge(self.reading)
    }

    /// The value as viewers see it.
    fn shown(&self) -> Reading {
        match self.reading {
            Reading::Value {
                value,
                validity: Validity::Measured,
            } if self.doubted => Reading::Value {
                value,
                validity: Validity::Questionable,
            },
            reading @ (Reading::Value { .. } | Reading::None(_)) => reading,
        }
    }

    /// After this silence the value is stale.
    pub(crate) fn stale_span(&self) -> Span {
        let own = stale_after(self.about.vital, self.interval);
        own.max(self.declared().scaled(5, 2))
    }

    pub(crate) fn stale_at(&self) -> Option<EngineTime> {
        let due = self.heard_at.plus(self.stale_span());
        (!self.stale).then(|| self.patience.map_or(due, |patience| due.max(patience)))
    }

    /// The source declares how often it sends live numerics. When that becomes
    /// shorter, the next value is due by the new measure from `at` on, but this
    /// one never outlasts what it was given when it came.
    pub(crate) fn declare(&mut self, interval: Span, at: EngineTime) {
        let due = self.stale_at();
        self.declared = interval;
        self.patience = due.map(|due| due.min(at.plus(self.stale_span())));
    }

    /// What a person enters goes at once on every step of the ladder.
    fn declared(&self) -> Span {
        if self.is_manual() {
            Span::ZERO
        } else {
            self.declared
        }
    }

    /// Entered by a person or computed here: nobody promised a next one.
    pub(crate) fn is_unpromised(&self) -> bool {
        self.is_derived() || self.is_manual()
    }

    fn is_derived(&self) -> bool {
        self.about.derived
    }

    /// Entered by a person. What is computed is not, whatever it is computed from.
    fn is_manual(&self) -> bool {
        let manual = |vital: &VitalSign| vital.cadence == Cadence::Manual;
        let entered = self.origin.stream == Stream::Events || self.about.vital.is_some_and(manual);
        entered && !self.is_derived()
    }

    pub(crate) fn state(&self, metric: &Metric) -> ValueState {
        let known = self.about.vital.map_or("", |vital| vital.unit.as_str());
        let unit = if self.unit.is_empty() {
            known
        } else {
            &self.unit
        };
        let interval = self.live_interval();
        ValueState {
            metric: metric.clone(),
            unit: unit.to_owned(),
            reading: self.shown(),
            implausible: self.is_implausible(),
            observed_at: self.origin.observed_at,
            measured_at: self.origin.measured_at,
            captured_at: self.origin.captured_at,
            heard_at: self.heard_at,
            stale: self.stale,
            interval: self.interval,
            slope_per_min: self.trend.slope_per_min(interval).filter(|_| !self.stale),
            limits: self.about.rule.as_deref().map(LimitRule::in_force),
        }
    }

    /// How often it ought to come live: as its source gives it, or else the
    /// catalogue says, but no more often than the source sends.
    pub(crate) fn live_interval(&self) -> Span {
        let own = match self.about.vital {
            Some(vital) if self.interval <= Span::ZERO => vital.interval,
            _ => self.interval,
        };
        own.max(self.declared())
    }

    fn is_implausible(&self) -> bool {
        let Reading::Value { value, .. } = self.reading else {
            return false;
        };
        self.about
            .vital
            .is_some_and(|vital| !plausible(vital, value.value()))
    }

    /// A value in another unit than the limits' says nothing to them.
    fn judge(&self, reading: Reading) -> Option<f64> {
        judge(self.about.vital, &self.unit, reading)
    }
}

/// The value that may raise an alert: measured, plausible, in the limits' unit.
pub(crate) fn judge(vital: Option<&VitalSign>, unit: &str, reading: Reading) -> Option<f64> {
    let Reading::Value {
        value,
        validity: Validity::Measured,
    } = reading
    else {
        return None;
    };
    let value = value.value();
    match vital {
        Some(vital) => {
            let same_unit = unit.is_empty() || unit == vital.unit;
            (same_unit && plausible(vital, value)).then_some(value)
        }
        None => Some(value),
    }
}

fn plausible(vital: &VitalSign, value: f64) -> bool {
    (vital.plausible_min..=vital.plausible_max).contains(&value)
}

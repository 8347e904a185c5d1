//! What a source's equipment says of itself, and what has become of its history.
//! Conditions are held here; [`Source::tell_technical`] brings the table of
//! alerts in line with them.

use super::epochs::Leg;
use super::{Ctx, Source};
use enroute_alert::equipment::{SensorCondition, battery_low, sensor_of, spool_filling};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{LinkReport, Metric, Numeric, Priority};
use enroute_model::reading::{NoValue, Reading, Validity};
use enroute_model::state::AlertKind;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The oldest missing frame of a stream may take so long, while the link is up
/// and no history comes at all.
const HISTORY_AFTER: Span = Span::from_secs(15 * 60);

/// Conditions of one source's equipment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Technical {
    /// By the vital sign that the sensor is named by.
    sensors: BTreeMap<Metric, SensorCondition>,
    spool: Option<Priority>,
    battery: Option<Priority>,
    history: History,
}

/// Whether history comes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct History {
    /// The oldest missing frame of each leg, and since when it is that one.
    holes: BTreeMap<Leg, (u64, EngineTime)>,
    /// A late frame came, or the link came back.
    progress_at: Option<EngineTime>,
    overdue: bool,
    /// Frames that will never come, and how many of them somebody has seen.
    given_up: u64,
    given_up_seen: u64,
}

impl History {
    fn is_incomplete(&self) -> bool {
        self.overdue || self.given_up > self.given_up_seen
    }
}

impl Technical {
    pub(super) fn next_timeout(&self) -> Option<EngineTime> {
        let sensors = self.sensors.values();
        sensors.filter_map(SensorCondition::next_timeout).min()
    }

    /// What a sensor said last is not what it says now.
    pub(crate) fn forget_sensors(&mut self) {
        self.sensors.clear();
    }

    /// A sensor that was not told yet cannot be told of a silent source.
    pub(super) fn forget_pending(&mut self) {
        self.sensors.retain(|_, sensor| sensor.is_told());
    }

    /// A late frame came, or the link is up again: history has its time anew.
    pub(crate) fn note_progress(&mut self, at: EngineTime) {
        self.history.progress_at = Some(at);
    }

    pub(super) fn holds(&self, kind: &AlertKind) -> Option<bool> {
        Some(match kind {
            AlertKind::SensorOff(metric) => {
                let sensor = self.sensors.get(metric);
                sensor.is_some_and(SensorCondition::is_told)
            }
            AlertKind::SpoolFilling => self.spool.is_some(),
            AlertKind::BatteryLow => self.battery.is_some(),
            AlertKind::HistoryIncomplete => self.history.is_incomplete(),
            AlertKind::ClockWrong
            | AlertKind::LimitLow(_)
            | AlertKind::LimitHigh(_)
            | AlertKind::Stale(_)
            | AlertKind::LinkLost
            | AlertKind::Conflict(_)
            | AlertKind::EngineDegraded
            | AlertKind::NotRecorded
            | AlertKind::Rule(_)
            | AlertKind::NotAttended => return None,
        })
    }
}

/// The name of the sensor that gives a quantity.
fn sensor(metric: &Metric) -> Metric {
    let vital = catalogue().vital(metric.code);
    let named = vital.and_then(|vital| catalogue().vital_by_id(sensor_of(&vital.id)));
    named.map_or_else(
        || metric.clone(),
        |named| Metric {
            code: named.code,
            label: String::new(),
        },
    )
}

impl Source {
    /// What live readings say of their sensors. A sensor is off when one of its
    /// values says so and none is there; the first measured one ends that.
    /// Gives a lower bound of the deadline that it sets.
    pub(crate) fn note_sensors(
        &mut self,
        numerics: &[Numeric],
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let off = |numeric: &Numeric| numeric.reading == Reading::None(NoValue::SensorOff);
        if self.technical.sensors.is_empty() && !numerics.iter().any(off) {
            return None;
        }
        let mut due = None;
        for numeric in numerics {
            let sensor = sensor(&numeric.metric);
            match numeric.reading {
                // A cuff on the arm of the probe is not a probe that fell off.
                Reading::None(NoValue::SensorOff)
                    if !self.gives(&sensor) && !self.is_doubted(&numeric.metric) =>
                {
                    let sensors = self.technical.sensors.entry(sensor);
                    let known = sensors.or_insert_with(|| SensorCondition::new(ctx.at));
                    due = due.into_iter().chain(known.next_timeout()).min();
                }
                Reading::Value {
                    validity: Validity::Measured,
                    ..
                } => {
                    let known = self.technical.sensors.remove(&sensor);
                    if known.is_some_and(|known| known.is_told()) {
                        // What stays away of it is told as stale after all.
                        self.no_longer_excused(ctx.at);
                        let stale = self.values.values().filter_map(|slot| slot.stale_alert_at);
                        due = due.into_iter().chain(stale).min();
                    }
                }
                Reading::Value { .. } | Reading::None(_) => {}
            }
        }
        self.tell_technical(ctx);
        due
    }

    /// Whether a sensor gives any usable value.
    fn gives(&self, named: &Metric) -> bool {
        let mut values = self.values.iter();
        values.any(|(metric, slot)| slot.usable().is_some() && sensor(metric) == *named)
    }

    /// The sensor of a quantity is told to be off: that it gives nothing is no
    /// news.
    pub(super) fn is_off(&self, metric: &Metric) -> bool {
        let sensors = &self.technical.sensors;
        !sensors.is_empty()
            && sensors
                .get(&sensor(metric))
                .is_some_and(SensorCondition::is_told)
    }

    /// What a live report says of spool, battery and history.
    pub(super) fn note_equipment(&mut self, report: &LinkReport, ctx: &mut Ctx) {
        let technical = &mut self.technical;
        // Frames that a receipt covers make room: a spool that keeps them is full
        // of nothing that could be lost.
        let held = report.unconfirmed_bytes.unwrap_or(0);
        technical.spool = spool_filling(technical.spool, held, report.spool_bytes_max);
        technical.battery = battery_low(technical.battery, report.battery_percent);
        self.note_holes(ctx.at);
        self.tell_technical(ctx);
    }

    /// Looked at with each live report, so only while the link is up.
    fn note_holes(&mut self, at: EngineTime) {
        let (holes, given_up) = self.standing();
        let history = &mut self.technical.history;
        history.given_up = given_up;
        let before = std::mem::take(&mut history.holes);
        for (leg, sequence) in holes {
            let known = before.get(&leg).filter(|known| known.0 == sequence);
            let since = known.map_or(at, |known| known.1);
            history.holes.insert(leg, (sequence, since));
        }
        let progress_at = history.progress_at;
        history.overdue = history.holes.values().any(|(_, since)| {
            let from = progress_at.map_or(*since, |progress| progress.max(*since));
            at.since(from) >= HISTORY_AFTER
        });
    }

    /// Somebody has looked at what will never come.
    pub(crate) fn history_looked_at(&mut self, ctx: &mut Ctx) {
        self.technical.history.given_up_seen = self.technical.history.given_up;
        self.tell_technical(ctx);
    }

    /// Fires what is due at `ctx.at`.
    pub(super) fn fire_sensors(&mut self, ctx: &mut Ctx) {
        let sensors = self.technical.sensors.values_mut();
        let told = sensors.filter_map(|sensor| sensor.handle_timeout(ctx.at).then_some(()));
        if told.count() == 0 {
            return;
        }
        // It takes the place of what was told of its values.
        let off: Vec<Metric> = { self.values.keys() }
            .filter(|metric| self.is_off(metric))
            .cloned()
            .collect();
        for metric in off {
            if let Some(slot) = self.values.get_mut(&metric)
                && slot.stale_alert
            {
                slot.stale_alert = false;
                let key = (Some(ctx.gateway.clone()), AlertKind::Stale(metric));
                ctx.alerts.end(&key, ctx.at, ctx.out);
            }
        }
        self.tell_technical(ctx);
    }

    /// Brings the alerts in line with the conditions. Cheap where nothing changed.
    pub(crate) fn tell_technical(&self, ctx: &mut Ctx) {
        if !self.is_watched(ctx) {
            return;
        }
        let flags = self.clocks.flags();
        let wrong = flags.gateway_wrong || flags.monitor_wrong;
        let technical = &self.technical;
        let incomplete = technical.history.is_incomplete();
        for (kind, priority) in [
            (AlertKind::SpoolFilling, technical.spool),
            (AlertKind::BatteryLow, technical.battery),
            (AlertKind::ClockWrong, wrong.then_some(Priority::Low)),
            (
                AlertKind::HistoryIncomplete,
                incomplete.then_some(Priority::Low),
            ),
        ] {
            let key = (Some(ctx.gateway.clone()), kind);
            let standing = priority.map(|priority| (priority, ctx.at));
            ctx.alerts.stand(key, standing, ctx.at, ctx.out);
        }
        let told = technical.sensors.iter().filter(|(_, s)| s.is_told());
        for (metric, sensor) in told {
            let key = (
                Some(ctx.gateway.clone()),
                AlertKind::SensorOff(metric.clone()),
            );
            let standing = Some((Priority::Medium, sensor.since));
            ctx.alerts.stand(key, standing, ctx.at, ctx.out);
        }
        let gateway = Some(ctx.gateway);
        ctx.alerts.end_all(ctx.at, ctx.out, |alert| {
            alert.gateway.as_ref() == gateway
                && matches!(alert.kind, AlertKind::SensorOff(_))
                && technical.holds(&alert.kind) == Some(false)
        });
    }
}

//! The table of open alerts: identity, numbering of transitions.

use crate::bounds::{ALERTS_MAX, RETROSPECTIVE_MAX};
use crate::effects::Effects;
use enroute_alert::condition::{self as rule, Rule};
use enroute_alert::limit::{Side, Step};
use enroute_model::frame::{Metric, Priority};
use enroute_model::ids::GatewayId;
use enroute_model::reading::Reading;
use enroute_model::registry::AlertAction;
use enroute_model::state::{
    AlertKind, AlertNote, AlertPath, AlertPhase, AlertState, AlertTransition, Attention,
    Escalation, ValuePath,
};
use enroute_model::time::EngineTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

type Key = (Option<GatewayId>, AlertKind);

/// Alerts that are not over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alerts {
    open: BTreeMap<Key, AlertState>,
    last_id: u64,
    last_ordinal: u64,
    refused: u64,
    /// Found in history, oldest find first.
    past: VecDeque<AlertState>,
}

/// A breach found in history.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) gateway: GatewayId,
    pub(crate) kind: AlertKind,
    pub(crate) priority: Priority,
    /// When it began and ended, server's clock.
    pub(crate) since: EngineTime,
    pub(crate) until: EngineTime,
    /// The furthest beyond the limit.
    pub(crate) value: Reading,
    pub(crate) limit: f64,
}

/// A condition after a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) phase: AlertPhase,
    pub(crate) priority: Priority,
    pub(crate) since: EngineTime,
    pub(crate) value: Option<Reading>,
    pub(crate) value_at: Option<EngineTime>,
    pub(crate) limit: Option<f64>,
}

impl Now {
    /// A technical condition that is present.
    pub(crate) fn technical(priority: Priority, since: EngineTime) -> Self {
        Self {
            phase: AlertPhase::Active,
            priority,
            since,
            value: None,
            value_at: None,
            limit: None,
        }
    }
}

impl Alerts {
    /// Gives the condition its next state; a new one gets an id.
    pub(crate) fn set(&mut self, key: Key, now: Now, at: EngineTime, out: &mut Effects) {
        let known = self.open.get(&key).cloned();
        if known.is_none() && (now.phase == AlertPhase::Ended || !self.has_room()) {
            return;
        }
        // More urgent than before, or back: it asks for attention anew.
        let same_demand = known.filter(|alert| {
            let back = alert.phase == AlertPhase::Latched && now.phase == AlertPhase::Active;
            now.priority <= alert.priority && !back
        });
        let alert_id = self.open.get(&key).map(|alert| alert.alert_id);
        let demand = same_demand.as_ref();
        let alert = AlertState {
            alert_id: alert_id.unwrap_or_else(|| self.fresh_id()),
            gateway: key.0.clone(),
            kind: key.1.clone(),
            priority: now.priority,
            phase: now.phase,
            since: now.since,
            value: now.value,
            value_at: now.value_at,
            limit: now.limit,
            raised: demand.map_or(self.last_ordinal.saturating_add(1), |alert| alert.raised),
            acknowledged: demand.and_then(|alert| alert.acknowledged.clone()),
            paused_until: demand.and_then(|alert| alert.paused_until),
            note: self.open.get(&key).and_then(|alert| alert.note.clone()),
            until: None,
            escalation: demand.map_or(Escalation::None, |alert| alert.escalation),
            path: demand.map_or_else(
                || AlertPath {
                    raised_at: at,
                    ..AlertPath::default()
                },
                |alert| alert.path.clone(),
            ),
        };
        if now.phase == AlertPhase::Ended {
            self.open.remove(&key);
        } else {
            self.open.insert(key, alert.clone());
        }
        self.tell(alert, at, out);
    }

    /// Brings a technical alert in line with its condition: how urgent it is and
    /// since when it is there; `None`: it is not.
    pub(crate) fn stand(
        &mut self,
        key: Key,
        standing: Option<(Priority, EngineTime)>,
        at: EngineTime,
        out: &mut Effects,
    ) {
        let known = self.open.get(&key);
        match (standing, known.map(|known| (known.priority, known.since))) {
            (None, None) => {}
            (None, Some(_)) => self.end(&key, at, out),
            (Some((priority, _)), Some((before, _))) if before == priority => {}
            (Some((priority, since)), known) => {
                let since = known.map_or(since, |(_, since)| since);
                self.set(key, Now::technical(priority, since), at, out);
            }
        }
    }

    /// A step of a limit condition. The value is the one that caused it; where
    /// there is none (unknown, ended for another reason) the last one stays.
    pub(crate) fn limit_step(
        &mut self,
        (gateway, metric): (&GatewayId, &Metric),
        step: Step,
        value: Option<(Reading, EngineTime)>,
        at: EngineTime,
        out: &mut Effects,
    ) {
        let kind = match step.side {
            Side::Low => AlertKind::LimitLow(metric.clone()),
            Side::High => AlertKind::LimitHigh(metric.clone()),
        };
        let key = (Some(gateway.clone()), kind);
        let last = self.open.get(&key);
        let last = last.and_then(|alert| Some((alert.value?, alert.value_at?)));
        let value = value.or(last);
        let now = Now {
            phase: step.phase,
            priority: step.priority,
            since: step.since,
            value: value.map(|(reading, _)| reading),
            value_at: value.map(|(_, at)| at),
            limit: Some(step.limit),
        };
        self.set(key, now, at, out);
    }

    /// A step of a condition of the rule book.
    pub(crate) fn rule_step(
        &mut self,
        gateway: &GatewayId,
        rule: &Rule,
        step: rule::Step,
        value: Option<(Reading, EngineTime)>,
        at: EngineTime,
        out: &mut Effects,
    ) {
        let key = (Some(gateway.clone()), rule.kind());
        let last = self.open.get(&key);
        let last = last.and_then(|alert| Some((alert.value?, alert.value_at?)));
        let value = value.or(last);
        let now = Now {
            phase: step.phase,
            priority: rule.timing.priority,
            since: step.since,
            value: value.map(|(reading, _)| reading),
            value_at: value.map(|(_, at)| at),
            limit: step.limit,
        };
        self.set(key, now, at, out);
    }

    /// Books what a person did about an open alert.
    pub(crate) fn attend(
        &mut self,
        alert_id: u64,
        action: &AlertAction,
        from: Attention,
        out: &mut Effects,
    ) {
        let mut open = self.open.values_mut();
        let Some(alert) = open.find(|alert| alert.alert_id == alert_id) else {
            return;
        };
        let at = from.at;
        match action {
            AlertAction::Acknowledge => {
                alert.acknowledged = Some(from);
                alert.paused_until = None;
            }
            AlertAction::Pause { lasts } => alert.paused_until = Some(at.plus(*lasts)),
            AlertAction::Note(text) => {
                let text = text.clone();
                alert.note = Some(AlertNote { from, text });
            }
            // The next step tells it; the state does at once.
            AlertAction::Shown(role) => {
                let shown = &mut alert.path.shown;
                if !shown.iter().any(|(known, _)| known == role) {
                    shown.push((*role, from));
                    out.shown.push(at.since(alert.path.raised_at));
                    out.changed.info = true;
                }
                return;
            }
        }
        let alert = alert.clone();
        self.tell(alert, at, out);
    }

    /// Passes an alert on that nobody saw to.
    pub(crate) fn escalate(
        &mut self,
        alert_id: u64,
        step: Escalation,
        at: EngineTime,
        out: &mut Effects,
    ) {
        let mut open = self.open.values_mut();
        if let Some(alert) = open.find(|alert| alert.alert_id == alert_id) {
            alert.escalation = step;
            let alert = alert.clone();
            self.tell(alert, at, out);
        }
    }

    /// The way of the value that raised an alert is known.
    pub(crate) fn traced(&mut self, alert_id: u64, value: ValuePath) {
        let mut open = self.open.values_mut();
        if let Some(alert) = open.find(|alert| alert.alert_id == alert_id) {
            alert.path.value = Some(value);
        }
    }

    /// Ends one condition, if it is open.
    pub(crate) fn end(&mut self, key: &Key, at: EngineTime, out: &mut Effects) {
        if let Some(mut alert) = self.open.remove(key) {
            alert.phase = AlertPhase::Ended;
            self.tell(alert, at, out);
        }
    }

    /// Ends every open condition that `which` picks, in the order of the table.
    pub(crate) fn end_all(
        &mut self,
        at: EngineTime,
        out: &mut Effects,
        which: impl Fn(&AlertState) -> bool,
    ) {
        let picked = self.open.iter().filter(|(_, alert)| which(alert));
        let keys: Vec<Key> = picked.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.end(&key, at, out);
        }
    }

    /// Open alerts of a joined transfer go on here, under new ids, where `holds`
    /// says that their condition came along.
    pub(crate) fn adopt(
        &mut self,
        other: &Self,
        at: EngineTime,
        out: &mut Effects,
        holds: impl Fn(&GatewayId, &AlertKind) -> bool,
    ) {
        for (key, alert) in &other.open {
            let held = key.0.as_ref().is_none_or(|gateway| holds(gateway, &key.1));
            if !held || self.open.contains_key(key) {
                continue;
            }
            if self.has_room() {
                let alert = AlertState {
                    alert_id: self.fresh_id(),
                    raised: self.last_ordinal.saturating_add(1),
                    ..alert.clone()
                };
                self.open.insert(key.clone(), alert.clone());
                self.tell(alert, at, out);
            }
        }
        self.refused = self.refused.saturating_add(other.refused);
        self.past.extend(other.past.iter().cloned());
        let surplus = self.past.len().saturating_sub(RETROSPECTIVE_MAX);
        self.past.drain(..surplus);
    }

    /// A breach that history brought to light: recorded and listed. It is over,
    /// so it asks for nothing and cannot ring, whatever a viewer makes of it (I11).
    pub(crate) fn found(&mut self, past: Past, at: EngineTime, out: &mut Effects) {
        let alert = AlertState {
            alert_id: self.fresh_id(),
            gateway: Some(past.gateway),
            kind: past.kind,
            priority: past.priority,
            phase: AlertPhase::Ended,
            since: past.since,
            value: Some(past.value),
            value_at: None,
            limit: Some(past.limit),
            raised: self.last_ordinal.saturating_add(1),
            acknowledged: None,
            paused_until: None,
            note: None,
            until: Some(past.until),
            escalation: Escalation::None,
            path: AlertPath {
                raised_at: at,
                ..AlertPath::default()
            },
        };
        self.past.push_back(alert.clone());
        if self.past.len() > RETROSPECTIVE_MAX {
            self.past.pop_front();
        }
        self.tell(alert, at, out);
        out.changed.info = true;
    }

    /// Found in history, newest find first.
    pub(crate) fn past(&self) -> Vec<AlertState> {
        self.past.iter().rev().cloned().collect()
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &AlertState> {
        self.open.values()
    }

    pub(crate) fn last_ordinal(&self) -> u64 {
        self.last_ordinal
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    fn has_room(&mut self) -> bool {
        let room = self.open.len() < ALERTS_MAX;
        self.refused = self.refused.saturating_add(u64::from(!room));
        room
    }

    fn fresh_id(&mut self) -> u64 {
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    fn tell(&mut self, alert: AlertState, at: EngineTime, out: &mut Effects) {
        self.last_ordinal = self.last_ordinal.saturating_add(1);
        out.alerts.push(AlertTransition {
            ordinal: self.last_ordinal,
            at,
            alert,
        });
    }
}

//! What people do about alerts.

use super::{Bound, Engine};
use crate::effects::Effects;
use crate::source::Source;
use enroute_alert::limit::Side;
use enroute_model::frame::Metric;
use enroute_model::ids::GatewayId;
use enroute_model::registry::{AlertAction, ViewerRole};
use enroute_model::state::{AlertKind, AlertPhase, AlertState, Attention, RuleSubject, Verdict};

impl Engine {
    /// Refused when the alert is over, or asks for attention again since the
    /// transition that the person saw. That it was shown is only a report: of
    /// what has passed meanwhile it says nothing any more.
    pub(super) fn attend(
        &mut self,
        (alert_id, seen): (u64, u64),
        action: &AlertAction,
        actor: &str,
        out: &mut Effects,
    ) -> Verdict {
        let report = matches!(action, AlertAction::Shown(_));
        let Some(alert) = self.alerts.open().find(|alert| alert.alert_id == alert_id) else {
            return if report {
                Verdict::Applied
            } else {
                Verdict::refused("the alert is over")
            };
        };
        if alert.raised > seen && report {
            return Verdict::Applied;
        }
        if alert.raised > seen && !matches!(action, AlertAction::Note(_)) {
            return Verdict::refused("the alert asks for attention again since it was seen");
        }
        let (kind, gateway, phase) = (alert.kind.clone(), alert.gateway.clone(), alert.phase);
        let from = Attention {
            by: actor.to_owned(),
            at: self.now,
        };
        self.alerts.attend(alert_id, action, from, out);
        if *action == AlertAction::Acknowledge {
            self.looked_at(gateway.as_ref(), &kind, phase, out);
        }
        self.bound = Bound::Unknown;
        Verdict::Applied
    }

    /// Whether a report that an alert was shown says anything new: its demand is
    /// still the one that was seen, and nobody in that role reported it before.
    #[must_use]
    pub fn is_news(&self, alert_id: u64, seen: u64, role: ViewerRole) -> bool {
        let mut open = self.alerts.open();
        let alert = open.find(|alert| alert.alert_id == alert_id && alert.raised <= seen);
        let shown = |alert: &AlertState| alert.path.shown.iter().any(|(known, _)| *known == role);
        alert.is_some_and(|alert| !shown(alert))
    }

    /// A latching condition that is over ends, one that is present will not
    /// latch when it ends: somebody has looked.
    fn looked_at(
        &mut self,
        gateway: Option<&GatewayId>,
        kind: &AlertKind,
        phase: AlertPhase,
        out: &mut Effects,
    ) {
        let (metric, side): (&Metric, Side) = match kind {
            AlertKind::LimitLow(metric) => (metric, Side::Low),
            AlertKind::LimitHigh(metric) => (metric, Side::High),
            AlertKind::HistoryIncomplete => {
                if let Some(gateway) = gateway {
                    self.with_source(gateway, out, Source::history_looked_at);
                }
                return;
            }
            AlertKind::Rule(subject) => {
                self.looked_at_rule(gateway, subject, phase, out);
                return;
            }
            AlertKind::Stale(_)
            | AlertKind::LinkLost
            | AlertKind::Conflict(_)
            | AlertKind::EngineDegraded
            | AlertKind::NotRecorded
            | AlertKind::SensorOff(_)
            | AlertKind::ClockWrong
            | AlertKind::SpoolFilling
            | AlertKind::BatteryLow
            | AlertKind::NotAttended => return,
        };
        let Some(gateway) = gateway else { return };
        self.with_source(gateway, out, |source, _| source.looked_at(metric, side));
        if phase == AlertPhase::Latched {
            let key = (Some(gateway.clone()), kind.clone());
            self.alerts.end(&key, self.now, out);
        }
    }

    fn looked_at_rule(
        &mut self,
        gateway: Option<&GatewayId>,
        subject: &RuleSubject,
        phase: AlertPhase,
        out: &mut Effects,
    ) {
        let Some(gateway) = gateway else { return };
        self.with_source(gateway, out, |source, _| source.looked_at_rule(subject));
        if phase == AlertPhase::Latched {
            let key = (Some(gateway.clone()), AlertKind::Rule(subject.clone()));
            self.alerts.end(&key, self.now, out);
        }
    }
}

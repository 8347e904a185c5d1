//! What becomes of a high-priority alert that nobody sees to, and the way that
//! each demand for attention took. Deadlines follow from records alone (I1): from
//! when it was raised, whether somebody acknowledged it, until when it rests, and
//! the times of the rule book.

use super::Engine;
use crate::effects::Effects;
use enroute_alert::book::Escalation as Times;
use enroute_model::frame::Priority;
use enroute_model::state::{AlertKind, AlertState, Escalation, ValuePath};
use enroute_model::time::EngineTime;

/// What comes next for an alert, and when. Somebody who lets it rest has seen it:
/// the time counts anew from the end of the rest.
fn next(alert: &AlertState, times: Times) -> Option<(Escalation, EngineTime)> {
    let waits = alert.priority == Priority::High
        && alert.acknowledged.is_none()
        && alert.kind != AlertKind::NotAttended;
    let raised_at = alert.path.raised_at;
    let from = { alert.paused_until }.map_or(raised_at, |until| until.max(raised_at));
    let (step, after) = match alert.escalation {
        Escalation::None => (Escalation::OnCall, times.on_call_after),
        Escalation::OnCall => (Escalation::Unattended, times.unattended_after),
        Escalation::Unattended => return None,
    };
    waits.then(|| (step, from.plus(after)))
}

impl Engine {
    /// When an alert is passed on. An exercise calls nobody.
    pub(super) fn escalation_at(&self) -> Option<EngineTime> {
        if self.exercise {
            return None;
        }
        let times = self.rules.escalation();
        let due = self.alerts.open();
        let due = due.filter_map(|alert| next(alert, times));
        due.map(|(_, at)| at).min()
    }

    /// Passes on what is due at `self.now`.
    pub(super) fn escalate(&mut self, out: &mut Effects) {
        if self.escalation_at().is_none_or(|due| due > self.now) {
            return;
        }
        let times = self.rules.escalation();
        let due = self.alerts.open().filter_map(|alert| {
            let (step, at) = next(alert, times)?;
            (at <= self.now).then_some((alert.alert_id, step))
        });
        for (alert_id, step) in due.collect::<Vec<_>>() {
            self.alerts.escalate(alert_id, step, self.now, out);
        }
    }

    /// An alert says that another one is unattended, for as long as one is.
    pub(super) fn tell_unattended(&mut self, out: &mut Effects) {
        let unattended = self.alerts.open().any(|alert| {
            alert.escalation == Escalation::Unattended && alert.acknowledged.is_none()
        });
        let standing = (unattended && !self.exercise).then_some((Priority::High, self.now));
        let key = (None, AlertKind::NotAttended);
        self.alerts.stand(key, standing, self.now, out);
    }

    /// New demands for attention since the transition `from` get the way of the
    /// value that raised them.
    pub(super) fn trace(&mut self, from: usize, out: &mut Effects) {
        let Some(first) = out.alerts.get(from).map(|step| step.ordinal) else {
            return;
        };
        for step in out.alerts.iter_mut().skip(from) {
            let alert = &mut step.alert;
            if alert.raised < first || alert.is_retrospective() {
                continue;
            }
            let source = alert.gateway.as_ref().and_then(|id| self.sources.get(id));
            let slot = alert.kind.raised_by().zip(source);
            let Some(slot) = slot.and_then(|(metric, source)| source.values.get(metric)) else {
                continue;
            };
            let value = ValuePath {
                observed_at: slot.origin.observed_at,
                captured_at: slot.origin.captured_at,
                measured_at: slot.origin.measured_at,
                received_at: slot.heard_at,
            };
            alert.path.value = Some(value);
            self.alerts.traced(alert.alert_id, value);
        }
    }
}

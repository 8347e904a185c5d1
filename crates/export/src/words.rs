//! What alerts and crew events are called: by whoever exports, so that an export
//! says the same as the screens.

use crate::item::Taken;
use enroute_model::frame::{Body, DeviceAlarm};
use enroute_wire::{Message, v1};

/// How alerts and crew events read.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What an alert says.
    pub alert: fn(&v1::Alert) -> String,
    /// What the crew entered.
    pub crew_event: fn(&v1::CrewEvent) -> String,
}

impl Words {
    pub(crate) fn alert(self, step: &v1::AlertTransition) -> String {
        step.alert.as_ref().map_or(String::new(), self.alert)
    }

    /// Empty for a frame that is no crew event.
    pub(crate) fn crew(self, taken: &Taken<'_>) -> String {
        let frame = v1::Frame::decode(taken.raw.frame.clone()).ok();
        match frame.and_then(|frame| frame.body) {
            Some(v1::frame::Body::CrewEvent(event)) => (self.crew_event)(&event),
            _ => String::new(),
        }
    }

    /// An alert's step as one line for an annotation.
    pub(crate) fn alert_note(self, step: &v1::AlertTransition) -> String {
        let Some(alert) = &step.alert else {
            return String::new();
        };
        let phase = crate::tables::word(alert.phase().as_str_name(), "ALERT_PHASE_");
        let priority = crate::tables::word(alert.priority().as_str_name(), "PRIORITY_");
        let text = (self.alert)(alert);
        format!("alert {} {phase} {priority}: {text}", alert.alert_id)
    }

    /// What a frame says besides samples and values, a line each.
    pub(crate) fn events(self, taken: &Taken<'_>) -> Vec<String> {
        match &taken.frame.body {
            Body::Crew(_) => vec![format!("crew: {}", self.crew(taken))],
            Body::DeviceAlarms(alarms) => alarms.iter().map(device_alarm).collect(),
            Body::Numerics(_)
            | Body::Waveforms(_)
            | Body::Position(_)
            | Body::Link(_)
            | Body::Shed(_)
            | Body::Unknown => Vec::new(),
        }
    }
}

fn device_alarm(alarm: &DeviceAlarm) -> String {
    let over = if alarm.active { "" } else { " over" };
    let code = alarm.code.0;
    format!("device alarm{over}: {} (code {code})", alarm.label)
}

//! Codes of IEEE 11073-10101 for alert conditions: events of partition 3, as
//! context-free codes (partition × 65,536 + code).
//!
//! The nomenclature itself is not free; these four are public. For a limit the
//! event says which side was broken, and the alert's own code of what.

use enroute_model::state::AlertKind;

/// `MDC_EVT_LO`: below a limit (IHE PCD Technical Framework, alert communication).
const BELOW: u32 = 196_670;
/// `MDC_EVT_HI`: above one (the same).
const ABOVE: u32 = 196_648;
/// Conditions of the rule book, by id: `MDC_EVT_ECG_ASYSTOLE` (`3::3076`) and
/// `MDC_EVT_APNEA` (`3::3072`), in DICOM PS3.16, CID 3038.
const RULES: [(&str, u32); 2] = [("asystole", 199_684), ("apnoea", 199_680)];

/// 0: no standard code is known for it.
pub(crate) fn of(kind: &AlertKind) -> u32 {
    match kind {
        AlertKind::LimitLow(_) => BELOW,
        AlertKind::LimitHigh(_) => ABOVE,
        AlertKind::Rule(subject) => {
            let known = RULES.iter().find(|(id, _)| *id == subject.rule);
            known.map_or(0, |(_, code)| *code)
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
        | AlertKind::HistoryIncomplete
        | AlertKind::NotAttended => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::frame::{Code, Metric};
    use enroute_model::state::RuleSubject;

    #[test]
    fn events_are_of_partition_three() {
        let metric = || Metric {
            code: Code(147_842),
            label: String::new(),
        };
        let rule = |id: &str| {
            AlertKind::Rule(RuleSubject {
                rule: id.to_owned(),
                metric: metric(),
                physiological: true,
            })
        };
        let kinds = [
            (AlertKind::LimitLow(metric()), 62),
            (AlertKind::LimitHigh(metric()), 40),
            (rule("asystole"), 3_076),
            (rule("apnoea"), 3_072),
        ];
        for (kind, code) in kinds {
            assert_eq!(of(&kind), (3 << 16) + code, "{kind:?}");
        }
        assert_eq!(of(&rule("sys_fall")), 0);
        assert_eq!(of(&AlertKind::LinkLost), 0);
    }
}

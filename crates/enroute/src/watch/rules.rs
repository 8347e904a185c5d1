//! By which rules a patient's alerts are raised, in words.

use super::words;
use crate::utc;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::Code;
use enroute_model::reading::Decimal;
use enroute_wire::v1;
use serde_json::{Value, json};

/// Limits in words.
pub(crate) fn figures(limits: &v1::Limits) -> String {
    let all = [
        ("crit below", limits.crit_low),
        ("warn below", limits.warn_low),
        ("warn above", limits.warn_high),
        ("crit above", limits.crit_high),
    ];
    let all = all.into_iter();
    let told: Vec<_> = all
        .filter_map(|(word, limit)| Some(format!("{word} {}", limit?)))
        .collect();
    if told.is_empty() {
        return "no limits".to_owned();
    }
    told.join(", ")
}

/// Where the limits in force come from, the patient's own limits, and what is usual
/// for the patient: each with who, when and why.
pub(crate) fn lines(state: &v1::TransferState) -> Vec<String> {
    let mut lines = Vec::new();
    let rules = state.rules.as_ref();
    if let Some(rules) = rules.filter(|rules| !rules.book_name.is_empty()) {
        lines.push(book(rules));
        if !rules.missing_book_hash.is_empty() {
            let missing = "another rule book was to be used, which this server does not have";
            lines.push(missing.to_owned());
        }
        if !rules.overlay.is_empty() {
            lines.push(format!("with {}", rules.overlay.join(", then ")));
        }
        lines.extend(rules.own.iter().map(own));
    }
    lines.extend(state.baseline.iter().map(baseline));
    lines
}

/// The same for programs.
pub(crate) fn object(state: &v1::TransferState) -> Value {
    let rules = state.rules.clone().unwrap_or_default();
    let hash = rules.book_hash.iter().map(|byte| format!("{byte:02x}"));
    let from = |from: Option<&v1::Attention>, reason: &str| {
        json!({
            "by": from.map(|from| from.by.as_str()),
            "at": from.map(|from| utc::rfc3339(from.at_us)),
            "reason": reason,
        })
    };
    let own = rules.own.iter().map(|own| {
        let limits = own.limits.unwrap_or_default();
        json!({
            "vital": id(own.code),
            "crit_low": limits.crit_low,
            "warn_low": limits.warn_low,
            "warn_high": limits.warn_high,
            "crit_high": limits.crit_high,
            "automatic": own.automatic,
            "set": from(own.from.as_ref(), &own.reason),
        })
    });
    let baselines = state.baseline.iter().map(|baseline| {
        json!({
            "vital": id(baseline.code),
            "value": usual(baseline),
            "set": from(baseline.from.as_ref(), &baseline.reason),
        })
    });
    json!({
        "book": rules.book_name,
        "version": rules.book_version,
        "sha256": hash.collect::<String>(),
        "approved_by": (!rules.approved_by.is_empty()).then_some(&rules.approved_by),
        "approved_on": (!rules.approved_on.is_empty()).then_some(&rules.approved_on),
        "overlays": rules.overlay,
        "own_limits": own.collect::<Vec<_>>(),
        "baselines": baselines.collect::<Vec<_>>(),
    })
}

/// `None`: it is no number.
fn usual(baseline: &v1::Baseline) -> Option<f64> {
    let places = u8::try_from(baseline.decimals).ok()?;
    Decimal::new(baseline.value, places).map(Decimal::value)
}

fn baseline(baseline: &v1::Baseline) -> String {
    let value = usual(baseline).unwrap_or(f64::NAN);
    let set = set_by(baseline.from.as_ref(), &baseline.reason);
    format!("{} {value} is usual, {set}", id(baseline.code))
}

fn id(code: u32) -> &'static str {
    catalogue()
        .vital(Code(code))
        .map_or("?", |vital| vital.id.as_str())
}

fn set_by(from: Option<&v1::Attention>, reason: &str) -> String {
    let by = from.map_or("", |from| from.by.as_str());
    let by = if by.is_empty() { "somebody" } else { by };
    let at = utc::rfc3339(from.map_or(0, |from| from.at_us));
    format!(
        "set by {} at {at}: {}",
        words::printable(by),
        words::printable(reason)
    )
}

/// Name, version, approval and the beginning of its hash.
fn book(rules: &v1::Rules) -> String {
    let head = rules.book_hash.first_chunk().copied().unwrap_or_default();
    let hash = format!("{:08x}", u32::from_be_bytes(head));
    let approved = if rules.approved_by.is_empty() {
        "not approved".to_owned()
    } else {
        format!("approved by {} on {}", rules.approved_by, rules.approved_on)
    };
    let (name, version) = (&rules.book_name, &rules.book_version);
    format!("{name} {version} ({hash}), {approved}")
}

fn own(own: &v1::OwnLimits) -> String {
    let limits = own.limits.unwrap_or_default();
    let around = if own.automatic {
        "around the value, "
    } else {
        ""
    };
    let set = set_by(own.from.as_ref(), &own.reason);
    format!("{} {}: {around}{set}", id(own.code), figures(&limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(id: &str) -> u32 {
        catalogue().vital_by_id(id).unwrap().code.0
    }

    fn state() -> v1::TransferState {
        let from = |by: &str, at_us| {
            let by = by.to_owned();
            Some(v1::Attention { by, at_us })
        };
        let own = v1::OwnLimits {
            code: code("spo2"),
            limits: Some(v1::Limits {
                crit_low: Some(84.0),
                warn_low: Some(88.0),
                ..v1::Limits::default()
            }),
            from: from("Dr. Weber", 0),
            reason: "COPD".into(),
            ..v1::OwnLimits::default()
        };
        let around = v1::OwnLimits {
            code: code("hr"),
            automatic: true,
            from: from("", 60_000_000),
            reason: "stable".into(),
            ..v1::OwnLimits::default()
        };
        v1::TransferState {
            rules: Some(v1::Rules {
                book_name: "ward".into(),
                book_version: "3".into(),
                book_hash: vec![0xab; 32],
                approved_by: "Dr. Rossi".into(),
                approved_on: "2026-03-01".into(),
                overlay: vec!["ventilated".into(), "sepsis".into()],
                own: vec![own, around],
                ..v1::Rules::default()
            }),
            baseline: vec![v1::Baseline {
                code: code("abp_sys"),
                value: 1_055,
                decimals: 1,
                from: from("Dr. Weber", 120_000_000),
                reason: "on beta blockers".into(),
            }],
            ..v1::TransferState::default()
        }
    }

    #[test]
    fn which_rules_and_whose() {
        let wanted = [
            "ward 3 (abababab), approved by Dr. Rossi on 2026-03-01",
            "with ventilated, then sepsis",
            "spo2 crit below 84, warn below 88: set by Dr. Weber at 1970-01-01T00:00:00.000Z: COPD",
            "hr no limits: around the value, set by somebody at 1970-01-01T00:01:00.000Z: stable",
            "abp_sys 105.5 is usual, set by Dr. Weber at 1970-01-01T00:02:00.000Z: on beta blockers",
        ];
        assert_eq!(lines(&state()), wanted);
        assert!(lines(&v1::TransferState::default()).is_empty());
    }

    #[test]
    fn the_same_for_programs() {
        let told = object(&state());
        assert_eq!(told["own_limits"][0]["warn_low"], 88.0);
        assert_eq!(told["own_limits"][0]["set"]["by"], "Dr. Weber");
        assert_eq!(told["baselines"][0]["value"], 105.5);
        assert_eq!(told["overlays"][1], "sepsis");
        assert_eq!(told["sha256"], "ab".repeat(32));
    }
}

//! A patient's own limits: what people type, and what is shown of them.

use crate::args::LimitsArgs;
use crate::utc;
use anyhow::{Context, Result, bail};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::Code;
use enroute_wire::v1;
use enroute_wire::v1::registry_action::Action;

/// The action that was typed, and what to say when it is done.
pub(super) fn action(args: &LimitsArgs) -> Result<(Action, String)> {
    let codes: Result<Vec<u32>> = args.vitals.iter().map(|id| code(id)).collect();
    let (codes, reason) = (codes?, args.reason.clone());
    if args.auto {
        let of = if args.vitals.is_empty() {
            "all that have a rule".to_owned()
        } else {
            args.vitals.join(", ")
        };
        let done = format!("limits are set around the current values of {of}");
        let code = codes;
        return Ok((Action::AutoLimits(v1::AutoLimits { code, reason }), done));
    }
    let (&[code], [id]) = (codes.as_slice(), args.vitals.as_slice()) else {
        bail!("name one vital sign, such as spo2 (several only with --auto)");
    };
    let limits = v1::Limits {
        crit_low: args.crit_low,
        warn_low: args.warn_low,
        warn_high: args.warn_high,
        crit_high: args.crit_high,
    };
    if limits == v1::Limits::default() && !args.clear {
        bail!("give at least one limit, --auto or --clear");
    }
    let done = if args.clear {
        format!("{id} has the limits of the rule book again")
    } else {
        format!("{id}: {}", figures(&limits))
    };
    let limits = (!args.clear).then_some(limits);
    let set = v1::SetLimits {
        code,
        limits,
        reason,
    };
    Ok((Action::SetLimits(set), done))
}

fn code(id: &str) -> Result<u32> {
    let vital = catalogue().vital_by_id(id);
    let vital = vital.with_context(|| {
        let known: Vec<_> = catalogue().vitals().map(|v| v.id.as_str()).collect();
        format!("{id:?} is no vital sign; there are {}", known.join(", "))
    })?;
    Ok(vital.code.0)
}

fn figures(limits: &v1::Limits) -> String {
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

/// Where the limits in force come from.
pub(super) fn lines(rules: Option<&v1::Rules>) -> Vec<String> {
    let Some(rules) = rules.filter(|rules| !rules.book_name.is_empty()) else {
        return Vec::new();
    };
    let mut lines = vec![book(rules)];
    if !rules.missing_book_hash.is_empty() {
        lines.push("another rule book was to be used, which this server does not have".to_owned());
    }
    if !rules.overlay.is_empty() {
        lines.push(format!("with {}", rules.overlay.join(", then ")));
    }
    lines.extend(rules.own.iter().map(own));
    lines
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
    let vital = catalogue().vital(Code(own.code));
    let id = vital.map_or("?", |vital| vital.id.as_str());
    let limits = own.limits.unwrap_or_default();
    let around = if own.automatic {
        "around the value, "
    } else {
        ""
    };
    let from = own.from.clone().unwrap_or_default();
    let by = if from.by.is_empty() {
        "somebody"
    } else {
        &from.by
    };
    format!(
        "{id} {}: {around}set by {by} at {}: {}",
        figures(&limits),
        utc::rfc3339(from.at_us),
        own.reason
    )
}

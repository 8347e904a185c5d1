//! A patient's own limits, and what is usual for the patient: what people type.

use crate::args::{BaselineArgs, LimitsArgs};
use crate::watch::rules::figures;
use anyhow::{Context, Result, bail};
use enroute_model::catalogue::catalogue;
use enroute_model::reading::Decimal;
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

/// What is usual for a patient, and what to say when it is done.
pub(super) fn baseline(args: &BaselineArgs) -> Result<(Action, String)> {
    let (code, id, reason) = (code(&args.vital)?, &args.vital, args.reason.clone());
    let vital = catalogue().vital_by_id(id);
    let places = vital.map_or(0, |vital| vital.decimals);
    let value = args.value.map(|value| {
        let shown = Decimal::from_f64(value, places);
        shown.with_context(|| format!("{value} is no value of {id}"))
    });
    let value = value.transpose()?;
    let done = match value {
        Some(value) => format!("{} is usual for {id}", value.value()),
        None => format!("{id} has no baseline but its own last minutes"),
    };
    let set = v1::SetBaseline {
        code,
        value: value.map(Decimal::mantissa),
        decimals: value.map_or(0, |value| value.decimals().into()),
        reason,
    };
    Ok((Action::SetBaseline(set), done))
}

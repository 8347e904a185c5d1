//! The registry of transfers: contract to model with limits checked, and back.

use crate::events::{on_earth, population_from, population_to};
use crate::frame::{Refusal, at_most, text};
use crate::limits::{
    CONDITIONS_MAX, LABEL_CHARS_MAX, LEGS_MAX, LIMIT_CODES_MAX, PAUSE_MAX, TEXT_CHARS_MAX,
};
use crate::v1;
use enroute_model::frame::Code;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::reading::Decimal;
use enroute_model::registry::{
    AlertAction, Leg, Mode, Place, REGIONS_MAX, RegistryAction, TransferInfo, ViewerRole, is_region,
};
use enroute_model::state::LimitsInForce;
use enroute_model::time::{GatewayTime, ServerTime, Span};

/// Checks and converts what people entered about a transfer.
///
/// # Errors
/// The first field that is wrong.
pub fn info_from(info: v1::TransferInfo) -> Result<TransferInfo, Refusal> {
    at_most("legs", info.leg.len(), LEGS_MAX)?;
    at_most("conditions", info.condition.len(), CONDITIONS_MAX)?;
    at_most("regions", info.region.len(), REGIONS_MAX)?;
    if !info.region.iter().all(|name| is_region(name)) {
        let what = "a region is named by 1 to 32 letters, digits and hyphens";
        return Err(Refusal::Invalid(what));
    }
    let conditions = info
        .condition
        .into_iter()
        .map(|c| text("condition", c, LABEL_CHARS_MAX));
    Ok(TransferInfo {
        hospital: text("hospital", info.hospital, LABEL_CHARS_MAX)?,
        legs: info
            .leg
            .into_iter()
            .map(leg_from)
            .collect::<Result<_, _>>()?,
        population: info.population.map(population_from).unwrap_or_default(),
        conditions: conditions.collect::<Result<_, _>>()?,
        concern: text("concern", info.concern, TEXT_CHARS_MAX)?,
        regions: info.region,
    })
}

/// What people entered, in the contract's words.
#[must_use]
pub fn info_to(info: &TransferInfo) -> v1::TransferInfo {
    v1::TransferInfo {
        hospital: info.hospital.clone(),
        leg: info.legs.iter().map(leg_to).collect(),
        population: Some(population_to(&info.population)),
        condition: info.conditions.clone(),
        concern: info.concern.clone(),
        region: info.regions.clone(),
    }
}

fn leg_from(leg: v1::Leg) -> Result<Leg, Refusal> {
    let mode = match leg.mode() {
        v1::Mode::Unspecified => return Err(Refusal::Missing("the mode of a leg, road or air")),
        v1::Mode::Road => Mode::Road,
        v1::Mode::Air => Mode::Air,
    };
    let gateway = Some(leg.gateway)
        .filter(|name| !name.is_empty())
        .map(|name| GatewayId::new(&name));
    Ok(Leg {
        vehicle: text("vehicle", leg.vehicle, LABEL_CHARS_MAX)?,
        mode,
        gateway: gateway
            .transpose()
            .map_err(|_| Refusal::Invalid("the gateway of a leg is not a gateway id"))?,
        from: place_from(leg.from.ok_or(Refusal::Missing("where a leg starts"))?)?,
        to: place_from(leg.to.ok_or(Refusal::Missing("where a leg ends"))?)?,
        departs_at: leg.departs_at_us.map(ServerTime),
        arrives_at: leg.arrives_at_us.map(ServerTime),
    })
}

fn leg_to(leg: &Leg) -> v1::Leg {
    let mode = match leg.mode {
        Mode::Road => v1::Mode::Road,
        Mode::Air => v1::Mode::Air,
    };
    v1::Leg {
        vehicle: leg.vehicle.clone(),
        mode: mode.into(),
        gateway: leg
            .gateway
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        from: Some(place_to(&leg.from)),
        to: Some(place_to(&leg.to)),
        departs_at_us: leg.departs_at.map(|t| t.0),
        arrives_at_us: leg.arrives_at.map(|t| t.0),
    }
}

fn place_from(place: v1::Place) -> Result<Place, Refusal> {
    on_earth(place.latitude_e7, place.longitude_e7)?;
    Ok(Place {
        name: text("place", place.name, LABEL_CHARS_MAX)?,
        latitude_e7: place.latitude_e7,
        longitude_e7: place.longitude_e7,
    })
}

fn place_to(place: &Place) -> v1::Place {
    v1::Place {
        name: place.name.clone(),
        latitude_e7: place.latitude_e7,
        longitude_e7: place.longitude_e7,
    }
}

/// Checks and converts an action.
///
/// # Errors
/// The first field that is wrong.
pub fn action_from(action: v1::RegistryAction) -> Result<RegistryAction, Refusal> {
    use v1::registry_action::Action as Wire;
    Ok(
        match action.action.ok_or(Refusal::Missing("a known action"))? {
            Wire::Put(info) => RegistryAction::Put(info_from(info)?),
            Wire::JoinInto(id) => RegistryAction::JoinInto(
                TransferId::new(&id)
                    .map_err(|_| Refusal::Invalid("join_into is not a transfer id"))?,
            ),
            Wire::HandOverTo(id) => RegistryAction::HandOverTo(
                GatewayId::new(&id)
                    .map_err(|_| Refusal::Invalid("hand_over_to is not a gateway id"))?,
            ),
            Wire::SetBaseline(set) => baseline_from(set)?,
            Wire::NoteToCrew(note) => RegistryAction::NoteToCrew(note_from(note)?),
            Wire::NotesRead(read) => RegistryAction::ReadNotes {
                gateway: GatewayId::new(&read.gateway)
                    .map_err(|_| Refusal::Invalid("gateway is not a gateway id"))?,
                through: GatewayTime(read.through_captured_at_us),
            },
            Wire::Close(v1::Close {}) => RegistryAction::Close,
            Wire::Reopen(v1::Reopen {}) => RegistryAction::Reopen,
            Wire::Alert(alert) => RegistryAction::Alert {
                alert_id: alert.alert_id,
                seen: alert.seen_ordinal,
                action: alert_action_from(alert.action)?,
            },
            Wire::SetLimits(set) => RegistryAction::SetLimits {
                code: Code(set.code),
                limits: set.limits.as_ref().map(limits_from).transpose()?,
                reason: reason(set.reason)?,
            },
            Wire::AutoLimits(auto) => {
                at_most("codes", auto.code.len(), LIMIT_CODES_MAX)?;
                RegistryAction::AutoLimits {
                    codes: auto.code.into_iter().map(Code).collect(),
                    reason: reason(auto.reason)?,
                }
            }
        },
    )
}

fn reason(given: String) -> Result<String, Refusal> {
    if given.trim().is_empty() {
        return Err(Refusal::Missing("why the limits are set"));
    }
    text("reason", given, TEXT_CHARS_MAX)
}

fn note_from(given: String) -> Result<String, Refusal> {
    if given.trim().is_empty() {
        return Err(Refusal::Missing("what the note says"));
    }
    text("note", given, TEXT_CHARS_MAX)
}

fn limits_from(limits: &v1::Limits) -> Result<LimitsInForce, Refusal> {
    let limits = LimitsInForce {
        crit_low: limits.crit_low,
        warn_low: limits.warn_low,
        warn_high: limits.warn_high,
        crit_high: limits.crit_high,
    };
    let all = [
        limits.crit_low,
        limits.warn_low,
        limits.warn_high,
        limits.crit_high,
    ];
    if all.into_iter().flatten().any(|limit| !limit.is_finite()) {
        return Err(Refusal::Invalid("a limit is not a finite number"));
    }
    Ok(limits)
}

/// Limits in the contract's words.
#[must_use]
pub fn limits_to(limits: &LimitsInForce) -> v1::Limits {
    v1::Limits {
        crit_low: limits.crit_low,
        warn_low: limits.warn_low,
        warn_high: limits.warn_high,
        crit_high: limits.crit_high,
    }
}

fn baseline_from(set: v1::SetBaseline) -> Result<RegistryAction, Refusal> {
    let number = |value| {
        let decimals = u8::try_from(set.decimals).ok();
        let number = decimals.and_then(|decimals| Decimal::new(value, decimals));
        number.ok_or(Refusal::Invalid("the baseline is not a number"))
    };
    Ok(RegistryAction::SetBaseline {
        code: Code(set.code),
        value: set.value.map(number).transpose()?,
        reason: text("reason", set.reason, TEXT_CHARS_MAX)?,
    })
}

fn alert_action_from(action: Option<v1::alert_action::Action>) -> Result<AlertAction, Refusal> {
    use v1::alert_action::Action as Wire;
    match action.ok_or(Refusal::Missing("what to do about the alert"))? {
        Wire::Acknowledge(v1::Acknowledge {}) => Ok(AlertAction::Acknowledge),
        Wire::PauseS(seconds) => {
            let lasts = Span::from_secs(seconds.into());
            if lasts <= Span::ZERO || lasts > PAUSE_MAX {
                return Err(Refusal::Invalid("a pause lasts 1 to 1,800 seconds"));
            }
            Ok(AlertAction::Pause { lasts })
        }
        Wire::Note(note) => Ok(AlertAction::Note(text("note", note, TEXT_CHARS_MAX)?)),
        Wire::Shown(role) => Ok(AlertAction::Shown(role_from(role)?)),
    }
}

fn alert_action_to(action: &AlertAction) -> v1::alert_action::Action {
    use v1::alert_action::Action as Wire;
    match action {
        AlertAction::Acknowledge => Wire::Acknowledge(v1::Acknowledge {}),
        AlertAction::Pause { lasts } => {
            Wire::PauseS(u32::try_from(lasts.0 / 1_000_000).unwrap_or(u32::MAX))
        }
        AlertAction::Note(note) => Wire::Note(note.clone()),
        AlertAction::Shown(role) => Wire::Shown(role_to(*role).into()),
    }
}

/// As whom somebody looks; who does not say it is a viewer.
///
/// # Errors
/// A role that this version does not know.
pub fn role_from(role: i32) -> Result<ViewerRole, Refusal> {
    Ok(match v1::ViewerRole::try_from(role) {
        Ok(v1::ViewerRole::Unspecified | v1::ViewerRole::Viewer) => ViewerRole::Viewer,
        Ok(v1::ViewerRole::Wall) => ViewerRole::Wall,
        Ok(v1::ViewerRole::Clinician) => ViewerRole::Clinician,
        Ok(v1::ViewerRole::OnCall) => ViewerRole::OnCall,
        Err(_) => return Err(Refusal::Invalid("role is not one that is known")),
    })
}

/// A role in the contract's words.
#[must_use]
pub fn role_to(role: ViewerRole) -> v1::ViewerRole {
    match role {
        ViewerRole::Wall => v1::ViewerRole::Wall,
        ViewerRole::Viewer => v1::ViewerRole::Viewer,
        ViewerRole::Clinician => v1::ViewerRole::Clinician,
        ViewerRole::OnCall => v1::ViewerRole::OnCall,
    }
}

/// An action in the contract's words.
#[must_use]
pub fn action_to(action: &RegistryAction) -> v1::RegistryAction {
    use v1::registry_action::Action as Wire;
    let action = match action {
        RegistryAction::Put(info) => Wire::Put(info_to(info)),
        RegistryAction::JoinInto(transfer) => Wire::JoinInto(transfer.to_string()),
        RegistryAction::HandOverTo(gateway) => Wire::HandOverTo(gateway.to_string()),
        RegistryAction::SetBaseline {
            code,
            value,
            reason,
        } => Wire::SetBaseline(v1::SetBaseline {
            code: code.0,
            value: value.map(Decimal::mantissa),
            decimals: value.map_or(0, |value| value.decimals().into()),
            reason: reason.clone(),
        }),
        RegistryAction::NoteToCrew(text) => Wire::NoteToCrew(text.clone()),
        RegistryAction::ReadNotes { gateway, through } => Wire::NotesRead(v1::NotesRead {
            gateway: gateway.to_string(),
            through_captured_at_us: through.0,
        }),
        RegistryAction::Close => Wire::Close(v1::Close {}),
        RegistryAction::Reopen => Wire::Reopen(v1::Reopen {}),
        RegistryAction::Alert {
            alert_id,
            seen,
            action,
        } => Wire::Alert(v1::AlertAction {
            alert_id: *alert_id,
            seen_ordinal: *seen,
            action: Some(alert_action_to(action)),
        }),
        RegistryAction::SetLimits {
            code,
            limits,
            reason,
        } => Wire::SetLimits(v1::SetLimits {
            code: code.0,
            limits: limits.as_ref().map(limits_to),
            reason: reason.clone(),
        }),
        RegistryAction::AutoLimits { codes, reason } => Wire::AutoLimits(v1::AutoLimits {
            code: codes.iter().map(|code| code.0).collect(),
            reason: reason.clone(),
        }),
    };
    v1::RegistryAction {
        action: Some(action),
    }
}

//! `enroute watch --json`: each response as one object a line. The shape is in the
//! help of the command; fields may be added, none changes its meaning.

use super::words;
use crate::utc::rfc3339;
use enroute_wire::v1;
use serde_json::{Map, Value, json};

/// One response; `None` when there is nothing to print (samples are not asked for).
pub(crate) fn response(response: &v1::WatchResponse) -> Option<Value> {
    use v1::watch_response::Update;
    let (kind, body) = match response.update.as_ref()? {
        Update::Snapshot(snapshot) => (
            "snapshot",
            json!({
                "missed": text(&snapshot.missed),
                "transfers": snapshot.transfer.iter().map(transfer).collect::<Vec<_>>(),
            }),
        ),
        Update::Transfer(state) => ("transfer", json!({ "transfer": transfer(state) })),
        Update::Values(values) => (
            "values",
            json!({
                "transfer": values.transfer,
                "gateway": values.gateway,
                "values": values.value.iter().map(value).collect::<Vec<_>>(),
            }),
        ),
        Update::Alert(step) => (
            "alert",
            json!({
                "transfer": step.transfer,
                "ordinal": step.ordinal,
                "at": rfc3339(step.at_us),
                "alert": step.alert.as_ref().map(alert),
            }),
        ),
        Update::Heartbeat(beat) => ("heartbeat", json!({ "conflated": beat.conflated })),
        Update::Samples(_) => return None,
    };
    let mut line = Map::new();
    line.insert("type".into(), kind.into());
    line.insert(
        "server_time".into(),
        rfc3339(response.server_time_us).into(),
    );
    if let Some(failed) = &response.not_recorded {
        let told = json!({ "since": rfc3339(failed.since_us), "reason": failed.reason });
        line.insert("not_recorded".into(), told);
    }
    if let Value::Object(body) = body {
        line.extend(body);
    }
    Some(Value::Object(line))
}

/// The server is not reached.
pub(crate) fn lost(reason: &str) -> Value {
    json!({ "type": "lost", "reason": reason })
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The state of a transfer.
pub(crate) fn transfer(state: &v1::TransferState) -> Value {
    json!({
        "transfer": state.transfer,
        "short_code": state.short_code,
        "aliases": state.alias,
        "exercise": state.exercise,
        "closed": state.closed,
        "started_at": rfc3339(state.started_at_us),
        "population_assumed": state.population_assumed,
        "info": state.info.as_ref().map(info),
        "travel": state.travel.as_ref().map(travel),
        "alerts": state.alert.iter().map(alert).collect::<Vec<_>>(),
        "rules": super::rules::object(state),
        "retrospective": state.retrospective.iter().map(alert).collect::<Vec<_>>(),
        "unsearched_frames": state.unsearched_frames,
        "sources": state.source.iter().map(source).collect::<Vec<_>>(),
        "poisoned": state.poisoned.len(),
        "unrecorded": state.unrecorded.iter().map(unrecorded).collect::<Vec<_>>(),
    })
}

/// A time without a recording.
pub(crate) fn unrecorded(time: &v1::Unrecorded) -> Value {
    json!({
        "since": rfc3339(time.since_us),
        "until": rfc3339(time.until_us),
        "reason": time.reason,
    })
}

fn info(info: &v1::TransferInfo) -> Value {
    let population = info.population.unwrap_or_default();
    let place = |place: &v1::Place| {
        json!({
            "name": place.name,
            "latitude": f64::from(place.latitude_e7) / 1e7,
            "longitude": f64::from(place.longitude_e7) / 1e7,
        })
    };
    let leg = |leg: &v1::Leg| {
        json!({
            "vehicle": leg.vehicle,
            "mode": word(leg.mode().as_str_name()),
            "gateway": text(&leg.gateway),
            "from": leg.from.as_ref().map(place),
            "to": leg.to.as_ref().map(place),
            "departs_at": leg.departs_at_us.map(rfc3339),
            "arrives_at": leg.arrives_at_us.map(rfc3339),
        })
    };
    json!({
        "hospital": text(&info.hospital),
        "regions": info.region,
        "concern": text(&info.concern),
        "conditions": info.condition,
        "age_band": word(population.age_band().as_str_name()),
        "weight_g": (population.weight_g > 0).then_some(population.weight_g),
        "legs": info.leg.iter().map(leg).collect::<Vec<_>>(),
    })
}

fn travel(travel: &v1::Travel) -> Value {
    json!({
        "position": travel.position.as_ref().map(|position| json!({
            "latitude": f64::from(position.latitude_e7) / 1e7,
            "longitude": f64::from(position.longitude_e7) / 1e7,
            "altitude_m": position.altitude_m,
            "speed_m_s": position.speed_cm_s.map(|speed| f64::from(speed) / 100.0),
        })),
        "heard_at": travel.heard_at_us.map(rfc3339),
        "leg": travel.leg,
        "distance_m": travel.distance_m,
        "eta": travel.eta_us.map(rfc3339),
    })
}

fn source(source: &v1::Source) -> Value {
    json!({
        "gateway": source.gateway,
        "active": source.active,
        "link_up": source.link_up,
        "last_heard": source.last_heard_us.map(rfc3339),
        "lost_since": source.lost_since_us.map(rfc3339),
        "report": source.report.as_ref().map(report),
        "clocks": clocks(source),
        "rejected_publishes": source.rejected_publishes,
        "values": source.value.iter().map(value).collect::<Vec<_>>(),
        "completeness": source.completeness.iter().map(stream).collect::<Vec<_>>(),
    })
}

fn report(report: &v1::LinkReport) -> Value {
    json!({
        "degradation_level": report.degradation_level,
        "numerics_interval_ms": report.numerics_interval_ms,
        "spool_bytes": report.spool_bytes,
        "spool_bytes_max": report.spool_bytes_max,
        "unconfirmed_frames": report.unconfirmed_frames,
        "battery_percent": report.battery_percent,
    })
}

/// Differences in microseconds: the gateway's to the server's, the monitor's to
/// the gateway's.
fn clocks(source: &v1::Source) -> Value {
    let (offsets, state) = (
        source.clocks.unwrap_or_default(),
        source.clock_state.unwrap_or_default(),
    );
    let clock = |offset: Option<i64>, uncertainty: u64, wrong: bool, unsteady: bool| {
        json!({
            "offset_us": offset,
            "uncertainty_us": offset.map(|_| uncertainty),
            "wrong": wrong,
            "unsteady": unsteady,
        })
    };
    json!({
        "gateway": clock(
            offsets.gateway_us,
            offsets.gateway_uncertainty_us,
            state.gateway_wrong,
            state.gateway_unsteady,
        ),
        "monitor": clock(
            offsets.monitor_us,
            offsets.monitor_uncertainty_us,
            state.monitor_wrong,
            state.monitor_unsteady,
        ),
    })
}

/// The account of one stream of one leg.
pub(crate) fn stream(stream: &v1::StreamCompleteness) -> Value {
    let gap = |gap: &v1::Gap| {
        json!({
            "first": gap.first,
            "last": gap.last,
            "from": gap.from_us.map(rfc3339),
            "to": gap.to_us.map(rfc3339),
            "cause": Some(gap.cause())
                .filter(|cause| *cause != v1::GapCause::Unspecified)
                .map(|cause| word(cause.as_str_name())),
        })
    };
    json!({
        "epoch": format!("{:016x}", stream.epoch),
        "stream": words::stream(stream.stream()),
        "first": stream.first,
        "highest": stream.highest,
        "sent": stream.sent,
        "received": stream.received,
        "durable": stream.durable,
        "shed": stream.shed,
        "missing": stream.missing,
        "duplicates": stream.duplicates,
        "conflicts": stream.conflicts,
        "gaps": stream.gap.iter().map(|gap| [gap.first, gap.last]).collect::<Vec<_>>(),
        "gap_details": stream.gap.iter().map(gap).collect::<Vec<_>>(),
        "more_gaps": stream.more_gaps,
    })
}

fn value(value: &v1::Value) -> Value {
    let number =
        words::has_value(value.state()).then(|| words::number(value.value, value.decimals));
    json!({
        "id": text(words::id(value.code)),
        "code": value.code,
        "label": text(&value.label),
        "unit": value.unit,
        "value": number,
        "state": word(value.state().as_str_name()),
        "stale": value.stale,
        "implausible": value.implausible,
        "observed_at": value.observed_at_us.map(rfc3339),
        "captured_at": rfc3339(value.captured_at_us),
        "heard_at": rfc3339(value.heard_at_us),
        "measured_at": value.measured_at_us.map(rfc3339),
        "measured_uncertainty_us": value.measured_at_us.map(|_| value.measured_uncertainty_us),
        "slope_per_min": value.slope_per_min,
    })
}

fn attention(attention: &v1::Attention) -> Value {
    json!({ "by": attention.by, "at": rfc3339(attention.at_us) })
}

pub(crate) fn alert(alert: &v1::Alert) -> Value {
    json!({
        "alert_id": alert.alert_id,
        "gateway": text(&alert.gateway),
        "kind": word(alert.kind().as_str_name()),
        "id": text(words::id(alert.code)),
        "code": alert.code,
        "text": words::alert(alert),
        "physiological": alert.physiological,
        "priority": word(alert.priority().as_str_name()),
        "phase": word(alert.phase().as_str_name()),
        "since": rfc3339(alert.since_us),
        "value": alert.value.map(|value| words::number(value, alert.decimals)),
        "limit": alert.limit,
        "value_at": alert.value_at_us.map(rfc3339),
        "raised_ordinal": alert.raised_ordinal,
        "escalation": alert.escalation,
        "retrospective": alert.retrospective,
        "until": alert.until_us.map(rfc3339),
        "path": alert.path.as_ref().map(path),
        "acknowledged": alert.acknowledged.as_ref().map(attention),
        "paused_until": alert.paused_until_us.map(rfc3339),
        "note": alert.note.as_ref().map(|note| json!({
            "from": note.from.as_ref().map(attention),
            "text": note.text,
        })),
    })
}

fn path(path: &v1::AlertPath) -> Value {
    let shown = path.shown.iter().map(|shown| {
        json!({
            "role": word(shown.role().as_str_name()),
            "first": shown.first.as_ref().map(attention),
        })
    });
    json!({
        "observed_at": path.observed_at_us.map(rfc3339),
        "captured_at": path.captured_at_us.map(rfc3339),
        "received_at": path.received_at_us.map(rfc3339),
        "raised_at": rfc3339(path.raised_at_us),
        "shown": shown.collect::<Vec<_>>(),
    })
}

/// The word of an enum value without the enum's name: `ALERT_KIND_LIMIT_LOW` is
/// `limit_low`.
pub(crate) fn word(name: &str) -> String {
    const PREFIXES: [&str; 12] = [
        "DELETION_REASON_",
        "VIEWER_ROLE_",
        "ALERT_KIND_",
        "ALERT_PHASE_",
        "READING_STATE_",
        "PRIORITY_",
        "AGE_BAND_",
        "GAP_CAUSE_",
        "STREAM_",
        "MODE_",
        "REPLAY_ORDER_",
        "REPLAY_STATE_",
    ];
    PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
        .to_ascii_lowercase()
}

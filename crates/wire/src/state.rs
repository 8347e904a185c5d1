//! Live state in the contract's words. One way only: nobody sends state to the server.

use crate::events::{
    cause_to, crew_event_to, device_alarm_to, link_report_to, position_to, priority_to,
};
use crate::frame::{clocks_to, stream_to};
use crate::numerics::reading_to;
use crate::registry::{info_to, limits_to, role_to};
use crate::v1;
use enroute_model::frame::Metric;
use enroute_model::ids::{BookHash, GatewayId, TransferId};
use enroute_model::notes::{NoteTaken, NoteToCrew, NotesOnBoard};
use enroute_model::state::{
    AlertKind, AlertPath, AlertPhase, AlertState, AlertTransition, Attention, Baseline, Escalation,
    Link, OwnLimits, Phase, RulesInForce, ScoreState, SourceState, StreamCompleteness,
    TransferState, Travel, ValueState,
};

/// The whole state of a transfer.
#[must_use]
pub fn transfer_to(state: &TransferState) -> v1::TransferState {
    v1::TransferState {
        transfer: state.transfer.to_string(),
        short_code: state.short_code.to_string(),
        alias: state.aliases.iter().map(ToString::to_string).collect(),
        info: Some(info_to(&state.info)),
        population_assumed: state.population_assumed,
        exercise: state.exercise,
        closed: state.phase != Phase::Open,
        started_at_us: state.started_at.0,
        source: state.sources.iter().map(source_to).collect(),
        alert: state.alerts.iter().map(alert_to).collect(),
        travel: Some(travel_to(&state.travel)),
        poisoned: state.poisoned.iter().map(poisoned_to).collect(),
        crew_log: state.crew_log.iter().map(crew_entry_to).collect(),
        note_to_crew: state.notes_to_crew.iter().map(note_to).collect(),
        unrecorded: state.unrecorded.iter().map(unrecorded_to).collect(),
        baseline: state.baselines.iter().map(baseline_to).collect(),
        retrospective: state.retrospective.iter().map(alert_to).collect(),
        unsearched_frames: state.unsearched,
        rules: Some(rules_to(&state.rules)),
    }
}

fn rules_to(rules: &RulesInForce) -> v1::Rules {
    let hash = |hash: &BookHash| hash.0.to_vec();
    v1::Rules {
        book_name: rules.book_name.clone(),
        book_version: rules.book_version.clone(),
        book_hash: hash(&rules.book_hash),
        approved_by: rules.approved_by.clone(),
        approved_on: rules.approved_on.clone(),
        overlay: rules.overlays.clone(),
        own: rules.own.iter().map(own_to).collect(),
        missing_book_hash: rules.missing_book.as_ref().map(hash).unwrap_or_default(),
    }
}

fn own_to(own: &OwnLimits) -> v1::OwnLimits {
    v1::OwnLimits {
        code: own.code.0,
        limits: Some(limits_to(&own.limits)),
        automatic: own.automatic,
        from: Some(attention_to(&own.from)),
        reason: own.reason.clone(),
    }
}

/// Some values of one source of a transfer.
pub fn values_to<'a>(
    transfer: &TransferId,
    gateway: &GatewayId,
    values: impl IntoIterator<Item = &'a ValueState>,
) -> v1::Values {
    v1::Values {
        transfer: transfer.to_string(),
        gateway: gateway.to_string(),
        value: values.into_iter().map(value_to).collect(),
    }
}

/// One step of an alert; the bytes of this message are what the journal stores.
#[must_use]
pub fn transition_to(transfer: &TransferId, step: &AlertTransition) -> v1::AlertTransition {
    v1::AlertTransition {
        transfer: transfer.to_string(),
        ordinal: step.ordinal,
        at_us: step.at.0,
        alert: Some(alert_to(&step.alert)),
    }
}

fn poisoned_to(record: &enroute_model::state::PoisonedRecord) -> v1::PoisonedRecord {
    v1::PoisonedRecord {
        position: record.position.0,
        reason: record.reason.clone(),
    }
}

fn unrecorded_to(unrecorded: &enroute_model::state::Unrecorded) -> v1::Unrecorded {
    v1::Unrecorded {
        since_us: unrecorded.since.0,
        until_us: unrecorded.until.0,
        reason: unrecorded.reason.clone(),
    }
}

fn crew_entry_to(entry: &enroute_model::notes::CrewEntry) -> v1::CrewEntry {
    v1::CrewEntry {
        captured_at_us: entry.captured_at.0,
        gateway: entry.gateway.to_string(),
        event: Some(crew_event_to(&entry.event)),
        read: entry.read.as_ref().map(attention_to),
    }
}

fn note_to(note: &NoteToCrew) -> v1::NoteToCrew {
    let taken = |taken: &NoteTaken| v1::NoteTaken {
        gateway: taken.gateway.to_string(),
        at_us: taken.at.0,
    };
    v1::NoteToCrew {
        id: note.id.clone(),
        from: Some(attention_to(&note.from)),
        text: note.text.clone(),
        delivered: note.delivered.as_ref().map(taken),
        read: note.read.as_ref().map(taken),
    }
}

/// What a crew is to know.
#[must_use]
pub fn notes_to(notes: &NotesOnBoard) -> v1::Notes {
    v1::Notes {
        to_crew: notes.to_crew.iter().map(note_to).collect(),
        from_crew: notes.from_crew.iter().map(crew_entry_to).collect(),
        acknowledged: notes.acknowledged.iter().map(alert_to).collect(),
    }
}

fn source_to(source: &SourceState) -> v1::Source {
    let (link_up, last_heard, lost_since) = match source.link {
        Link::Up { last_heard } => (true, Some(last_heard), None),
        Link::Lost { last_heard, since } => (false, last_heard, Some(since)),
    };
    v1::Source {
        gateway: source.gateway.to_string(),
        active: source.active,
        link_up,
        last_heard_us: last_heard.map(|t| t.0),
        lost_since_us: lost_since.map(|t| t.0),
        report: source.report.as_ref().map(link_report_to),
        clocks: Some(clocks_to(&source.clocks)),
        value: source.values.iter().map(value_to).collect(),
        device_alarm: source.device_alarms.iter().map(device_alarm_to).collect(),
        completeness: source.completeness.iter().map(completeness_to).collect(),
        rejected_publishes: source.rejected_publishes,
        score: source.scores.iter().map(score_to).collect(),
        unavailable: source.unavailable.clone(),
        clock_state: Some(v1::ClockState {
            gateway_wrong: source.clock_state.gateway_wrong,
            gateway_unsteady: source.clock_state.gateway_unsteady,
            monitor_wrong: source.clock_state.monitor_wrong,
            monitor_unsteady: source.clock_state.monitor_unsteady,
        }),
    }
}

fn baseline_to(baseline: &Baseline) -> v1::Baseline {
    v1::Baseline {
        code: baseline.code.0,
        value: baseline.value.mantissa(),
        decimals: baseline.value.decimals().into(),
        from: Some(attention_to(&baseline.from)),
        reason: baseline.reason.clone(),
    }
}

fn score_to(score: &ScoreState) -> v1::Score {
    v1::Score {
        code: score.code.0,
        low: score.low.into(),
        high: score.high.into(),
        single_red: score.single_red,
        missing: score.missing.into(),
        age_assumed: score.age_assumed,
    }
}

fn value_to(value: &ValueState) -> v1::Value {
    let (mantissa, decimals, state) = reading_to(&value.reading);
    let limits = value.limits.unwrap_or_default();
    v1::Value {
        code: value.metric.code.0,
        label: value.metric.label.clone(),
        unit: value.unit.clone(),
        value: mantissa,
        decimals,
        state: state.into(),
        implausible: value.implausible,
        stale: value.stale,
        observed_at_us: value.observed_at.map(|t| t.0),
        captured_at_us: value.captured_at.0,
        measured_at_us: value.measured_at.map(|(at, _)| at.0),
        measured_uncertainty_us: value
            .measured_at
            .map_or(0, |(_, half)| u64::try_from(half.0).unwrap_or(0)),
        heard_at_us: value.heard_at.0,
        interval_ms: u32::try_from(value.interval.0 / 1_000).unwrap_or(u32::MAX),
        slope_per_min: value.slope_per_min,
        crit_low: limits.crit_low,
        warn_low: limits.warn_low,
        warn_high: limits.warn_high,
        crit_high: limits.crit_high,
    }
}

fn completeness_to(stream: &StreamCompleteness) -> v1::StreamCompleteness {
    let gap = stream.gaps.iter().map(|gap| v1::Gap {
        first: gap.first,
        last: gap.last,
        from_us: gap.from.map(|t| t.0),
        to_us: gap.to.map(|t| t.0),
        cause: cause_to(gap.cause).into(),
    });
    v1::StreamCompleteness {
        epoch: stream.epoch.0,
        stream: stream_to(stream.stream).into(),
        first: stream.first,
        highest: stream.highest,
        sent: stream.sent,
        received: stream.received,
        durable: stream.durable,
        shed: stream.shed,
        duplicates: stream.duplicates,
        conflicts: stream.conflicts,
        missing: stream.missing,
        gap: gap.collect(),
        more_gaps: stream.more_gaps,
    }
}

fn travel_to(travel: &Travel) -> v1::Travel {
    v1::Travel {
        position: travel.position.as_ref().map(position_to),
        heard_at_us: travel.heard_at.map(|t| t.0),
        track: travel.track.iter().map(position_to).collect(),
        leg: travel.leg.and_then(|leg| u32::try_from(leg).ok()),
        distance_m: travel.distance_m,
        eta_us: travel.eta.map(|t| t.0),
    }
}

fn attention_to(attention: &Attention) -> v1::Attention {
    v1::Attention {
        by: attention.by.clone(),
        at_us: attention.at.0,
    }
}

/// An alert condition.
#[must_use]
pub fn alert_to(alert: &AlertState) -> v1::Alert {
    let none = Metric {
        code: enroute_model::frame::Code(0),
        label: String::new(),
    };
    let (kind, metric, stream) = match &alert.kind {
        AlertKind::LimitLow(metric) => (v1::AlertKind::LimitLow, metric, None),
        AlertKind::LimitHigh(metric) => (v1::AlertKind::LimitHigh, metric, None),
        AlertKind::Stale(metric) => (v1::AlertKind::Stale, metric, None),
        AlertKind::LinkLost => (v1::AlertKind::LinkLost, &none, None),
        AlertKind::Conflict(stream) => (v1::AlertKind::Conflict, &none, Some(*stream)),
        AlertKind::EngineDegraded => (v1::AlertKind::EngineDegraded, &none, None),
        AlertKind::NotRecorded => (v1::AlertKind::NotRecorded, &none, None),
        AlertKind::Rule(subject) => (v1::AlertKind::Rule, &subject.metric, None),
        AlertKind::SensorOff(metric) => (v1::AlertKind::SensorOff, metric, None),
        AlertKind::ClockWrong => (v1::AlertKind::ClockWrong, &none, None),
        AlertKind::SpoolFilling => (v1::AlertKind::SpoolFilling, &none, None),
        AlertKind::BatteryLow => (v1::AlertKind::BatteryLow, &none, None),
        AlertKind::HistoryIncomplete => (v1::AlertKind::HistoryIncomplete, &none, None),
        AlertKind::NotAttended => (v1::AlertKind::NotAttended, &none, None),
    };
    let rule = match &alert.kind {
        AlertKind::Rule(subject) => subject.rule.clone(),
        AlertKind::LimitLow(_)
        | AlertKind::LimitHigh(_)
        | AlertKind::Stale(_)
        | AlertKind::LinkLost
        | AlertKind::Conflict(_)
        | AlertKind::EngineDegraded
        | AlertKind::NotRecorded
        | AlertKind::SensorOff(_)
        | AlertKind::ClockWrong
        | AlertKind::SpoolFilling
        | AlertKind::BatteryLow
        | AlertKind::HistoryIncomplete
        | AlertKind::NotAttended => String::new(),
    };
    let phase = match alert.phase {
        AlertPhase::Active => v1::AlertPhase::Active,
        AlertPhase::Unknown => v1::AlertPhase::Unknown,
        AlertPhase::Latched => v1::AlertPhase::Latched,
        AlertPhase::Ended => v1::AlertPhase::Ended,
    };
    let reading = alert.value.as_ref().map(reading_to);
    v1::Alert {
        alert_id: alert.alert_id,
        gateway: alert
            .gateway
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        kind: kind.into(),
        code: metric.code.0,
        label: metric.label.clone(),
        stream: stream.map_or(v1::Stream::Unspecified, stream_to).into(),
        physiological: alert.kind.is_physiological(),
        priority: priority_to(alert.priority).into(),
        phase: phase.into(),
        since_us: alert.since.0,
        value: reading.map(|r| r.0),
        decimals: reading.map_or(0, |r| r.1),
        state: reading.map_or(v1::ReadingState::Measured, |r| r.2).into(),
        limit: alert.limit,
        raised_ordinal: alert.raised,
        acknowledged: alert.acknowledged.as_ref().map(attention_to),
        paused_until_us: alert.paused_until.map(|t| t.0),
        note: alert.note.as_ref().map(|note| v1::AlertNote {
            from: Some(attention_to(&note.from)),
            text: note.text.clone(),
        }),
        rule,
        retrospective: alert.is_retrospective(),
        until_us: alert.until.map(|t| t.0),
        event_code: crate::event_codes::of(&alert.kind),
        escalation: match alert.escalation {
            Escalation::None => 0,
            Escalation::OnCall => 1,
            Escalation::Unattended => 2,
        },
        path: Some(path_to(&alert.path)),
        value_at_us: alert.value_at.map(|t| t.0),
    }
}

fn path_to(path: &AlertPath) -> v1::AlertPath {
    let shown = path.shown.iter().map(|(role, first)| v1::Shown {
        role: role_to(*role).into(),
        first: Some(attention_to(first)),
    });
    let value = path.value;
    v1::AlertPath {
        observed_at_us: value.and_then(|value| value.observed_at).map(|t| t.0),
        captured_at_us: value.map(|value| value.captured_at.0),
        received_at_us: value.map(|value| value.received_at.0),
        raised_at_us: path.raised_at.0,
        shown: shown.collect(),
    }
}

//! Bodies of the events stream, and position.

use crate::frame::{Refusal, at_most, stream_from, stream_to, text};
use crate::limits::{LABEL_CHARS_MAX, LINK_STREAMS_MAX, NOTES_MAX, TEXT_CHARS_MAX};
use crate::v1;
use enroute_model::frame::{
    Code, CrewEvent, DeviceAlarm, GapCause, GeoPoint, LinkReport, Priority, StreamReport,
};
use enroute_model::ids::Epoch;
use enroute_model::reading::Decimal;
use enroute_model::registry::{AgeBand, Population};
use enroute_model::time::Span;

/// The contract's priority, if it says one.
#[must_use]
pub fn priority_from(priority: v1::Priority) -> Option<Priority> {
    match priority {
        v1::Priority::Unspecified => None,
        v1::Priority::Low => Some(Priority::Low),
        v1::Priority::Medium => Some(Priority::Medium),
        v1::Priority::High => Some(Priority::High),
    }
}

pub(crate) fn priority_to(priority: Priority) -> v1::Priority {
    match priority {
        Priority::Low => v1::Priority::Low,
        Priority::Medium => v1::Priority::Medium,
        Priority::High => v1::Priority::High,
    }
}

pub(crate) fn device_alarm_from(alarm: v1::DeviceAlarm) -> Result<DeviceAlarm, Refusal> {
    Ok(DeviceAlarm {
        code: Code(alarm.code),
        priority: priority_from(alarm.priority()),
        label: text("label", alarm.label, LABEL_CHARS_MAX)?,
        active: alarm.active,
        subject: Code(alarm.subject),
    })
}

pub(crate) fn device_alarm_to(alarm: &DeviceAlarm) -> v1::DeviceAlarm {
    v1::DeviceAlarm {
        code: alarm.code.0,
        label: alarm.label.clone(),
        priority: alarm
            .priority
            .map_or(v1::Priority::Unspecified, priority_to)
            .into(),
        active: alarm.active,
        subject: alarm.subject.0,
    }
}

/// Whether a latitude and a longitude in degrees × 10^7 are on Earth.
pub(crate) fn on_earth(latitude_e7: i32, longitude_e7: i32) -> Result<(), Refusal> {
    if latitude_e7.unsigned_abs() > 900_000_000 || longitude_e7.unsigned_abs() > 1_800_000_000 {
        return Err(Refusal::Invalid(
            "a position is not on Earth: degrees times 10^7, at most ±90 and ±180",
        ));
    }
    Ok(())
}

pub(crate) fn position_from(position: &v1::Position) -> Result<GeoPoint, Refusal> {
    on_earth(position.latitude_e7, position.longitude_e7)?;
    if position.course_cdeg.is_some_and(|course| course > 36_000) {
        return Err(Refusal::Invalid("a course is above 360 degrees"));
    }
    Ok(GeoPoint {
        latitude_e7: position.latitude_e7,
        longitude_e7: position.longitude_e7,
        altitude_m: position.altitude_m,
        speed_cm_s: position.speed_cm_s,
        course_cdeg: position.course_cdeg,
    })
}

pub(crate) fn position_to(position: &GeoPoint) -> v1::Position {
    v1::Position {
        latitude_e7: position.latitude_e7,
        longitude_e7: position.longitude_e7,
        altitude_m: position.altitude_m,
        speed_cm_s: position.speed_cm_s,
        course_cdeg: position.course_cdeg,
    }
}

/// `None` for an event that this version does not know.
pub(crate) fn crew_event_from(event: v1::CrewEvent) -> Result<Option<CrewEvent>, Refusal> {
    use v1::crew_event::Event as Wire;
    let Some(event) = event.event else {
        return Ok(None);
    };
    Ok(Some(match event {
        Wire::Observation(o) => {
            let decimals = u8::try_from(o.decimals).unwrap_or(u8::MAX);
            let value = Decimal::new(o.value, decimals)
                .ok_or(Refusal::Invalid("an observation is too large"))?;
            if o.code == 0 {
                return Err(Refusal::Missing("the code of an observation"));
            }
            CrewEvent::Observation {
                code: Code(o.code),
                value,
            }
        }
        Wire::Population(p) => CrewEvent::Population(population_from(p)),
        Wire::Intervention(i) => CrewEvent::Intervention {
            kind: text("kind", i.kind, LABEL_CHARS_MAX)?,
            text: text("text", i.text, TEXT_CHARS_MAX)?,
        },
        Wire::Note(note) => CrewEvent::Note(text("note", note, TEXT_CHARS_MAX)?),
        Wire::Join(join) => CrewEvent::Join {
            short_code: text("short code", join.short_code, LABEL_CHARS_MAX)?,
        },
        Wire::HandOver(v1::HandOver {}) => CrewEvent::HandOver,
        Wire::End(v1::End {}) => CrewEvent::End,
        Wire::NotesTaken(taken) => {
            at_most("notes", taken.note.len(), NOTES_MAX)?;
            let notes = taken.note.into_iter();
            let notes = notes.map(|id| text("note id", id, LABEL_CHARS_MAX));
            CrewEvent::NotesTaken {
                notes: notes.collect::<Result<_, _>>()?,
                read: taken.read,
            }
        }
    }))
}

pub(crate) fn crew_event_to(event: &CrewEvent) -> v1::CrewEvent {
    use v1::crew_event::Event as Wire;
    let event = match event {
        CrewEvent::Observation { code, value } => Wire::Observation(v1::Observation {
            code: code.0,
            value: value.mantissa(),
            decimals: u32::from(value.decimals()),
        }),
        CrewEvent::Population(population) => Wire::Population(population_to(population)),
        CrewEvent::Intervention { kind, text } => Wire::Intervention(v1::Intervention {
            kind: kind.clone(),
            text: text.clone(),
        }),
        CrewEvent::Note(note) => Wire::Note(note.clone()),
        CrewEvent::Join { short_code } => Wire::Join(v1::JoinRequest {
            short_code: short_code.clone(),
        }),
        CrewEvent::HandOver => Wire::HandOver(v1::HandOver {}),
        CrewEvent::End => Wire::End(v1::End {}),
        CrewEvent::NotesTaken { notes, read } => Wire::NotesTaken(v1::NotesTaken {
            note: notes.clone(),
            read: *read,
        }),
    };
    v1::CrewEvent { event: Some(event) }
}

pub(crate) fn population_from(population: v1::Population) -> Population {
    let age_band = match population.age_band() {
        v1::AgeBand::Unspecified => None,
        v1::AgeBand::Neonate => Some(AgeBand::Neonate),
        v1::AgeBand::Infant => Some(AgeBand::Infant),
        v1::AgeBand::Child => Some(AgeBand::Child),
        v1::AgeBand::Adolescent => Some(AgeBand::Adolescent),
        v1::AgeBand::Adult => Some(AgeBand::Adult),
    };
    Population {
        age_band,
        weight_g: Some(population.weight_g).filter(|grams| *grams > 0),
    }
}

pub(crate) fn population_to(population: &Population) -> v1::Population {
    let age_band = match population.age_band {
        None => v1::AgeBand::Unspecified,
        Some(AgeBand::Neonate) => v1::AgeBand::Neonate,
        Some(AgeBand::Infant) => v1::AgeBand::Infant,
        Some(AgeBand::Child) => v1::AgeBand::Child,
        Some(AgeBand::Adolescent) => v1::AgeBand::Adolescent,
        Some(AgeBand::Adult) => v1::AgeBand::Adult,
    };
    v1::Population {
        age_band: age_band.into(),
        weight_g: population.weight_g.unwrap_or(0),
    }
}

pub(crate) fn link_report_from(report: &v1::LinkReport) -> Result<LinkReport, Refusal> {
    at_most(
        "streams in a link report",
        report.stream.len(),
        LINK_STREAMS_MAX,
    )?;
    // A stream that this version does not know is of no use to it.
    let streams = report.stream.iter().filter_map(|s| {
        Some(StreamReport {
            epoch: Epoch(s.epoch),
            stream: stream_from(s.stream()).ok()?,
            produced: s.produced,
            sent: s.sent,
            leg_first: Some(s.leg_first).filter(|first| *first > 0),
        })
    });
    Ok(LinkReport {
        degradation_level: report.degradation_level,
        numerics_interval: Span(i64::from(report.numerics_interval_ms) * 1_000),
        spool_bytes: report.spool_bytes,
        spool_bytes_max: report.spool_bytes_max,
        unconfirmed_bytes: report.unconfirmed_bytes,
        unconfirmed_frames: report.unconfirmed_frames,
        shed_frames: report.shed_frames,
        connections: report.connections,
        battery_percent: report.battery_percent,
        streams: streams.collect(),
    })
}

pub(crate) fn link_report_to(report: &LinkReport) -> v1::LinkReport {
    let stream = report.streams.iter().map(|s| v1::StreamReport {
        epoch: s.epoch.0,
        stream: stream_to(s.stream).into(),
        produced: s.produced,
        sent: s.sent,
        leg_first: s.leg_first.unwrap_or(0),
    });
    v1::LinkReport {
        degradation_level: report.degradation_level,
        numerics_interval_ms: u32::try_from(report.numerics_interval.0 / 1_000).unwrap_or(0),
        spool_bytes: report.spool_bytes,
        spool_bytes_max: report.spool_bytes_max,
        unconfirmed_bytes: report.unconfirmed_bytes,
        unconfirmed_frames: report.unconfirmed_frames,
        shed_frames: report.shed_frames,
        connections: report.connections,
        battery_percent: report.battery_percent,
        stream: stream.collect(),
    }
}

pub(crate) fn cause_from(cause: v1::GapCause) -> Option<GapCause> {
    match cause {
        v1::GapCause::Unspecified => None,
        v1::GapCause::SpoolFull => Some(GapCause::SpoolFull),
        v1::GapCause::Restored => Some(GapCause::Restored),
        v1::GapCause::Damaged => Some(GapCause::Damaged),
        v1::GapCause::SpoolLost => Some(GapCause::SpoolLost),
    }
}

/// The contract's word for a cause.
#[must_use]
pub fn cause_to(cause: Option<GapCause>) -> v1::GapCause {
    match cause {
        None => v1::GapCause::Unspecified,
        Some(GapCause::SpoolFull) => v1::GapCause::SpoolFull,
        Some(GapCause::Restored) => v1::GapCause::Restored,
        Some(GapCause::Damaged) => v1::GapCause::Damaged,
        Some(GapCause::SpoolLost) => v1::GapCause::SpoolLost,
    }
}

//! Timelines that a nurse could read, and properties over random traces.

mod attention;
mod clocks;
mod conditions;
mod escalation;
mod ladder;
mod late;
mod ledger;
mod notes;
mod properties;
mod quiet;
mod rules;
mod scores;
mod technical;
mod timelines;
mod travel;
mod validity;

use crate::{Effects, Engine};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{
    Body, Code, CrewEvent, DeviceAlarm, Frame, GapCause, GeoPoint, Header, LinkReport, Metric,
    Numeric, Priority, Shed,
};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, NoValue, Reading, Validity};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{AgeBand, AlertAction, Population, RegistryAction, TransferInfo};
use enroute_model::state::{AlertKind, AlertPhase, AlertTransition, Escalation, LimitsInForce};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) fn s(seconds: i64) -> EngineTime {
    EngineTime(seconds * 1_000_000)
}

pub(super) fn gateway(id: &str) -> GatewayId {
    GatewayId::new(id).unwrap()
}

pub(super) fn transfer(id: &str) -> TransferId {
    TransferId::new(id).unwrap()
}

pub(super) fn metric(id: &str) -> Metric {
    let known = catalogue().vital_by_id(id);
    Metric {
        code: known.map(|v| v.code).unwrap_or_default(),
        label: known.map_or(id.to_owned(), |_| String::new()),
    }
}

/// `hr=80`, `hr=-` (sensor off), `hr=_` (no value), `hr=80?` (questionable),
/// `hr=80c` (calibrating), `hr=80t` (test mode), `hr=80@60` (declared
/// interval, seconds; 1 if none is given).
fn numeric(word: &str) -> Numeric {
    let (id, value) = word.split_once('=').unwrap();
    let (value, interval) = value.split_once('@').unwrap_or((value, "1"));
    let marks = [
        ('?', Validity::Questionable),
        ('c', Validity::Calibrating),
        ('t', Validity::Test),
    ];
    let marked = marks
        .iter()
        .find_map(|(mark, validity)| Some((value.strip_suffix(*mark)?, *validity)));
    let (value, validity) = marked.unwrap_or((value, Validity::Measured));
    let none = if value == "_" {
        NoValue::NotAvailable
    } else {
        NoValue::SensorOff
    };
    let reading = value.parse().ok().map(|value| Reading::Value {
        value: Decimal::from_f64(value, 1).unwrap(),
        validity,
    });
    Numeric {
        metric: metric(id),
        unit: String::new(),
        reading: reading.unwrap_or(Reading::None(none)),
        interval: Span::from_secs(interval.parse().unwrap()),
    }
}

/// Numbers frames as a gateway does.
#[derive(Default)]
pub(super) struct Sender {
    sequences: BTreeMap<(GatewayId, Epoch, Stream), u64>,
    position: u64,
}

impl Sender {
    pub(super) fn entry(&mut self, at: EngineTime, entry: Entry) -> Record {
        self.position += 1;
        Record {
            position: Position(self.position),
            at,
            received_at: ServerTime(at.0),
            transfer: transfer("tx"),
            entry,
        }
    }

    pub(super) fn frame(&mut self, at: EngineTime, who: &str, lane: Lane, body: Body) -> Record {
        let stream = match &body {
            Body::Numerics(_) | Body::Position(_) => Stream::Numerics,
            Body::Waveforms(_) => Stream::Waveforms,
            Body::DeviceAlarms(_)
            | Body::Crew(_)
            | Body::Link(_)
            | Body::Shed(_)
            | Body::Unknown => Stream::Events,
        };
        let key = (gateway(who), Epoch(1), stream);
        let sequence = self.sequences.entry(key).or_insert(0);
        *sequence += 1;
        let header = Header {
            epoch: Epoch(1),
            stream,
            sequence: *sequence,
            leg_first: 1,
            captured_at: GatewayTime(at.0),
            observed_at: None,
            boot: 1,
            monotonic: Span(at.0),
            clocks: None,
            exercise: false,
        };
        let entry = Entry::Frame {
            gateway: gateway(who),
            lane,
            digest: 1,
            frame: Box::new(Frame { header, body }),
        };
        self.entry(at, entry)
    }

    fn registry(&mut self, at: EngineTime, action: RegistryAction) -> Record {
        let entry = Entry::Registry {
            action_id: format!("action-{}", self.position),
            actor: "doctor".into(),
            action,
            happened_unrecorded: None,
        };
        self.entry(at, entry)
    }
}

/// One line of a trace: `12 amb hr=80 spo2=97`, every second `0..60 amb …`,
/// `12 amb history hr=80`, `12 amb offline`, `12 amb crew end`, `12 registry
/// close`, `12 poison`, `600 tick`.
fn records(trace: &str) -> Vec<(EngineTime, Option<Record>)> {
    let mut sender = Sender::default();
    let mut lines = Vec::new();
    for (number, line) in trace
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .enumerate()
    {
        let (when, what) = line.split_once(' ').unwrap();
        let (from, to) = when.split_once("..").unwrap_or((when, when));
        let (from, to): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
        lines.extend((from..=to).map(|second| (second, number, what)));
    }
    lines.sort_by_key(|(second, number, _)| (*second, *number));
    let one =
        |(second, _, what): (i64, usize, &str)| (s(second), record(&mut sender, s(second), what));
    lines.into_iter().map(one).collect()
}

fn record(sender: &mut Sender, at: EngineTime, what: &str) -> Option<Record> {
    let words: Vec<&str> = what.split(' ').collect();
    Some(match words[..] {
        [] | ["tick"] => return None,
        ["poison"] => sender.entry(
            at,
            Entry::Poisoned {
                reason: "panic".into(),
            },
        ),
        ["book", name] => sender.entry(
            at,
            Entry::RuleBook {
                hash: rules::book(name),
            },
        ),
        ["registry", ref rest @ ..] => sender.registry(at, action(rest)),
        [who, word @ ("offline" | "online")] => {
            let presence = Entry::Presence {
                gateway: gateway(who),
                online: word == "online",
            };
            sender.entry(at, presence)
        }
        [who, "crew", ref rest @ ..] => sender.frame(at, who, Lane::Live, Body::Crew(crew(rest))),
        [who, "late-crew", ref rest @ ..] => {
            sender.frame(at, who, Lane::History, Body::Crew(crew(rest)))
        }
        [who, "shed", first, last] => {
            let shed = Shed {
                first: first.parse().unwrap(),
                last: last.parse().unwrap(),
                first_captured_at: GatewayTime(0),
                cause: Some(GapCause::SpoolFull),
            };
            sender.frame(at, who, Lane::Live, Body::Shed(shed))
        }
        [who, "ladder", level, seconds] => {
            let report = LinkReport {
                degradation_level: level.parse().unwrap(),
                numerics_interval: Span::from_secs(seconds.parse().unwrap()),
                ..LinkReport::default()
            };
            sender.frame(at, who, Lane::Live, Body::Link(report))
        }
        [who, "equipment", held, battery] => {
            let report = LinkReport {
                unconfirmed_bytes: held.parse().ok(),
                spool_bytes_max: 100,
                battery_percent: battery.parse().ok(),
                ..LinkReport::default()
            };
            sender.frame(at, who, Lane::Live, Body::Link(report))
        }
        // Frames of its numerics, or events, that do not come.
        [who, lost @ ("loses" | "loses-events"), frames] => {
            let stream = if lost == "loses" {
                Stream::Numerics
            } else {
                Stream::Events
            };
            let key = (gateway(who), Epoch(1), stream);
            *sender.sequences.entry(key).or_insert(0) += frames.parse::<u64>().unwrap();
            return None;
        }
        [who, "report"] => sender.frame(at, who, Lane::Live, Body::Link(LinkReport::default())),
        [who, "alarm", label, active] => {
            let alarm = DeviceAlarm {
                code: Code::default(),
                label: label.into(),
                priority: Some(Priority::High),
                active: active == "on",
                subject: Code::default(),
            };
            sender.frame(at, who, Lane::Live, Body::DeviceAlarms(vec![alarm]))
        }
        [who, "history", ref rest @ ..] => sender.frame(at, who, Lane::History, numerics(rest)),
        [who, ref rest @ ..] => sender.frame(at, who, Lane::Live, numerics(rest)),
    })
}

fn numerics(words: &[&str]) -> Body {
    Body::Numerics(words.iter().map(|word| numeric(word)).collect())
}

fn action(words: &[&str]) -> RegistryAction {
    match words {
        ["tell", text] => RegistryAction::NoteToCrew((*text).into()),
        ["has-read", who, second] => RegistryAction::ReadNotes {
            gateway: gateway(who),
            through: GatewayTime(s(second.parse().unwrap()).0),
        },
        ["close"] => RegistryAction::Close,
        ["reopen"] => RegistryAction::Reopen,
        ["handover", to] => RegistryAction::HandOverTo(gateway(to)),
        ["join", to] => RegistryAction::JoinInto(transfer(to)),
        ["acknowledge", id, seen] => alert(id, seen, AlertAction::Acknowledge),
        ["pause", id, seen, seconds] => {
            let lasts = Span::from_secs(seconds.parse().unwrap());
            alert(id, seen, AlertAction::Pause { lasts })
        }
        ["note", id, text] => alert(id, "0", AlertAction::Note((*text).into())),
        ["usual", id, value] => RegistryAction::SetBaseline {
            code: metric(id).code,
            value: Some(Decimal::from_f64(value.parse().unwrap(), 0).unwrap()),
            reason: "known to us".into(),
        },
        ["mark", word] => RegistryAction::Put(TransferInfo {
            conditions: vec![(*word).into()],
            ..Default::default()
        }),
        ["hypercapnic"] => RegistryAction::Put(TransferInfo {
            conditions: vec!["hypercapnic_respiratory_failure".into()],
            ..Default::default()
        }),
        ["mark", conditions @ ..] => RegistryAction::Put(TransferInfo {
            conditions: conditions.iter().map(|&name| name.into()).collect(),
            ..Default::default()
        }),
        ["limits", id, "book"] => RegistryAction::SetLimits {
            code: metric(id).code,
            limits: None,
            reason: "over".into(),
        },
        ["limits", id, figures @ ..] => {
            let figure = |at: usize| figures.get(at).and_then(|word| word.parse().ok());
            RegistryAction::SetLimits {
                code: metric(id).code,
                limits: Some(LimitsInForce {
                    crit_low: figure(0),
                    warn_low: figure(1),
                    warn_high: figure(2),
                    crit_high: figure(3),
                }),
                reason: "known like this".into(),
            }
        }
        ["auto", ids @ ..] => RegistryAction::AutoLimits {
            codes: ids.iter().map(|id| metric(id).code).collect(),
            reason: "stable like this".into(),
        },
        ["assign", hospital] => RegistryAction::Put(TransferInfo {
            hospital: (*hospital).into(),
            ..Default::default()
        }),
        other => panic!("no such action: {other:?}"),
    }
}

fn alert(id: &str, seen: &str, action: AlertAction) -> RegistryAction {
    RegistryAction::Alert {
        alert_id: id.parse().unwrap(),
        seen: seen.parse().unwrap(),
        action,
    }
}

fn crew(words: &[&str]) -> CrewEvent {
    match words {
        [word @ ("has" | "has-read"), note] => CrewEvent::NotesTaken {
            notes: vec![(*note).into()],
            read: *word == "has-read",
        },
        ["end"] => CrewEvent::End,
        ["handover"] => CrewEvent::HandOver,
        ["join", code] => CrewEvent::Join {
            short_code: (*code).into(),
        },
        ["neonate"] => CrewEvent::Population(Population {
            age_band: Some(AgeBand::Neonate),
            weight_g: None,
        }),
        ["child"] => CrewEvent::Population(Population {
            age_band: Some(AgeBand::Child),
            weight_g: None,
        }),
        ["note", text] => CrewEvent::Note((*text).into()),
        ["enters", word] => {
            let numeric = numeric(word);
            let Reading::Value { value, .. } = numeric.reading else {
                panic!("{word}")
            };
            CrewEvent::Observation {
                code: numeric.metric.code,
                value,
            }
        }
        other => panic!("no such event: {other:?}"),
    }
}

pub(super) fn run(trace: &str) -> (Engine, Effects) {
    let engine = Engine::with_books(transfer("tx"), rules::BOOKS.clone());
    let (mut engine, mut effects) = (engine, Effects::default());
    for (at, record) in records(trace) {
        match record {
            Some(record) => {
                engine.handle(&record, &mut effects);
            }
            None => engine.handle_timeout(at, &mut effects),
        }
    }
    (engine, effects)
}

/// The alerts of a trace, one line each.
pub(super) fn told(trace: &str) -> String {
    let (_, effects) = run(trace);
    let mut text = String::new();
    for transition in &effects.alerts {
        writeln!(text, "{}", line(transition)).unwrap();
    }
    text
}

fn line(transition: &AlertTransition) -> String {
    let alert = &transition.alert;
    let name = |metric: &Metric| {
        let known = catalogue().vital(metric.code);
        known.map_or(metric.label.clone(), |vital| vital.id.clone())
    };
    let limit = alert.limit.unwrap_or_default();
    let what = match &alert.kind {
        AlertKind::LimitLow(metric) => format!("{} below {limit}", name(metric)),
        AlertKind::LimitHigh(metric) => format!("{} above {limit}", name(metric)),
        AlertKind::Stale(metric) => format!("{} stale", name(metric)),
        AlertKind::LinkLost => "link lost".to_owned(),
        AlertKind::Conflict(stream) => format!("conflict in {stream:?}"),
        AlertKind::EngineDegraded => "engine degraded".to_owned(),
        AlertKind::NotRecorded => "not recorded".to_owned(),
        AlertKind::Rule(subject) => format!("rule {}", subject.rule),
        AlertKind::SensorOff(metric) => format!("{} sensor off", name(metric)),
        AlertKind::ClockWrong => "clock wrong".to_owned(),
        AlertKind::SpoolFilling => "spool filling".to_owned(),
        AlertKind::BatteryLow => "battery low".to_owned(),
        AlertKind::HistoryIncomplete => "history incomplete".to_owned(),
        AlertKind::NotAttended => "nobody attends".to_owned(),
    };
    let value = match alert.value {
        Some(Reading::Value { value, .. }) => format!(", value {value}"),
        Some(Reading::None(_)) | None => String::new(),
    };
    let seen = alert.acknowledged.as_ref();
    let seen = seen.map_or(String::new(), |seen| {
        format!(", acknowledged by {}", seen.by)
    });
    if let Some(until) = alert.until {
        return format!(
            "{:>4} s  #{} {}: {what} from {} to {} s{value}: retrospective, {:?}, {:?}",
            transition.at.0 / 1_000_000,
            alert.alert_id,
            alert.gateway.as_ref().map_or("server", GatewayId::as_str),
            alert.since.0 / 1_000_000,
            until.0 / 1_000_000,
            alert.phase,
            alert.priority,
        );
    }
    let passed = match alert.escalation {
        Escalation::None => "",
        Escalation::OnCall => ", to those on call",
        Escalation::Unattended => ", unattended",
    };
    let value = match (alert.phase, alert.value_at) {
        (AlertPhase::Unknown, Some(at)) => format!("{value} at {} s", at.0 / 1_000_000),
        _ => value,
    };
    format!(
        "{:>4} s  #{} {}: {what}: {:?}, {:?}{value}{seen}{passed}",
        transition.at.0 / 1_000_000,
        alert.alert_id,
        alert.gateway.as_ref().map_or("server", GatewayId::as_str),
        alert.phase,
        alert.priority,
    )
}

/// What alerts say of the present that no clock on board and no history may
/// change: not the one that speaks of the clocks, not what was found in history,
/// nor the numbers that follow from their being there.
pub(super) fn present(alerts: &[AlertTransition]) -> Vec<String> {
    let live = alerts
        .iter()
        .filter(|step| step.alert.kind != AlertKind::ClockWrong && !step.alert.is_retrospective());
    let plain = live.map(|step| {
        let alert = &step.alert;
        let what = (&alert.gateway, &alert.kind, alert.phase, alert.priority);
        format!(
            "{:?} {what:?} {:?}",
            step.at,
            (alert.since, alert.value, alert.limit)
        )
    });
    plain.collect()
}

pub(super) fn point(latitude: f64, longitude: f64, speed_m_s: Option<u32>) -> GeoPoint {
    let e7 = |degrees: f64| Decimal::from_f64(degrees, 7).unwrap().mantissa();
    GeoPoint {
        latitude_e7: i32::try_from(e7(latitude)).unwrap(),
        longitude_e7: i32::try_from(e7(longitude)).unwrap(),
        altitude_m: None,
        speed_cm_s: speed_m_s.map(|speed| speed * 100),
        course_cdeg: None,
    }
}

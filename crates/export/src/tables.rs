//! Values, alerts and events as rows of tables, for CSV and Parquet alike.
//!
//! | table | a row is |
//! | --- | --- |
//! | `numerics` | one value of one vital sign, or why there was none |
//! | `alerts` | one step of an alert |
//! | `events` | what the crew entered, and alarms of the bedside device |
//!
//! Times are microseconds UTC: of the device (absent if it has no clock), of the
//! gateway, and of the reception at the server. The name of a column is its
//! meaning for ever; columns may be added.

use crate::item::Taken;
use crate::names;
use crate::words::Words;
use enroute_model::frame::{Body, DeviceAlarm, Numeric};
use enroute_model::reading::{NoValue, Reading, Validity};
use enroute_wire::v1;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(Option<i64>),
    /// A number; in text with so many decimal places.
    Real(Option<(f64, u8)>),
    /// A time, microseconds UTC.
    Time(Option<i64>),
    /// Yes or no.
    Flag(bool),
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// [`Cell::Text`].
    Text,
    /// [`Cell::Whole`].
    Whole,
    /// [`Cell::Real`].
    Real,
    /// [`Cell::Time`].
    Time,
    /// [`Cell::Flag`].
    Flag,
}

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Values.
    Numerics,
    /// Steps of alerts.
    Alerts,
    /// Crew events and device alarms.
    Events,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Numerics, Self::Alerts, Self::Events];

    /// Its name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Numerics => "numerics",
            Self::Alerts => "alerts",
            Self::Events => "events",
        }
    }

    /// Its columns.
    #[must_use]
    pub(crate) fn columns(self) -> &'static [(&'static str, Type)] {
        use Type::{Flag, Real, Text, Time, Whole};
        match self {
            Self::Numerics => &[
                ("gateway", Text),
                ("device_time", Time),
                ("gateway_time", Time),
                ("received_time", Time),
                ("late", Flag),
                ("id", Text),
                ("code", Whole),
                ("label", Text),
                ("value", Real),
                ("unit", Text),
                ("state", Text),
                ("exercise", Flag),
            ],
            Self::Alerts => &[
                ("ordinal", Whole),
                ("time", Time),
                ("device_time", Time),
                ("alert", Whole),
                ("gateway", Text),
                ("kind", Text),
                ("phase", Text),
                ("priority", Text),
                ("id", Text),
                ("code", Whole),
                ("label", Text),
                ("value", Real),
                ("limit", Real),
                ("since", Time),
                ("acknowledged_by", Text),
                ("acknowledged_at", Time),
                ("note", Text),
                ("text", Text),
            ],
            Self::Events => &[
                ("gateway", Text),
                ("device_time", Time),
                ("gateway_time", Time),
                ("received_time", Time),
                ("late", Flag),
                ("kind", Text),
                ("code", Whole),
                ("priority", Text),
                ("active", Text),
                ("text", Text),
                ("exercise", Flag),
            ],
        }
    }
}

/// Something that takes rows.
pub(crate) trait Sink {
    fn row(&mut self, table: Table, row: &[Cell]) -> Result<(), crate::Error>;
}

/// The rows of a frame.
pub(crate) fn frame(
    taken: &Taken<'_>,
    words: Words,
    sink: &mut impl Sink,
) -> Result<(), crate::Error> {
    match &taken.frame.body {
        Body::Numerics(numerics) => {
            for numeric in numerics {
                sink.row(Table::Numerics, &numeric_row(taken, numeric))?;
            }
        }
        Body::DeviceAlarms(alarms) => {
            for alarm in alarms {
                sink.row(Table::Events, &alarm_row(taken, alarm))?;
            }
        }
        Body::Crew(_) => {
            let text = words.crew(taken);
            let row = event_row(taken, "crew", text, None);
            sink.row(Table::Events, &row)?;
        }
        Body::Waveforms(_) | Body::Position(_) | Body::Link(_) | Body::Shed(_) | Body::Unknown => {}
    }
    Ok(())
}

fn times(taken: &Taken<'_>) -> [Cell; 5] {
    let header = &taken.frame.header;
    [
        Cell::Text(taken.raw.gateway.clone()),
        Cell::Time(header.observed_at.map(|at| at.0)),
        Cell::Time(Some(header.captured_at.0)),
        Cell::Time(Some(taken.raw.received_at_us)),
        Cell::Flag(taken.raw.late),
    ]
}

fn numeric_row(taken: &Taken<'_>, numeric: &Numeric) -> Vec<Cell> {
    let (value, state) = match numeric.reading {
        Reading::Value { value, validity } => {
            (Some((value.value(), value.decimals())), quality(validity))
        }
        Reading::None(why) => (None, reason(why)),
    };
    let mut row = times(taken).to_vec();
    row.extend([
        Cell::Text(names::id(numeric.metric.code).to_owned()),
        Cell::Whole(Some(i64::from(numeric.metric.code.0))),
        Cell::Text(numeric.metric.label.clone()),
        Cell::Real(value),
        Cell::Text(names::vital_unit(&numeric.metric, &numeric.unit)),
        Cell::Text(state.to_owned()),
        Cell::Flag(taken.frame.header.exercise),
    ]);
    row
}

fn event_row(
    taken: &Taken<'_>,
    kind: &str,
    text: String,
    alarm: Option<&DeviceAlarm>,
) -> Vec<Cell> {
    let priority = alarm.and_then(|alarm| alarm.priority);
    let priority = priority.map_or("", |priority| match priority {
        enroute_model::frame::Priority::Low => "low",
        enroute_model::frame::Priority::Medium => "medium",
        enroute_model::frame::Priority::High => "high",
    });
    let active = alarm.map_or("", |alarm| if alarm.active { "true" } else { "false" });
    let mut row = times(taken).to_vec();
    row.extend([
        Cell::Text(kind.to_owned()),
        Cell::Whole(alarm.map(|alarm| i64::from(alarm.code.0))),
        Cell::Text(priority.to_owned()),
        Cell::Text(active.to_owned()),
        Cell::Text(text),
        Cell::Flag(taken.frame.header.exercise),
    ]);
    row
}

fn alarm_row(taken: &Taken<'_>, alarm: &DeviceAlarm) -> Vec<Cell> {
    event_row(taken, "device_alarm", alarm.label.clone(), Some(alarm))
}

/// The row of an alert's step; `on_board` is its time by the clock on board.
pub(crate) fn alert(
    step: &v1::AlertTransition,
    on_board: i64,
    words: Words,
    sink: &mut impl Sink,
) -> Result<(), crate::Error> {
    let empty = v1::Alert::default();
    let alert = step.alert.as_ref().unwrap_or(&empty);
    let value = alert.value.map(|value| {
        let places = u8::try_from(alert.decimals.min(9)).unwrap_or(0);
        let real = crate::num::real(value) / crate::num::real(crate::survey::power(places));
        (real, places)
    });
    let seen = alert.acknowledged.as_ref();
    let note = alert.note.as_ref();
    let row = [
        Cell::Whole(i64::try_from(step.ordinal).ok()),
        Cell::Time(Some(step.at_us)),
        Cell::Time(Some(on_board)),
        Cell::Whole(i64::try_from(alert.alert_id).ok()),
        Cell::Text(alert.gateway.clone()),
        Cell::Text(word(alert.kind().as_str_name(), "ALERT_KIND_")),
        Cell::Text(word(alert.phase().as_str_name(), "ALERT_PHASE_")),
        Cell::Text(word(alert.priority().as_str_name(), "PRIORITY_")),
        Cell::Text(names::id(enroute_model::frame::Code(alert.code)).to_owned()),
        Cell::Whole(Some(i64::from(alert.code))),
        Cell::Text(alert.label.clone()),
        Cell::Real(value),
        Cell::Real(alert.limit.map(|limit| (limit, u8::MAX))),
        Cell::Time(Some(alert.since_us)),
        Cell::Text(seen.map_or(String::new(), |seen| seen.by.clone())),
        Cell::Time(seen.map(|seen| seen.at_us)),
        Cell::Text(note.map_or(String::new(), |note| note.text.clone())),
        Cell::Text(words.alert(step)),
    ];
    sink.row(Table::Alerts, &row)
}

/// A constant of the contract as a word: `ALERT_KIND_LIMIT_LOW` is `limit_low`.
#[must_use]
pub(crate) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

fn quality(validity: Validity) -> &'static str {
    match validity {
        Validity::Measured => "measured",
        Validity::Questionable => "questionable",
        Validity::Calibrating => "calibrating",
        Validity::Test => "test",
    }
}

fn reason(why: NoValue) -> &'static str {
    match why {
        NoValue::NotAvailable => "not_available",
        NoValue::SensorOff => "sensor_off",
        NoValue::Invalid => "invalid",
        NoValue::Overflow => "overflow",
        NoValue::Underflow => "underflow",
        NoValue::Missing => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::frame::{Code, CrewEvent, Frame, Header, Metric};
    use enroute_model::ids::{Epoch, Stream};
    use enroute_model::time::{GatewayTime, Span};

    struct Rows(Vec<(Table, Vec<Cell>)>);

    impl Sink for Rows {
        fn row(&mut self, table: Table, row: &[Cell]) -> Result<(), crate::Error> {
            self.0.push((table, row.to_vec()));
            Ok(())
        }
    }

    fn kind(cell: &Cell) -> Type {
        match cell {
            Cell::Text(_) => Type::Text,
            Cell::Whole(_) => Type::Whole,
            Cell::Real(_) => Type::Real,
            Cell::Time(_) => Type::Time,
            Cell::Flag(_) => Type::Flag,
        }
    }

    /// What the writers of columns rely on.
    #[test]
    fn every_row_has_the_cells_of_its_columns() {
        let metric = Metric {
            code: Code(1),
            label: String::new(),
        };
        let numeric = Numeric {
            metric,
            unit: String::new(),
            reading: Reading::None(NoValue::Missing),
            interval: Span::ZERO,
        };
        let alarm = DeviceAlarm {
            code: Code(2),
            label: String::new(),
            priority: None,
            active: true,
            subject: Code(0),
        };
        let bodies = [
            Body::Numerics(vec![numeric]),
            Body::DeviceAlarms(vec![alarm]),
            Body::Crew(CrewEvent::End),
        ];
        let words = Words {
            alert: |_| String::new(),
            crew_event: |_| String::new(),
        };
        let mut rows = Rows(Vec::new());
        for body in bodies {
            let header = Header {
                epoch: Epoch(1),
                stream: Stream::Events,
                sequence: 1,
                leg_first: 1,
                captured_at: GatewayTime(0),
                observed_at: None,
                boot: 1,
                monotonic: Span::ZERO,
                clocks: None,
                exercise: false,
            };
            let taken = Taken {
                source: 0,
                raw: &v1::Samples::default(),
                frame: &Frame { header, body },
            };
            frame(&taken, words, &mut rows).unwrap();
        }
        alert(&v1::AlertTransition::default(), 0, words, &mut rows).unwrap();
        assert_eq!(rows.0.len(), 4);
        for (table, row) in rows.0 {
            let types: Vec<Type> = table.columns().iter().map(|(_, kind)| *kind).collect();
            assert_eq!(row.iter().map(kind).collect::<Vec<_>>(), types, "{table:?}");
        }
    }
}

//! The score tables of `data/`, read once. They are compiled in: an error in
//! them is a bug of this crate, found by the first test that reads them.

use super::{Item, Judged, Row, Table};
use std::collections::BTreeMap;

type Fields = BTreeMap<String, String>;

/// NEWS2 with one of its two columns for the saturation.
pub(super) fn news2(saturation: &str) -> Table {
    let mut items = Vec::new();
    for fields in rows(include_str!("../../data/news2.csv")) {
        let parameter = text(&fields, "parameter");
        let item = match parameter {
            "rr" => Item::Respiration,
            "o2" => Item::Oxygen,
            "sbp" => Item::Systolic,
            "pulse" => Item::Pulse,
            "acvpu" => Item::Consciousness,
            "temp" => Item::Temperature,
            name if name == saturation => Item::Saturation,
            _ => continue,
        };
        let condition = text(&fields, "condition");
        let letter = consciousness(condition).filter(|_| item == Item::Consciousness);
        let oxygen = match condition {
            "air" => Some(false),
            "oxygen" => Some(true),
            _ => None,
        };
        let code = letter.or(oxygen.filter(|_| item == Item::Oxygen).map(f64::from));
        let row = Row {
            oxygen: oxygen.filter(|_| item == Item::Saturation),
            range: code.map_or_else(|| range(&fields), |code| code..=code),
            points: number(text(&fields, "score")),
        };
        put(&mut items, item, row, None);
    }
    Table { items }
}

/// One of the scores of `scores_other.csv`.
pub(super) fn other(score: &str) -> Table {
    let mut items = Vec::new();
    for fields in rows(include_str!("../../data/scores_other.csv")) {
        if text(&fields, "score") != score {
            continue;
        }
        let item = match text(&fields, "item") {
            "sbp" => Item::Systolic,
            "hr" => Item::Pulse,
            "rr" => Item::Respiration,
            "temp" => Item::Temperature,
            "avpu" => Item::Consciousness,
            "gcs" => Item::ComaScale,
            "map" => Item::MeanPressure,
            "spo2" => Item::Saturation,
            "age" => Item::Age,
            other => unknown("item", other),
        };
        let letter = consciousness(text(&fields, "lo_inclusive"));
        let row = Row {
            oxygen: None,
            range: letter.map_or_else(|| range(&fields), |code| code..=code),
            points: number(text(&fields, "points")),
        };
        // qSOFA lists only what scores.
        put(&mut items, item, row, (score == "qSOFA").then_some(0));
    }
    Table { items }
}

fn put(items: &mut Vec<Judged>, item: Item, row: Row, otherwise: Option<u8>) {
    if let Some(known) = items.iter_mut().find(|rows| rows.item == item) {
        known.rows.push(row);
        return;
    }
    items.push(Judged {
        item,
        rows: vec![row],
        otherwise,
    });
}

fn consciousness(letter: &str) -> Option<f64> {
    match letter {
        "A" => Some(0.0),
        "C" => Some(1.0),
        "V" => Some(2.0),
        "P" => Some(3.0),
        "U" => Some(4.0),
        _ => None,
    }
}

fn range(fields: &Fields) -> std::ops::RangeInclusive<f64> {
    let end = |column: &str, open: f64| match text(fields, column) {
        "" => open,
        text => number(text),
    };
    end("lo_inclusive", f64::NEG_INFINITY)..=end("hi_inclusive", f64::INFINITY)
}

#[expect(clippy::panic, reason = "compiled in; the tests read every row")]
fn rows(table: &str) -> impl Iterator<Item = Fields> {
    csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .map(|row| match row {
            Ok(fields) => fields,
            Err(error) => panic!("score table: {error}"),
        })
}

#[expect(clippy::panic, reason = "compiled in; the tests read every row")]
fn text<'a>(fields: &'a Fields, column: &str) -> &'a str {
    match fields.get(column) {
        Some(text) => text,
        None => panic!("score table has no column {column}"),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unknown("number", text))
}

#[expect(clippy::panic, reason = "compiled in; the tests read every row")]
fn unknown<T>(what: &str, text: &str) -> T {
    panic!("score table: unknown {what} {text:?}")
}

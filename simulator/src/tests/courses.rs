//! Each course as a table of ten-second rows.

use super::{code, numerics, shown, until, with_course};
use crate::course::Course;
use crate::source::Detail;
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::time::Span;
use std::fmt::Write;

const COLUMNS: [&str; 12] = [
    "hr",
    "pr",
    "spo2",
    "pi",
    "rr_co2",
    "etco2",
    "abp_sys",
    "abp_dia",
    "abp_mean",
    "nibp_sys",
    "nibp_mean",
    "temp1",
];

fn table(course: Course) -> String {
    let scenario = with_course(course, 300);
    let emissions = until(&scenario.legs[0], Detail::Numerics, 300);
    let phase = scenario.legs[0].aboard.phase;
    let mut text = format!("{:>5}", "s");
    for column in COLUMNS {
        write!(text, "{column:>10}").unwrap();
    }
    for emission in &emissions {
        let second = Span(emission.due.0 - phase.0).0 / 1_000_000;
        match &emission.body {
            Body::Numerics(row) if second % 10 == 1 => {
                write!(text, "\n{second:>5}").unwrap();
                for column in COLUMNS {
                    // The cuff measures off the ten-second rows.
                    let shown = if column.starts_with("nibp") {
                        last_cuff(&emissions, emission.due, column)
                    } else {
                        shown(row, column)
                    };
                    write!(text, "{shown:>10}").unwrap();
                }
            }
            Body::DeviceAlarms(alarms) => {
                for alarm in alarms {
                    let word = if alarm.active { "alarm" } else { "ended" };
                    write!(text, "\n      {word} {}", alarm.label).unwrap();
                }
            }
            Body::Crew(event) => write!(text, "\n      crew: {}", said(event)).unwrap(),
            _ => {}
        }
    }
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

fn last_cuff(emissions: &[enroute_model::frame::Emission], due: Span, column: &str) -> String {
    numerics(emissions)
        .filter(|(at, row)| {
            (due.0 - 9_999_999..=due.0).contains(&at.0)
                && row
                    .iter()
                    .any(|numeric| numeric.metric.code == code(column))
        })
        .map(|(_, row)| shown(row, column))
        .last()
        .unwrap_or_default()
}

fn said(event: &CrewEvent) -> String {
    match event {
        CrewEvent::Observation {
            code: observed,
            value,
        } if *observed == code("acvpu") => {
            format!("ACVPU {value}")
        }
        CrewEvent::Observation { .. } => "oxygen given".to_owned(),
        CrewEvent::Intervention { kind, text } => format!("{kind} {text}"),
        CrewEvent::Note(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

#[test]
fn every_course_shows_its_signature() {
    for course in Course::ALL {
        insta::assert_snapshot!(course.word(), table(course));
    }
}

/// A limit with a delay of ten seconds must be able to speak in a demo of thirty.
#[test]
fn the_showcase_breaks_limits_long_enough_even_in_half_a_minute() {
    for seed in 0..20 {
        let scenario = super::made(seed, 1, 30).remove(0);
        let mut broken = std::collections::BTreeMap::<u64, (bool, bool)>::new();
        for leg in &scenario.legs {
            let emissions = until(leg, Detail::Numerics, 30);
            for (due, row) in numerics(&emissions) {
                let second = u64::try_from((due.0 + leg.starts.0) / 1_000_000).unwrap();
                let high = super::value(row, "hr").is_some_and(|hr| hr > 120.0);
                let low = super::value(row, "abp_mean").is_some_and(|map| map < 65.0);
                broken.insert(second, (high, low));
            }
        }
        let longest = |which: fn(&(bool, bool)) -> bool| {
            let runs = (0..30).scan(0, |run, second| {
                *run = if broken.get(&second).is_some_and(which) {
                    *run + 1
                } else {
                    0
                };
                Some(*run)
            });
            runs.max().unwrap()
        };
        let (high, low) = (longest(|b| b.0), longest(|b| b.1));
        assert!(high >= 11 || low >= 11, "seed {seed}: {high} {low}");
    }
}

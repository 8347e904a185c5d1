//! Tests of the whole: fleets, courses as tables a nurse could read, waveforms.

mod courses;
mod proxy;
mod showcase;
mod whole;

use crate::course::Course;
use crate::fleet::{LegPlan, Options, Scenario, fleet};
use crate::source::Detail;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Code, Emission, Numeric};
use enroute_model::reading::{NoValue, Reading, Validity};
use enroute_model::time::{ServerTime, Span};

/// 2026-01-01 UTC.
const NEW_YEAR: ServerTime = ServerTime(1_767_225_600_000_000);

fn made(seed: u64, transfers: u32, length_s: i64) -> Vec<Scenario> {
    fleet(&Options {
        seed,
        transfers,
        length: Span::from_secs(length_s),
        starts_at: NEW_YEAR,
    })
}

/// The first scenario after the showcase with this course, with an arterial line.
fn with_course(course: Course, length_s: i64) -> Scenario {
    made(7, 60, length_s)
        .into_iter()
        .skip(1)
        .find(|scenario| scenario.course == course && scenario.legs[0].aboard.arterial_line)
        .unwrap()
}

fn until(leg: &LegPlan, detail: Detail, seconds: i64) -> Vec<Emission> {
    leg.emissions(detail)
        .take_while(|emission| emission.due <= Span::from_secs(seconds))
        .collect()
}

fn code(id: &str) -> Code {
    let vital = catalogue().vital_by_id(id).map(|vital| vital.code);
    vital
        .or_else(|| catalogue().waveform_by_id(id).map(|channel| channel.code))
        .unwrap()
}

fn numerics(emissions: &[Emission]) -> impl Iterator<Item = (Span, &Vec<Numeric>)> {
    emissions
        .iter()
        .filter_map(|emission| match &emission.body {
            Body::Numerics(numerics) => Some((emission.due, numerics)),
            _ => None,
        })
}

fn value(numerics: &[Numeric], id: &str) -> Option<f64> {
    let code = code(id);
    let numeric = numerics
        .iter()
        .find(|numeric| numeric.metric.code == code)?;
    match numeric.reading {
        Reading::Value { value, .. } => Some(value.value()),
        Reading::None(_) => None,
    }
}

/// As a monitor would show it: `?` is doubtful, `off` a sensor that fell off,
/// `---` measured and unusable, blank not measured now.
fn shown(numerics: &[Numeric], id: &str) -> String {
    let code = code(id);
    let found = numerics.iter().find(|numeric| numeric.metric.code == code);
    match found.map(|numeric| numeric.reading) {
        Some(Reading::Value {
            value,
            validity: Validity::Measured,
        }) => value.to_string(),
        Some(Reading::Value { value, .. }) => format!("{value}?"),
        Some(Reading::None(NoValue::SensorOff)) => "off".to_owned(),
        Some(Reading::None(_)) => "---".to_owned(),
        None => String::new(),
    }
}

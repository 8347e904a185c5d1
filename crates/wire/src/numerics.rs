//! Numerics bodies: columns on the wire, rows in the model.

use crate::frame::{Refusal, at_most, text};
use crate::limits::{INTERVAL_MAX, LABEL_CHARS_MAX, NUMERICS_MAX};
use crate::v1;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Metric, Numeric};
use enroute_model::reading::{Decimal, NoValue, Reading, Validity};
use enroute_model::time::Span;

/// Interval of a quantity that neither the frame nor the catalogue declares.
const INTERVAL_UNDECLARED: Span = Span::from_secs(60);

/// The metric for a code and a label: a label is kept only where no catalogue names the code.
pub(crate) fn metric(code: u32, label: String, known: bool) -> Result<Metric, Refusal> {
    let label = text("label", label, LABEL_CHARS_MAX)?;
    if code == 0 && label.is_empty() {
        return Err(Refusal::Missing("the label of a quantity without a code"));
    }
    Ok(Metric {
        code: Code(code),
        label: if known { String::new() } else { label },
    })
}

pub(crate) fn numerics_from(columns: v1::Numerics) -> Result<Vec<Numeric>, Refusal> {
    let count = columns.code.len();
    at_most("numerics", count, NUMERICS_MAX)?;
    let lengths = [
        columns.decimals.len(),
        columns.state.len(),
        columns.interval_ms.len(),
        columns.described.len(),
    ];
    if columns.value.len() != count || lengths.iter().any(|length| *length > count) {
        return Err(Refusal::Invalid(
            "the columns of a numerics body do not fit each other",
        ));
    }
    let shared_interval = match columns.interval_ms.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let mut described = columns.described;
    // Of the size that is needed: this is the largest part of decoding.
    let mut numerics = Vec::with_capacity(count);
    let cells = columns.code.iter().zip(&columns.value).enumerate();
    for (index, (code, value)) in cells {
        let of_column = |d: &v1::Description| usize::try_from(d.index) == Ok(index);
        let description = described
            .iter_mut()
            .find(|d| of_column(d))
            .map(std::mem::take);
        let description = description.unwrap_or_default();
        let vital = catalogue().vital(Code(*code));
        let interval = shared_interval.or_else(|| columns.interval_ms.get(index).copied());
        let decimals = columns.decimals.get(index).copied().unwrap_or(0);
        numerics.push(Numeric {
            metric: metric(*code, description.label, vital.is_some())?,
            unit: text("unit", description.unit, LABEL_CHARS_MAX)?,
            reading: reading_from(
                *value,
                decimals,
                columns.state.get(index).copied().unwrap_or(0),
            )?,
            interval: interval_from(interval, vital.map(|v| v.interval))?,
        });
    }
    Ok(numerics)
}

pub(crate) fn interval_from(millis: Option<u32>, typical: Option<Span>) -> Result<Span, Refusal> {
    let declared = millis
        .filter(|ms| *ms > 0)
        .map(|ms| Span::from_millis(i64::from(ms)));
    let interval = declared.or(typical).unwrap_or(INTERVAL_UNDECLARED);
    if interval > INTERVAL_MAX {
        return Err(Refusal::Invalid("an interval is longer than a day"));
    }
    Ok(interval)
}

/// The state of a reading is an open enum: one that this version does not know
/// is a value of doubtful quality below 16, and no value from there on.
pub(crate) fn reading_from(mantissa: i64, decimals: u32, state: i32) -> Result<Reading, Refusal> {
    use v1::ReadingState as S;
    let decimal = || {
        let decimals = u8::try_from(decimals).ok();
        let value = decimals.and_then(|decimals| Decimal::new(mantissa, decimals));
        value.ok_or(Refusal::Invalid(
            "a value has more than 9 decimals or 15 digits",
        ))
    };
    // Nearly all of them.
    if state == i32::from(S::Measured) {
        return decimal().map(Reading::measured);
    }
    let none = match S::try_from(state) {
        Ok(S::Measured | S::Questionable | S::Calibrating | S::Test) => None,
        Ok(S::NotAvailable) => Some(NoValue::NotAvailable),
        Ok(S::SensorOff) => Some(NoValue::SensorOff),
        Ok(S::Invalid) => Some(NoValue::Invalid),
        Ok(S::Overflow) => Some(NoValue::Overflow),
        Ok(S::Underflow) => Some(NoValue::Underflow),
        Ok(S::Missing) => Some(NoValue::Missing),
        Err(_) => (state >= S::NotAvailable.into()).then_some(NoValue::NotAvailable),
    };
    if let Some(reason) = none {
        return Ok(Reading::None(reason));
    }
    let value = decimal()?;
    let validity = match S::try_from(state) {
        Ok(S::Measured) => Validity::Measured,
        Ok(S::Calibrating) => Validity::Calibrating,
        Ok(S::Test) => Validity::Test,
        _ => Validity::Questionable,
    };
    Ok(Reading::Value { value, validity })
}

/// Mantissa, decimals and state of a reading.
pub(crate) fn reading_to(reading: &Reading) -> (i64, u32, v1::ReadingState) {
    use v1::ReadingState as S;
    match reading {
        Reading::Value { value, validity } => {
            let state = match validity {
                Validity::Measured => S::Measured,
                Validity::Questionable => S::Questionable,
                Validity::Calibrating => S::Calibrating,
                Validity::Test => S::Test,
            };
            (value.mantissa(), u32::from(value.decimals()), state)
        }
        Reading::None(reason) => {
            let state = match reason {
                NoValue::NotAvailable => S::NotAvailable,
                NoValue::SensorOff => S::SensorOff,
                NoValue::Invalid => S::Invalid,
                NoValue::Overflow => S::Overflow,
                NoValue::Underflow => S::Underflow,
                NoValue::Missing => S::Missing,
            };
            (0, 0, state)
        }
    }
}

pub(crate) fn numerics_to(numerics: &[Numeric]) -> v1::Numerics {
    let mut columns = v1::Numerics::default();
    let mut intervals = Vec::with_capacity(numerics.len());
    let mut all_typical = true;
    for (index, numeric) in numerics.iter().enumerate() {
        let (value, decimals, state) = reading_to(&numeric.reading);
        columns.code.push(numeric.metric.code.0);
        columns.value.push(value);
        columns.decimals.push(decimals);
        columns.state.push(state.into());
        let interval = u32::try_from(numeric.interval.0 / 1_000).unwrap_or(u32::MAX);
        let typical = catalogue().vital(numeric.metric.code).map(|v| v.interval);
        all_typical &= typical == Some(numeric.interval);
        intervals.push(interval);
        if !numeric.metric.label.is_empty() || !numeric.unit.is_empty() {
            columns.described.push(v1::Description {
                index: u32::try_from(index).unwrap_or(u32::MAX),
                label: numeric.metric.label.clone(),
                unit: numeric.unit.clone(),
            });
        }
    }
    trim_zeros(&mut columns.decimals);
    trim_zeros(&mut columns.state);
    if !all_typical {
        let shared = intervals
            .first()
            .is_some_and(|first| intervals.iter().all(|i| i == first));
        intervals.truncate(if shared { 1 } else { intervals.len() });
        columns.interval_ms = intervals;
    }
    columns
}

/// A shorter list ends with defaults.
fn trim_zeros<T: PartialEq + Default>(list: &mut Vec<T>) {
    let keep = list
        .iter()
        .rposition(|x| *x != T::default())
        .map_or(0, |last| last + 1);
    list.truncate(keep);
}

//! Bodies of numerics as nearly all of them are, read straight into the model: columns
//! each in one packed run, none described.

use crate::limits::NUMERICS_MAX;
use crate::numerics::{interval_from, reading_from};
use crate::run::{Run, low32, zigzag};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Metric, Numeric};

/// Columns of `Numerics`: code, value, decimals, state, interval.
const COLUMNS: usize = 5;

/// The rows, if it is such a body and nothing is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Numeric>> {
    let mut columns = [const { None }; COLUMNS];
    let mut run = Run(bytes);
    while !run.is_empty() {
        let (number, content) = run.part()?;
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        if columns.get_mut(place)?.replace(Run(content)).is_some() {
            return None;
        }
    }
    let columns = columns.map(Option::unwrap_or_default);
    let count = columns.first()?.count();
    if count == 0 || count > NUMERICS_MAX {
        return None;
    }
    rows(count, columns)
}

fn rows(count: usize, columns: [Run; COLUMNS]) -> Option<Vec<Numeric>> {
    let [
        mut codes,
        mut values,
        mut decimals,
        mut states,
        mut intervals,
    ] = columns;
    let shared = match intervals.count() {
        1 => Some(intervals.varint()?),
        _ => None,
    };
    let catalogue = catalogue();
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        // A code of no catalogue has a name, or something is wrong.
        let vital = catalogue.vital(Code(low32(codes.varint()?)))?;
        let (value, decimals) = (zigzag(values.varint()?), low32(decimals.cell()?));
        let state = low32(states.cell()?).cast_signed();
        let interval = match shared {
            Some(interval) => interval,
            None => intervals.cell()?,
        };
        rows.push(Numeric {
            metric: Metric {
                code: vital.code,
                label: String::new(),
            },
            unit: String::new(),
            reading: reading_from(value, decimals, state).ok()?,
            interval: interval_from(Some(low32(interval)), Some(vital.interval)).ok()?,
        });
    }
    // What is longer than the codes does not fit.
    let rest = [codes, values, decimals, states, intervals];
    rest.iter().all(|run| run.is_empty()).then_some(rows)
}

//! Values of vital signs into rows at their shortest interval. Values come when
//! they come; each goes into the row nearest to its time that its place is free
//! in. The tables of CSV and Parquet have every value with its own times.

use crate::error::Error;
use crate::grid::{Kind, Open, Rows, Signal, Stretch};
use crate::names;
use crate::num::{real, whole};
use crate::survey::{Source, Vital, power};
use enroute_model::frame::Numeric;
use enroute_model::reading::Reading;
use std::path::Path;

/// A gap of more rows ends a stretch.
const GAP_ROWS_MAX: i64 = 4_096;
/// Rows by which values may run ahead of or behind their time.
const SLIP_ROWS_MAX: i64 = 4;
/// Rows are never nearer to each other.
const INTERVAL_US_MIN: i64 = 1_000;

/// The vital signs of one source.
pub(crate) struct VitalGrid {
    vitals: Vec<Vital>,
    places: Vec<u8>,
    interval_us: i64,
    open: Option<OpenStretch>,
}

struct OpenStretch {
    rows: Box<dyn Rows>,
    start_us: i64,
    device_clock: bool,
    /// Number of the row that is being filled.
    at: i64,
    row: Vec<Cell>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    given: bool,
    value: Option<i32>,
}

/// What became of a frame's values.
pub(crate) enum Taken {
    Done,
    /// A stretch has to begin first.
    Begin,
}

impl VitalGrid {
    /// With notes of what is rounded.
    pub(crate) fn new(source: &Source) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let place = |vital: &Vital| {
            let (places, rounds) = vital.places();
            if rounds {
                let name = names::signal(&vital.metric);
                notes.push(format!(
                    "{name}: values do not fit 32 bits with {} decimal places and are rounded to {places}",
                    vital.decimals
                ));
            }
            places
        };
        let places = source.vitals.iter().map(place).collect();
        let grid = Self {
            vitals: source.vitals.clone(),
            places,
            interval_us: source.interval_us.max(INTERVAL_US_MIN),
            open: None,
        };
        (grid, notes)
    }

    pub(crate) fn take(
        &mut self,
        (at, device_clock): (i64, bool),
        numerics: &[Numeric],
    ) -> Result<Taken, Error> {
        let cells = self.cells(numerics);
        if cells.is_empty() {
            return Ok(Taken::Done);
        }
        let interval = self.interval_us;
        let Some(open) = &mut self.open else {
            return Ok(Taken::Begin);
        };
        let into = at.saturating_sub(open.start_us);
        let nearest = whole(real(into) / real(interval));
        let taken =
            |(index, _): &(usize, Option<i32>)| open.row.get(*index).is_some_and(|c| c.given);
        let mut place = nearest.max(open.at);
        if place == open.at && cells.iter().any(taken) {
            place += 1;
        }
        let ahead = place - nearest;
        if ahead > SLIP_ROWS_MAX {
            // More often than was declared: the next stretch has rows for it. A
            // clock that was set back looks the same, but for how far.
            if ahead <= 2 * SLIP_ROWS_MAX {
                self.interval_us = (interval / 2).max(INTERVAL_US_MIN);
            }
            return Ok(Taken::Begin);
        }
        if place - open.at > GAP_ROWS_MAX || open.device_clock != device_clock {
            return Ok(Taken::Begin);
        }
        open.go_to(place)?;
        for (index, value) in cells {
            if let Some(cell) = open.row.get_mut(index) {
                *cell = Cell { given: true, value };
            }
        }
        Ok(Taken::Done)
    }

    /// The first value of each vital sign in a frame, as the integer to be stored.
    fn cells(&self, numerics: &[Numeric]) -> Vec<(usize, Option<i32>)> {
        let cell = |(index, vital): (usize, &Vital)| {
            let numeric = numerics.iter().find(|n| n.metric == vital.metric)?;
            let places = self.places.get(index).copied().unwrap_or(0);
            Some((index, stored(&numeric.reading, places)))
        };
        self.vitals.iter().enumerate().filter_map(cell).collect()
    }

    pub(crate) fn begin(
        &mut self,
        (dir, open): (&Path, Open),
        mut stretch: Stretch,
        (at, device_clock): (i64, bool),
    ) -> Result<(), Error> {
        stretch.kind = Kind::Vitals;
        stretch.rows_hz = 1e6 / real(self.interval_us);
        stretch.start_us = at;
        stretch.device_clock = device_clock;
        let signals = self.vitals.iter().zip(&self.places);
        stretch.signals = signals
            .map(|(vital, places)| signal(vital, *places))
            .collect();
        self.open = Some(OpenStretch {
            rows: open(dir, &stretch)?,
            start_us: at,
            device_clock,
            at: 0,
            row: vec![Cell::default(); self.vitals.len()],
        });
        Ok(())
    }

    pub(crate) fn rows(&mut self) -> Option<&mut dyn Rows> {
        match &mut self.open {
            Some(open) => Some(&mut *open.rows),
            None => None,
        }
    }

    pub(crate) fn end(&mut self) -> Result<Option<Vec<String>>, Error> {
        let Some(mut open) = self.open.take() else {
            return Ok(None);
        };
        open.go_to(open.at + 1)?;
        open.rows.finish().map(Some)
    }
}

impl OpenStretch {
    /// Writes every row before this one.
    fn go_to(&mut self, place: i64) -> Result<(), Error> {
        while self.at < place {
            let row: Vec<Option<i32>> = self.row.iter().map(|cell| cell.value).collect();
            self.rows.row(&row)?;
            self.row.fill(Cell::default());
            self.at += 1;
        }
        Ok(())
    }
}

fn stored(reading: &Reading, places: u8) -> Option<i32> {
    let Reading::Value { value, .. } = reading else {
        return None;
    };
    let scaled = if value.decimals() <= places {
        value
            .mantissa()
            .checked_mul(power(places - value.decimals()))?
    } else {
        whole(real(value.mantissa()) / real(power(value.decimals() - places)))
    };
    i32::try_from(scaled).ok()
}

fn signal(vital: &Vital, places: u8) -> Signal {
    let shrink = power(vital.decimals - places);
    let edge = |value: i64| i32::try_from(value / shrink).unwrap_or(i32::MAX);
    let known = vital.range.0 <= vital.range.1;
    Signal {
        name: names::signal(&vital.metric),
        unit: vital.unit.clone(),
        gain: real(power(places)),
        baseline: 0,
        per_row: 1,
        skew_rows: 0,
        range: if known {
            (edge(vital.range.0), edge(vital.range.1))
        } else {
            (i32::MAX, i32::MIN)
        },
    }
}

//! Rows as WFDB records: one record a stretch, one signal file each, missing
//! samples as the format's invalid sample, alerts and events as notes in an
//! annotation file `NAME.evt`.

use crate::error::Error;
use crate::grid::{Kind, Rows, Stretch};
use crate::names;
use crate::num::{steps, unsigned};
use enroute_wfdb::{Annotations, NewRecord, NewSignal, Width, Writer};
use std::path::{Path, PathBuf};

/// Ending of the annotation files.
const EVENTS: &str = "evt";

struct Record {
    dir: PathBuf,
    stretch: Stretch,
    writer: Writer,
    events: Option<Annotations>,
}

/// Begins a record.
///
/// # Errors
/// When its file cannot be made.
pub(crate) fn open(dir: &Path, stretch: &Stretch) -> Result<Box<dyn Rows>, Error> {
    let low = stretch.signals.iter().map(|s| s.range.0).min();
    let high = stretch.signals.iter().map(|s| s.range.1).max();
    let record = NewRecord {
        name: stretch.name.clone(),
        frequency_hz: stretch.rows_hz,
        width: Width::of(low.unwrap_or(0), high.unwrap_or(0)),
        start_us: Some(stretch.start_us),
        signals: stretch
            .signals
            .iter()
            .map(|signal| NewSignal {
                description: signal.name.clone(),
                unit: names::header_unit(&signal.unit).to_owned(),
                gain: signal.gain,
                baseline: signal.baseline,
                samples_per_frame: signal.per_row,
                skew_frames: signal.skew_rows,
            })
            .collect(),
    };
    let writer = Writer::create(dir, record).map_err(Error::io(&dir.join(&stretch.name)))?;
    Ok(Box::new(Record {
        dir: dir.to_owned(),
        stretch: stretch.clone(),
        writer,
        events: None,
    }))
}

impl Record {
    fn path(&self) -> PathBuf {
        self.dir.join(&self.stretch.name)
    }

    fn comments(&self) -> Vec<String> {
        let clock = if self.stretch.device_clock {
            "the monitor's"
        } else {
            "the gateway's"
        };
        let mut comments = vec![
            format!("source {}, times by {clock} clock", self.stretch.source),
            "alerts and events are notes in the annotation file evt; gaps.txt says what is missing and why".to_owned(),
        ];
        if self.stretch.kind == Kind::Vitals {
            comments.push(
                "vital signs at their shortest interval; CSV and Parquet have each value's own time".to_owned(),
            );
        }
        if self.stretch.exercise {
            comments.push("EXERCISE: simulated, or a recording published again".to_owned());
        }
        comments
    }
}

impl Rows for Record {
    fn row(&mut self, samples: &[Option<i32>]) -> Result<(), Error> {
        self.writer.frame(samples).map_err(Error::io(&self.path()))
    }

    fn event(&mut self, at_us: i64, text: &str) -> Result<(), Error> {
        let path = self.path().with_extension(EVENTS);
        let into = at_us.saturating_sub(self.stretch.start_us);
        let frame = unsigned(steps(into, self.stretch.rows_hz));
        let events = match &mut self.events {
            Some(events) => events,
            none => none.insert(Annotations::create(&path).map_err(Error::io(&path))?),
        };
        events.note(frame, text).map_err(Error::io(&path))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>, Error> {
        let path = self.path();
        if let Some(events) = self.events.take() {
            events.finish().map_err(Error::io(&path))?;
        }
        let comments = self.comments();
        self.writer.finish(&comments).map_err(Error::io(&path))?;
        Ok(Vec::new())
    }
}

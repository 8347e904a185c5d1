//! Rows as EDF+ files: one continuous file (EDF+C) a stretch, for the usual
//! readers take no other. After the public description of EDF and EDF+ (Kemp and
//! Olivan, Clinical Neurophysiology 114, 2003).
//!
//! Samples are the integers that came, in 16 bits. EDF+ has no mark for a missing
//! sample: −32,768 stands for it, below the digital minimum that the header
//! states, and an annotation says where a gap begins and ends. The physical ends
//! are chosen so that their eight characters are exact, where there are such; the
//! export says where there are none.

use crate::error::Error;
use crate::grid::{Rows, Signal, Stretch};
use crate::names;
use crate::num::{real, whole};
use crate::time::{date, of_day};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Stands for a missing sample.
const MISSING: i16 = i16::MIN;
/// Bytes of annotations in a data record.
const NOTES_BYTES: usize = 512;
/// Bytes of one annotation's text.
const NOTE_BYTES_MAX: usize = 200;
/// Annotations that wait for room.
const NOTES_MAX: usize = 4_096;
/// Where the number of data records stands in the header.
const RECORDS_AT: u64 = 236;
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

struct Edf {
    path: PathBuf,
    stretch: Stretch,
    columns: Vec<Column>,
    file: BufWriter<File>,
    /// Rows in a data record, and how long it takes.
    rows: usize,
    record_s: f64,
    records: u64,
    /// Samples of the record that is being filled, a list for each signal.
    held: Vec<Vec<i16>>,
    held_rows: usize,
    notes: VecDeque<(f64, String)>,
    said: Vec<String>,
}

/// How a signal's samples become 16-bit numbers.
struct Column {
    shift: i32,
    ends: Ends,
    per_row: usize,
    /// Its range does not fit 16 bits: left out.
    absent: bool,
    gap: Gap,
}

/// Whether samples are missing, as far as it was said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Nothing has come yet.
    Unknown,
    None,
    Open,
}

/// Digital and physical ends of a signal.
#[derive(Clone, Debug, PartialEq)]
struct Ends {
    digital: (i32, i32),
    physical: (String, String),
    exact: bool,
}

/// Begins a file.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn open(dir: &Path, stretch: &Stretch) -> Result<Box<dyn Rows>, Error> {
    let path = dir.join(format!("{}.edf", stretch.name));
    let mut said = Vec::new();
    let columns: Vec<Column> = stretch
        .signals
        .iter()
        .map(|s| column(s, &mut said))
        .collect();
    let (rows, record_s) = record_length(stretch.rows_hz);
    let file = File::create_new(&path).map_err(Error::io(&path))?;
    let mut edf = Edf {
        held: vec![Vec::new(); columns.len()],
        path,
        stretch: stretch.clone(),
        columns,
        file: BufWriter::with_capacity(1 << 18, file),
        rows,
        record_s,
        records: 0,
        held_rows: 0,
        notes: VecDeque::new(),
        said,
    };
    let header = edf.header();
    edf.put(header.as_bytes())?;
    Ok(Box::new(edf))
}

/// Rows of a data record such that its length is exact in eight characters, near
/// a second.
fn record_length(rows_hz: f64) -> (usize, f64) {
    let exact = |rows: &usize| {
        let seconds = real(crate::num::size(*rows)) / rows_hz;
        seconds >= 1.0 && eight(seconds).1
    };
    let around = crate::num::index(whole(rows_hz)).max(1);
    let rows = (around..around.saturating_mul(16).saturating_add(16)).find(exact);
    let rows = rows.unwrap_or(around);
    (rows, real(crate::num::size(rows)) / rows_hz)
}

/// A number in at most eight characters, and whether that is all of it.
fn eight(number: f64) -> (String, bool) {
    let full = number.to_string();
    if full.len() <= 8 {
        return (full, true);
    }
    let places = (0..=7usize).rev();
    let short = places.map(|places| format!("{number:.places$}"));
    let short = short.into_iter().find(|text| text.len() <= 8);
    let short =
        short.unwrap_or_else(|| if number < 0.0 { "-9999999" } else { "99999999" }.to_owned());
    let back: f64 = short.parse().unwrap_or(f64::NAN);
    let exact = (back - number).abs() <= number.abs() * 1e-12;
    (short, exact)
}

/// A property of a signal as text.
type Property<'a> = &'a dyn Fn(&Signal, &Column) -> String;

/// Appends a text, cut or filled to its width; ASCII only.
fn field(text: &mut String, value: &str, width: usize) {
    let plain = value.chars().filter(|c| c.is_ascii() && !c.is_control());
    let filled = plain.chain(std::iter::repeat(' ')).take(width);
    text.extend(filled);
}

fn exercise(stretch: &Stretch) -> &'static str {
    if stretch.exercise { " EXERCISE" } else { "" }
}

/// Seconds as an annotation has them, to the microsecond.
fn onset(seconds: f64) -> String {
    let text = format!("{seconds:+.6}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

fn column(signal: &Signal, said: &mut Vec<String>) -> Column {
    let (low, high) = signal.range;
    let (low, high) = if low > high { (0, 0) } else { (low, high) };
    let fits = |value: i32| i16::try_from(value).is_ok_and(|value| value != MISSING);
    // A range beyond 16 bits that is no wider moves as a whole: exactly.
    let middle = i32::midpoint(low, high);
    let shift = if fits(low) && fits(high) { 0 } else { middle };
    let inside = |value: i32| value.checked_sub(shift).is_some_and(fits);
    let absent = !(inside(low) && inside(high));
    let name = &signal.name;
    let baseline = f64::from(signal.baseline) - f64::from(shift);
    let ends = ends(signal.gain, baseline);
    if absent {
        said.push(format!(
            "{name}: samples from {low} to {high} do not fit 16 bits and are left out; WFDB and MCAP have them"
        ));
    } else if shift != 0 {
        said.push(format!(
            "{name}: digital values are those that came, less {shift}"
        ));
    }
    if !ends.exact && !absent {
        said.push(format!(
            "{name}: the header has its scale rounded to eight characters; the digital values are exact"
        ));
    }
    Column {
        shift,
        ends,
        per_row: signal.per_row,
        absent,
        gap: Gap::Unknown,
    }
}

/// The outermost digital values whose physical values are exact in eight
/// characters, if there are such.
fn ends(gain: f64, baseline: f64) -> Ends {
    let at = |digital: i32| {
        let (text, short) = eight((f64::from(digital) - baseline) / gain);
        let back = text.parse::<f64>().unwrap_or(f64::NAN) * gain + baseline;
        let exact = short && (back - f64::from(digital)).abs() < 1e-6;
        (text, exact)
    };
    let low = (-32_767..0).find(|digital| at(*digital).1);
    let high = (0..=32_767).rev().find(|digital| at(*digital).1);
    let exact = low.is_some() && high.is_some();
    let digital = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (None | Some(_), _) => (-32_767, 32_767),
    };
    Ends {
        physical: (at(digital.0).0, at(digital.1).0),
        digital,
        exact,
    }
}

impl Edf {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))
    }

    fn header(&self) -> String {
        let start = self.stretch.start_us;
        let (hours, minutes, seconds, _) = of_day(start);
        let (year, month, day) = date(start).unwrap_or((1985, 1, 1));
        let name = MONTHS.get(usize::from(month).saturating_sub(1));
        let name = name.unwrap_or(&"JAN");
        let (source, mark) = (self.stretch.source, exercise(&self.stretch));
        let count = self.columns.len() + 1;
        let mut text = String::new();
        field(&mut text, "0", 8);
        // Nothing here says who the patient is.
        field(&mut text, "X X X X", 80);
        let recording =
            format!("Startdate {day:02}-{name}-{year:04} X enroute source{source}{mark}");
        field(&mut text, &recording, 80);
        field(
            &mut text,
            &format!("{day:02}.{month:02}.{:02}", year % 100),
            8,
        );
        field(
            &mut text,
            &format!("{hours:02}.{minutes:02}.{seconds:02}"),
            8,
        );
        field(&mut text, &((count + 1) * 256).to_string(), 8);
        field(&mut text, "EDF+C", 44);
        field(&mut text, "-1", 8);
        field(&mut text, &eight(self.record_s).0, 8);
        field(&mut text, &count.to_string(), 4);
        self.signal_fields(&mut text);
        text
    }

    /// Each property of all signals, then the next; annotations are the last signal.
    fn signal_fields(&self, text: &mut String) {
        let clock = if self.stretch.device_clock {
            "monitor's clock"
        } else {
            "gateway's clock"
        };
        let notes = (NOTES_BYTES / 2).to_string();
        let fields: [(usize, Property<'_>, &str); 10] = [
            (16, &|s, _| s.name.clone(), "EDF Annotations"),
            (80, &|_, _| clock.to_owned(), ""),
            (8, &|s, _| names::header_unit(&s.unit).to_owned(), ""),
            (8, &|_, c| c.ends.physical.0.clone(), "-1"),
            (8, &|_, c| c.ends.physical.1.clone(), "1"),
            (8, &|_, c| c.ends.digital.0.to_string(), "-32768"),
            (8, &|_, c| c.ends.digital.1.to_string(), "32767"),
            (80, &|_, _| String::new(), ""),
            (8, &|_, c| (c.per_row * self.rows).to_string(), &notes),
            (32, &|_, _| String::new(), ""),
        ];
        for (width, property, of_notes) in fields {
            for (signal, column) in self.stretch.signals.iter().zip(&self.columns) {
                field(text, &property(signal, column), width);
            }
            field(text, of_notes, width);
        }
    }

    /// Writes the data record that is held; what it lacks is missing.
    fn record(&mut self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for (samples, column) in self.held.iter_mut().zip(&self.columns) {
            samples.resize(column.per_row * self.rows, MISSING);
            bytes.extend(samples.drain(..).flat_map(i16::to_le_bytes));
        }
        bytes.extend(self.annotations());
        self.records += 1;
        self.held_rows = 0;
        self.put(&bytes)
    }

    /// The time of the record, and as many of the notes as fit.
    fn annotations(&mut self) -> Vec<u8> {
        let fraction = real(self.stretch.start_us.rem_euclid(1_000_000)) / 1e6;
        let begins = real(crate::num::signed(self.records)) * self.record_s + fraction;
        let mut bytes = format!("{}\x14\x14\0", onset(begins)).into_bytes();
        while let Some((at, text)) = self.notes.front() {
            let note = format!("{}\x14{text}\x14\0", onset(at + fraction));
            if bytes.len() + note.len() > NOTES_BYTES {
                break;
            }
            bytes.extend(note.as_bytes());
            self.notes.pop_front();
        }
        bytes.resize(NOTES_BYTES, 0);
        bytes
    }

    fn note(&mut self, at_s: f64, text: &str) {
        if self.notes.len() >= NOTES_MAX {
            let full = "more annotations at a time than the file has room for: some are left out";
            if self.said.iter().all(|said| said != full) {
                self.said.push(full.to_owned());
            }
            return;
        }
        let clean = text.replace(|c: char| c.is_control(), " ");
        let ends = (0..=clean.len().min(NOTE_BYTES_MAX)).rev();
        let end = ends.into_iter().find(|end| clean.is_char_boundary(*end));
        let cut = clean.get(..end.unwrap_or(0)).unwrap_or_default();
        self.notes.push_back((at_s, cut.to_owned()));
    }

    fn at_s(&self) -> f64 {
        let rows = real(crate::num::size(self.held_rows)) / self.stretch.rows_hz;
        real(crate::num::signed(self.records)) * self.record_s + rows
    }

    /// Says where samples of a signal begin and end to be missing.
    fn gap(&mut self, index: usize, missing: bool) {
        let at = self.at_s();
        let Some(column) = self.columns.get_mut(index) else {
            return;
        };
        let word = match (column.gap, missing) {
            (Gap::Unknown | Gap::None, true) => "missing from here",
            (Gap::Open, false) => "here again",
            (Gap::Unknown | Gap::None, false) | (Gap::Open, true) => "",
        };
        column.gap = if missing { Gap::Open } else { Gap::None };
        // Values that come now and then would fill the file with such words.
        if !word.is_empty()
            && self.stretch.kind == crate::grid::Kind::Waves
            && let Some(signal) = self.stretch.signals.get(index)
        {
            let text = format!("{}: {word}", signal.name);
            self.note(at, &text);
        }
    }
}

impl Rows for Edf {
    fn row(&mut self, samples: &[Option<i32>]) -> Result<(), Error> {
        // Not sooner: events of its time may come behind its last row.
        if self.held_rows == self.rows {
            self.record()?;
        }
        let mut rest = samples;
        for index in 0..self.columns.len() {
            let Some(column) = self.columns.get(index) else {
                continue;
            };
            let (own, others) = rest.split_at_checked(column.per_row).unwrap_or((rest, &[]));
            rest = others;
            let (shift, absent) = (column.shift, column.absent);
            let stored = |sample: &Option<i32>| {
                let sample = sample.filter(|_| !absent)?;
                i16::try_from(sample.checked_sub(shift)?).ok()
            };
            self.gap(index, own.iter().all(Option::is_none));
            if let Some(held) = self.held.get_mut(index) {
                held.extend(own.iter().map(|sample| stored(sample).unwrap_or(MISSING)));
            }
        }
        self.held_rows += 1;
        Ok(())
    }

    fn event(&mut self, at_us: i64, text: &str) -> Result<(), Error> {
        let into = real(at_us.saturating_sub(self.stretch.start_us)) / 1e6;
        self.note(into.max(0.0), text);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>, Error> {
        // Notes that found no room come in records of their own.
        while self.held_rows > 0 || !self.notes.is_empty() || self.records == 0 {
            self.record()?;
        }
        let path = self.path.clone();
        let records = format!("{:<8}", self.records);
        let end = |file: &mut BufWriter<File>| -> io::Result<()> {
            file.seek(SeekFrom::Start(RECORDS_AT))?;
            file.write_all(records.as_bytes())?;
            file.flush()?;
            file.get_ref().sync_all()
        };
        end(&mut self.file).map_err(Error::io(&path))?;
        Ok(self.said)
    }
}

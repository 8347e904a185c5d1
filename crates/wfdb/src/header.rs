//! The header of a record (`.hea`), parsed.

use crate::error::{Error, Problem};
use crate::format::Format;
use crate::line::{self, RecordLine};
use std::path::Path;

/// Most bytes of a header.
pub const HEADER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most signals of a record.
pub const SIGNALS_MAX: usize = 1_024;
/// Most segments of a record.
pub const SEGMENTS_MAX: usize = 65_536;
/// Most samples of a frame, over all signals.
pub const FRAME_SAMPLES_MAX: usize = 65_536;
/// Most frames by which a signal may be skewed.
pub const SKEW_FRAMES_MAX: usize = 65_536;

/// A day of the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: u16,
    month: u16,
    day: u16,
}

impl Date {
    /// The day, if there is one, in years 1 to 9999.
    #[must_use]
    pub fn new(year: u16, month: u16, day: u16) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => 0,
        };
        let legal = (1..=9_999).contains(&year) && (1..=days).contains(&day);
        legal.then_some(Self { year, month, day })
    }

    /// The day so many days after 1970-01-01, if it lies in years 1 to 9999.
    #[must_use]
    pub fn from_days_since_1970(days: i64) -> Option<Self> {
        // By eras of 400 years that begin on 1 March, as below.
        let shifted = days.checked_add(719_468)?;
        let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = u16::try_from(year + era * 400 + next).ok()?;
        Self::new(year, u16::try_from(month).ok()?, u16::try_from(day).ok()?)
    }

    /// Year, month and day.
    #[must_use]
    pub fn parts(self) -> (u16, u16, u16) {
        (self.year, self.month, self.day)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn days_since_1970(self) -> i64 {
        // Years are counted from March, so that a leap day is the last of its year.
        let (month, year) = if self.month > 2 {
            (i64::from(self.month) - 3, i64::from(self.year))
        } else {
            (i64::from(self.month) + 9, i64::from(self.year) - 1)
        };
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
    }
}

/// One signal line.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalLine {
    /// Name of its file, in the folder of the header.
    pub file: String,
    /// How samples are stored.
    pub format: Format,
    /// Samples in each frame, at least 1.
    pub samples_per_frame: usize,
    /// How many frames earlier its samples were taken than the frame that holds
    /// them: they are given as stored, and it is the caller who shifts the time, so
    /// that none is lost at the record's ends.
    pub skew_frames: usize,
    /// Bytes before the first sample.
    pub byte_offset: u64,
    /// Steps per unit; finite, not 0.
    pub gain: f64,
    /// False: the header gives no gain, or 0, and `gain` is the default of 200.
    pub calibrated: bool,
    /// The sample that stands for zero.
    pub baseline: i32,
    /// Unit as written, `mV` if none.
    pub unit: String,
    /// Bits of the converter, if given.
    pub adc_resolution: Option<i32>,
    /// The sample in the middle of the converter's range.
    pub adc_zero: i32,
    /// The first sample, by the header's word.
    pub initial_value: i32,
    /// Low 16 bits of the sum of the stored samples, if given.
    pub checksum: Option<i16>,
    /// Block size, 0 for ordinary files.
    pub block_size: i32,
    /// Name of the signal, to the end of the line.
    pub description: String,
}

/// One segment line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentLine {
    /// Name of the segment's record; `None` for a gap (`~`).
    pub name: Option<String>,
    /// Its length.
    pub frames: u64,
}

/// What a record is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// Signals in files.
    Single(Vec<SignalLine>),
    /// Other records, one after the other.
    Segments {
        /// Signals in each.
        signals: usize,
        /// In order of time.
        segments: Vec<SegmentLine>,
    },
}

/// A parsed header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Name of the record.
    pub name: String,
    /// Frames per second; finite, above 0.
    pub frequency_hz: f64,
    /// Ticks per second of the counter; finite, above 0.
    pub counter_hz: f64,
    /// The counter at frame 0.
    pub counter_base: f64,
    /// Length, if the header gives it.
    pub frames: Option<u64>,
    /// Time of day of frame 0, microseconds since midnight.
    pub base_time_us: Option<i64>,
    /// Day of frame 0.
    pub base_date: Option<Date>,
    /// Signals or segments.
    pub layout: Layout,
    /// Comment lines without their `#`. They may describe the patient.
    pub comments: Vec<String>,
}

impl Header {
    /// Parses the text of a header; `file` is for messages.
    ///
    /// # Errors
    /// With file, line and advice, when the text does not follow header(5), or
    /// goes beyond a limit of this module.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Error> {
        let mut comments = Vec::new();
        let mut lines = Vec::new();
        for (index, text) in text.lines().enumerate() {
            let text = text.trim();
            match text.strip_prefix('#') {
                Some(comment) => comments.push(comment.trim().to_owned()),
                None if text.is_empty() => {}
                None => lines.push((index + 1, text)),
            }
        }
        let mut lines = lines.into_iter();
        let (number, first) = lines.next().unwrap_or((1, ""));
        let record = line::record_line(first).map_err(|p| Error::header(file, number, p))?;
        let mut last = number;
        let rest = lines.inspect(|(number, _)| last = *number);
        let layout = layout(&record, rest, file)?;
        let header = Self {
            name: record.name,
            frequency_hz: record.frequency_hz,
            counter_hz: record.counter_hz,
            counter_base: record.counter_base,
            frames: record.frames,
            base_time_us: record.base_time_us,
            base_date: record.base_date,
            layout,
            comments,
        };
        header.check().map_err(|p| Error::header(file, last, p))?;
        Ok(header)
    }

    /// The moment of frame 0 in microseconds since 1970-01-01, by the record's
    /// own clock; `None` if time or date is missing.
    #[must_use]
    pub fn start_us(&self) -> Option<i64> {
        let day = self.base_date?.days_since_1970() * 86_400_000_000;
        Some(day + self.base_time_us?)
    }

    /// Whether the segments come in the variable layout: the first only names
    /// signals and has no length.
    #[must_use]
    pub fn is_variable(&self) -> bool {
        match &self.layout {
            Layout::Single(_) => false,
            Layout::Segments { segments, .. } => segments.first().is_some_and(|s| s.frames == 0),
        }
    }

    fn check(&self) -> Result<(), Problem> {
        match &self.layout {
            Layout::Single(signals) => check_signals(signals),
            Layout::Segments { segments, .. } => check_segments(segments, self.frames),
        }
    }
}

fn layout<'a>(
    record: &RecordLine,
    mut lines: impl Iterator<Item = (usize, &'a str)>,
    file: &Path,
) -> Result<Layout, Error> {
    let wanted = record.segments.unwrap_or(record.signals);
    let mut seen = 0_usize;
    let mut next = |what: &str| {
        seen += 1;
        lines.next().ok_or_else(|| {
            let what = format!("{what} {seen} of {wanted} is missing");
            Error::header(
                file,
                1,
                Problem::new(
                    what,
                    "complete the header, or correct the number in its first line",
                ),
            )
        })
    };
    let Some(count) = record.segments else {
        let signals = (0..record.signals).map(|_| {
            let (number, text) = next("signal line")?;
            line::signal_line(text).map_err(|p| Error::header(file, number, p))
        });
        return Ok(Layout::Single(signals.collect::<Result<_, _>>()?));
    };
    let segments = (0..count).map(|_| {
        let (number, text) = next("segment line")?;
        line::segment_line(text).map_err(|p| Error::header(file, number, p))
    });
    Ok(Layout::Segments {
        signals: record.signals,
        segments: segments.collect::<Result<_, _>>()?,
    })
}

fn check_signals(signals: &[SignalLine]) -> Result<(), Problem> {
    let frame: usize = signals.iter().map(|s| s.samples_per_frame).sum();
    if frame > FRAME_SAMPLES_MAX {
        return Err(Problem::new(
            format!("{frame} samples in a frame are more than {FRAME_SAMPLES_MAX}"),
            "split the record",
        ));
    }
    for (index, pair) in signals.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        let apart = signals.iter().take(index).any(|s| s.file == b.file);
        if a.file == b.file {
            if a.format != b.format || a.byte_offset != b.byte_offset {
                return Err(Problem::new(
                    format!("the signals of {} differ in format or byte offset", a.file),
                    "give all signals of a file the same",
                ));
            }
        } else if apart {
            return Err(Problem::new(
                format!("the signals of {} do not stand together", b.file),
                "put the lines of a file one after the other",
            ));
        }
    }
    Ok(())
}

fn check_segments(segments: &[SegmentLine], frames: Option<u64>) -> Result<(), Problem> {
    let sum = segments
        .iter()
        .map(|s| s.frames)
        .fold(0, u64::saturating_add);
    match frames {
        Some(frames) if frames != sum => Err(Problem::new(
            format!("the segments have {sum} samples, the first line says {frames}"),
            "correct the first line",
        )),
        _ => Ok(()),
    }
}

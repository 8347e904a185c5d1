//! Writing a record of one segment with one signal file, frame by frame, in
//! formats 16 or 32: header(5) and signal(5). The header is written last, when
//! length and checksums are known; without it the signal file is nothing.

use crate::format::Format;
use crate::header::Date;
use crate::line::low_16_bits;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const DAY_US: i64 = 86_400_000_000;

/// How wide stored samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Format 16: −32,767 to 32,767.
    Sixteen,
    /// Format 32: all of `i32` but the lowest.
    ThirtyTwo,
}

impl Width {
    /// The format.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Sixteen => Format::F16,
            Self::ThirtyTwo => Format::F32,
        }
    }

    /// The narrowest that holds everything between `low` and `high`.
    #[must_use]
    pub const fn of(low: i32, high: i32) -> Self {
        if low > -32_768 && high < 32_768 {
            Self::Sixteen
        } else {
            Self::ThirtyTwo
        }
    }
}

/// A signal to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSignal {
    /// Its name, one line.
    pub description: String,
    /// Letters, digits and `^ - ? % /`; other characters are left out.
    pub unit: String,
    /// Steps per unit; finite, not 0.
    pub gain: f64,
    /// The sample that stands for zero.
    pub baseline: i32,
    /// Samples in each frame, at least 1.
    pub samples_per_frame: usize,
    /// How many frames earlier its samples were taken than the frame with them.
    pub skew_frames: usize,
}

/// What a record is called and how it is laid out.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecord {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Frames per second.
    pub frequency_hz: f64,
    /// How samples are stored.
    pub width: Width,
    /// Time of frame 0, microseconds since 1970-01-01; the header can hold years 1 to 9999.
    pub start_us: Option<i64>,
    /// In the order in which a frame has them; at least one.
    pub signals: Vec<NewSignal>,
}

/// A record being written.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    record: NewRecord,
    data: BufWriter<File>,
    frames: u64,
    sums: Vec<i32>,
    first: Vec<i32>,
}

impl Writer {
    /// Creates `NAME.dat` in `dir`; there must be none.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(dir: &Path, record: NewRecord) -> io::Result<Self> {
        let data = File::create_new(dir.join(format!("{}.dat", record.name)))?;
        Ok(Self {
            dir: dir.to_owned(),
            data: BufWriter::with_capacity(1 << 18, data),
            frames: 0,
            sums: vec![0; record.signals.len()],
            first: Vec::new(),
            record,
        })
    }

    /// What is being written.
    #[must_use]
    pub fn record(&self) -> &NewRecord {
        &self.record
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Writes one frame: all samples of the first signal, then of the next. What
    /// is not given is missing; a sample beyond the width is an error.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn frame(&mut self, samples: &[Option<i32>]) -> io::Result<()> {
        let format = self.record.width.format();
        let mut samples = samples.iter();
        for (signal, sum) in self.record.signals.iter().zip(&mut self.sums) {
            for index in 0..signal.samples_per_frame {
                let sample = samples.next().copied().flatten();
                let stored = sample.unwrap_or(format.missing());
                if index == 0 && self.frames == 0 {
                    self.first.push(stored);
                }
                *sum = sum.wrapping_add(stored);
                store(&mut self.data, self.record.width, stored)?;
            }
        }
        self.frames += 1;
        Ok(())
    }

    /// Writes the header, with comments, and syncs both files.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn finish(mut self, comments: &[String]) -> io::Result<()> {
        let text = self.header(comments);
        self.data.flush()?;
        self.data.get_ref().sync_all()?;
        let mut header = File::create_new(self.dir.join(format!("{}.hea", self.record.name)))?;
        header.write_all(text.as_bytes())?;
        header.sync_all()
    }

    fn header(&self, comments: &[String]) -> String {
        let NewRecord {
            name,
            frequency_hz,
            start_us,
            signals,
            ..
        } = &self.record;
        let mut text = format!("{name} {} {frequency_hz} {}", signals.len(), self.frames);
        if let Some(start) = start_us.and_then(moment) {
            text.push_str(&start);
        }
        text.push('\n');
        let format = self.record.width.format();
        let bits = match self.record.width {
            Width::Sixteen => 16,
            Width::ThirtyTwo => 32,
        };
        for (index, signal) in signals.iter().enumerate() {
            // Writing into a text cannot fail.
            write!(text, "{name}.dat {}", format.number()).ok();
            if signal.samples_per_frame > 1 {
                write!(text, "x{}", signal.samples_per_frame).ok();
            }
            if signal.skew_frames > 0 {
                write!(text, ":{}", signal.skew_frames).ok();
            }
            let checksum = low_16_bits(self.sums.get(index).copied().unwrap_or(0));
            let first = self.first.get(index).copied().unwrap_or(0);
            let one_line = signal.description.replace(char::is_control, " ");
            writeln!(
                text,
                " {}({})/{} {bits} 0 {first} {checksum} 0 {one_line}",
                signal.gain,
                signal.baseline,
                plain(&signal.unit),
            )
            .ok();
        }
        for comment in comments {
            writeln!(text, "# {}", comment.replace(char::is_control, " ")).ok();
        }
        text
    }
}

fn store(to: &mut impl Write, width: Width, sample: i32) -> io::Result<()> {
    match width {
        Width::Sixteen => {
            let too_wide = |_| io::Error::new(io::ErrorKind::InvalidData, "more than 16 bits");
            let sample = i16::try_from(sample).map_err(too_wide)?;
            to.write_all(&sample.to_le_bytes())
        }
        Width::ThirtyTwo => to.write_all(&sample.to_le_bytes()),
    }
}

/// Base time and date, with a space before each.
fn moment(us: i64) -> Option<String> {
    let (year, month, day) = Date::from_days_since_1970(us.div_euclid(DAY_US))?.parts();
    let in_day = us.rem_euclid(DAY_US);
    let (seconds, micros) = (in_day / 1_000_000, in_day % 1_000_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let mut text = format!(" {hours:02}:{minutes:02}:{:02}", seconds % 60);
    if micros > 0 {
        write!(text, ".{micros:06}").ok();
    }
    write!(text, " {day:02}/{month:02}/{year:04}").ok();
    Some(text)
}

/// A unit as a header can have it.
fn plain(unit: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "^-?%/_".contains(*c);
    let plain: String = unit.chars().filter(fits).collect();
    if plain.is_empty() {
        "NU".to_owned()
    } else {
        plain
    }
}

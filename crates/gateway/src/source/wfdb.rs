//! A WFDB record as a source.
//!
//! A record with more than a frame each second gives waveforms, slower ones
//! numerics, one value per frame, whose interval is the record's. Waveforms
//! carry the integers of the file with its gain, baseline and unit, so that the
//! samples come back exactly. `observed_at` is the record's own time, in
//! whatever century that lies. Comments in the header may describe the patient
//! and go nowhere (I10).
//!
//! Gaps: a run of missing samples is sent as missing; a numeric without a value
//! is sent with the reason. Emissions never cross a border of segments, where
//! gains may change. A file that fails in the middle ends the source, with an
//! error in the log.

mod names;

use crate::source::Source;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Code, Emission, Metric, Numeric, Waveform};
use enroute_model::reading::{DECIMALS_MAX, Decimal, NoValue, Reading};
use enroute_model::time::{DeviceTime, Span};
use enroute_wfdb::{Frame, Reader, SignalLine};
use enroute_wire::limits::{
    INTERVAL_MAX, LABEL_CHARS_MAX, NUMERICS_MAX, SAMPLES_MAX, WAVEFORMS_MAX,
};
use serde::Deserialize;
use std::path::PathBuf;

/// Frames per second above which a record holds waveforms. Once a second is how
/// often monitors give vital signs, and no waveform is sampled.
const NUMERICS_HZ_MAX: f64 = 1.0;

/// Which record, and how its signals become vital signs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WfdbConfig {
    /// The record, with or without `.hea`.
    pub record: PathBuf,
    /// Begin again at the end, for ever. The record's own time begins again too.
    #[serde(default, rename = "loop")]
    pub repeat: bool,
    /// Milliseconds of waveform in an emission, 20 to 10,000.
    #[serde(default = "default_frame_ms")]
    pub frame_ms: u32,
    /// Numerics of 0 mean that there was no valid value (as in MIMIC's).
    #[serde(default)]
    pub zero_is_missing: bool,
    /// What signals mean, by the description in the header. Common names are
    /// known without an entry.
    #[serde(default)]
    pub signal: Vec<SignalConfig>,
}

impl WfdbConfig {
    /// The record with every default.
    #[must_use]
    pub fn new(record: impl Into<PathBuf>) -> Self {
        Self {
            record: record.into(),
            repeat: false,
            frame_ms: default_frame_ms(),
            zero_is_missing: false,
            signal: Vec::new(),
        }
    }
}

/// What one signal means.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalConfig {
    /// Its description in the header, exactly.
    pub description: String,
    /// Id in the catalogue, such as `hr` or `abp`; absent: sent under its
    /// description only, without a code.
    #[serde(default)]
    pub id: Option<String>,
    /// As for the record, for this signal alone.
    #[serde(default)]
    pub zero_is_missing: Option<bool>,
    /// Leave it out.
    #[serde(default)]
    pub ignore: bool,
}

fn default_frame_ms() -> u32 {
    1_000
}

/// Why a record cannot be a source.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The record itself.
    #[error(transparent)]
    Record(#[from] enroute_wfdb::Error),
    /// The configuration does not fit the record, or no frame can hold it.
    #[error("{}: {what}", record.display())]
    Config {
        /// Which record.
        record: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
}

/// What becomes of one signal.
#[derive(Clone, Debug)]
struct Channel {
    metric: Metric,
    zero_is_missing: bool,
    ignore: bool,
}

/// A WFDB record as a source.
#[derive(Debug)]
pub struct WfdbSource {
    config: WfdbConfig,
    reader: Reader,
    channels: Vec<Channel>,
    waveforms: bool,
    /// Record frames in an emission.
    frames: u64,
    frame: Frame,
    /// Read, and of the next emission.
    ahead: bool,
    /// Frames of earlier rounds of a repeated record.
    before: u64,
}

impl WfdbSource {
    /// Opens the record and checks the configuration against it.
    ///
    /// # Errors
    /// When the record cannot be read, or the configuration does not fit it.
    pub fn open(config: WfdbConfig) -> Result<Self, OpenError> {
        let reader = Reader::open(&config.record)?;
        let wrong = |what: String| OpenError::Config {
            record: config.record.clone(),
            what,
        };
        if !(20..=10_000).contains(&config.frame_ms) {
            return Err(wrong("frame_ms must be 20 to 10000".to_owned()));
        }
        let waveforms = reader.header().frequency_hz > NUMERICS_HZ_MAX;
        let channels = channels(&config, reader.signals(0), waveforms).map_err(wrong)?;
        let frames = if waveforms {
            let seconds = f64::from(config.frame_ms) / 1_000.0;
            whole(reader.header().frequency_hz * seconds).max(1)
        } else {
            1
        };
        check_limits(&reader, &channels, waveforms, frames).map_err(wrong)?;
        Ok(Self {
            config,
            reader,
            channels,
            waveforms,
            frames,
            frame: Frame::default(),
            ahead: false,
            before: 0,
        })
    }

    /// Reads a frame unless one waits; false at the end.
    fn read(&mut self) -> bool {
        if !self.ahead {
            self.ahead = self.reader.read(&mut self.frame).unwrap_or_else(|error| {
                tracing::error!(%error, "the recording ends here");
                false
            });
        }
        self.ahead
    }

    /// Begins the record again, if so configured and it holds anything.
    fn rewind(&mut self) -> bool {
        for mismatch in self.reader.mismatches() {
            tracing::warn!(?mismatch, "a checksum of the recording is wrong");
        }
        let count = self.reader.frame_count();
        if !self.config.repeat || count == 0 {
            return false;
        }
        match Reader::open(&self.config.record) {
            Ok(reader) => {
                self.reader = reader;
                self.before = self.before.saturating_add(count);
                self.read()
            }
            Err(error) => {
                tracing::error!(%error, "the recording cannot be repeated");
                false
            }
        }
    }

    fn numerics(&mut self) -> Body {
        self.ahead = false;
        let signals = self.reader.signals(self.frame.segment);
        let interval = numeric_interval(self.reader.header().frequency_hz);
        let numerics = self.channels.iter().zip(signals).enumerate();
        let numerics = numerics.filter(|(_, (channel, _))| !channel.ignore);
        let numeric = |(index, (channel, line)): (usize, (&Channel, &SignalLine))| Numeric {
            metric: channel.metric.clone(),
            unit: unit(channel, line, false),
            reading: reading(self.frame.signal(index), channel, line),
            interval,
        };
        Body::Numerics(numerics.map(numeric).collect())
    }

    fn waveforms(&mut self) -> Body {
        let (segment, first) = (self.frame.segment, self.frame.index);
        let mut samples: Vec<Vec<Option<i32>>> = vec![Vec::new(); self.channels.len()];
        while self.frame.index - first < self.frames && self.read() && self.frame.segment == segment
        {
            for (index, samples) in samples.iter_mut().enumerate() {
                samples.extend(self.frame.signal(index));
            }
            self.ahead = false;
            if self.frame.index - first + 1 == self.frames {
                break;
            }
        }
        let lines = self.reader.signals(segment);
        let frequency_hz = self.reader.header().frequency_hz;
        let all = self.channels.iter().zip(lines).zip(samples);
        let waveform = |((channel, line), samples): ((&Channel, &SignalLine), Vec<Option<i32>>)| {
            let per_frame = u64::try_from(line.samples_per_frame).unwrap_or(1);
            Waveform {
                metric: channel.metric.clone(),
                unit: unit(channel, line, true),
                rate_hz: frequency_hz * real(per_frame),
                gain: line.gain,
                baseline: line.baseline,
                first_sample: self.before.saturating_add(first).saturating_mul(per_frame),
                start_offset: Span(
                    -span(u64::try_from(line.skew_frames).unwrap_or(0), frequency_hz).0,
                ),
                samples,
            }
        };
        let waveforms = all
            .filter(|((channel, _), _)| !channel.ignore)
            .map(waveform);
        Body::Waveforms(waveforms.collect())
    }
}

impl Source for WfdbSource {
    fn next(&mut self) -> Option<Emission> {
        if !self.read() && !self.rewind() {
            return None;
        }
        let index = self.frame.index;
        let hz = self.reader.header().frequency_hz;
        let start = self.reader.header().start_us();
        let body = if self.waveforms {
            self.waveforms()
        } else {
            self.numerics()
        };
        // The last frame read is of this body unless it waits for the next one.
        let end = if self.waveforms {
            self.frame.index + u64::from(!self.ahead)
        } else {
            index
        };
        Some(Emission {
            due: span(self.before.saturating_add(end), hz),
            observed_at: start.map(|us| DeviceTime(us).plus(span(index, hz))),
            body,
        })
    }

    /// A recording is always one published again.
    fn is_exercise(&self) -> bool {
        true
    }
}

fn channels(
    config: &WfdbConfig,
    lines: &[SignalLine],
    waveforms: bool,
) -> Result<Vec<Channel>, String> {
    for entry in &config.signal {
        if !lines
            .iter()
            .any(|line| line.description == entry.description)
        {
            let known: Vec<&str> = lines.iter().map(|l| l.description.as_str()).collect();
            return Err(format!(
                "there is no signal {:?}; the record has {known:?}",
                entry.description
            ));
        }
    }
    let channel = |(index, line): (usize, &SignalLine)| {
        let entry = config
            .signal
            .iter()
            .find(|e| e.description == line.description);
        let id = match entry {
            Some(entry) => entry.id.as_deref(),
            None => names::id(&line.description, waveforms),
        };
        let code = id.map_or(Ok(Code(0)), |id| code(id, waveforms))?;
        let label = if code == Code(0) {
            label(&line.description, index)
        } else {
            String::new()
        };
        let zero = entry.and_then(|e| e.zero_is_missing);
        Ok(Channel {
            metric: Metric { code, label },
            zero_is_missing: zero.unwrap_or(config.zero_is_missing),
            ignore: entry.is_some_and(|e| e.ignore),
        })
    };
    lines.iter().enumerate().map(channel).collect()
}

fn code(id: &str, waveforms: bool) -> Result<Code, String> {
    let (found, table) = if waveforms {
        let channel = catalogue().waveform_by_id(id);
        (channel.map(|c| c.code), "waveforms.csv")
    } else {
        let vital = catalogue().vital_by_id(id);
        (vital.map(|v| v.code), "vitals.csv")
    };
    found.ok_or_else(|| format!("{id:?} is no id of crates/model/data/{table}; leave `id` out to send the signal under its own name"))
}

/// A description as a label of the contract; a signal without one gets a number.
fn label(description: &str, index: usize) -> String {
    let clean: String = description
        .chars()
        .filter(|c| !c.is_control())
        .take(LABEL_CHARS_MAX)
        .collect();
    if clean.is_empty() {
        format!("signal {}", index + 1)
    } else {
        clean
    }
}

fn check_limits(
    reader: &Reader,
    channels: &[Channel],
    waveforms: bool,
    frames: u64,
) -> Result<(), String> {
    let used = channels.iter().filter(|c| !c.ignore).count();
    let most = if waveforms {
        WAVEFORMS_MAX
    } else {
        NUMERICS_MAX
    };
    if used == 0 || used > most {
        return Err(format!(
            "{used} signals are used, 1 to {most} fit into a frame: set `ignore` on others"
        ));
    }
    let header = reader.header();
    if !waveforms && numeric_interval(header.frequency_hz) > INTERVAL_MAX {
        return Err("less than one value a day is no monitoring".to_owned());
    }
    let per_frame = reader
        .signals(0)
        .iter()
        .map(|s| s.samples_per_frame)
        .max()
        .unwrap_or(1);
    let samples = frames.saturating_mul(u64::try_from(per_frame).unwrap_or(u64::MAX));
    if waveforms && samples > u64::try_from(SAMPLES_MAX).unwrap_or(u64::MAX) {
        return Err(format!(
            "{samples} samples in an emission are more than {SAMPLES_MAX}: lower frame_ms"
        ));
    }
    Ok(())
}

/// The unit as UCUM; empty if it is the catalogue's own.
fn unit(channel: &Channel, line: &SignalLine, waveform: bool) -> String {
    let written = if line.calibrated || line.unit != "mV" {
        names::ucum(&line.unit)
    } else {
        // No gain was given: the numbers mean nothing but themselves.
        "1"
    };
    let written: String = written
        .chars()
        .filter(|c| !c.is_control())
        .take(LABEL_CHARS_MAX)
        .collect();
    let usual = if waveform {
        catalogue()
            .waveform(channel.metric.code)
            .map(|c| c.unit.as_str())
    } else {
        catalogue()
            .vital(channel.metric.code)
            .map(|v| v.unit.as_str())
    };
    if usual == Some(written.as_str()) {
        String::new()
    } else {
        written
    }
}

fn reading(samples: &[Option<i32>], channel: &Channel, line: &SignalLine) -> Reading {
    // Several samples per frame of a slow record: the first stands for the frame.
    let Some(sample) = samples.first().copied().flatten() else {
        return Reading::None(NoValue::Missing);
    };
    let steps = i64::from(sample) - i64::from(line.baseline);
    if steps == 0 && channel.zero_is_missing {
        return Reading::None(NoValue::Missing);
    }
    decimal(steps, line.gain).map_or(Reading::None(NoValue::Invalid), Reading::measured)
}

/// `steps / gain`, exactly where the gain is a power of ten.
fn decimal(steps: i64, gain: f64) -> Option<Decimal> {
    for decimals in 0..=DECIMALS_MAX {
        let power = 10f64.powi(i32::from(decimals));
        if (gain - power).abs() < f64::EPSILON * power {
            return Decimal::new(steps, decimals);
        }
    }
    // Otherwise to one place more than a step is worth.
    let places = (gain.abs().log10().ceil().max(0.0) + 1.0).min(f64::from(DECIMALS_MAX));
    let decimals = (0..=DECIMALS_MAX).find(|d| f64::from(*d) >= places)?;
    Decimal::from_f64(real_signed(steps) / gain, decimals)
}

/// A numeric's interval, to the millisecond as the contract has it.
fn numeric_interval(hz: f64) -> Span {
    let millis = whole(1_000.0 / hz);
    Span::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The time of frame `index`.
fn span(index: u64, hz: f64) -> Span {
    let micros = real(index) * 1_000_000.0 / hz;
    Span(i64::try_from(whole(micros)).unwrap_or(i64::MAX))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates; never negative"
)]
fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn real_signed(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;

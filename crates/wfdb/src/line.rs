//! The lines of a header: record line, signal line, segment line.

use crate::error::Problem;
use crate::format::Format;
use crate::header::{
    Date, FRAME_SAMPLES_MAX, SEGMENTS_MAX, SIGNALS_MAX, SKEW_FRAMES_MAX, SegmentLine, SignalLine,
};

/// Samples per second when the record line gives none (header(5)).
const DEFAULT_FREQUENCY_HZ: f64 = 250.0;
/// Steps per unit when the signal line gives none, or 0 (header(5)).
const DEFAULT_GAIN: f64 = 200.0;
/// Unit when the signal line gives none (header(5)).
const DEFAULT_UNIT: &str = "mV";

/// The first line of a header.
#[derive(Debug)]
pub(crate) struct RecordLine {
    pub(crate) name: String,
    pub(crate) segments: Option<usize>,
    pub(crate) signals: usize,
    pub(crate) frequency_hz: f64,
    pub(crate) counter_hz: f64,
    pub(crate) counter_base: f64,
    pub(crate) frames: Option<u64>,
    pub(crate) base_time_us: Option<i64>,
    pub(crate) base_date: Option<Date>,
}

pub(crate) fn record_line(text: &str) -> Result<RecordLine, Problem> {
    let mut fields = text.split_whitespace();
    let name = fields.next().unwrap_or_default();
    let (name, segments) = match name.split_once('/') {
        Some((name, count)) => (name, Some(segment_count(count)?)),
        None => (name, None),
    };
    let signals = fields.next().unwrap_or_default();
    let signals = number(
        signals,
        "number of signals",
        "write the number of signal lines",
    )?;
    if signals > SIGNALS_MAX {
        return Err(Problem::new(
            format!("{signals} signals are more than {SIGNALS_MAX}"),
            "split the record",
        ));
    }
    let (frequency_hz, counter_hz, counter_base) = frequencies(fields.next())?;
    let frames: Option<u64> = fields
        .next()
        .map(|t| number(t, "number of samples", "write a whole number, 0 if unknown"))
        .transpose()?;
    Ok(RecordLine {
        name: file_name(name, "record name")?,
        segments,
        signals,
        frequency_hz,
        counter_hz,
        counter_base,
        frames: frames.filter(|n| *n > 0),
        base_time_us: fields.next().map(base_time).transpose()?,
        base_date: fields.next().map(base_date).transpose()?,
    })
}

fn segment_count(text: &str) -> Result<usize, Problem> {
    let count = number(
        text,
        "number of segments",
        "write the number of segment lines",
    )?;
    if count == 0 || count > SEGMENTS_MAX {
        return Err(Problem::field(
            "number of segments",
            text,
            "write at least 1 and at most 65536",
        ));
    }
    Ok(count)
}

/// `frequency[/counter frequency[(base counter value)]]`
fn frequencies(field: Option<&str>) -> Result<(f64, f64, f64), Problem> {
    const ADVICE: &str = "write frames per second, such as 125 or 125/1000(0)";
    let Some(field) = field else {
        return Ok((DEFAULT_FREQUENCY_HZ, DEFAULT_FREQUENCY_HZ, 0.0));
    };
    let wrong = || Problem::field("sampling frequency", field, ADVICE);
    let (frequency, counter) = field
        .split_once('/')
        .map_or((field, None), |(f, c)| (f, Some(c)));
    let frequency_hz = finite(frequency).filter(|hz| *hz > 0.0).ok_or_else(wrong)?;
    let Some(counter) = counter else {
        return Ok((frequency_hz, frequency_hz, 0.0));
    };
    let (counter, base) = match counter.split_once('(') {
        Some((counter, base)) => (counter, base.strip_suffix(')').ok_or_else(wrong)?),
        None => (counter, "0"),
    };
    let counter_hz = finite(counter).filter(|hz| *hz > 0.0).ok_or_else(wrong)?;
    Ok((frequency_hz, counter_hz, finite(base).ok_or_else(wrong)?))
}

/// `[[hours:]minutes:]seconds[.fraction]` since midnight, in microseconds.
fn base_time(text: &str) -> Result<i64, Problem> {
    let wrong = || {
        Problem::field(
            "base time",
            text,
            "write HH:MM:SS, MM:SS or SS, fractions allowed",
        )
    };
    let mut parts = text.rsplit(':');
    let (whole, fraction) = match parts.next().and_then(|s| s.split_once('.')) {
        Some(parts) => parts,
        None => (text.rsplit(':').next().unwrap_or_default(), ""),
    };
    let part = |part: &str, limit: u32| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| part.parse::<u32>().ok())
            .flatten()
            .filter(|n| *n < limit)
    };
    let seconds = part(whole, 60).ok_or_else(wrong)?;
    let minutes = parts
        .next()
        .map_or(Some(0), |p| part(p, 60))
        .ok_or_else(wrong)?;
    let hours = parts
        .next()
        .map_or(Some(0), |p| part(p, 24))
        .ok_or_else(wrong)?;
    if parts.next().is_some() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros: i64 = micros.parse().map_err(|_| wrong())?;
    Ok(i64::from(hours * 3_600 + minutes * 60 + seconds) * 1_000_000 + micros)
}

fn base_date(text: &str) -> Result<Date, Problem> {
    let wrong = || Problem::field("base date", text, "write DD/MM/YYYY");
    let mut parts = text.split('/');
    let mut part = || {
        parts
            .next()
            .and_then(|p| p.parse::<u16>().ok())
            .ok_or_else(wrong)
    };
    let (day, month, year) = (part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(wrong());
    }
    Date::new(year, month, day).ok_or_else(wrong)
}

pub(crate) fn segment_line(text: &str) -> Result<SegmentLine, Problem> {
    let mut fields = text.split_whitespace();
    let name = fields.next().unwrap_or_default();
    let frames = fields.next().unwrap_or_default();
    let frames = number(
        frames,
        "length of the segment",
        "write its number of samples",
    )?;
    let name = if name == "~" {
        None
    } else {
        Some(file_name(name, "segment name")?)
    };
    Ok(SegmentLine { name, frames })
}

pub(crate) fn signal_line(text: &str) -> Result<SignalLine, Problem> {
    let mut rest = text;
    let file = file_name(field(&mut rest).unwrap_or_default(), "signal file name")?;
    let storage = storage(field(&mut rest).unwrap_or_default())?;
    let gain = field(&mut rest).map(gain).transpose()?.unwrap_or_default();
    let mut whole = |name, advice| {
        field(&mut rest)
            .map(|t| number::<i32>(t, name, advice))
            .transpose()
    };
    let adc_resolution = whole("ADC resolution", "write its bits, such as 12")?;
    let adc_zero = whole("ADC zero", "write a whole number, such as 0")?.unwrap_or(0);
    let initial = whole("initial value", "write the first sample")?;
    let checksum = whole("checksum", "write the 16-bit sum of the samples")?;
    let block_size = whole("block size", "write 0")?;
    Ok(SignalLine {
        file,
        format: storage.format,
        samples_per_frame: storage.samples_per_frame,
        skew_frames: storage.skew_frames,
        byte_offset: storage.byte_offset,
        gain: gain.steps.unwrap_or(DEFAULT_GAIN),
        calibrated: gain.steps.is_some(),
        baseline: gain.baseline.unwrap_or(adc_zero),
        unit: gain.unit.unwrap_or_else(|| DEFAULT_UNIT.to_owned()),
        adc_resolution: adc_resolution.filter(|bits| *bits != 0),
        adc_zero,
        initial_value: initial.unwrap_or(adc_zero),
        checksum: checksum.map(low_16_bits),
        block_size: block_size.unwrap_or(0),
        description: rest.trim().to_owned(),
    })
}

struct Storage {
    format: Format,
    samples_per_frame: usize,
    skew_frames: usize,
    byte_offset: u64,
}

/// `format[xsamples per frame][:skew][+byte offset]`
fn storage(text: &str) -> Result<Storage, Problem> {
    let marks = ['x', ':', '+'];
    let end = text.find(marks).unwrap_or(text.len());
    let (format, mut rest) = text.split_at(end);
    let format_number = number(format, "format", "write 16, 80 or 212")?;
    let format = Format::from_number(format_number).ok_or_else(|| {
        Problem::new(
            format!("format {format_number} is not supported"),
            "convert the record to format 16 (xform -O 16)",
        )
    })?;
    let (mut samples_per_frame, mut skew_frames, mut byte_offset) = (None, None, None);
    while let Some(mark) = rest.chars().next() {
        let tail = rest.get(1..).unwrap_or_default();
        let end = tail.find(marks).unwrap_or(tail.len());
        let (value, next) = tail.split_at(end);
        rest = next;
        let value: u64 = number(value, "format", "write it as 212x4:3+24")?;
        let slot = match mark {
            'x' => &mut samples_per_frame,
            ':' => &mut skew_frames,
            _ => &mut byte_offset,
        };
        if slot.replace(value).is_some() {
            return Err(Problem::field(
                "format",
                text,
                "write each of x, : and + once",
            ));
        }
    }
    let bounded = |value: u64, min: usize, max: usize| {
        let value = usize::try_from(value).unwrap_or(usize::MAX);
        let wrong = || Problem::field("format", text, "a number in it is too small or too large");
        Some(value)
            .filter(|v| (min..=max).contains(v))
            .ok_or_else(wrong)
    };
    Ok(Storage {
        format,
        samples_per_frame: bounded(samples_per_frame.unwrap_or(1), 1, FRAME_SAMPLES_MAX)?,
        skew_frames: bounded(skew_frames.unwrap_or(0), 0, SKEW_FRAMES_MAX)?,
        byte_offset: byte_offset.unwrap_or(0),
    })
}

#[derive(Default)]
struct Gain {
    steps: Option<f64>,
    baseline: Option<i32>,
    unit: Option<String>,
}

/// `gain[(baseline)][/unit]`
fn gain(text: &str) -> Result<Gain, Problem> {
    let wrong = || Problem::field("gain", text, "write it as 200, 200/mV or 12.8(-1605)/mmHg");
    let (number, unit) = text
        .split_once('/')
        .map_or((text, None), |(n, u)| (n, Some(u)));
    let (number, baseline) = match number.split_once('(') {
        Some((number, baseline)) => {
            let baseline = baseline.strip_suffix(')').and_then(|b| b.parse().ok());
            (number, Some(baseline.ok_or_else(wrong)?))
        }
        None => (number, None),
    };
    let gain = finite(number).ok_or_else(wrong)?;
    Ok(Gain {
        // 0 says that the signal is not calibrated.
        steps: Some(gain).filter(|g| g.abs() > 0.0),
        baseline,
        unit: unit.filter(|u| !u.is_empty()).map(str::to_owned),
    })
}

/// The next field of `rest`, which then begins behind it.
fn field<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (head, tail) = text.split_at(end);
    *rest = tail;
    (!head.is_empty()).then_some(head)
}

fn number<T: std::str::FromStr>(
    text: &str,
    name: &'static str,
    advice: &'static str,
) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::field(name, text, advice))
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|n| n.is_finite())
}

/// A name inside the record's own folder: a header must not reach out of it.
fn file_name(text: &str, what: &'static str) -> Result<String, Problem> {
    let legal = |c: char| !c.is_control() && c != '/' && c != '\\';
    if text.is_empty()
        || text == "-"
        || text.starts_with('.')
        || text == "~"
        || !text.chars().all(legal)
    {
        return Err(Problem::field(
            what,
            text,
            "write the name of a file in the folder of the header, without a path",
        ));
    }
    Ok(text.to_owned())
}

/// Checksums are sums modulo 65,536; headers write them with or without a sign.
pub(crate) fn low_16_bits(sum: i32) -> i16 {
    let [a, b, _, _] = sum.to_le_bytes();
    i16::from_le_bytes([a, b])
}

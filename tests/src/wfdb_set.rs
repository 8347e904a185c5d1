//! A WFDB record made up for tests, with the oddities of the real ones: two
//! segments; formats 212, 16 and 80 in files of their own; several samples per
//! frame; a skew; a byte offset; a gain with a baseline; missing samples.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Samples as stored; `None` where the file holds the format's missing value.
pub type Samples = Vec<Option<i32>>;

/// Frames in each segment of the short set, at 100 frames a second.
const FRAMES: usize = 400;

/// One signal of the set.
struct Signal {
    name: &'static str,
    /// File name's ending, so that each format has a file of its own.
    file: &'static str,
    format: u32,
    per_frame: usize,
    /// `xN:S+B` and the fields behind the format in the header.
    fields: (&'static str, &'static str),
    /// Largest magnitude that the format holds.
    range: i32,
}

const SIGNALS: [Signal; 4] = [
    Signal {
        name: "II",
        file: "a",
        format: 212,
        per_frame: 4,
        fields: ("x4", "200/mV 12 0"),
        range: 2_000,
    },
    Signal {
        name: "ABP",
        file: "a",
        format: 212,
        per_frame: 1,
        fields: ("", "12.84(-1605)/mmHg 12 0"),
        range: 2_000,
    },
    Signal {
        name: "PLETH",
        file: "b",
        format: 16,
        per_frame: 2,
        fields: ("x2:3+16", "1000 16 0"),
        range: 32_000,
    },
    Signal {
        name: "odd",
        file: "c",
        format: 80,
        per_frame: 1,
        fields: ("", "50(10)/l 8 0"),
        range: 120,
    },
];

/// Bytes in front of the samples of the file with a byte offset.
const OFFSET: usize = 16;

/// Writes the set into `dir`; returns the path of the record, and each signal's
/// name and all its samples over both segments.
#[must_use]
pub fn write(dir: &Path) -> (PathBuf, Vec<(&'static str, Samples)>) {
    write_long(dir, FRAMES)
}

/// The same with so many frames in each of the two segments.
#[must_use]
pub fn write_long(dir: &Path, per_segment: usize) -> (PathBuf, Vec<(&'static str, Samples)>) {
    let segments = [0usize, 1].map(|segment| {
        let samples: Vec<Samples> = SIGNALS
            .iter()
            .map(|signal| made_up(signal, segment, per_segment))
            .collect();
        write_segment(dir, &format!("made{segment}"), &samples);
        samples
    });
    let frames = 2 * per_segment;
    fs::write(
        dir.join("made.hea"),
        format!(
            "made/2 4 100 {frames} 10:00:00 01/02/2180\nmade0 {per_segment}\nmade1 {per_segment}\n"
        ),
    )
    .unwrap();
    let [first, second] = segments;
    let all = SIGNALS.iter().zip(first.into_iter().zip(second));
    (
        dir.join("made"),
        all.map(|(s, (first, second))| (s.name, [first, second].concat()))
            .collect(),
    )
}

/// A saw tooth of its own for each signal, with a hole in the second segment.
fn made_up(signal: &Signal, segment: usize, frames: usize) -> Samples {
    let count = frames * signal.per_frame;
    let step = 7 + signal.per_frame;
    let value = |i: usize| {
        let wide = usize::try_from(2 * signal.range).unwrap();
        i32::try_from((i * step + segment * 31) % wide).unwrap() - signal.range
    };
    let hole = |i: usize| segment == 1 && (100..120).contains(&i);
    (0..count).map(|i| (!hole(i)).then(|| value(i))).collect()
}

fn write_segment(dir: &Path, name: &str, samples: &[Samples]) {
    let frames = samples[0].len() / SIGNALS[0].per_frame;
    let mut header = format!("{name} {} 100 {frames}\n", SIGNALS.len());
    for (signal, samples) in SIGNALS.iter().zip(samples) {
        let stored: Vec<i32> = samples
            .iter()
            .map(|s| s.unwrap_or(missing(signal.format)))
            .collect();
        let sum: i64 = stored.iter().map(|s| i64::from(*s)).sum();
        let checksum = i16::from_le_bytes([sum.to_le_bytes()[0], sum.to_le_bytes()[1]]);
        let Signal {
            file,
            format,
            fields: (shape, rest),
            ..
        } = signal;
        let first = stored[0];
        writeln!(
            header,
            "{name}{file}.dat {format}{shape} {rest} {first} {checksum} 0 {}",
            signal.name
        )
        .unwrap();
    }
    fs::write(dir.join(format!("{name}.hea")), header).unwrap();
    for file in ["a", "b", "c"] {
        let signals = SIGNALS.iter().zip(samples).filter(|(s, _)| s.file == file);
        fs::write(
            dir.join(format!("{name}{file}.dat")),
            bytes(&signals.collect::<Vec<_>>(), frames),
        )
        .unwrap();
    }
}

fn missing(format: u32) -> i32 {
    match format {
        212 => -2_048,
        16 => -32_768,
        _ => -128,
    }
}

/// The interleaved samples of one file in its format.
fn bytes(signals: &[(&Signal, &Samples)], frames: usize) -> Vec<u8> {
    let format = signals[0].0.format;
    let mut stored = Vec::new();
    for frame in 0..frames {
        for (signal, samples) in signals {
            let own = &samples[frame * signal.per_frame..(frame + 1) * signal.per_frame];
            stored.extend(own.iter().map(|s| s.unwrap_or(missing(format))));
        }
    }
    match format {
        212 => stored.chunks(2).flat_map(pack_212).collect(),
        16 => {
            let words = stored
                .iter()
                .flat_map(|s| i16::try_from(*s).unwrap().to_le_bytes());
            vec![0xee; OFFSET].into_iter().chain(words).collect()
        }
        _ => stored
            .iter()
            .map(|s| u8::try_from(s + 128).unwrap())
            .collect(),
    }
}

fn pack_212(pair: &[i32]) -> [u8; 3] {
    let twelve = |sample: i32| u32::from_le_bytes(sample.to_le_bytes()) & 0xfff;
    let (a, b) = (twelve(pair[0]), twelve(pair.get(1).copied().unwrap_or(0)));
    let byte = |word: u32| u8::try_from(word & 0xff).unwrap();
    [byte(a), byte((a >> 8) | ((b >> 8) << 4)), byte(b)]
}

/// Writes a record of numerics, a row every other second, whose heart rate counts; gives
/// its path and each row's heart rate.
#[must_use]
pub fn write_numerics(dir: &Path, rows: usize) -> (PathBuf, Vec<u32>) {
    let rates: Vec<u32> = (0..rows)
        .map(|row| 40 + u32::try_from(row % 150).unwrap())
        .collect();
    let stored = rates.iter().map(|rate| u16::try_from(rate * 10).unwrap());
    let sum = rates.iter().fold(0u32, |sum, rate| sum + rate * 10);
    let checksum = i16::from_le_bytes([sum.to_le_bytes()[0], sum.to_le_bytes()[1]]);
    let header = format!(
        "rows 1 0.5 {rows} 10:00:00 01/02/2180\nrows.dat 16 10/bpm 16 0 {} {checksum} 0 HR\n",
        rates[0] * 10
    );
    fs::write(dir.join("rows.hea"), header).unwrap();
    fs::write(
        dir.join("rows.dat"),
        stored.flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    )
    .unwrap();
    (dir.join("rows"), rates)
}

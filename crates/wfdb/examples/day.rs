//! Writes a made-up day as two records: four waveforms at 250 Hz, and three vital
//! signs each second. To measure imports and exports by.
//!
//! ```sh
//! cargo run -p enroute-wfdb --example day -- /tmp/day
//! enroute import /tmp/day/waves /tmp/day/numerics --data /tmp/day/data --transfer tx-day
//! /usr/bin/time -v enroute export tx-day --data /tmp/day/data --format mcap --out /tmp/day
//! ```

use enroute_wfdb::{NewRecord, NewSignal, Width, Writer};
use std::io;
use std::path::PathBuf;

const SECONDS: u32 = 86_400;
const RATE: u32 = 250;
/// 2023-11-14 22:13:20 UTC.
const START_US: i64 = 1_700_000_000_000_000;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.ok_or_else(|| io::Error::other("give a directory"))?;
    std::fs::create_dir_all(&dir)?;
    let waves = [
        ("II", "mV", 200.0),
        ("V", "mV", 200.0),
        ("PLETH", "NU", 4_000.0),
        ("ABP", "mmHg", 16.0),
    ];
    let mut writer = Writer::create(&dir, record("waves", f64::from(RATE), &waves))?;
    let mut noise = 1u32;
    for step in 0..SECONDS * RATE {
        let row = [300i32, 250, 1_500, 600].map(|height| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = i32::try_from(noise >> 29).unwrap_or(0);
            Some(beat(step, height) + jitter)
        });
        writer.frame(&row)?;
    }
    writer.finish(&[])?;
    let vitals = [
        ("HR", "bpm", 1.0),
        ("SpO2", "%", 1.0),
        ("ABPMean", "mmHg", 1.0),
    ];
    let mut writer = Writer::create(&dir, record("numerics", 1.0, &vitals))?;
    for second in 0..SECONDS {
        let drift = i32::try_from(second / 600 % 20).unwrap_or(0);
        writer.frame(&[Some(70 + drift), Some(95), Some(80 + drift)])?;
    }
    writer.finish(&[])
}

/// A triangle of 0.8 s, about as steep as a pulse.
fn beat(step: u32, height: i32) -> i32 {
    let into = i32::try_from(step % 200).unwrap_or(0);
    height * (50 - into).abs() / 100
}

fn record(name: &str, frequency_hz: f64, signals: &[(&str, &str, f64)]) -> NewRecord {
    let signal = |(name, unit, gain): &(&str, &str, f64)| NewSignal {
        description: (*name).to_owned(),
        unit: (*unit).to_owned(),
        gain: *gain,
        baseline: 0,
        samples_per_frame: 1,
        skew_frames: 0,
    };
    NewRecord {
        name: name.to_owned(),
        frequency_hz,
        width: Width::Sixteen,
        start_us: Some(START_US),
        signals: signals.iter().map(signal).collect(),
    }
}

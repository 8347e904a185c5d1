//! The real recordings, against a decoding written apart from the crate.
//!
//! They are found through `ENROUTE_RECORDINGS`; without it these tests do
//! nothing and say so. With `ENROUTE_REQUIRE_TOOLS=1` that is a failure.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_wfdb::{Frame, Reader};
use std::fs;
use std::path::{Path, PathBuf};

fn recordings() -> Option<PathBuf> {
    let dir = std::env::var_os("ENROUTE_RECORDINGS").map(PathBuf::from);
    if dir.as_ref().is_some_and(|d| d.is_dir()) {
        return dir;
    }
    let required = std::env::var("ENROUTE_REQUIRE_TOOLS").is_ok_and(|v| v == "1");
    assert!(
        !required,
        "ENROUTE_RECORDINGS names no folder with recordings"
    );
    eprintln!("SKIPPED: set ENROUTE_RECORDINGS to a folder with recordings");
    None
}

/// All samples of a record, one list per signal.
fn read(path: &Path) -> (Reader, Vec<Vec<Option<i32>>>) {
    let mut reader = Reader::open(path).unwrap();
    let mut signals = vec![Vec::new(); reader.signals(0).len()];
    let mut frame = Frame::default();
    while reader.read(&mut frame).unwrap() {
        for (index, signal) in signals.iter_mut().enumerate() {
            signal.extend(frame.signal(index));
        }
    }
    (reader, signals)
}

/// The stored samples of a format 212 file, without the crate.
fn decode_212(file: &Path) -> Vec<i32> {
    let bytes = fs::read(file).unwrap();
    let signed = |n: i32| (n ^ 0x800) - 0x800;
    let pair = |b: &[u8]| {
        let (a, m, c) = (i32::from(b[0]), i32::from(b[1]), i32::from(b[2]));
        [signed(a + 256 * (m % 16)), signed(c + 256 * (m / 16))]
    };
    bytes.chunks_exact(3).flat_map(pair).collect()
}

/// One list per signal out of frames with so many samples of each.
fn split(stored: &[i32], per_frame: &[usize]) -> Vec<Vec<i32>> {
    let mut signals = vec![Vec::new(); per_frame.len()];
    for frame in stored.chunks_exact(per_frame.iter().sum()) {
        let mut rest = frame;
        for (signal, count) in signals.iter_mut().zip(per_frame) {
            signal.extend(&rest[..*count]);
            rest = &rest[*count..];
        }
    }
    signals
}

fn with_missing(stored: &[i32], missing: i32) -> Vec<Option<i32>> {
    stored
        .iter()
        .map(|s| (*s != missing).then_some(*s))
        .collect()
}

/// First sample and checksum as the header states them must hold.
fn holds(reader: &Reader, segment: usize, stored: &[Vec<i32>]) {
    for (line, stored) in reader.signals(segment).iter().zip(stored) {
        assert_eq!(stored[0], line.initial_value, "{}", line.description);
        let sum: i64 = stored.iter().map(|s| i64::from(*s)).sum();
        let checksum = i64::from(line.checksum.unwrap());
        assert_eq!(
            (sum - checksum).rem_euclid(65_536),
            0,
            "{}",
            line.description
        );
    }
}

#[test]
fn ten_minutes_of_three_channels() {
    let Some(dir) = recordings() else { return };
    let dir = dir.join("mimicdb-037");
    let (reader, signals) = read(&dir.join("03700181"));
    let stored = split(&decode_212(&dir.join("03700181.dat")), &[4, 1, 1]);
    assert_eq!((reader.frame_count(), stored[0].len()), (75_000, 300_000));
    holds(&reader, 0, &stored);
    assert_eq!(reader.mismatches(), &[]);
    assert_eq!(signals[0], with_missing(&stored[0], -2_048));
    assert_eq!(signals[1], with_missing(&stored[1], -2_048));
    assert_eq!(signals[2], with_missing(&stored[2], -2_048));
    assert_eq!(reader.signals(0)[2].skew_frames, 4, "RESP");
    // 1994-08-15T17:27:45Z.
    assert_eq!(reader.header().start_us(), Some(776_971_665_000_000));
    let abp = &reader.signals(0)[1];
    assert_eq!(
        (abp.baseline, abp.unit.as_str(), abp.description.as_str()),
        (-1_605, "mmHg", "ABP")
    );
}

#[test]
fn two_segments() {
    let Some(dir) = recordings() else { return };
    let dir = dir.join("mimicdb-041s");
    let (reader, signals) = read(&dir.join("041s"));
    let per_frame = [4, 4, 4, 1, 1, 1, 1];
    let first = split(&decode_212(&dir.join("041s01.dat")), &per_frame);
    let second = split(&decode_212(&dir.join("041s02.dat")), &per_frame);
    holds(&reader, 0, &first);
    holds(&reader, 1, &second);
    assert_eq!((reader.frame_count(), reader.segment_count()), (2_000, 2));
    assert_eq!(reader.mismatches(), &[]);
    for (signal, (a, b)) in signals.iter().zip(first.iter().zip(&second)) {
        assert_eq!(
            signal,
            &with_missing(&[a.clone(), b.clone()].concat(), -2_048)
        );
    }
}

#[test]
fn thirty_two_hours_of_numerics() {
    let Some(dir) = recordings() else { return };
    let dir = dir.join("mimic3-numerics");
    let (reader, signals) = read(&dir.join("s00001-2896-10-10-00-31n"));
    let bytes = fs::read(dir.join("3975656n.dat")).unwrap();
    let value = |b: &[u8]| i32::from(b[0]) + 256 * i32::from(b[1]);
    let value = |b: &[u8]| (value(b) ^ 0x8000) - 0x8000;
    let stored: Vec<i32> = bytes.chunks_exact(2).map(value).collect();
    let stored = split(&stored, &[1; 10]);
    holds(&reader, 0, &stored);
    assert_eq!(
        (reader.frame_count(), reader.mismatches()),
        (1_936, &[][..])
    );
    for (signal, stored) in signals.iter().zip(&stored) {
        assert_eq!(signal, &with_missing(stored, -32_768));
    }
    let zeros = |index: usize| stored[index].iter().filter(|s| **s == 0).count();
    assert_eq!((zeros(6), zeros(1)), (363, 1_929));
    assert_eq!(reader.header().start_us(), Some(29_246_229_085_894_000));
    assert!((reader.header().frequency_hz * 60.0 - 1.0).abs() < 1e-9);
}

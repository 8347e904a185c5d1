//! What is written reads back, sample for sample, and says what it was told.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use enroute_wfdb::{Annotations, Date, Frame, NewRecord, NewSignal, Reader, Width, Writer};
use proptest::prelude::*;
use std::path::Path;

fn signal(name: &str, per_frame: usize) -> NewSignal {
    NewSignal {
        description: name.to_owned(),
        unit: "mm[Hg]".to_owned(),
        gain: 12.84,
        baseline: -1_605,
        samples_per_frame: per_frame,
        skew_frames: per_frame - 1,
    }
}

fn record(width: Width, start_us: i64) -> NewRecord {
    NewRecord {
        name: "rec_w1".to_owned(),
        frequency_hz: 62.5,
        width,
        start_us: Some(start_us),
        signals: vec![signal("II\nx", 4), signal("ABP", 1)],
    }
}

type Row = [Option<i32>; 5];

fn write(dir: &Path, new: NewRecord, rows: &[Row]) {
    let mut writer = Writer::create(dir, new).unwrap();
    for row in rows {
        writer.frame(row).unwrap();
    }
    assert_eq!(writer.frames(), u64::try_from(rows.len()).unwrap());
    writer
        .finish(&["a comment\nof two lines".to_owned()])
        .unwrap();
}

fn read(dir: &Path) -> (Reader, Vec<Row>) {
    let mut reader = Reader::open(&dir.join("rec_w1")).unwrap();
    let (mut frame, mut rows) = (Frame::default(), Vec::new());
    while reader.read(&mut frame).unwrap() {
        let row = [frame.signal(0), frame.signal(1)].concat();
        rows.push(row.try_into().unwrap());
    }
    (reader, rows)
}

proptest! {
    #[test]
    fn every_sample_comes_back(
        wide in any::<bool>(),
        rows in prop::collection::vec(prop::array::uniform5(prop::option::of(any::<i32>())), 1..40),
        // The years 1 to 9999.
        start_us in -62_135_596_800_000_000i64..253_402_300_800_000_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (width, low) = if wide { (Width::ThirtyTwo, i32::MIN + 1) } else { (Width::Sixteen, -32_767) };
        let limited = |sample: i32| if wide { sample.max(low) } else { sample.rem_euclid(65_535) + low };
        let rows: Vec<Row> = rows.iter().map(|row| row.map(|s| s.map(limited))).collect();
        write(dir.path(), record(width, start_us), &rows);
        let (reader, found) = read(dir.path());
        prop_assert_eq!(&found, &rows);
        prop_assert_eq!(reader.mismatches(), &[]);
        prop_assert_eq!(reader.header().start_us(), Some(start_us));
        let lines = reader.signals(0);
        prop_assert_eq!(&lines[0].description, "II x");
        prop_assert_eq!((lines[0].skew_frames, lines[1].skew_frames), (3, 0));
        prop_assert_eq!((lines[1].gain.to_bits(), lines[1].baseline), (12.84f64.to_bits(), -1_605));
        prop_assert_eq!(&lines[1].unit, "mmHg");
        prop_assert_eq!(&reader.header().comments, &["a comment of two lines"]);
    }

    #[test]
    fn every_day_of_ten_thousand_years(days in -719_162i64..2_932_897) {
        let date = Date::from_days_since_1970(days).unwrap();
        prop_assert_eq!(date.days_since_1970(), days);
    }
}

#[test]
fn no_day_lies_beyond_the_calendar() {
    for days in [i64::MIN, -719_163, 2_932_897, i64::MAX] {
        assert_eq!(Date::from_days_since_1970(days), None, "{days}");
    }
}

#[test]
fn a_sample_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), record(Width::Sixteen, 0)).unwrap();
    assert!(writer.frame(&[Some(32_768)]).is_err());
    assert_eq!(Width::of(-32_767, 32_767), Width::Sixteen);
    assert_eq!(Width::of(-32_768, 0), Width::ThirtyTwo);
    assert_eq!(Width::of(0, 32_768), Width::ThirtyTwo);
}

/// Byte by byte after annot(5).
#[test]
fn annotations_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rec.evt");
    let mut notes = Annotations::create(&path).unwrap();
    notes.note(5, "abc").unwrap();
    notes.note(70_005, "é").unwrap();
    notes.note(3, "").unwrap();
    assert_eq!(notes.count(), 3);
    notes.finish().unwrap();
    let note = |interval: u16| ((22 << 10) | interval).to_le_bytes();
    let aux = |length: u16| ((63 << 10) | length).to_le_bytes();
    let skip = (59u16 << 10).to_le_bytes();
    let expected = [
        &note(5)[..],
        &aux(3),
        b"abc\0",
        // 70,000 is 1 * 65,536 + 4,464, the high half first.
        &skip,
        &[1, 0, 0x70, 0x11],
        &note(0),
        &aux(2),
        "é".as_bytes(),
        // It stands beside the one before.
        &note(0),
        &aux(0),
        &[0, 0],
    ];
    assert_eq!(std::fs::read(&path).unwrap(), expected.concat());
}

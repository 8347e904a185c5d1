//! Frames become records: every sample in its place, whatever the order in which
//! they came, and a new record where one cannot hold them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{SECOND, START, export, frame, no_value, note, read, shed, value, wave};
use enroute_export::Format;
use enroute_model::frame::{Body, Frame};
use enroute_model::time::{DeviceTime, Span};
use enroute_wire::v1;

/// A second of two channels, numbered through.
fn second(n: u64) -> Frame {
    let at = i64::try_from(n).unwrap() * SECOND;
    let run = |rate: u64| {
        let first = n * rate;
        let samples = (first..first + rate).map(|s| Some(i32::try_from(s).unwrap()));
        (first, samples.collect())
    };
    let ((ecg, ecg_samples), (co2, co2_samples)) = (run(250), run(50));
    frame(
        n + 1,
        at,
        0,
        Body::Waveforms(vec![
            wave("ecg_ii", 250.0, ecg, ecg_samples),
            wave("co2", 50.0, co2, co2_samples),
        ]),
    )
}

fn counted(rate: u64, seconds: u64) -> Vec<Option<i32>> {
    (0..rate * seconds)
        .map(|s| Some(i32::try_from(s).unwrap()))
        .collect()
}

#[test]
fn history_that_came_late_stands_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..30).map(second).collect();
    frames.rotate_left(11);
    frames.swap(3, 17);
    let written = export(dir.path(), Format::Wfdb, &frames);
    assert_eq!(written.files, ["tx-1_w1"]);
    let (start, signals) = read(&written, "tx-1_w1");
    assert_eq!(start, 0);
    assert_eq!(signals[0], ("II".to_owned(), counted(250, 30)));
    assert_eq!(signals[1], ("CO2".to_owned(), counted(50, 30)));
    assert_eq!(written.gaps.listed, []);
}

#[test]
fn a_gap_is_missing_samples_and_in_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let frames: Vec<Frame> = (0..10)
        .filter(|n| ![3, 4].contains(n))
        .map(second)
        .collect();
    let written = export(dir.path(), Format::Wfdb, &frames);
    let (_, signals) = read(&written, "tx-1_w1");
    let mut expected = counted(250, 10);
    expected[750..1_250].fill(None);
    assert_eq!(signals[0].1, expected);
    let [gap] = written.gaps.listed.as_slice() else {
        panic!("{:?}", written.gaps);
    };
    assert_eq!(
        (gap.numbers, gap.cause),
        ((4, 5), v1::GapCause::Unspecified)
    );
    assert_eq!(gap.from_us, Some(START + 2 * SECOND));
    assert_eq!(gap.to_us, Some(START + 5 * SECOND));
}

/// The record in the place of what was shed is captured then or much later.
#[test]
fn what_was_shed_has_its_cause() {
    for captured in [5, 60] {
        let dir = tempfile::tempdir().unwrap();
        let mut frames: Vec<Frame> = (0..10)
            .filter(|n| !(2..6).contains(n))
            .map(second)
            .collect();
        let mut record = frame(6, captured * SECOND, 0, shed(4, 6));
        record.header.stream = enroute_model::ids::Stream::Waveforms;
        frames.push(record);
        let written = export(dir.path(), Format::Wfdb, &frames);
        let gaps = written.gaps.listed.iter();
        let listed: Vec<_> = gaps.map(|g| (g.numbers, g.cause)).collect();
        let may_come = ((3, 3), v1::GapCause::Unspecified);
        assert_eq!(listed, [may_come, ((4, 6), v1::GapCause::SpoolFull)]);
    }
}

#[test]
fn a_long_gap_begins_a_new_record() {
    let dir = tempfile::tempdir().unwrap();
    let frames = [second(0), second(1), second(700), second(701)];
    let written = export(dir.path(), Format::Wfdb, &frames);
    assert_eq!(written.files, ["tx-1_w1", "tx-1_w2"]);
    let (start, signals) = read(&written, "tx-1_w2");
    assert_eq!(start, 700 * SECOND);
    assert_eq!(signals[0].1.len(), 500);
    assert_eq!(signals[0].1[0], Some(700 * 250));
}

#[test]
fn another_gain_begins_a_new_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..4).map(second).collect();
    for frame in &mut frames[2..] {
        if let Body::Waveforms(waveforms) = &mut frame.body {
            waveforms[1].gain = 12.84;
        }
    }
    let written = export(dir.path(), Format::Wfdb, &frames);
    assert_eq!(written.files, ["tx-1_w1", "tx-1_w2"]);
    let both = [read(&written, "tx-1_w1").1, read(&written, "tx-1_w2").1];
    assert_eq!([&both[0][0].1[..], &both[1][0].1].concat(), counted(250, 4));
}

/// The count of samples orders what the monitor's clock does not.
#[test]
fn a_clock_that_is_set_back_mixes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..20).map(second).collect();
    for frame in &mut frames[10..] {
        let at = &mut frame.header.observed_at;
        *at = at.map(|at| DeviceTime(at.0 - 5 * SECOND));
    }
    let written = export(dir.path(), Format::Wfdb, &frames);
    assert_eq!(written.files, ["tx-1_w1", "tx-1_w2"]);
    let both = [read(&written, "tx-1_w1"), read(&written, "tx-1_w2")];
    assert_eq!([both[0].0, both[1].0], [0, 5 * SECOND]);
    assert_eq!(
        [&both[0].1[0].1[..], &both[1].1[0].1].concat(),
        counted(250, 20)
    );
}

#[test]
fn channels_in_frames_of_their_own_share_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames = Vec::new();
    for n in 0..6u64 {
        let whole = second(n);
        let Body::Waveforms(waveforms) = whole.body else {
            panic!("waveforms");
        };
        for (index, one) in (0..).zip(waveforms) {
            let mut part = frame(2 * n + 1 + index, 0, 0, Body::Waveforms(vec![one]));
            part.header.captured_at = whole.header.captured_at;
            part.header.observed_at = whole.header.observed_at;
            part.header.monotonic = whole.header.monotonic;
            frames.push(part);
        }
    }
    let written = export(dir.path(), Format::Wfdb, &frames);
    let (_, signals) = read(&written, "tx-1_w1");
    assert_eq!(signals[0].1, counted(250, 6));
    assert_eq!(signals[1].1, counted(50, 6));
}

#[test]
fn a_channel_that_falls_silent_does_not_hold_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..60).map(second).collect();
    for frame in &mut frames[5..] {
        if let Body::Waveforms(waveforms) = &mut frame.body {
            waveforms.truncate(1);
        }
    }
    let written = export(dir.path(), Format::Wfdb, &frames);
    let (_, signals) = read(&written, "tx-1_w1");
    assert_eq!(signals[0].1, counted(250, 60));
    let mut silent = counted(50, 60);
    silent[250..].fill(None);
    assert_eq!(signals[1].1, silent);
}

#[test]
fn a_skew_is_kept_beside_the_samples() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..4).map(second).collect();
    for frame in &mut frames {
        if let Body::Waveforms(waveforms) = &mut frame.body {
            waveforms[1].start_offset = Span(-60_000);
        }
    }
    let written = export(dir.path(), Format::Wfdb, &frames);
    let (_, signals) = read(&written, "tx-1_w1");
    assert_eq!(signals[1].1, counted(50, 4));
    let header = std::fs::read_to_string(written.place.dir().join("tx-1_w1.hea")).unwrap();
    assert!(header.contains("tx-1_w1.dat 16:3 200(0)/mmHg"), "{header}");
}

/// Values as steps of their finest place, wherever they stood.
#[test]
fn vital_signs_stand_in_rows_of_their_interval() {
    let dir = tempfile::tempdir().unwrap();
    let row = |n: i64, values| frame(n.unsigned_abs() + 1, n * SECOND, 0, Body::Numerics(values));
    let frames = [
        row(0, vec![value("hr", 80, 0), value("temp1", 366, 1)]),
        row(1, vec![value("hr", 81, 0)]),
        row(2, vec![no_value("hr"), value("temp1", 37, 0)]),
        row(5, vec![value("hr", 8_250, 2)]),
    ];
    let written = export(dir.path(), Format::Wfdb, &frames);
    assert_eq!(written.files, ["tx-1_n1"]);
    let (_, signals) = read(&written, "tx-1_n1");
    let hr = [Some(8_000), Some(8_100), None, None, None, Some(8_250)];
    assert_eq!(signals[0], ("HR".to_owned(), hr.to_vec()));
    let temp = [Some(366), None, Some(370), None, None, None];
    assert_eq!(signals[1], ("temp1".to_owned(), temp.to_vec()));
}

/// A monitor that is a little faster than it says, and jitters.
#[test]
fn no_value_is_lost_to_a_row_that_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: i64| n * 999_000 + (n * 7_919 % 400) * 1_000;
    let one = |n: i64| {
        let sequence = n.unsigned_abs() + 1;
        frame(sequence, at(n), 0, Body::Numerics(vec![value("hr", n, 0)]))
    };
    let frames: Vec<Frame> = (0..10_000).map(one).collect();
    let written = export(dir.path(), Format::Wfdb, &frames);
    let mut all = Vec::new();
    for name in &written.files {
        all.extend(read(&written, name).1[0].1.iter().flatten().copied());
    }
    assert_eq!(all, (0..10_000).collect::<Vec<i32>>());
    assert!(written.files.len() < 20, "{}", written.files.len());
}

#[test]
fn events_are_notes_at_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut frames: Vec<Frame> = (0..4).map(second).collect();
    frames.push(frame(1, 2 * SECOND, 0, note("intubated")));
    let written = export(dir.path(), Format::Wfdb, &frames);
    let notes = std::fs::read(written.place.dir().join("tx-1_w1.evt")).unwrap();
    // 100 rows of 50 Hz, then the text.
    assert_eq!(notes[..2], ((22u16 << 10) + 100).to_le_bytes());
    assert_eq!(&notes[4..14], b"crew: true");
}

#[test]
fn an_export_has_its_name_only_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let names = || {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let written = export(dir.path(), Format::Wfdb, &[second(0)]);
    assert_eq!(names(), ["tx-1-wfdb.partial"]);
    drop(written);
    assert_eq!(
        names(),
        Vec::<String>::new(),
        "nothing is left of a failure"
    );
    let written = export(dir.path(), Format::Wfdb, &[second(0)]);
    written.place.write("gaps.txt", b"nothing").unwrap();
    let whole = written.place.commit().unwrap();
    assert_eq!(names(), ["tx-1-wfdb"]);
    let mut inside: Vec<_> = std::fs::read_dir(whole)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    inside.sort();
    assert_eq!(inside, ["gaps.txt", "tx-1_w1.dat", "tx-1_w1.hea"]);
}

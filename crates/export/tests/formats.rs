//! Tables, EDF+ and MCAP, each read back by as little code as will do. The tests
//! of the binary read them with the packages that people use.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

mod common;

use common::{SECOND, START, export, frame, no_value, note, received, value, wave, words};
use enroute_export::{Export, Format, McapFrames, ReadError};
use enroute_model::frame::{Body, Frame};
use enroute_model::ids::TransferId;
use enroute_wire::v1;
use std::collections::BTreeMap;

fn some_of_each() -> Vec<Frame> {
    let numerics = vec![value("hr", 80, 0), value("temp1", 366, 1), no_value("spo2")];
    let samples = (0..250).map(|n| (n != 9).then_some(n - 100)).collect();
    vec![
        frame(1, 0, 7 * SECOND, Body::Numerics(numerics)),
        frame(
            1,
            0,
            7 * SECOND,
            Body::Waveforms(vec![wave("abp", 250.0, 0, samples)]),
        ),
        frame(1, SECOND / 2, 7 * SECOND, note("a, \"b\"\nc")),
    ]
}

#[test]
fn a_csv_row_has_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let written = export(dir.path(), Format::Csv, &some_of_each());
    let path = written.place.dir().join("tx-1_numerics.csv");
    let mut table = csv::Reader::from_path(path).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["device_time"], "2023-11-14T22:13:27.000000Z");
    assert_eq!(rows[0]["gateway_time"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(rows[0]["received_time"], "2023-11-14T22:13:20.500000Z");
    let cells: Vec<_> = rows
        .iter()
        .map(|row| [&row["id"], &row["value"], &row["unit"], &row["state"]].map(String::as_str))
        .collect();
    assert_eq!(cells[0], ["hr", "80", "/min", "measured"]);
    assert_eq!(cells[1], ["temp1", "36.6", "Cel", "measured"]);
    assert_eq!(cells[2], ["spo2", "", "%", "sensor_off"]);
    let events = std::fs::read_to_string(written.place.dir().join("tx-1_events.csv")).unwrap();
    assert_eq!(events.lines().count(), 2, "{events}");
}

#[test]
fn an_edf_file_by_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let written = export(dir.path(), Format::Edf, &some_of_each());
    assert_eq!(written.files, ["tx-1_n1", "tx-1_w1"]);
    let bytes = std::fs::read(written.place.dir().join("tx-1_w1.edf")).unwrap();
    let text = |from: usize, length: usize| {
        std::str::from_utf8(&bytes[from..from + length])
            .unwrap()
            .trim_end()
    };
    assert_eq!(text(8, 80), "X X X X");
    assert_eq!(
        text(88, 80),
        "Startdate 14-NOV-2023 X enroute source1 EXERCISE"
    );
    assert_eq!([text(168, 8), text(176, 8)], ["14.11.23", "22.13.27"]);
    assert_eq!([text(236, 8), text(244, 8), text(252, 4)], ["1", "1", "2"]);
    assert_eq!([text(256, 16), text(272, 16)], ["ABP", "EDF Annotations"]);
    // Two signals: 16, 80 and 8 bytes each lie before the ends.
    let ends = 256 + 2 * (16 + 80 + 8);
    let ends = [0, 16, 32, 48].map(|at| text(ends + at, 8));
    assert_eq!(ends, ["-163.835", "163.835", "-32767", "32767"]);
    let samples = &bytes[256 * 3..256 * 3 + 500];
    let samples: Vec<i16> = samples
        .chunks(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    let expected: Vec<i16> = (0..250)
        .map(|n| if n == 9 { i16::MIN } else { n - 100 })
        .collect();
    assert_eq!(samples, expected);
    let notes = String::from_utf8_lossy(&bytes[256 * 3 + 500..]);
    assert!(notes.starts_with("+0\x14\x14\0"), "{notes:?}");
}

#[test]
fn samples_beyond_sixteen_bits_are_moved_or_said_to_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let of = |out: &str, high: i32| {
        let samples = (0..250)
            .map(|n| Some(if n == 0 { 100_000 } else { high }))
            .collect();
        let body = Body::Waveforms(vec![wave("abp", 250.0, 0, samples)]);
        export(&dir.path().join(out), Format::Edf, &[frame(1, 0, 0, body)]).notes
    };
    assert_eq!(
        of("near", 140_000),
        ["ABP: digital values are those that came, less 120000"]
    );
    let [far] = of("far", 1_000_000).try_into().unwrap();
    assert!(far.contains("do not fit 16 bits and are left out"), "{far}");
}

#[test]
fn an_mcap_file_reads_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let frames = some_of_each();
    let transfer = TransferId::new("tx-1").unwrap();
    let mut all = Export::begin(dir.path(), &transfer, Format::Mcap).unwrap();
    for (position, frame) in (1..).zip(&frames) {
        all.frame(received(position, frame)).unwrap();
    }
    all.alert(v1::AlertTransition::default()).unwrap();
    let state = v1::TransferState::default();
    let written = all.write(&state, words(), |_| {}).unwrap();
    let path = written.place.dir().join("tx-1.mcap");
    let mut file = McapFrames::open(&path).unwrap();
    let mut found = BTreeMap::new();
    while let Some(samples) = file.advance().unwrap() {
        found.insert(samples.position, samples);
    }
    let expected: BTreeMap<_, _> = (1..)
        .zip(&frames)
        .map(|(p, f)| (p, received(p, f)))
        .collect();
    assert_eq!(found, expected);

    // Cut anywhere, it is said to be damaged and nothing panics.
    let bytes = std::fs::read(&path).unwrap();
    for length in (0..bytes.len() - 1).step_by(9_973) {
        let cut = dir.path().join("cut.mcap");
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let mut file = McapFrames::open(&cut).unwrap();
        let ended = std::iter::from_fn(|| file.advance().transpose()).find_map(Result::err);
        assert!(
            matches!(ended, Some(ReadError::Mcap { .. })),
            "{length}: {ended:?}"
        );
    }
}

/// An alert stands where the clock on board then stood.
#[test]
fn an_alert_is_told_by_the_clock_on_board() {
    let dir = tempfile::tempdir().unwrap();
    let transfer = TransferId::new("tx-1").unwrap();
    let mut all = Export::begin(dir.path(), &transfer, Format::Csv).unwrap();
    for (position, frame) in (1..).zip(&some_of_each()) {
        all.frame(received(position, frame)).unwrap();
    }
    // Received half a second late, and the monitor is 7 s ahead.
    let step = v1::AlertTransition {
        ordinal: 1,
        at_us: START + 10 * SECOND,
        alert: Some(v1::Alert {
            gateway: "gw-1".to_owned(),
            ..v1::Alert::default()
        }),
        ..v1::AlertTransition::default()
    };
    all.alert(step).unwrap();
    let state = v1::TransferState::default();
    let written = all.write(&state, words(), |_| {}).unwrap();
    let alerts = std::fs::read_to_string(written.place.dir().join("tx-1_alerts.csv")).unwrap();
    let row = alerts.lines().nth(1).unwrap();
    assert!(
        row.starts_with("1,2023-11-14T22:13:30.000000Z,2023-11-14T22:13:3"),
        "{row}"
    );
}

#[test]
fn parquet_files_begin_and_end_as_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let written = export(dir.path(), Format::Parquet, &some_of_each());
    for table in ["numerics", "alerts", "events"] {
        let path = written.place.dir().join(format!("tx-1_{table}.parquet"));
        let bytes = std::fs::read(path).unwrap();
        assert!(
            bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
            "{table}"
        );
    }
}

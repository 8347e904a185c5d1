//! Recordings travel through a gateway process, a broker process and a server
//! process to a gRPC subscriber, while the server is killed on the way: every
//! sample arrives once, in order, equal to an independent decoding of the file.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_model::catalogue::catalogue;
use enroute_model::frame::Metric;
use enroute_model::ids::Stream;
use enroute_model::reading::{NoValue, Reading};
use enroute_model::time::Span;
use enroute_tests::recordings::{decode_16, decode_212, folder, split};
use enroute_tests::stack::{Broker, Stack};
use enroute_tests::viewer::Viewer;
use enroute_tests::wfdb_set;
use std::path::Path;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

/// Plays `record` through all processes and returns what the subscriber wrote
/// down once it has `frames` frames of `stream`; the server is killed when it has
/// a third of them.
async fn play(
    broker: Broker,
    record: &Path,
    speed: &str,
    source: &str,
    stream: Stream,
    frames: usize,
) -> Option<Viewer> {
    let mut stack = Stack::start(BINARY, broker)?;
    let (mut viewer, board) = Viewer::before_anything(&stack.address).await;
    let gateway = stack.play("gw-1", record, speed, source);
    let transfer = board.first_transfer().await;

    let third = viewer
        .watch(&stack.address, &transfer, |v| v.count(stream) * 3 >= frames)
        .await;
    assert!(third, "the stream ended by itself");
    stack.kill_and_restart_server();
    let all = viewer
        .watch(&stack.address, &transfer, |v| v.count(stream) >= frames)
        .await;
    assert!(all, "the stream ended before everything had come");

    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");
    drop(stack.stop_server());
    Some(viewer)
}

/// The samples of a channel, by its id in the catalogue or by the label of the source.
fn channel(viewer: &Viewer, name: &str) -> Vec<Option<i32>> {
    let code = catalogue().waveform_by_id(name).map(|c| c.code);
    let is = |m: &Metric| Some(m.code) == code || m.label == name;
    let found = viewer
        .waveforms()
        .into_iter()
        .find(|(metric, _)| is(metric));
    found.unwrap_or_else(|| panic!("no channel {name}")).1
}

fn assert_equal(name: &str, found: &[Option<i32>], expected: &[Option<i32>]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let first = found.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!(first, None, "{name} differs from this sample on");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_of_three_channels_survive_a_killed_server() {
    let Some(folder) = folder("mimicdb-037") else {
        return;
    };
    let folder = folder.join("mimicdb-037");
    let record = folder.join("03700181");
    let Some(viewer) = play(Broker::Mosquitto, &record, "60", "", Stream::Waveforms, 600).await
    else {
        return;
    };

    let stored = decode_212(&std::fs::read(folder.join("03700181.dat")).unwrap());
    let signals = split(&stored, &[4, 1, 1]);
    assert_eq!(signals[0].len(), 300_000);
    for (name, expected) in ["MCL1", "abp", "resp"].into_iter().zip(&signals) {
        assert_equal(name, &channel(&viewer, name), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_segments_arrive_as_one_recording() {
    let Some(folder) = folder("mimicdb-041s") else {
        return;
    };
    let folder = folder.join("mimicdb-041s");
    let record = folder.join("041s");
    let Some(viewer) = play(Broker::Mosquitto, &record, "8", "", Stream::Waveforms, 16).await
    else {
        return;
    };

    let layout = [4, 4, 4, 1, 1, 1, 1];
    let segment = |file: &str| {
        split(
            &decode_212(&std::fs::read(folder.join(file)).unwrap()),
            &layout,
        )
    };
    let (first, second) = (segment("041s01.dat"), segment("041s02.dat"));
    let names = ["ecg_iii", "ecg_i", "ecg_v", "abp", "pap", "pleth", "resp"];
    for ((name, first), second) in names.into_iter().zip(first).zip(second) {
        assert_equal(name, &channel(&viewer, name), &[first, second].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_and_a_half_of_numerics_with_zeros_as_gaps() {
    let Some(folder) = folder("mimic3-numerics") else {
        return;
    };
    let folder = folder.join("mimic3-numerics");
    let record = folder.join("s00001-2896-10-10-00-31n");
    let zeros = "zero_is_missing = true";
    let Some(viewer) = play(
        Broker::Mosquitto,
        &record,
        "\"max\"",
        zeros,
        Stream::Numerics,
        1_936,
    )
    .await
    else {
        return;
    };

    let stored = split(
        &decode_16(&std::fs::read(folder.join("3975656n.dat")).unwrap()),
        &[1; 10],
    );
    let ids = [
        "hr",
        "abp_sys",
        "abp_dia",
        "abp_mean",
        "pr",
        "rr_imp",
        "spo2",
        "nibp_sys",
        "nibp_dia",
        "nibp_mean",
    ];
    let gains = [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 1.0, 1.0, 1.0];
    let rows = viewer.numerics();
    assert_eq!(rows.len(), 1_936);
    let mut missing_spo2 = 0;
    for (index, (frame, numerics)) in rows.iter().enumerate() {
        let since_first = frame
            .header
            .observed_at
            .unwrap()
            .since(rows[0].0.header.observed_at.unwrap());
        assert!(
            (since_first.0 - Span::from_secs(60 * i64::try_from(index).unwrap()).0).abs()
                < 1_000_000,
            "row {index}"
        );
        for ((id, gain), signal) in ids.into_iter().zip(gains).zip(&stored) {
            let code = catalogue().vital_by_id(id).unwrap().code;
            let numeric = numerics
                .iter()
                .find(|n| n.metric.code == code)
                .unwrap_or_else(|| panic!("{id} in row {index}"));
            assert_eq!(numeric.interval, Span::from_secs(60), "{id}");
            match (numeric.reading, signal[index]) {
                (Reading::None(NoValue::Missing), None | Some(0)) => {
                    missing_spo2 += usize::from(id == "spo2");
                }
                (Reading::Value { value, .. }, Some(raw)) if raw != 0 => {
                    assert!(
                        (value.value() - f64::from(raw) / gain).abs() < 1e-9,
                        "{id} in row {index}"
                    );
                }
                (found, stored) => panic!("{id} in row {index}: {found:?} for {stored:?}"),
            }
        }
    }
    assert_eq!(missing_spo2, 363);
}

async fn made_up_record(broker: Broker) {
    let dir = tempfile::tempdir().unwrap();
    let (record, expected) = wfdb_set::write(dir.path());
    let Some(viewer) = play(broker, &record, "2", "", Stream::Waveforms, 8).await else {
        return;
    };
    for (label, expected) in expected {
        let name = match label {
            "II" => "ecg_ii",
            "ABP" => "abp",
            "PLETH" => "pleth",
            other => other,
        };
        assert_equal(name, &channel(&viewer, name), &expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_record_with_every_oddity_through_mosquitto() {
    made_up_record(Broker::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_record_with_every_oddity_through_the_embedded_broker() {
    made_up_record(Broker::Embedded).await;
}

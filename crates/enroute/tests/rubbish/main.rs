//! While a recording travels, hostile input hits every door: the broker's topics,
//! the gRPC port, the crew's page. Every sample arrives once all the same, what
//! was refused is counted, and nothing dies. What each door gets is in the file
//! of its name.
//!
//! `ENROUTE_RUBBISH_SEED` chooses other rubbish; the seed is printed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod configuration;
mod crew_page;
mod grpc;
mod http;
mod mqtt;
mod random;

use enroute_model::catalogue::catalogue;
use enroute_model::ids::Stream;
use enroute_tests::stack::{Broker, Stack};
use enroute_tests::viewer::Viewer;
use enroute_tests::wfdb_set;
use random::Random;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// A hang guard, not a measure.
const HANG: Duration = Duration::from_mins(2);

/// What a process prints about its crew's page: `127.0.0.1:port`.
fn page_of(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("page is at http://")?;
    Some(rest.trim_end_matches('/').to_owned())
}

async fn rubbish_at_every_door(broker: Broker) {
    let random = Random::from_environment();
    let dir = tempfile::tempdir().unwrap();
    let (record, expected) = wfdb_set::write(dir.path());
    let Some(stack) = Stack::start(BINARY, broker) else {
        return;
    };
    let (mut viewer, board) = Viewer::before_anything(&stack.address).await;
    let honest = stack.play("gw-1", &record, "0.8", "");
    let transfer = board.first_transfer().await;
    let mut other = stack.gateway(
        "gw-2",
        "",
        "[source.simulator]\nwaveforms = false",
        stack.broker_port(),
    );
    let page = other.wait_for("its page", page_of);
    let server = stack.address.trim_start_matches("http://").to_owned();

    let attack = async {
        let ((), (), sent) = tokio::join!(
            grpc::attack(&stack.address, random.clone()),
            crew_page::attack(&page, random.clone()),
            mqtt::attack(stack.broker_port(), &transfer, random.clone()),
        );
        sent
    };
    let frames = |viewer: &Viewer| viewer.count(Stream::Waveforms) >= 8;
    let watch = viewer.watch(&stack.address, &transfer, frames);
    let both = Box::pin(async { tokio::join!(attack, watch) });
    let (refused, watched) = tokio::time::timeout(HANG, both).await.expect("hangs");
    assert!(watched, "the stream ended before everything had come");

    let shown = http::until(&server, "/ingest", |page| mqtt::refused(page) == refused).await;
    assert!(shown.contains("2 of 2"), "{shown}");
    assert!(
        std::fs::read_dir(stack.data().join("quarantine"))
            .unwrap()
            .count()
            > 20,
        "the quarantine is empty"
    );
    assert!(http::get(&server, "/healthz").await.ends_with("ok\n"));
    assert!(http::get(&page, "/").await.starts_with("HTTP/1.1 200"));

    let (status, lines) = honest.finish();
    assert!(status.success(), "{lines:#?}");
    other.stop();
    drop(stack.stop_server());
    assert_exactly_once(&viewer, &expected);
}

/// [`Viewer::waveforms`] refuses what came twice, and holes.
fn assert_exactly_once(viewer: &Viewer, expected: &[(&str, wfdb_set::Samples)]) {
    let channels = viewer.waveforms();
    assert_eq!(channels.len(), expected.len());
    for (label, expected) in expected {
        let id = match *label {
            "II" => "ecg_ii",
            "ABP" => "abp",
            "PLETH" => "pleth",
            other => other,
        };
        let code = catalogue().waveform_by_id(id).map(|c| c.code);
        let mut of = channels
            .iter()
            .filter(|(metric, _)| Some(metric.code) == code || metric.label == *label);
        let (_, samples) = of.next().expect("the channel");
        assert!(samples == expected, "{label} differs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_mosquitto() {
    rubbish_at_every_door(Broker::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_embedded_broker() {
    rubbish_at_every_door(Broker::Embedded).await;
}

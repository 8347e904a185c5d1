//! What a running server and a running gateway say at `/metrics`: well-formed, all
//! of it documented, nothing in it that grows without bound or names a transfer,
//! and equal to what is known of the run. And that the dashboard and the alert
//! rules in `deploy/` ask for nothing else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_model::ids::Stream;
use enroute_mqtt::{Client, Event, Options, Publish};
use enroute_tests::http;
use enroute_tests::openmetrics::Metrics;
use enroute_tests::stack::{Broker, Stack};
use enroute_tests::viewer::{Viewer, history};
use enroute_tests::wfdb_set;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Rows of the record, one each other second of its time.
const ROWS: usize = 40;
/// Publishes that are no frames.
const RUBBISH: u64 = 3;
/// Values of a label, over the whole of a family: above it, it would be an id.
const LABEL_VALUES_MAX: usize = 12;

fn scrape(address: &str) -> Metrics {
    let answer = http::get(address, "/metrics");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.to_lowercase().contains(kind), "{}", answer.head);
    for private in ["gw-1", "tx-", "t-metrics"] {
        assert!(
            !answer.body.contains(private),
            "{private} in {}",
            answer.body
        );
    }
    Metrics::read(&answer.body)
}

async fn publish_rubbish(broker: u16) {
    let (client, mut events) = Client::connect(Options::new("127.0.0.1", broker, "rubbish"));
    let mut answered = 0;
    while answered < RUBBISH {
        match events.next().await.expect("a broker") {
            Event::Connected { .. } => {
                for token in 1..=RUBBISH {
                    let topic = "enroute/v1/gw/gw-1/tx/t-metrics/live";
                    let bad = Publish::new(topic, b"\xff\xff".to_vec(), token);
                    client.publish(bad).await.expect("room");
                }
            }
            Event::Puback { .. } => answered += 1,
            _ => {}
        }
    }
    client.close().await;
}

/// What a server and a gateway said in the middle of a run and behind it.
struct Run {
    server: [Metrics; 2],
    gateway: Metrics,
    /// Different frames in the journal, by stream, as any client can count them.
    durable: BTreeMap<&'static str, usize>,
    frames: usize,
}

async fn run() -> Run {
    let dir = tempfile::tempdir().unwrap();
    let (record, rows) = wfdb_set::write_numerics(dir.path(), ROWS);
    let stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let (mut viewer, board) = Viewer::before_anything(&stack.address).await;
    let lines = "speed = 10\ntransfer = \"t-metrics\"";
    let mut gateway = stack.play_at("gw-1", &record, lines, "", stack.broker_port());
    let page = gateway.wait_for("its page", |line| {
        let (_, page) = line.split_once("page is at ")?;
        Some(page.trim_end_matches('/').to_owned())
    });
    let transfer = board.first_transfer().await;
    publish_rubbish(stack.broker_port()).await;
    let half = |viewer: &Viewer| viewer.count(Stream::Numerics) * 2 >= rows.len();
    assert!(viewer.watch(&stack.address, &transfer, half).await);
    let (middle, on_board) = (scrape(&stack.address), scrape(&page));
    let all = |viewer: &Viewer| viewer.count(Stream::Numerics) >= rows.len();
    assert!(viewer.watch(&stack.address, &transfer, all).await);
    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");
    let recorded = history(&stack.address, &transfer).await;
    let end = scrape(&stack.address);
    drop(stack.stop_server());
    let count = |stream| recorded.keys().filter(|id| id.2 == stream).count();
    Run {
        server: [middle, end],
        gateway: on_board,
        durable: BTreeMap::from([
            ("events", count(Stream::Events)),
            ("numerics", count(Stream::Numerics)),
            ("waveforms", count(Stream::Waveforms)),
        ]),
        frames: recorded.len(),
    }
}

fn equal(value: f64, truth: usize, what: &str) {
    let truth = u32::try_from(truth).unwrap();
    assert!(
        (value - f64::from(truth)).abs() < 0.5,
        "{what}: {value}, not {truth}"
    );
}

fn check_truth(run: &Run) {
    let [middle, end] = &run.server;
    middle.goes_on_in(end);
    assert_eq!(run.durable["numerics"], ROWS);
    for (stream, frames) in &run.durable {
        let ledger = |state| {
            end.value(
                "enroute_ledger_frames",
                &[("state", state), ("stream", stream)],
            )
        };
        equal(ledger("durable"), *frames, stream);
        equal(ledger("missing"), 0, "missing");
        equal(ledger("shed"), 0, "shed");
    }
    equal(end.sum("enroute_ledger_shed_frames"), 0, "shed, by cause");
    let again = end.value("enroute_frames_duplicate_total", &[]);
    equal(
        end.sum("enroute_frames_durable_total") - again,
        run.frames,
        "frames of ingest",
    );
    equal(
        end.value("enroute_frames_conflicting_total", &[]),
        0,
        "conflicts",
    );
    let refused = end.sum("enroute_ingest_publishes_refused_total");
    equal(refused, usize::try_from(RUBBISH).unwrap(), "refused");
    equal(
        end.value("enroute_transfers", &[("state", "open")]),
        1,
        "transfers",
    );
    equal(end.value("enroute_engine_lag_records", &[]), 0, "lag");
    equal(
        end.value("enroute_ingest_lanes_subscribed", &[]),
        2,
        "lanes",
    );
    equal(end.value("enroute_journal_failed", &[]), 0, "journal");
    equal(end.value("enroute_not_recorded_seconds", &[]), 0, "journal");
    // Every record of the journal is one commit's, and each has been timed.
    let records = end.value("enroute_journal_records_total", &[]);
    let position = end.value("enroute_journal_position", &[]);
    assert!(
        (records - position).abs() < 0.5,
        "{records} records, position {position}"
    );
    let timed = [("stage", "received_durable")];
    let timed = end.value("enroute_stage_duration_seconds_count", &timed);
    assert!(
        (records - timed).abs() < 0.5,
        "{records} records, {timed} timed"
    );
    for stage in [
        "captured_received",
        "durable_handled",
        "handled_sent",
        "received_sent",
    ] {
        let count = end.value("enroute_stage_duration_seconds_count", &[("stage", stage)]);
        assert!(count > 0.0, "{stage} was never measured");
    }
    assert!(middle.value("enroute_viewers", &[]) >= 1.0);
    let produced = run.gateway.value(
        "enroute_gateway_frames_produced_total",
        &[("stream", "numerics")],
    );
    assert!((1.0..=40.0).contains(&produced), "{produced}");
    assert!(run.gateway.value("enroute_gateway_receipts_total", &[]) >= 1.0);
    equal(
        run.gateway.value("enroute_gateway_connected", &[]),
        1,
        "connected",
    );
}

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The rows that `deploy/metrics.md` should have.
fn rows(pages: &[&Metrics]) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for (name, family) in pages.iter().flat_map(|page| &page.families) {
        let suffix = if family.kind == "counter" {
            "_total"
        } else {
            ""
        };
        let help = family.help.trim_end_matches('.');
        rows.insert(format!("| `{name}{suffix}` | {} | {help} |", family.kind));
    }
    rows
}

fn check_documented(run: &Run) {
    let said = rows(&[&run.server[1], &run.gateway]);
    let text = read("metrics.md");
    let written: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("| `enroute_"))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = said.difference(&written).collect();
    let gone: Vec<_> = written.difference(&said).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "deploy/metrics.md lacks {missing:#?}, has {gone:#?}"
    );
}

fn check_labels(run: &Run) {
    for (name, family) in run
        .server
        .iter()
        .chain([&run.gateway])
        .flat_map(|page| &page.families)
    {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (_, labels) in family.samples.keys() {
            for (label, value) in labels.iter().filter(|(label, _)| *label != "le") {
                values.entry(label).or_default().insert(value);
            }
        }
        for (label, values) in values {
            let known = [
                "stream", "lane", "state", "why", "kind", "priority", "queue", "stage", "reason",
                "cause", "clock", "version", "role", "port",
            ];
            assert!(known.contains(&label), "label {label} of {name}");
            assert!(
                values.len() <= LABEL_VALUES_MAX,
                "{name} by {label}: {values:?}"
            );
            let word = |value: &&str| {
                label == "version" || value.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            };
            assert!(values.iter().all(word), "{name} by {label}: {values:?}");
        }
    }
}

/// Every name in a text that begins as ours do.
fn names_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !word(c));
    words
        .filter(|word| word.starts_with("enroute_"))
        .map(str::to_owned)
        .collect()
}

fn check_deployed(run: &Run) {
    let mut known = run.server[1].names();
    known.extend(run.gateway.names());
    for file in ["grafana/enroute.json", "prometheus/enroute.rules.yml"] {
        let text = read(file);
        let asked = names_in(&text);
        assert!(asked.len() > 10, "{file} asks for {asked:?}");
        for name in asked {
            assert!(
                known.contains_key(&name),
                "{file} asks for {name}, which nobody tells"
            );
        }
    }
}

#[tokio::test]
async fn what_is_told_is_true_documented_and_bounded() {
    let run = run().await;
    check_truth(&run);
    check_labels(&run);
    check_documented(&run);
    check_deployed(&run);
}

#[test]
fn the_dashboard_has_a_source_that_can_be_chosen_and_every_panel_uses_it() {
    let board: serde_json::Value = serde_json::from_str(&read("grafana/enroute.json")).unwrap();
    let variables = board["templating"]["list"].as_array().unwrap();
    let source = variables
        .iter()
        .find(|variable| variable["type"] == "datasource")
        .unwrap();
    assert_eq!(
        (&source["name"], &source["query"]),
        (&"source".into(), &"prometheus".into())
    );
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        let place = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let [x, y, w, h] = place;
        assert!(x + w <= 24 && w > 0 && h > 0, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "panels overlap at {cell:?}: {panel}");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${source}", "{panel}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${source}", "{panel}");
            assert!(
                target["expr"].as_str().unwrap().contains("enroute_"),
                "{panel}"
            );
        }
    }
    let rows = panels.iter().filter(|panel| panel["type"] == "row").count();
    assert!(rows >= 5, "{rows} rows");
}

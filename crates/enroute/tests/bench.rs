//! `enroute bench check` holds counts and sizes of a run against those that are stored;
//! `enroute bench table` prints it for the README. The run is made up.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn spread(median: f64) -> Value {
    json!({ "least": median, "median": median, "greatest": median })
}

/// A run with the bytes of a live frame, a rate, and a measure that failed.
fn run(dir: &Path, bytes: f64, failed: &[&str]) -> std::path::PathBuf {
    let size = json!({
        "name": "bytes/numerics-live", "unit": "bytes/frame", "seen": spread(bytes),
        "aim": { "at_most": 152.0 }, "within": 1.001
    });
    let rate = json!({
        "name": "throughput/mosquitto", "unit": "frames/s", "seen": spread(1.0),
        "over": "bare", "yardstick": spread(1e6), "ratio": spread(1e-6),
        "aim": { "at_least": 0.9 }
    });
    let report = json!({
        "measure": "made up", "command": "", "notes": [], "took_s": 1.0,
        "figures": [size, rate]
    });
    let failed = failed.iter();
    let failed: Vec<Value> = failed
        .map(|measure| json!({ "measure": measure, "why": "no disk" }))
        .collect();
    let run = json!({ "processors": 2, "reports": [report], "failed": failed });
    let file = dir.join("run.json");
    std::fs::write(&file, run.to_string()).unwrap();
    file
}

fn bench(arguments: &[&str], file: &Path) -> Output {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_enroute"));
    bench.arg("bench").args(arguments).arg(file);
    bench.output().unwrap()
}

fn out(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_size_that_grew_fails_and_a_rate_that_fell_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let small = bench(&["check", "--run"], &run(dir.path(), 100.0, &[]));
    assert!(small.status.success(), "{}", out(&small));
    let grown = bench(&["check", "--run"], &run(dir.path(), 1_000.0, &[]));
    assert_eq!(grown.status.code(), Some(1));
    let told = out(&grown);
    let line = { told.lines() }.find(|line| line.starts_with("bytes/numerics-live"));
    assert!(line.unwrap().ends_with("GREW"), "{told}");
    assert_eq!(told.matches("GREW").count(), 1, "{told}");
}

#[test]
fn a_measure_that_failed_fails_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let failed = bench(&["check", "--run"], &run(dir.path(), 100.0, &["journal"]));
    assert_eq!(failed.status.code(), Some(1));
    let error = String::from_utf8_lossy(&failed.stderr);
    assert!(error.contains("journal FAILED: no disk"), "{error}");
}

#[test]
fn a_run_becomes_a_table_and_figures_to_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = run(dir.path(), 100.0, &["journal"]);
    let table = out(&bench(&["table"], &file));
    let size = "| bytes/numerics-live | 100 bytes/frame |  |  | ≤ 152 | yes |";
    assert!(table.contains(size), "{table}");
    assert!(table.contains("| ≥ 0.90 | no |"), "{table}");
    assert!(table.contains("journal FAILED: no disk"), "{table}");
    let stored = out(&bench(&["table", "--stored"], &file));
    assert!(
        stored.contains("\"bytes/numerics-live\" = 100.00000"),
        "{stored}"
    );
    let stranger = dir.path().join("none.json");
    assert_eq!(bench(&["table"], &stranger).status.code(), Some(1));
}

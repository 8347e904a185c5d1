//! Recordings go in through a gateway, a broker and a server, each a process of
//! its own, and come out of `enroute export` equal, as the Python packages that
//! people use read it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

mod joined;

use enroute_tests::python;
use enroute_tests::recordings::folder;
use enroute_tests::stack::{Broker, Place, Stack};
use enroute_tests::viewer::Viewer;
use enroute_tests::wfdb_set;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
const WFDB: &str = include_str!("wfdb.py");
const TABLES: &str = include_str!("csv.py");
const MCAP: &str = include_str!("mcap.py");
const EDF: &str = include_str!("edf.py");

/// A transfer that was played through a server which has stopped.
struct Played {
    place: Place,
    transfer: String,
}

/// Plays a record; exports it as `format` from the running server.
async fn play(record: &Path, speed: &str, source: &str, format: &str) -> (Played, PathBuf) {
    let stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let (_, board) = Viewer::before_anything(&stack.address).await;
    let gateway = stack.play("gw-1", record, speed, source);
    let transfer = board.first_transfer().await;
    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");
    let out = stack.data().with_file_name("of-server");
    let server = ["--server", &stack.address];
    let exported = export(&transfer, format, &out, &server);
    let place = stack.stop_server();
    (Played { place, transfer }, exported)
}

impl Played {
    /// Exports it as another format, each into a directory of its own.
    fn export_more(&self, format: &str) -> PathBuf {
        let data = self.place.data();
        let out = self.place.path().join(format!("as-{format}"));
        export(
            &self.transfer,
            format,
            &out,
            &["--data", data.to_str().unwrap()],
        )
    }

    /// Exports it from the directory of the stopped server.
    fn export(&self, format: &str) -> PathBuf {
        let (data, out) = (self.place.data(), self.place.path().join("of-directory"));
        let data = data.to_str().unwrap();
        export(&self.transfer, format, &out, &["--data", data])
    }
}

fn export(transfer: &str, format: &str, out: &Path, from: &[&str]) -> PathBuf {
    let ran = Command::new(BINARY)
        .args(["export", transfer, "--format", format, "--out"])
        .arg(out)
        .args(from)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    assert_eq!(error, "", "no bar where there is no terminal");
    let exported = out.join(format!("{transfer}-{format}"));
    assert_eq!(names(out), [format!("{transfer}-{format}")]);
    for name in names(&exported) {
        let ours = ["gaps.json", "gaps.txt", "RECORDS"].contains(&name.as_str());
        assert!(ours || name.starts_with(transfer), "{name}");
    }
    exported
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

fn gaps(exported: &Path) -> Value {
    serde_json::from_slice(&fs::read(exported.join("gaps.json")).unwrap()).unwrap()
}

/// What a script of this folder prints: files, samples or rows, steps of alerts.
fn counted(printed: &str) -> [u64; 3] {
    let numbers = printed.split_whitespace().map(|n| n.parse().unwrap());
    numbers.collect::<Vec<u64>>().try_into().unwrap()
}

/// Makes a data directory of recordings; gives the transfer's id.
fn import(data: &Path, from: &[&Path]) -> String {
    let ran = Command::new(BINARY)
        .arg("import")
        .args(from)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{error}");
    let said = String::from_utf8(ran.stdout).unwrap();
    let (_, rest) = said.split_once("transfer ").unwrap();
    rest.split_once(',').unwrap().0.to_owned()
}

/// An imported transfer as WFDB records.
fn wfdb_of(data: &Path, transfer: &str) -> PathBuf {
    let out = data.with_file_name("of-import");
    export(transfer, "wfdb", &out, &["--data", data.to_str().unwrap()])
}

fn wfdb(python: &Path, kind: &str, exported: &Path, originals: &[&Path]) -> [u64; 3] {
    let kind = Path::new(kind);
    let arguments = [&[kind, exported], originals].concat();
    counted(&python::run(python, WFDB, &arguments))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_of_three_channels_come_out_as_they_went_in() {
    let (Some(folder), Some(python)) = (folder("export 037"), python::python("export 037")) else {
        return;
    };
    let record = folder.join("mimicdb-037/03700181");
    let (played, of_server) = play(&record, "60", "", "wfdb").await;
    let of_directory = played.export("wfdb");
    for exported in [&of_server, &of_directory] {
        let [records, samples, alerts] = wfdb(&python, "w", exported, &[&record]);
        assert_eq!((records, samples), (1, 450_000));
        assert_eq!(gaps(exported)["alert_steps"], alerts);
    }
    let edf = played.export_more("edf");
    let arguments = [edf.as_path(), &record];
    let [_, samples, steps] = counted(&python::run(&python, EDF, &arguments));
    assert_eq!(samples, 450_000);
    assert_eq!(gaps(&edf)["alert_steps"], steps);

    let mcap = played.export_more("mcap");
    let mcap = mcap.join(format!("{}.mcap", played.transfer));
    let arguments = [mcap.as_path(), &record];
    let [_, samples, _] = counted(&python::run(&python, MCAP, &arguments));
    assert_eq!(samples, 450_000);

    // The file back as a transfer, and out again.
    let data = played.place.path().join("imported-mcap/data");
    assert_eq!(import(&data, &[&mcap]), played.transfer);
    let again = wfdb_of(&data, &played.transfer);
    let [records, samples, _] = wfdb(&python, "w", &again, &[&record]);
    assert_eq!((records, samples), (1, 450_000));
    let gaps = gaps(&of_server);
    assert_eq!(gaps["gaps"], serde_json::json!([]));
    assert_eq!(gaps["exercise"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_segments_come_out_as_one_record() {
    let (Some(folder), Some(python)) = (folder("export 041s"), python::python("export 041s"))
    else {
        return;
    };
    let folder = folder.join("mimicdb-041s");
    let (_played, exported) = play(&folder.join("041s"), "8", "", "wfdb").await;
    let segments = [folder.join("041s01"), folder.join("041s02")];
    let segments = [segments[0].as_path(), segments[1].as_path()];
    let [records, samples, _] = wfdb(&python, "w", &exported, &segments);
    assert_eq!((records, samples), (1, 2_000 * 16));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_and_a_half_of_numerics_with_alerts() {
    let (Some(folder), Some(python)) = (folder("export mimic3"), python::python("export mimic3"))
    else {
        return;
    };
    let record = folder.join("mimic3-numerics/s00001-2896-10-10-00-31n");
    let (played, exported) = play(&record, "\"max\"", "zero_is_missing = true", "wfdb").await;
    let [records, values, alerts] = wfdb(&python, "n", &exported, &[&record]);
    assert_eq!((records, values), (1, 19_360));
    assert_eq!(gaps(&exported)["alert_steps"], alerts);

    for format in ["csv", "parquet"] {
        let tables = played.export_more(format);
        let [rows, _, steps] = counted(&python::run(&python, TABLES, &[&tables, &record]));
        assert_eq!((rows, steps), (19_360, alerts), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_record_with_every_oddity() {
    let Some(python) = python::python("export of the made-up record") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (record, signals) = wfdb_set::write(dir.path());
    let (_played, exported) = play(&record, "2", "", "wfdb").await;
    let segments = [dir.path().join("made0"), dir.path().join("made1")];
    let segments = [segments[0].as_path(), segments[1].as_path()];
    let [records, samples, _] = wfdb(&python, "w", &exported, &segments);
    let imported = tempfile::tempdir().unwrap();
    let data = imported.path().join("data");
    let transfer = import(&data, &[&record]);
    let again = wfdb_of(&data, &transfer);
    assert_eq!(gaps(&again)["exercise"], true);
    assert_eq!(wfdb(&python, "w", &again, &segments)[1], samples);
    let made: usize = signals.iter().map(|(_, samples)| samples.len()).sum();
    assert_eq!((records, samples), (1, u64::try_from(made).unwrap()));
}

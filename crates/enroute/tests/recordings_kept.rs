//! Recordings as an operator handles them: deleted by word while the server runs and
//! when it does not, over a restart; verified when a file of theirs is damaged.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test"
)]

use bytes::Bytes;
use enroute_journal::{Append, Class, Journal, Options};
use enroute_model::frame::{Body, Code, Frame, Header, Metric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Stream, TransferId};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use enroute_tests::stack::{Broker, Stack};
use enroute_tests::viewer::Viewer;
use enroute_tests::wfdb_set;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Frames of the damaged recording, one a second: more than the journal's tables hold
/// in memory, so that most of them lie in a file.
const FRAMES: u16 = 1_100;
const SAMPLES: u16 = 4_000;
const START: i64 = 1_700_000_000_000_000;

/// Runs the binary; `typed` is what somebody answers.
fn enroute(args: &[&dyn AsRef<OsStr>], typed: &str) -> Output {
    let mut command = Command::new(BINARY);
    for arg in args {
        command.arg(arg.as_ref());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = running.stdin.take().unwrap();
    // A command that asks nothing has closed it.
    input.write_all(typed.as_bytes()).ok();
    drop(input);
    running.wait_with_output().unwrap()
}

fn says(code: i32, args: &[&dyn AsRef<OsStr>], typed: &str) -> String {
    let output = enroute(args, typed);
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[tokio::test]
async fn a_recording_is_deleted_for_good_by_who_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (record, _) = wfdb_set::write_numerics(dir.path(), 10);
    let mut stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let (_viewer, board) = Viewer::before_anything(&stack.address).await;
    let gateway = stack.play("gw-1", &record, "\"max\"", "");
    let transfer = board.first_transfer().await;
    assert!(gateway.finish().0.success());
    let ask = |address: &str, code, args: &[&str], typed: &str| {
        let all = [args, &["--server", address]].concat();
        let all: Vec<_> = all.iter().map(|arg| arg as &dyn AsRef<OsStr>).collect();
        says(code, &all, typed)
    };
    let address = stack.address.clone();
    let run = |code, args: &[&str], typed: &str| ask(&address, code, args, typed);
    let delete = ["recordings", "delete", &transfer, "--as", "Dr. Weber"];
    let open = run(1, &[&delete[..], &["--yes"]].concat(), "");
    assert!(open.contains("close it first"), "{open}");
    run(0, &["transfer", "close", &transfer], "");
    let kept = run(1, &delete, "no\n");
    assert!(kept.contains("nothing was deleted"), "{kept}");
    assert!(run(0, &["recordings", "list"], "").contains("1 recordings"));
    let deleted = run(0, &delete, "yes\n");
    assert!(deleted.contains("by Dr. Weber (unverified)"), "{deleted}");

    for restarted in [false, true] {
        if restarted {
            stack.kill_and_restart_server();
        }
        // It has another port then.
        let address = stack.address.clone();
        let run = |code, args: &[&str]| ask(&address, code, args, "");
        let listed = run(0, &["recordings", "list"]);
        assert!(
            listed.contains("0 recordings") && listed.contains("1 was deleted"),
            "{listed}"
        );
        let remembered = run(0, &["recordings", "list", "--deleted", "--json"]);
        assert!(
            remembered.contains(&transfer) && remembered.contains("Dr. Weber"),
            "{remembered}"
        );
        run(1, &["recordings", "show", &transfer]);
    }
    drop(stack.stop_server());
}

/// What compresses badly and is never the same twice.
fn frame(second: u16) -> Frame {
    let mut state = u32::from(second) + 1;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.cast_signed() >> 4)
    };
    let at = i64::from(second);
    Frame {
        header: Header {
            epoch: Epoch(1),
            stream: Stream::Waveforms,
            sequence: u64::from(second) + 1,
            leg_first: 1,
            captured_at: GatewayTime(START + at * 1_000_000),
            observed_at: None,
            boot: 1,
            monotonic: Span::from_secs(at),
            clocks: None,
            exercise: true,
        },
        body: Body::Waveforms(vec![Waveform {
            metric: Metric {
                code: Code(131_330),
                label: String::new(),
            },
            unit: String::new(),
            rate_hz: f64::from(SAMPLES),
            gain: 1.0,
            baseline: 0,
            first_sample: u64::from(second) * u64::from(SAMPLES),
            start_offset: Span::ZERO,
            samples: (0..SAMPLES).map(|_| noise()).collect(),
        }]),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The file that holds most of the recording.
fn table(journal: &Path) -> Option<PathBuf> {
    let large = |path: &PathBuf| {
        let is_table = path.parent().is_some_and(|dir| dir.ends_with("tables"));
        is_table && path.metadata().is_ok_and(|file| file.len() > 8 << 20)
    };
    files(journal).into_iter().find(large)
}

async fn write(dir: &Path) -> PathBuf {
    let journal_dir = dir.join("journal");
    let (journal, tail) = Journal::open(&journal_dir, Options::default()).unwrap();
    drop(tail);
    let (transfer, gateway) = (
        TransferId::new("tx-1").unwrap(),
        GatewayId::new("gw-1").unwrap(),
    );
    for second in 0..FRAMES {
        let bytes = Bytes::from(enroute_wire::frame::encode(&frame(second)));
        let at = START + i64::from(second) * 1_000_000;
        let append = Append {
            class: Class::Waveforms,
            transfer: transfer.clone(),
            at: EngineTime(at),
            received_at: ServerTime(at),
            payload: enroute_wire::record::of_frame(&gateway, Lane::Live, bytes),
        };
        journal.appender().append(vec![append]).await.unwrap();
    }
    // It is written in the background.
    let table = loop {
        if let Some(table) = table(&journal_dir) {
            break table;
        }
        tokio::task::yield_now().await;
    };
    journal.close().unwrap();
    table
}

#[tokio::test]
async fn a_damaged_file_loses_only_the_damaged_part_and_verify_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let table = write(dir.path()).await;
    let data = dir.path();
    let verify: [&dyn AsRef<OsStr>; 4] = [&"recordings", &"verify", &"--data", &data];
    let whole = says(0, &verify, "");
    assert!(
        whole.contains("1100 records of 1 transfers: none is damaged"),
        "{whole}"
    );

    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&table, bytes).unwrap();
    let damaged = says(3, &verify, "");
    assert!(
        damaged.contains("DAMAGED a part of a file, behind 2023-11-14T"),
        "{damaged}"
    );
    assert!(
        damaged.contains("1 are damaged; no other is lost by it"),
        "{damaged}"
    );
    let records: u32 = damaged.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((1_090..1_100).contains(&records), "{damaged}");

    // What is left is listed, and goes out with an export, its gap reported.
    let listed = says(0, &[&"recordings", &"list", &"--data", &data], "");
    assert!(listed.contains("tx-1"), "{listed}");
    let out = data.join("out");
    fs::create_dir(&out).unwrap();
    let export: [&dyn AsRef<OsStr>; 8] = [
        &"export",
        &"tx-1",
        &"--format",
        &"mcap",
        &"--data",
        &data,
        &"--out",
        &out,
    ];
    let exported = says(0, &export, "");
    assert!(
        exported.contains(&format!("{records} frames")),
        "{exported}"
    );
}

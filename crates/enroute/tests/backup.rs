//! A server is copied while frames arrive, dies, and comes back out of the copy
//! while its gateway drives on: what is still on board is sent again, and nothing is
//! called complete that is not.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_model::ids::Stream;
use enroute_tests::stack::{Broker, Stack};
use enroute_tests::viewer::{Viewer, history, state};
use enroute_tests::wfdb_set;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");
/// Rows of the record, one each other second of its time.
const ROWS: usize = 90;

fn enroute(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(BINARY);
    for arg in args {
        command.arg(arg.as_ref());
    }
    command.output().unwrap()
}

fn words(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", words(output));
    words(output)
}

fn refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", words(output));
    assert!(
        words(output).contains(why),
        "not {why:?}: {}",
        words(output)
    );
}

#[tokio::test]
async fn a_server_comes_back_out_of_its_copy_while_the_gateway_drives_on() {
    let dir = tempfile::tempdir().unwrap();
    let (record, _) = wfdb_set::write_numerics(dir.path(), ROWS);
    let file = dir.path().join("copy");
    let mut stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let (mut viewer, board) = Viewer::before_anything(&stack.address).await;
    let gateway = stack.play("gw-1", &record, "10", "");
    let transfer = board.first_transfer().await;
    let has =
        |share: usize| move |viewer: &Viewer| viewer.count(Stream::Numerics) * 3 >= ROWS * share;
    assert!(viewer.watch(&stack.address, &transfer, has(1)).await);

    let said = done(&enroute(&[&"backup", &file, &"--server", &stack.address]));
    assert!(said.contains("whole and on disk"), "{said}");
    let copied = viewer.frames().len();
    assert!(viewer.watch(&stack.address, &transfer, has(2)).await);
    refused(
        &enroute(&[&"backup", &file, &"--server", &stack.address]),
        "exists already",
    );
    refused(
        &enroute(&[&"restore", &file, &"--data", &stack.data()]),
        "is there already",
    );
    let running = enroute(&[&"restore", &file, &"--data", &stack.data(), &"--replace"]);
    refused(&running, "in use");

    let data = stack.data();
    stack.replace_server(|| {
        let said = done(&enroute(&[
            &"restore",
            &file,
            &"--data",
            &data,
            &"--replace",
        ]));
        assert!(
            said.contains("restored") && said.contains("journal.replaced-"),
            "{said}"
        );
    });
    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");

    let recorded = history(&stack.address, &transfer).await;
    assert!(
        recorded.len() >= copied,
        "{} of the {copied} that were copied",
        recorded.len()
    );
    let numerics = recorded
        .keys()
        .filter(|id| id.2 == Stream::Numerics)
        .count();
    let ledgers = state(&stack.address, &transfer).await.source;
    let ledger = ledgers.iter().flat_map(|source| &source.completeness);
    let ledger = ledger.filter(|stream| stream.stream == i32::from(v1_numerics()));
    let (mut durable, mut lacking, mut highest) = (0, 0, 0);
    for stream in ledger {
        durable += usize::try_from(stream.durable).unwrap();
        lacking += usize::try_from(stream.missing + stream.shed).unwrap();
        highest += usize::try_from(stream.highest).unwrap();
    }
    // Each frame is there, or known not to be.
    assert_eq!((durable, durable + lacking), (numerics, highest));
    // What the old journal called durable behind the copy was kept on board while there
    // was room, and is sent again.
    assert_eq!((numerics, lacking), (ROWS, 0));
    drop(stack.stop_server());
}

fn v1_numerics() -> enroute_wire::v1::Stream {
    enroute_wire::v1::Stream::Numerics
}

fn damaged(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    change(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_copy_changes_nothing_and_a_good_one_needs_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let (record, _) = wfdb_set::write_numerics(dir.path(), 10);
    let stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let gateway = stack.play("gw-1", &record, "\"max\"", "");
    let (status, lines) = gateway.finish();
    assert!(status.success(), "{lines:#?}");
    let data = stack.data();
    let kept = stack.stop_server();
    let file = kept.path().join("copy");
    let said = done(&enroute(&[&"backup", &file, &"--data", &data]));
    assert!(said.contains("whole and on disk"), "{said}");
    assert!(done(&enroute(&[&"restore", &file, &"--check"])).contains("whole: "));

    let target = kept.path().join("target");
    let good = std::fs::read(&file).unwrap();
    damaged(&file, |bytes| bytes[good.len() / 2] ^= 1);
    refused(&enroute(&[&"restore", &file, &"--check"]), "damaged");
    refused(
        &enroute(&[&"restore", &file, &"--data", &target]),
        "damaged",
    );
    damaged(&file, |bytes| bytes.truncate(good.len() - 1));
    refused(&enroute(&[&"restore", &file, &"--data", &target]), "");
    std::fs::write(&file, &good[..good.len() - 9]).unwrap();
    refused(
        &enroute(&[&"restore", &file, &"--data", &target]),
        "cut off",
    );
    std::fs::write(&file, b"something else").unwrap();
    refused(
        &enroute(&[&"restore", &file, &"--data", &target]),
        "no backup",
    );
    assert!(
        !target.join("journal").exists(),
        "a part of it took its place"
    );

    std::fs::write(&file, &good).unwrap();
    done(&enroute(&[&"restore", &file, &"--data", &target]));
    let again = done(&enroute(&[&"reevaluate", &"--data", &target]));
    assert!(again.contains("byte for byte"), "{again}");
    refused(
        &enroute(&[
            &"backup",
            &kept.path().join("x"),
            &"--server",
            &"127.0.0.1:1",
        ]),
        "not reached",
    );
    assert!(!kept.path().join("x.partial").exists());
}

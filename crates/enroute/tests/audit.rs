//! The audit log of a server as a process: written, killed, tampered with, verified;
//! and what commands put there that work on the directory of a stopped server.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use enroute_tests::process::Process;
use std::path::Path;
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_enroute");

fn enroute(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(dir).output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

fn serve(dir: &Path) -> (Process, String) {
    let config = "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[access]\ntokens = \"tokens.toml\"\n\
                  [broker]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.join("server.toml"), config).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config", "server.toml"]);
    let mut server = Process::start("server", command.current_dir(dir));
    let address = server.wait_for("its address", |line| {
        let (_, rest) = line.split_once("http://")?;
        Some(format!("http://{}", rest.split_once('/')?.0))
    });
    server.wait_for("ready", |line| (line == "ready").then_some(()));
    (server, address)
}

fn verified(dir: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["audit", "verify", "--data", "data"];
    arguments.extend(more);
    let done = enroute(dir, &arguments);
    (done.status.code(), said(&done))
}

fn shown(dir: &Path, more: &[&str]) -> String {
    let mut arguments = vec!["audit", "show", "--data", "data"];
    arguments.extend(more);
    let done = enroute(dir, &arguments);
    assert!(done.status.success(), "{}", said(&done));
    said(&done)
}

/// The first file of the log.
fn first_file(dir: &Path) -> std::path::PathBuf {
    dir.join("data/audit/audit-00000000000000000001.jsonl")
}

#[test]
fn a_server_that_is_killed_leaves_a_whole_log_and_tampering_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let made = enroute(
        dir,
        &[
            "token",
            "create",
            "--name",
            "Dr. Weber",
            "--role",
            "clinician",
        ],
    );
    let token = said(&made).trim().to_owned();
    let (mut server, address) = serve(dir);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(arguments).args(["--server", &address]);
        command.env("ENROUTE_TOKEN", &token).output().unwrap()
    };
    let added = run(&["transfer", "add", "--hospital", "HUG"]);
    assert!(added.status.success(), "{}", said(&added));
    let refused = run(&["backup", dir.join("copy").to_str().unwrap()]);
    assert!(
        said(&refused).contains("a clinician may not"),
        "{}",
        said(&refused)
    );
    let added = said(&added);
    let id = added
        .split_whitespace()
        .find(|word| word.starts_with("tr-"))
        .unwrap();
    // An export waits for its record, so all before it is on disk behind it.
    let export = [
        "export",
        id,
        "--format",
        "mcap",
        "--out",
        dir.to_str().unwrap(),
    ];
    let exported = run(&export);
    let exports = shown(dir, &["--transfer", id, "--action", "with waveforms"]);
    assert!(
        exports.contains("Dr. Weber (clinician, token "),
        "{exports}{}",
        said(&exported)
    );
    server.kill();
    let (code, text) = verified(dir, &[]);
    assert_eq!(code, Some(0), "{text}");
    let head = text
        .lines()
        .find_map(|line| line.strip_prefix("head "))
        .unwrap();
    let refusals = shown(dir, &["--refused"]);
    assert!(refusals.contains("Admin/Backup"), "{refusals}");

    // What works on the directory of a stopped server is on record too.
    let local = enroute(dir, &["backup", "--data", "data", "copy"]);
    assert!(local.status.success(), "{}", said(&local));
    assert!(shown(dir, &["--who", "local"]).contains("backup"));
    assert_eq!(verified(dir, &["--expect", head]).0, Some(0));

    // A refusal made an allowance, and one line taken out.
    let file = first_file(dir);
    let whole = std::fs::read_to_string(&file).unwrap();
    let changed = whole.replacen("\"refused\"", "\"allowed\"", 1);
    let cut: Vec<&str> = whole
        .lines()
        .filter(|line| !line.contains("Admin/Backup"))
        .collect();
    for (text, words) in [(changed, "was changed"), (cut.join("\n") + "\n", "missing")] {
        std::fs::write(&file, text).unwrap();
        let (code, found) = verified(dir, &[]);
        assert!(code == Some(3) && found.contains(words), "{found}");
    }
    // A new start goes on, and forgets nothing of it.
    let (server, _) = serve(dir);
    server.stop();
    let (code, found) = verified(dir, &[]);
    assert!(code == Some(3) && found.contains("missing"), "{found}");
}

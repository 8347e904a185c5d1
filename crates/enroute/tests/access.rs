//! A server that asks for tokens, as processes: made, shown, refused, revoked.

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

/// Makes a token in the directory's file, and gives it.
fn token(dir: &Path, name: &str, role: &str, more: &[&str]) -> String {
    let mut arguments = vec!["token", "create", "--name", name, "--role", role];
    arguments.extend(more);
    let made = enroute(dir, &arguments);
    assert!(made.status.success(), "{}", said(&made));
    said(&made).trim().to_owned()
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

/// A command with a token from a file.
fn with(dir: &Path, token: &str, arguments: &[&str]) -> Output {
    let file = dir.join("mine");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(arguments).env("ENROUTE_TOKEN_FILE", file);
    command.output().unwrap()
}

#[test]
fn a_token_opens_what_its_role_may_and_ends_when_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let weber = token(dir, "Dr. Weber", "clinician", &["--hospital", "HUG"]);
    let wall = token(dir, "hall", "wall", &[]);
    let kept = std::fs::read_to_string(dir.join("tokens.toml")).unwrap();
    assert!(!kept.contains(weber.rsplit_once('_').unwrap().1), "{kept}");
    let (_server, address) = serve(dir);
    let add = |token: &str, hospital: &str| {
        let arguments = [
            "transfer",
            "add",
            "--hospital",
            hospital,
            "--server",
            &address,
        ];
        with(dir, token, &arguments)
    };
    let added = add(&weber, "HUG");
    assert!(added.status.success(), "{}", said(&added));
    assert!(said(&add(&weber, "CHUV")).contains("not yours"));
    assert!(said(&add(&wall, "HUG")).contains("a wall may not change the registry"));
    assert!(said(&add("nonsense", "HUG")).contains("not known here"));
    let bare = enroute(dir, &["transfer", "list", "--server", &address]);
    assert!(said(&bare).contains("ENROUTE_TOKEN"), "{}", said(&bare));

    let mut command = Command::new(BINARY);
    command.args(["watch", "--json", "--server", &address]);
    let mut watch = Process::start("watch", command.env("ENROUTE_TOKEN", &wall));
    watch.wait_for("the board", |line| line.contains("HUG").then_some(()));
    let listed = said(&enroute(dir, &["token", "list"]));
    let hall = listed.lines().find(|line| line.contains("hall")).unwrap();
    let id = hall.split(' ').next().unwrap();
    let revoked = enroute(dir, &["token", "revoke", id]);
    assert!(revoked.status.success(), "{}", said(&revoked));
    // It does not ask again and again, with an old picture on its screen.
    let (status, lines) = watch.finish();
    let why = |line: &String| line.contains("revoked, changed, or is over");
    assert!(!status.success() && lines.iter().any(why), "{lines:#?}");
    let listed = with(dir, &weber, &["transfer", "list", "--server", &address]);
    assert!(said(&listed).contains("HUG"), "{}", said(&listed));
}

#[test]
fn a_token_is_not_sent_in_the_clear_and_a_wrong_file_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let far = ["transfer", "list", "--server", "http://192.0.2.1:7400"];
    let clear = with(dir, "enroute_0", &far);
    assert!(said(&clear).contains("over TLS only"), "{}", said(&clear));
    let config = "data = \"data\"\n[access]\ntokens = \"tokens.toml\"\n";
    std::fs::write(dir.join("server.toml"), config).unwrap();
    let start = || said(&enroute(dir, &["serve", "--config", "server.toml"]));
    let absent = start();
    assert!(absent.contains("enroute token create"), "{absent}");
    std::fs::write(dir.join("tokens.toml"), "token = 1").unwrap();
    let wrong = start();
    assert!(wrong.contains("is no file of tokens"), "{wrong}");
    assert!(!dir.join("data").exists(), "something was opened");
}

#[test]
fn breaking_the_glass_works_at_once_and_is_told_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let chief = token(dir, "chief", "administrator", &[]);
    let roth = ["--hospital", "CHUV", "--break-glass"];
    let roth = token(dir, "Dr. Roth", "clinician", &roth);
    let kern = token(dir, "Dr. Kern", "clinician", &["--hospital", "CHUV"]);
    let listed = said(&enroute(dir, &["token", "list"]));
    assert_eq!(listed.matches("may break the glass").count(), 1, "{listed}");
    let (server, address) = serve(dir);
    let ask = |token: &str, arguments: &[&str]| {
        let all = [arguments, &["--server", &address]].concat();
        with(dir, token, &all)
    };
    let added = ask(&chief, &["transfer", "add", "--hospital", "HUG"]);
    let added = said(&added);
    let id = added.split(' ').next().unwrap();
    let note = ["transfer", "note", id, "on our way"];
    assert!(!ask(&roth, &note).status.success());
    let why = "diverted to us, nobody of theirs answers";
    let opens = ["glass", "break", id, "--reason", why];
    let refused = said(&ask(&kern, &opens));
    assert!(refused.contains("may not break the glass"), "{refused}");
    let opened = ask(&roth, &opens);
    assert!(opened.status.success(), "{}", said(&opened));
    let noted = ask(&roth, &note);
    assert!(noted.status.success(), "{}", said(&noted));
    let shown = said(&ask(&chief, &["glass", "list"]));
    assert!(shown.contains("Dr. Roth") && shown.contains(why), "{shown}");
    // The person in charge reads of it beside the note.
    let thread = said(&ask(&roth, &["transfer", "note", id]));
    assert!(thread.contains("Dr. Roth (broke the glass)"), "{thread}");
    let metrics = said(&ask(&roth, &["glass", "end", id]));
    assert!(metrics.contains("closed to you again"), "{metrics}");
    assert!(!ask(&roth, &note).status.success());
    let lines = server.stop_and_tell();
    let warned = |line: &String| line.contains("broke the glass") && line.contains("WARN");
    assert!(lines.iter().any(warned), "{lines:#?}");
    let log = enroute(dir, &["audit", "show", "--data", "data", "--break-glass"]);
    let log = said(&log);
    let of = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(of("refused"), 1, "{log}");
    assert_eq!(of(why), 1, "{log}");
    assert_eq!(of("note to crew"), 1, "{log}");
    assert_eq!(of("its bearer said so"), 1, "{log}");
    let glass = log
        .lines()
        .find_map(|line| line.split_once("broken glass "));
    let id = glass.unwrap().1.split([',', ')']).next().unwrap();
    assert!(of(id) >= 3, "{log}");
}

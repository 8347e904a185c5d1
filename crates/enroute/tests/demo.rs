//! The demo as a user starts it: the process, what it prints, how it ends.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

fn enroute(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_enroute"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Rows of the summary's table of frames: events, numerics, waveforms, all.
fn frames(printed: &str) -> BTreeMap<String, Vec<u64>> {
    printed
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let first = words.iter().position(|word| word.parse::<u64>().is_ok())?;
            let numbers: Option<Vec<u64>> = words[first..]
                .iter()
                .map(|word| word.parse().ok())
                .collect();
            Some((words[..first].join(" "), numbers?))
        })
        .collect()
}

fn run(data: &Path, transfers: &str, time: &str) -> String {
    let data = data.to_str().unwrap();
    let args = [
        "demo",
        "--headless",
        "--transfers",
        transfers,
        "--seed",
        "3",
        "--for",
        time,
        "--listen",
        "127.0.0.1:0",
        "--data",
        data,
    ];
    let output = enroute(&args);
    let printed = text(&output.stdout);
    assert!(
        output.status.success(),
        "exit {:?}\n{printed}\n{}",
        output.status.code(),
        text(&output.stderr)
    );
    printed
}

#[test]
fn a_short_demo_loses_nothing_and_its_numbers_agree() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let printed = run(&data, "2", "6s");
    assert!(printed.starts_with("EXERCISE"), "{printed}");
    for named in ["enroute watch", "mqtt://127.0.0.1:", "crew pages", "(kept)"] {
        assert!(printed.contains(named), "{named} is not named\n{printed}");
    }
    let rows = frames(&printed);
    let row = |name: &str| {
        rows.get(name)
            .unwrap_or_else(|| panic!("no {name}\n{printed}"))
    };
    assert!(row("produced").iter().all(|n| *n > 0), "{printed}");
    assert_eq!(row("produced"), row("durable"), "{printed}");
    assert_eq!(row("durable"), row("counted in history"), "{printed}");
    assert_eq!(row("missing"), &[0, 0, 0, 0], "{printed}");
    assert_eq!(
        row("alert transitions"),
        row("seen by a viewer"),
        "{printed}"
    );
    assert!(printed.contains("all numbers agree"), "{printed}");

    let again = enroute(&["reevaluate", "--data", data.to_str().unwrap()]);
    let said = text(&again.stdout);
    assert!(again.status.success(), "{said}{}", text(&again.stderr));
    assert!(said.contains("all the same, byte for byte"), "{said}");

    recorded(&data, row("durable")[3]);

    // Its counts would not be its own.
    let args = ["demo", "--headless", "--data", data.to_str().unwrap()];
    let again = enroute(&args);
    assert_eq!(again.status.code(), Some(1));
    let said = text(&again.stderr);
    assert!(said.contains("not empty"), "{said}");
}

/// What the commands about recordings say of the directory.
fn recorded(data: &Path, durable: u64) {
    let data = data.to_str().unwrap();
    let done = |args: &[&str]| {
        let output = enroute(args);
        let said = text(&output.stdout);
        assert!(
            output.status.success(),
            "{args:?}: {said}{}",
            text(&output.stderr)
        );
        said
    };
    let listed = done(&["recordings", "list", "--data", data, "--json"]);
    let listed: Vec<serde_json::Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let frames = listed
        .iter()
        .filter_map(|one| one["frames"]["durable"].as_u64());
    assert_eq!(frames.sum::<u64>(), durable, "{listed:?}");
    assert!(
        listed.iter().all(|one| one["exercise"] == true),
        "{listed:?}"
    );
    let verified = done(&["recordings", "verify", "--data", data]);
    assert!(verified.contains("none is damaged"), "{verified}");
    for one in &listed {
        let code = one["short_code"].as_str().unwrap();
        let shown = done(&["recordings", "show", code, "--data", data]);
        assert!(shown.contains(one["transfer"].as_str().unwrap()), "{shown}");
        let again = done(&["reevaluate", "--data", data, code]);
        assert!(again.contains(" 0 differ; "), "{again}");
    }
    // By a book of its own that says the same as the built-in one.
    let book = Path::new(data).join("same-rules");
    let book = book.to_str().unwrap();
    done(&["rules", "export", book]);
    let report = done(&[
        "alerts",
        "report",
        "--from",
        data,
        "--compare",
        book,
        "--json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["change"]["added"], 0, "{report}");
    assert_eq!(report["compared"]["alerts"], report["alerts"], "{report}");
    assert_eq!(report["recordings"], listed.len(), "{report}");
    let raised = listed.iter().filter_map(|one| one["alerts"].as_u64());
    assert_eq!(
        report["alerts"].as_u64().unwrap(),
        raised.sum::<u64>(),
        "{report}"
    );
}

#[test]
fn wrong_configuration_opens_nothing_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("server.toml");
    let config = format!("data = {data:?}\nlisten = \"0.0.0.0:0\"\n");
    std::fs::write(&file, config).unwrap();
    let output = enroute(&["serve", "--config", file.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("server.toml:2:10"), "{said}");
    assert!(said.contains("allow_unprotected_network"), "{said}");
    assert!(!data.exists(), "a data directory was made");

    std::fs::write(&file, [0xff; 64]).unwrap();
    for command in ["serve", "gateway"] {
        let output = enroute(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    }
    let output = enroute(&["demo", "--for", "soon"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    for args in [
        ["transfer", "list", "--server", "http://127.0.0.1:1"].as_slice(),
        &["watch", "--server", "https://127.0.0.1:1", "--json"],
        &["watch", "--server", "http://", "--json"],
        &["reevaluate", "--data", "/nonexistent"],
        &["recordings", "list", "--server", "http://127.0.0.1:1"],
        &["recordings", "verify", "--data", "/nonexistent"],
        &["replay", "tx", "--json", "--server", "http://127.0.0.1:1"],
        &["alerts", "report", "--from", "/nonexistent"],
    ] {
        let output = enroute(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("enroute: ") && said.lines().count() == 1,
            "{said}"
        );
    }
}

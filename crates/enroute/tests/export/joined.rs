//! Two vehicles of one journey: what each of them recorded comes out of every export
//! of the joined transfer as it did before the join, and of both replays.

use super::{BINARY, Command, Path, Stack, Value, export, fs, import, names};
use enroute_tests::stack::Broker;
use enroute_tests::wfdb_set;
use std::collections::BTreeSet;

/// Runs a command against the server; what it prints.
fn run(stack: &Stack, arguments: &[&str]) -> String {
    let ran = Command::new(BINARY)
        .args(arguments)
        .args(["--server", &stack.address])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {error}");
    String::from_utf8(ran.stdout).unwrap()
}

/// The contents of all files with samples.
fn samples(exported: &Path) -> Vec<Vec<u8>> {
    let files = names(exported).into_iter();
    let files = files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "dat"));
    let files = files.map(|name| fs::read(exported.join(name)).unwrap());
    files.filter(|bytes| !bytes.is_empty()).collect()
}

/// Of the file that has all rows of this kind.
fn lines(exported: &Path, kind: &str) -> Vec<String> {
    let mut named = names(exported).into_iter();
    let name = named.find(|name| name.contains(kind)).unwrap();
    let text = fs::read_to_string(exported.join(name)).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Gateways of which the replay in this order shows states at its end.
fn gateways(stack: &Stack, transfer: &str, order: &str) -> BTreeSet<String> {
    let told = run(
        stack,
        &[
            "replay", transfer, "--speed", "max", "--json", "--order", order,
        ],
    );
    let lines = told.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    assert!(lines.iter().all(|line| line["replayed"].is_object()));
    let mut states = lines
        .iter()
        .filter_map(|line| match line["type"].as_str()? {
            "snapshot" => line["transfers"].as_array()?.last(),
            "transfer" => Some(&line["transfer"]),
            _ => None,
        });
    let last = states.next_back().unwrap();
    assert_eq!(last["transfer"], transfer);
    let sources = last["sources"].as_array().unwrap().iter();
    sources
        .map(|source| source["gateway"].as_str().unwrap().to_owned())
        .collect()
}

/// A gateway plays a record to its end; the transfer that it made.
fn play(stack: &Stack, gateway: &str, record: &Path, before: &[String]) -> String {
    let playing = stack.play(gateway, record, "\"max\"", "");
    let (status, told) = playing.finish();
    assert!(status.success(), "{told:#?}");
    let listed = run(stack, &["recordings", "list", "--json"]);
    let mut listed = listed.lines().map(|line| {
        let one: Value = serde_json::from_str(line).unwrap();
        one["transfer"].as_str().unwrap().to_owned()
    });
    listed.find(|transfer| !before.contains(transfer)).unwrap()
}

#[test]
fn the_vehicles_of_a_joined_transfer_come_out_as_each_did() {
    let made = tempfile::tempdir().unwrap();
    let dirs = ["waves", "numbers"].map(|name| made.path().join(name));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let (waves, _) = wfdb_set::write(&dirs[0]);
    let (numbers, _) = wfdb_set::write_numerics(&dirs[1], 60);
    let stack = Stack::start(BINARY, Broker::Embedded).unwrap();
    let out = made.path().join("out");
    let server = ["--server", stack.address.as_str()];
    let (mut transfers, mut alone, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (gateway, record) in [("gw-1", &waves), ("gw-2", &numbers), ("gw-3", &waves)] {
        let transfer = play(&stack, gateway, record, &transfers);
        let exported = export(&transfer, "wfdb", &out.join(gateway), &server);
        alone.extend(samples(&exported));
        let exported = export(&transfer, "csv", &out.join(gateway).join("csv"), &server);
        rows.extend(lines(&exported, "_numerics"));
        transfers.push(transfer);
    }
    assert!(alone.len() >= 2 && rows.len() > 60, "{}", rows.len());
    let into = transfers[0].as_str();
    for leg in &transfers[1..] {
        run(&stack, &["transfer", "join", leg, "--into", into]);
    }
    for order in ["arrival", "device"] {
        let all = ["gw-1", "gw-2", "gw-3"].map(ToOwned::to_owned);
        assert_eq!(
            gateways(&stack, into, order),
            BTreeSet::from(all),
            "{order}"
        );
    }
    let joined = |format: &str| export(into, format, &out.join(format), &server);
    let mut together = samples(&joined("wfdb"));
    together.sort();
    alone.sort();
    assert_eq!(together, alone);
    let mut both = lines(&joined("csv"), "_numerics");
    both.sort();
    rows.sort();
    rows.dedup();
    both.dedup();
    assert_eq!(both, rows);
    joined("edf");
    joined("parquet");
    // The file back as a transfer of its own, and out again.
    let mcap = joined("mcap").join(format!("{into}.mcap"));
    let data = made.path().join("imported/data");
    assert_eq!(import(&data, &[&mcap]), into);
    let again = export(
        into,
        "wfdb",
        &out.join("again"),
        &["--data", data.to_str().unwrap()],
    );
    let mut again = samples(&again);
    again.sort();
    assert_eq!(again, alone);
    drop(stack.stop_server());
}

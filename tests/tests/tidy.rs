//! Walks the tree and holds it to the house rules that no compiler checks.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_model::catalogue::catalogue;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room may use; ARCHITECTURE.md has the same table.
const MAY_USE: [(&str, &[&str]); 22] = [
    ("model", &[]),
    ("access", &["model"]),
    ("audit", &["model"]),
    ("alert", &["model"]),
    ("engine", &["alert", "model"]),
    ("seal", &[]),
    ("identity", &["model", "seal"]),
    ("journal", &["model", "seal"]),
    ("wfdb", &[]),
    ("wire", &["model"]),
    ("tls", &[]),
    ("mqtt", &["tls"]),
    ("broker", &["tls"]),
    ("console", &[]),
    ("simulator", &["model"]),
    ("live", &["alert", "engine", "journal", "model", "wire"]),
    ("ingest", &["journal", "model", "mqtt", "wire"]),
    (
        "gateway",
        &["journal", "model", "mqtt", "seal", "tls", "wfdb", "wire"],
    ),
    (
        "feed",
        &[
            "access", "audit", "identity", "journal", "live", "model", "tls", "wire",
        ],
    ),
    ("export", &["model", "wfdb", "wire"]),
    (
        "config",
        &[
            "access",
            "gateway",
            "live",
            "model",
            "seal",
            "simulator",
            "tls",
        ],
    ),
    (
        "enroute",
        &[
            "access",
            "alert",
            "audit",
            "broker",
            "config",
            "console",
            "engine",
            "export",
            "feed",
            "gateway",
            "identity",
            "ingest",
            "journal",
            "live",
            "model",
            "mqtt",
            "seal",
            "simulator",
            "tls",
            "wfdb",
            "wire",
        ],
    ),
];

/// Libraries that only these rooms may know.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("chacha20poly1305", &["seal"]),
    ("rumqttc", &["mqtt"]),
    ("mqtt5", &["broker"]),
    ("fjall", &["journal"]),
    ("mcap", &["export"]),
    ("parquet", &["export"]),
    ("ratatui", &["enroute"]),
    (
        "tokio",
        &[
            "mqtt",
            "tls",
            "broker",
            "ingest",
            "gateway",
            "journal",
            "live",
            "feed",
            "simulator",
            "enroute",
        ],
    ),
];

/// Files over this many lines are reported, and those over the second refused.
const LINES_REPORTED: usize = 500;
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') && name != "node_modules" {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in ["crates", "fuzz", "simulator", "tests"] {
        files(&root().join(dir), "rs", &mut found);
    }
    assert!(
        found.len() > 30,
        "the walk found only {} files",
        found.len()
    );
    found
}

/// The names under `[dependencies]` of each room's manifest.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut rooms: Vec<PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    rooms.push(root().join("simulator"));
    let room = |path: PathBuf| {
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let section = manifest
            .split("\n[")
            .find_map(|s| s.strip_prefix("dependencies]"));
        let names = section
            .unwrap_or_default()
            .lines()
            .filter(|l| !l.trim_start().starts_with('#'));
        let names = names.filter_map(|l| Some(l.split(['.', ' ', '=']).next()?.to_owned()));
        (
            path.file_name().unwrap().to_string_lossy().into_owned(),
            names.filter(|n| !n.is_empty()).collect(),
        )
    };
    rooms.into_iter().map(room).collect()
}

#[test]
fn dependencies_point_down_only() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into();
    for (room, uses) in dependencies() {
        let allowed = allowed
            .get(room.as_str())
            .unwrap_or_else(|| panic!("{room} is not in the table"));
        for used in uses.iter().filter_map(|name| name.strip_prefix("enroute-")) {
            assert!(allowed.contains(&used), "{room} may not use {used}");
        }
        for (library, rooms) in ONLY_IN {
            let used = uses.iter().any(|name| name == library);
            assert!(
                !used || rooms.contains(&room.as_str()),
                "{room} may not know {library}"
            );
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_small() {
    let mut too_long = Vec::new();
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!") || text.starts_with("#!"),
            "{} has no //! head",
            path.display()
        );
        let lines = text.lines().count();
        if lines > LINES_REPORTED {
            println!("long: {} has {lines} lines", path.display());
        }
        if lines > LINES_MAX {
            too_long.push(format!("{} has {lines} lines", path.display()));
        }
    }
    assert!(
        too_long.is_empty(),
        "split these (at most {LINES_MAX} lines): {too_long:#?}"
    );
}

#[test]
fn nothing_is_left_for_later_without_a_word() {
    // Spelled apart, so that this file does not find itself.
    let marks = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["FIX", "ME"],
        ["XX", "X"],
        ["HA", "CK"],
        ["TO", "DO"],
    ];
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        for mark in marks.map(|parts| parts.concat()) {
            assert!(!text.contains(&mark), "{} contains {mark}", path.display());
        }
    }
}

#[test]
fn tests_wait_for_events_never_for_time() {
    for path in rust_files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let in_tests =
            path.components().any(|c| c.as_os_str() == "tests") || name.ends_with("tests");
        let text = fs::read_to_string(&path).unwrap();
        let inline = "#[cfg(test)]\nmod tests {";
        let tests = if in_tests {
            text.as_str()
        } else {
            text.split_once(inline).map_or("", |(_, tests)| tests)
        };
        // Under paused time a sleep only moves the clock.
        if tests.contains("start_paused = true") {
            continue;
        }
        for sleep in [
            ["thread::", "sleep("],
            ["time::", "sleep("],
            ["#[ig", "nore"],
        ] {
            assert!(
                !tests.contains(&sleep.concat()),
                "{} uses {}",
                path.display(),
                sleep.concat()
            );
        }
    }
}

#[test]
fn the_proto_files_are_all_compiled() {
    let mut protos = Vec::new();
    files(&root().join("proto"), "proto", &mut protos);
    let build = fs::read_to_string(root().join("crates/wire/build.rs")).unwrap();
    for proto in &protos {
        let name = proto.file_stem().unwrap().to_string_lossy();
        assert!(
            build.contains(&format!("\"{name}\"")),
            "{name}.proto is not compiled"
        );
    }
    assert_eq!(protos.len(), 10);
}

/// The reference tables, those included that no rule uses yet.
#[test]
fn every_reference_table_is_whole() {
    let mut tables = Vec::new();
    files(&root().join("crates"), "csv", &mut tables);
    tables.retain(|path| path.parent().unwrap().ends_with("data"));
    assert!(tables.len() >= 8, "found only {tables:?}");
    for path in tables {
        let mut rows = csv::Reader::from_path(&path).unwrap();
        let columns = rows.headers().unwrap().len();
        let whole = rows
            .records()
            .map(|row| row.unwrap().len())
            .filter(|len| *len == columns)
            .count();
        assert!(whole > 2 && columns > 2, "{}", path.display());
    }
}

/// What the catalogue's units are called in IEEE 11073-10101, as far as it is known.
#[test]
fn the_table_of_units_names_units_of_the_catalogue() {
    let table = fs::read_to_string(root().join("crates/model/data/units.csv")).unwrap();
    let mut rows = csv::Reader::from_reader(table.as_bytes());
    let units: Vec<String> = rows
        .records()
        .map(|row| row.unwrap()[2].to_owned())
        .collect();
    let used = catalogue()
        .vitals()
        .filter(|vital| units.contains(&vital.unit))
        .count();
    assert!(
        used > 30,
        "only {used} vital signs have a unit of the table"
    );
}

/// What SECURITY.md says is shown by a test, is.
#[test]
fn the_threat_model_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named: Vec<(&str, &str)> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|quoted| quoted.split_once(".rs: "))
        .collect();
    assert!(named.len() >= 20, "only {} tests are named", named.len());
    for (file, test) in named {
        let source = fs::read_to_string(root().join(format!("{file}.rs"))).unwrap_or_default();
        let is_there = source.contains(&format!("fn {test}("));
        assert!(is_there, "{file}.rs has no test {test}");
    }
}

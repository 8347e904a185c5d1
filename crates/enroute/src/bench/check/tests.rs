//! What makes the check fail, and what does not.

use super::*;
use crate::bench::figures::Report;

const STORED_HERE: &str =
    "\"a/size\" = 128.0\n\"a/calls\" = 0.5\n\"a/rate\" = 0.9\n\"a/none\" = 0.0\n";

fn grown(figure: Figure) -> Vec<String> {
    let mut report = Report::new("a", String::new());
    report.figures.push(figure);
    let run = Run {
        processors: 2,
        reports: vec![report],
        failed: Vec::new(),
    };
    // As it is kept between two commands.
    let run: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
    let all = checked(&run, STORED_HERE).unwrap();
    let grown = all.into_iter().filter(Checked::grew);
    grown.map(|one| one.name).collect()
}

fn figure(name: &str, now: f64) -> Figure {
    Figure::new(name, "", vec![now])
}

#[test]
fn a_size_that_grew_by_a_byte_fails() {
    assert!(grown(figure("a/size", 128.0).exact()).is_empty());
    assert!(grown(figure("a/size", 120.0).exact()).is_empty());
    assert_eq!(grown(figure("a/size", 129.0).exact()), ["a/size"]);
}

#[test]
fn one_allocation_where_there_was_none_fails() {
    assert!(grown(figure("a/none", 0.0).exact()).is_empty());
    assert_eq!(grown(figure("a/none", 0.01).exact()), ["a/none"]);
}

#[test]
fn a_count_that_the_machine_has_a_part_in_may_grow_by_its_factor() {
    assert!(grown(figure("a/calls", 0.7).within(1.5)).is_empty());
    assert_eq!(grown(figure("a/calls", 0.8).within(1.5)), ["a/calls"]);
}

#[test]
fn rates_and_what_is_not_stored_never_fail() {
    assert!(grown(figure("a/rate", 9.0)).is_empty());
    assert!(grown(figure("a/new", 9.0).exact()).is_empty());
    let nothing = Figure::beside("a/rate", "", "nothing", &[(1.0, 0.0)]);
    assert!(grown(nothing).is_empty());
}

#[test]
fn every_count_and_size_of_the_short_check_is_stored() {
    let stored: BTreeMap<String, f64> = toml::from_str(STORED).unwrap();
    for name in [
        "bytes/numerics-live",
        "bytes/waveforms-history",
        "bytes/recorded-at-rest",
        "engine/numerics/allocations",
        "engine/waveforms/allocations",
        "counts/commits",
        "counts/calls-in-bursts",
        "counts/encodings",
    ] {
        assert!(stored.contains_key(name), "{name}");
    }
}

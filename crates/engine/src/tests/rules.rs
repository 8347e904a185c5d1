//! Rule books, overlays, a patient's own limits: timelines, and what a refusal
//! leaves as it was.

use super::*;
use crate::ENGINE_VERSION;
use crate::engine::RestoreError;
use enroute_alert::book::{BookFile, Books, RuleBook};
use enroute_model::ids::BookHash;
use enroute_model::state::Verdict;
use std::sync::{Arc, LazyLock};

/// The built-in book, and *strict*: HR above 100 for 10 s, over after 20 s below; on
/// call after 20 s, unattended after 40 s; a pulse of 91 to 110 is red in NEWS2.
pub(super) static BOOKS: LazyLock<Books> = LazyLock::new(|| {
    let books = Books::default();
    let built_in = RuleBook::built_in();
    let files = built_in.files().iter().map(|file| {
        let hr = "high = { warn = 120, crit = 150 }\nwarn = { priority = \"medium\", on_delay_s = 10, off_delay_s = 0 }";
        let strict = "high = { warn = 100, crit = 150 }\nwarn = { priority = \"medium\", on_delay_s = 10, off_delay_s = 20 }";
        BookFile {
            name: file.name.clone(),
            text: file
                .text
                .replacen(hr, strict, 1)
                .replace("name = \"enroute\"", "name = \"strict\"")
                .replace("on_call_after_s = 60", "on_call_after_s = 20")
                .replace("unattended_after_s = 180", "unattended_after_s = 40")
                .replace("from = 91, to = 110, points = 1", "from = 91, to = 110, points = 3"),
        }
    });
    books.put(Arc::new(RuleBook::parse(files.collect()).unwrap()));
    books
});

pub(super) fn book(name: &str) -> BookHash {
    match name {
        "built-in" => RuleBook::built_in().hash(),
        "strict" => BOOKS
            .hashes()
            .find(|hash| *hash != book("built-in"))
            .unwrap(),
        _ => BookHash([7; 32]),
    }
}

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

fn verdicts(trace: &str) -> (Engine, Vec<Verdict>) {
    let mut engine = Engine::with_books(transfer("tx"), BOOKS.clone());
    let (mut effects, mut verdicts) = (Effects::default(), Vec::new());
    for (_, record) in records(trace) {
        let record = record.unwrap();
        let verdict = engine.handle(&record, &mut effects);
        if matches!(record.entry, Entry::Registry { .. }) {
            verdicts.push(verdict);
        }
    }
    (engine, verdicts)
}

#[test]
fn another_book_counts_from_its_record_on() {
    check(
        "rules_book",
        "0..30 amb hr=110
         31 book strict
         31..60 amb hr=110
         61..90 amb hr=80
         91 book built-in
         92..120 amb hr=110",
    );
}

#[test]
fn the_same_book_again_changes_nothing() {
    check(
        "rules_book_again",
        "0..20 amb hr=130
         21 book built-in
         21..40 amb hr=130",
    );
}

#[test]
fn a_book_says_when_an_alert_is_passed_on() {
    check(
        "rules_escalation",
        "0 book strict
         1..60 amb hr=30",
    );
    // Of an alert that stands, the times of the new book count too.
    check(
        "rules_escalation_later",
        "0..50 amb spo2=80
         51 book strict
         51..60 amb spo2=80",
    );
}

#[test]
fn a_book_has_its_own_points() {
    let red = |trace: &str| {
        let (engine, _) = verdicts(trace);
        let scores = engine.state().sources[0].scores.clone();
        let code = catalogue().vital_by_id("news2").unwrap().code;
        let news2 = scores.iter().find(|score| score.code == code).unwrap();
        (news2.low, news2.single_red)
    };
    let built_in = red("0..9 amb hr=100 rr_co2=16");
    assert_eq!(built_in, (1, false));
    assert_eq!(red("0 book strict\n1..9 amb hr=100 rr_co2=16"), (3, true));
    // The next computation goes by it.
    let later = "0..9 amb hr=100 rr_co2=16\n10 book strict\n11..19 amb hr=100 rr_co2=16";
    assert_eq!(red(later), (3, true));
}

#[test]
fn a_book_that_is_not_here_leaves_the_old_one() {
    let trace = "0..5 amb hr=80\n6 book nowhere\n7..40 amb hr=130";
    check("rules_book_missing", trace);
    let (engine, _) = verdicts(trace);
    let rules = engine.state().rules;
    assert_eq!(rules.missing_book, Some(book("nowhere")));
    assert_eq!(rules.book_hash, book("built-in"));
    assert!(engine.is_degraded());
    let (engine, _) = verdicts(&format!("{trace}\n41 book strict"));
    assert!(!engine.is_degraded() && engine.open_for_test().is_empty());
}

#[test]
fn overlays_and_own_limits_lie_on_top_of_the_population() {
    check(
        "rules_layers",
        "0..20 amb abp_sys=105 spo2=92
         21 registry mark traumatic_brain_injury
         21..60 amb abp_sys=105 spo2=92
         61 registry limits abp_sys 80 100 180 220
         61..100 amb abp_sys=105 spo2=92
         101 registry limits abp_sys book
         101..120 amb abp_sys=105 spo2=92",
    );
}

#[test]
fn limits_around_the_values_of_the_moment() {
    check(
        "rules_auto",
        "0..30 amb hr=130 spo2=97
         31 registry auto hr
         31..60 amb hr=130 spo2=97
         61..90 amb hr=170 spo2=97",
    );
    let (engine, _) = verdicts("0..3 amb hr=130 rr_imp=14 temp1=37\n4 registry auto");
    let own = engine.state().rules.own;
    let told: Vec<_> = own
        .iter()
        .map(|own| {
            let id = &catalogue().vital(own.code).unwrap().id;
            let (low, high) = (own.limits.warn_low.unwrap(), own.limits.warn_high.unwrap());
            let (by, why) = (&own.from.by, &own.reason);
            format!(
                "{id} {low} to {high}, {by} at {} s: {why}",
                own.from.at.0 / 1_000_000
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "hr 104 to 163, doctor at 4 s: stable like this",
            "temp1 36.5 to 37.5, doctor at 4 s: stable like this",
            "rr_imp 7 to 21, doctor at 4 s: stable like this",
        ]
    );
    assert!(own.iter().all(|own| own.automatic));
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    for (action, why) in [
        ("limits hr 60 50 120 150", "out of order"),
        ("limits hr 40 120 110 150", "out of order"),
        ("limits hr -5 50 120 150", "outside of what can be measured"),
        ("limits cow 1 2 3 4", "no such vital sign"),
        ("limits hr book", "rule book's already"),
        ("auto spo2", "no rule"),
        ("auto rr_imp", "no current value"),
        // One of them is not to be had: none is set.
        ("auto hr temp1", "no current value"),
    ] {
        let trace = format!("0..3 amb hr=80 spo2=97 temp1=-\n4 registry {action}");
        let (engine, verdicts) = verdicts(&trace);
        let Some(Verdict::Refused(reason)) = verdicts.last() else {
            panic!("{action}: {verdicts:?}")
        };
        assert!(reason.contains(why), "{action}: {reason}");
        assert!(engine.state().rules.own.is_empty(), "{action}");
    }
    // Stale, doubtful, of a gateway that does not speak for the patient.
    for before in [
        "0..3 amb hr=80\n100 tick",
        "0..3 amb hr=80?",
        "0..3 amb hr=80\n4 registry handover air",
    ] {
        let trace = before.replace("\n100 tick", "");
        let at = if before.contains("tick") { 100 } else { 5 };
        let (_, verdicts) = verdicts(&format!("{trace}\n{at} registry auto"));
        let last = verdicts.last();
        assert!(
            matches!(last, Some(Verdict::Refused(_))),
            "{before}: {last:?}"
        );
    }
}

#[test]
fn a_joined_transfer_brings_its_own_limits() {
    let (mut one, _) = verdicts("0 amb hr=80\n1 registry limits hr 30 40 120 150");
    let (two, _) = verdicts(
        "0 air hr=80\n1 registry limits hr 50 60 120 150\n2 registry limits spo2 80 85 - -",
    );
    one.absorb(two, s(3), &mut Effects::default());
    let own = one.state().rules.own;
    let of = |id: &str| own.iter().find(|own| own.code == metric(id).code).unwrap();
    assert_eq!(of("hr").limits.warn_low, Some(40.0), "this one's stay");
    assert_eq!(of("spo2").limits.warn_low, Some(85.0));
}

#[test]
fn a_snapshot_finds_its_book_again_or_says_which() {
    let (engine, _) = verdicts("0 amb hr=80\n1 book strict\n2 registry limits spo2 80 85 - -");
    let bytes = engine.snapshot();
    let restored = Engine::restore_with(&bytes, &BOOKS).unwrap();
    assert_eq!(restored.state(), engine.state());
    assert_eq!(restored.state().rules.book_name, "strict");
    let unknown = Engine::restore(&bytes).map(|_| ()).unwrap_err();
    assert_eq!(unknown, RestoreError::UnknownBook(book("strict")));
}

/// Where no record names a book the built-in one applies: other words in it could
/// be other effects of the same records, and that is another engine version.
#[test]
fn the_built_in_book_belongs_to_the_engine_version() {
    let hash = RuleBook::built_in().hash().to_string();
    insta::assert_snapshot!(format!("engine version {ENGINE_VERSION}: {hash}"));
}

//! The built-in book against the reference tables, the layering, and everything
//! that can be wrong with a book.

use super::*;
use crate::profile::is_ordered;
use enroute_model::catalogue::catalogue;
use proptest::prelude::*;

const CONDITIONS: [&str; 6] = [
    "air_transfer",
    "ventilated",
    "sepsis",
    "stroke",
    "after_cardiac_arrest",
    "traumatic_brain_injury",
];
const BANDS: [AgeBand; 5] = [
    AgeBand::Neonate,
    AgeBand::Infant,
    AgeBand::Child,
    AgeBand::Adolescent,
    AgeBand::Adult,
];

fn code(id: &str) -> Code {
    catalogue().vital_by_id(id).unwrap().code
}

/// Rows `proposed_default` of the reference tables.
fn reference() -> impl Iterator<Item = BTreeMap<String, String>> {
    let tables = [
        include_str!("../../data/alarm_limits.csv"),
        include_str!("../../data/score_limits.csv"),
    ];
    let rows = tables.into_iter().flat_map(|table| {
        let reader = csv::Reader::from_reader(table.as_bytes());
        reader.into_deserialize().map(Result::unwrap)
    });
    rows.filter(|row: &BTreeMap<String, String>| row["set"] == "proposed_default")
}

/// The files hold every figure of the reference, and no other limits.
#[test]
fn the_built_in_book_is_the_reference() {
    let book = RuleBook::built_in();
    for (population, band) in [
        ("adult", AgeBand::Adult),
        ("paediatric 1-12 y", AgeBand::Child),
        ("neonate", AgeBand::Neonate),
    ] {
        let profile = book.population(Some(band));
        let mut rows = 0;
        for row in reference().filter(|row| row["population"] == population) {
            // A conditional rule: no limit of a vital sign. A course of the engine
            // has its figures.
            if row["param"] == "spo2_hi_on_o2" {
                continue;
            }
            rows += 1;
            let rule = profile.rule(code(&row["param"])).unwrap();
            let number = |column: &str| row[column].parse::<f64>().ok();
            let (limits, terms) = (rule.in_force(), rule.terms());
            let stated = LimitsInForce {
                crit_low: number("crit_lo"),
                warn_low: number("warn_lo"),
                warn_high: number("warn_hi"),
                crit_high: number("crit_hi"),
            };
            assert_eq!(limits, stated, "{row:?}");
            let hysteresis = number("hysteresis").unwrap_or_default();
            assert_eq!(terms.hysteresis.to_bits(), hysteresis.to_bits(), "{row:?}");
            for (level, manner, is_there) in [
                ("warn", terms.warn, limits.warn_low.or(limits.warn_high)),
                ("crit", terms.crit, limits.crit_low.or(limits.crit_high)),
            ] {
                if is_there.is_none() {
                    continue;
                }
                let priority = format!("{:?}", manner.priority).to_lowercase();
                assert_eq!(priority, row[&format!("{level}_priority")], "{row:?}");
                let delay = row[&format!("on_delay_{level}_s")].parse().unwrap_or(0);
                assert_eq!(manner.on_delay, Span::from_secs(delay), "{row:?}");
                assert_eq!(manner.latching, row["latching"] == level, "{row:?}");
                assert_eq!(manner.off_delay, Span::ZERO, "the reference has none");
            }
        }
        // The reference has no row for the arterial line's own count of the pulse.
        let beside = profile.rule(code("abp_pr")).map_or(0, |_| 1);
        assert_eq!(profile.rules().count() - beside, rows, "{population}");
    }
}

/// What the reference's words say beside its figures.
#[test]
fn basis_and_note_of_the_reference_stand_in_the_files() {
    let book = RuleBook::built_in();
    let all: String = book.files().iter().map(|file| file.text.as_str()).collect();
    for row in reference() {
        let conditional = row["param"] == "spo2_hi_on_o2";
        let columns = if conditional { 2 } else { 3 };
        for column in ["basis", "confidence", "note"].iter().take(columns) {
            assert!(all.contains(&row[*column]), "{column} of {row:?}");
        }
    }
}

#[test]
fn ages_without_rows_are_like_their_neighbours() {
    let book = RuleBook::built_in();
    let of = |band| book.population(Some(band));
    assert_eq!(of(AgeBand::Infant), of(AgeBand::Child));
    let index = code("shock_index");
    let (adolescent, adult) = (of(AgeBand::Adolescent), of(AgeBand::Adult));
    assert_eq!(
        adolescent.rule(index).unwrap().in_force().warn_high,
        Some(0.9)
    );
    let others = |profile: &Profile| {
        let others = profile.rules().filter(|rule| rule.code != index);
        others.copied().collect::<Vec<_>>()
    };
    assert_eq!(others(&adolescent), others(&adult));
    assert_eq!(book.population(None), adult, "an unknown age is an adult");
}

/// An overlay that nobody applies would be a promise not kept: these six are there.
#[test]
fn every_overlay_changes_something_and_leaves_the_rest() {
    let book = RuleBook::built_in();
    let names: Vec<_> = book.overlays().iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, CONDITIONS);
    for condition in CONDITIONS {
        let marked = book.profile(None, &[condition.to_owned()]);
        let plain = book.population(None);
        let changed = marked
            .rules()
            .filter(|rule| plain.rule(rule.code).map(|r| **r) != Some(**rule));
        let changed = changed.count();
        assert!(changed > 0 && changed < 10, "{condition}: {changed}");
        assert_eq!(marked.rules().count(), plain.rules().count());
    }
    let unknown = book.profile(None, &["measles".to_owned()]);
    assert_eq!(unknown, book.population(None));
}

#[test]
fn the_later_overlay_counts() {
    let book = RuleBook::built_in();
    let both = ["traumatic_brain_injury".to_owned(), "sepsis".to_owned()];
    for conditions in [both.clone(), [both[1].clone(), both[0].clone()]] {
        let profile = book.profile(None, &conditions);
        let low = |id: &str| profile.rule(code(id)).unwrap().in_force().warn_low;
        assert_eq!(low("abp_sys"), Some(110.0), "brain injury is laid on last");
        assert_eq!(low("abp_mean"), Some(65.0), "of sepsis alone");
    }
}

proptest! {
    /// Layering against three sentences: each figure is the patient's own, or of
    /// the last overlay that gives its side, or of the population; how it is
    /// raised never comes from the patient's own; and low stays below high.
    #[test]
    fn layers_lie_on_top_of_each_other(
        band in prop::sample::select(BANDS.to_vec()),
        picked in prop::collection::vec(any::<bool>(), 6),
        own in prop::option::of((30..60i32, 100..200i32)),
    ) {
        let book = RuleBook::built_in();
        let conditions = CONDITIONS.iter().zip(&picked).filter(|(_, picked)| **picked);
        let conditions: Vec<String> = conditions.map(|(name, _)| (*name).to_owned()).collect();
        let mut profile = Profile::clone(&book.profile(Some(band), &conditions));
        let before = profile.clone();
        let hr = code("hr");
        if let Some((low, high)) = own {
            let limits = LimitsInForce {
                warn_low: Some(low.into()),
                warn_high: Some(high.into()),
                ..LimitsInForce::default()
            };
            profile.put_own(hr, limits);
            prop_assert_eq!(profile.rule(hr).unwrap().in_force(), limits);
            let manner = |profile: &Profile| profile.rule(hr).unwrap().terms().warn;
            prop_assert_eq!(manner(&profile), manner(&before));
        }
        let population = book.population(Some(band));
        for rule in profile.rules() {
            prop_assert!(is_ordered(&rule.in_force()), "{:?}", rule);
            if rule.code == hr && own.is_some() {
                continue;
            }
            let base = population.rule(rule.code).unwrap().in_force();
            let mut wanted = (base.crit_low, base.warn_low, base.warn_high, base.crit_high);
            for overlay in book.overlays() {
                let applies = overlay.bands.contains(&band) && conditions.contains(&overlay.name);
                let Some(change) = overlay.changes.get(&rule.code).filter(|_| applies) else {
                    continue;
                };
                if let Some(low) = change.low {
                    (wanted.0, wanted.1) = (low.crit, low.warn);
                }
                if let Some(high) = change.high {
                    (wanted.2, wanted.3) = (high.warn, high.crit);
                }
            }
            let is = rule.in_force();
            prop_assert_eq!((is.crit_low, is.warn_low, is.warn_high, is.crit_high), wanted);
        }
    }

    /// Whatever text stands in a file, the book is refused or taken, never worse.
    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,200}", at in 0..4_000usize) {
        let mut files = text::built_in();
        let file = &mut files[1];
        let at = (0..=at.min(file.text.len())).rev().find(|at| file.text.is_char_boundary(*at));
        file.text.insert_str(at.unwrap(), &text);
        if let Err(problems) = RuleBook::parse(files) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn a_packed_book_unpacks(names in prop::collection::vec(("[a-z]{1,8}", "\\PC{0,40}"), 0..5)) {
        let files: Vec<_> = names.into_iter().map(|(name, text)| BookFile { name, text }).collect();
        let bytes = BookFile::pack(&files);
        prop_assert_eq!(BookFile::unpack(&bytes), Ok(files));
        if !bytes.is_empty() {
            prop_assert_eq!(BookFile::unpack(&bytes[..bytes.len() - 1]).ok().map(|f| BookFile::pack(&f)), None);
        }
    }
}

/// What the built-in book is refused for, with `from` replaced by `to` in a file.
fn refused(name: &str, from: &str, to: &str) -> String {
    let mut files = text::built_in();
    let file = files.iter_mut().find(|file| file.name == name).unwrap();
    assert!(file.text.contains(from), "{from}");
    file.text = file.text.replacen(from, to, 1);
    let problems = RuleBook::parse(files).map(|_| ()).unwrap_err();
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    problems.join("\n")
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let hr = "low = { crit = 40, warn = 50 }";
    let adult = |from: &str, to: &str| refused("adult.toml", from, to);
    let head = |from: &str, to: &str| refused("book.toml", from, to);
    let overlay = |from: &str, to: &str| refused("overlays.toml", from, to);
    let told = [
        ("a typo in a key", adult("hysteresis = 3", "hystersis = 3")),
        ("a typo in a priority", adult("\"medium\"", "\"medum\"")),
        (
            "no vital sign",
            adult("[limits.adult.hr]", "[limits.adult.hart]"),
        ),
        (
            "no population",
            adult("[limits.adult.hr]", "[limits.grown.hr]"),
        ),
        (
            "crit inside warn",
            adult(hr, "low = { crit = 55, warn = 50 }"),
        ),
        (
            "low and high overlap",
            adult(hr, "low = { crit = 40, warn = 130 }"),
        ),
        (
            "not a finite number",
            adult(hr, "low = { crit = nan, warn = 50 }"),
        ),
        (
            "an infinite hysteresis",
            adult("hysteresis = 3", "hysteresis = inf"),
        ),
        (
            "a limit that nothing can reach",
            adult(hr, "low = { crit = -40, warn = 50 }"),
        ),
        ("another unit", adult("unit = \"/min\"", "unit = \"Hz\"")),
        ("no unit", adult("unit = \"/min\"\n", "")),
        ("no priority", adult("{ priority = \"medium\", on", "{ on")),
        (
            "a delay of a day",
            adult("on_delay_s = 10", "on_delay_s = 86400"),
        ),
        (
            "a negative delay",
            adult("on_delay_s = 10", "on_delay_s = -1"),
        ),
        (
            "twice in a file",
            adult("[limits.adult.pr]", "[limits.adult.hr]"),
        ),
        (
            "twice in two files",
            refused("child.toml", "[limits.child.hr]", "[limits.adult.hr]"),
        ),
        ("not TOML", adult("[limits.adult.hr]", "[limits.adult.hr")),
        ("no version", head("version = \"1\"\n", "")),
        ("an empty author", head("the enroute project", "")),
        (
            "half an approval",
            head("approved_by = \"\"", "approved_by = \"Dr. Weber\""),
        ),
        (
            "no date",
            head("approved_on = \"\"", "approved_on = \"in March\""),
        ),
        ("an overlay without a place", head("\"sepsis\", ", "")),
        (
            "a place without an overlay",
            head("\"sepsis\"", "\"sepsis\", \"flu\""),
        ),
        (
            "an overlay named twice",
            head("\"sepsis\"", "\"sepsis\", \"sepsis\""),
        ),
        (
            "an overlay that meets another",
            overlay(
                "high = { warn = 185, crit = 220 }",
                "high = { warn = 105, crit = 220 }",
            ),
        ),
        (
            "an overlay that meets its population",
            overlay(
                "low = { crit = 60, warn = 65 }",
                "low = { crit = 60, warn = 115 }",
            ),
        ),
        (
            "a population like none",
            refused("infant.toml", "like = \"child\"", "like = \"kid\""),
        ),
    ];
    let told = told.map(|(what, told)| format!("{what}:\n{told}\n"));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_wrong_with_scores_and_escalation_is_said_too() {
    let head = |from: &str, to: &str| refused("book.toml", from, to);
    let score = |from: &str, to: &str| refused("scores.toml", from, to);
    let told = [
        (
            "no score",
            score(
                "[score.mews]",
                "[score.muse]\nbasis = \"\"\nconfidence = \"\"\n[score.mews]",
            ),
        ),
        (
            "no item of a score",
            score("respiration = [", "breathing = ["),
        ),
        (
            "a gap between ranges",
            score("{ from = 12, to = 20", "{ from = 13, to = 20"),
        ),
        (
            "ranges that overlap",
            score("{ from = 12, to = 20", "{ from = 11, to = 20"),
        ),
        (
            "a range without an end for what is higher",
            score("{ from = 25, points", "{ from = 25, to = 60, points"),
        ),
        (
            "a range that ends before it begins",
            score("{ from = 12, to = 20", "{ from = 20, to = 12"),
        ),
        (
            "finer than a monitor shows",
            score("{ from = 9, to = 11,", "{ from = 8.5, to = 11,"),
        ),
        (
            "too many points",
            score("{ to = 8, points = 3", "{ to = 8, points = 30"),
        ),
        ("no such word", score("is = \"oxygen\"", "is = \"helium\"")),
        (
            "a number for a word",
            score("is = \"A\", points", "from = 1, points"),
        ),
        (
            "no row for oxygen",
            score("    { is = \"oxygen\", points = 2 },\n", ""),
        ),
        (
            "a second scale of something else",
            score(
                "[score.news2_scale2.items]\nsaturation",
                "[score.news2_scale2.items]\npulse",
            ),
        ),
        (
            "called before they are asked",
            head("unattended_after_s = 180", "unattended_after_s = 60"),
        ),
        (
            "called at once",
            head("on_call_after_s = 60", "on_call_after_s = 1"),
        ),
    ];
    let told = told.map(|(what, told)| format!("{what}:\n{told}\n"));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_book_as_a_whole_may_be_wrong() {
    let told = |files: Vec<BookFile>| {
        let problems = RuleBook::parse(files).map(|_| ()).unwrap_err();
        let problems = problems.iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("\n")
    };
    let without = |name: &str| {
        let mut files = text::built_in();
        files.retain(|file| file.name != name);
        told(files)
    };
    let large = BookFile {
        name: "large.toml".to_owned(),
        text: "#".repeat(FILE_BYTES_MAX + 1),
    };
    let two_heads = BookFile {
        name: "zz.toml".to_owned(),
        text: text::built_in()[2].text.clone(),
    };
    let with = |file: BookFile| {
        let mut files = text::built_in();
        files.push(file);
        told(files)
    };
    let many = vec![large.clone(); FILES_MAX + 1];
    insta::assert_snapshot!(
        [
            told(Vec::new()),
            told(many),
            with(large),
            with(two_heads),
            without("book.toml"),
            without("neonate.toml"),
            without("child.toml"),
        ]
        .join("\n")
    );
}

#[test]
fn a_book_goes_by_its_text() {
    let book = RuleBook::built_in();
    let mut files = text::built_in();
    files.reverse();
    let again = RuleBook::parse(files.clone()).unwrap();
    assert_eq!(again.hash(), book.hash(), "in whatever order it was read");
    files[0].text.push('\n');
    let other = RuleBook::parse(files).unwrap();
    assert_ne!(other.hash(), book.hash());
}

//! The built-in conditions, what a book may not say, and what survives another
//! book.

use super::*;
use crate::book::RuleBook;
use std::collections::BTreeMap;

const BANDS: [AgeBand; 5] = [
    AgeBand::Neonate,
    AgeBand::Infant,
    AgeBand::Child,
    AgeBand::Adolescent,
    AgeBand::Adult,
];

fn refused(text: &str) -> String {
    Rules::of(&rows(text), None).unwrap_err().what
}

#[test]
fn every_condition_that_people_see_has_words() {
    let table = include_str!("../../../data/rule_words.csv");
    let words: BTreeMap<String, (String, String)> = csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .map(|row| {
            let (rule, en, zh): (String, String, String) = row.unwrap();
            (rule, (en, zh))
        })
        .collect();
    for band in BANDS {
        for rule in RuleBook::built_in().conditions(Some(band)).rules() {
            let here = words.get(&rule.id);
            assert!(rule.silent || here.is_some(), "{} has no words", rule.id);
            assert!(!rule.row.basis.is_empty() && !rule.row.confidence.is_empty());
        }
    }
    assert!(
        words
            .values()
            .all(|(en, zh)| !en.is_empty() && !zh.is_empty())
    );
}

#[test]
fn the_shock_index_by_age_is_as_the_table_says() {
    let table = include_str!("../../../data/sipa.csv");
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        let row = row.unwrap();
        let band = if &row[0] == "child" {
            AgeBand::Child
        } else {
            AgeBand::Adolescent
        };
        let code = catalogue().vital_by_id("shock_index").unwrap().code;
        let book = RuleBook::built_in();
        let profile = book.population(Some(band));
        let limit = profile
            .rule(code)
            .and_then(|rule| rule.high.warn)
            .map(|warn| warn.limit);
        let in_rules = |limit: f64| {
            let rules = book.conditions(Some(band));
            let asked: Vec<String> = rules
                .rules()
                .iter()
                .map(|rule| format!("{:?}", rule.row.when))
                .collect();
            asked
                .iter()
                .any(|when| when.contains(&format!("Some({limit:?})")))
        };
        let wanted: f64 = row[3].parse().unwrap();
        let here = limit.is_some_and(|limit| (limit - wanted).abs() < 1e-9) || in_rules(wanted);
        assert!(here, "{row:?}");
    }
}

#[test]
fn what_a_book_may_not_say() {
    let head = "[[condition]]\nid = \"c\"\nmetric = \"hr\"\n";
    let level = "priority = \"low\"\nwhen.level = { of = [\"hr\"], above = 120 }\n";
    let with = |rest: &str| format!("{head}{rest}");
    assert!(Rules::of(&rows(&with(level)), None).is_ok());
    for (text, what) in [
        (with("when.usable = [\"hr\"]"), "give a priority"),
        (
            with("silent = true\nwhen.usable = [\"hr\"]"),
            "neither doubts nor covers",
        ),
        (
            with("priority = \"low\"\nwhen.usable = [\"pulse\"]"),
            "catalogue",
        ),
        (
            with("priority = \"low\"\nwhen.usable = []"),
            "1 to 8 values",
        ),
        (
            with("priority = \"low\"\nwhen.level = { of = [\"hr\"] }"),
            "one bound",
        ),
        (
            with("priority = \"low\"\nwhen.level = { of = [\"hr\"], above = nan }"),
            "numbers",
        ),
        (
            with("priority = \"low\"\nwhen.raised = \"d\""),
            "before this one",
        ),
        (with("priority = \"low\"\nwhen.all = []"), "empty"),
        (
            with("priority = \"low\"\nwhen.change = { of = [\"hr\"], within_s = 60 }"),
            "give one of",
        ),
        (
            with(
                "priority = \"low\"\nwhen.slope = { of = [\"hr\"], rises_per_min = 1, over_s = 90000 }",
            ),
            "14,400",
        ),
        (
            with("priority = \"low\"\nwhen.single_red = \"hr\""),
            "the scores are",
        ),
        (with(level).replace("\"c\"", "\"C\""), "a-z"),
        (format!("{}{}", with(level), with(level)), "two of this id"),
        (
            with(level)
                .replace("\"c\"", "\"asystole\"")
                .replace("priority", "on_delay_s = 1\npriority"),
            "never wait",
        ),
        (
            with(
                "priority = \"low\"\nwhen.at_least = { count = 2, of = [ { usable = [\"hr\"] } ] }",
            ),
            "count",
        ),
    ] {
        let error = refused(&text);
        assert!(error.contains(what), "{text}: {error}");
    }
    let unknown = with("priority = \"low\"\nwhen.levels = { of = [\"hr\"] }");
    assert!(toml::from_str::<File>(&unknown).is_err());
}

#[test]
fn what_never_waits_has_no_delay_and_waits_for_nothing() {
    for band in BANDS {
        let rules = RuleBook::built_in().conditions(Some(band));
        for id in ["asystole", "apnoea"] {
            let rule = rules.rule(id).unwrap();
            assert_eq!(rule.timing.on_delay, Span::ZERO, "{id}");
        }
        let apnea_time = catalogue().vital_by_id("apnea_time").unwrap().code;
        let profile = RuleBook::built_in().population(Some(band));
        let crit = profile.rule(apnea_time).unwrap().high.crit.unwrap();
        assert_eq!(crit.manner.on_delay, Span::ZERO);
    }
}

#[test]
fn the_same_rule_in_another_book_goes_on() {
    let text = |id: &str| {
        format!(
            "[[condition]]\nid = \"{id}\"\nmetric = \"hr\"\npriority = \"low\"\nwhen.level = {{ of = [\"hr\"], above = 120 }}\n"
        )
    };
    let old = Rules::of(&rows(&format!("{}{}", text("a"), text("b"))), None).unwrap();
    let new = text("a")
        .replace("\"hr\"]", "\"spo2\"]")
        .replace("id = \"a\"", "id = \"z\"");
    let other = text("b").replace("120", "130");
    let new = Rules::of(&rows(&format!("{new}{}{other}", text("a"))), None).unwrap();
    let mut bed = Bed::new(&old);
    bed.word("hr=150", s(0));
    bed.ask(s(0));
    let mut ended = Vec::new();
    bed.conditions
        .adopt(Some(&old), &new, |id| ended.push(id.to_owned()));
    assert_eq!(ended, ["b"], "the same id, another limit");
    assert!(bed.conditions.is_shown("a") && !bed.conditions.is_shown("b"));
    assert!(bed.conditions.fits(&new) && !bed.conditions.fits(&old));
    bed.rules = &new;
    bed.ask(s(1));
    assert!(
        bed.told.ends_with("    1 s  b: Active at 130, since 1 s\n"),
        "{}",
        bed.told
    );
}

//! The worked cases of the reference, and what not knowing means.

use super::*;
use crate::book::RuleBook;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Known = BTreeMap<Item, f64>;

fn records(table: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

fn table(kind: Kind) -> Table {
    RuleBook::built_in().scores().table(kind).clone()
}

fn letter(text: &str) -> f64 {
    f64::from(
        "ACVPU"
            .find(text)
            .map(|n| u32::try_from(n).unwrap())
            .unwrap(),
    )
}

/// Every row of the reference gives its points at both of its ends, and the
/// built-in tables ask for nothing else.
#[test]
fn the_built_in_tables_are_the_reference() {
    let item = |name: &str| match name {
        "rr" => Some(Item::Respiration),
        "spo2" | "spo2_scale1" | "spo2_scale2" => Some(Item::Saturation),
        "o2" => Some(Item::Oxygen),
        "sbp" => Some(Item::Systolic),
        "pulse" | "hr" => Some(Item::Pulse),
        "acvpu" | "avpu" => Some(Item::Consciousness),
        "gcs" => Some(Item::ComaScale),
        "temp" => Some(Item::Temperature),
        "map" => Some(Item::MeanPressure),
        "age" => Some(Item::Age),
        _ => None,
    };
    let kind = |row: &BTreeMap<String, String>| match row.get("score").map(String::as_str) {
        Some("MEWS") => vec![Kind::Mews],
        Some("REMS") => vec![Kind::Rems],
        Some("qSOFA") => vec![Kind::Qsofa],
        Some("SIRS" | "ShockIndex" | "MSI" | "SIPA") => vec![],
        _ => match row["parameter"].as_str() {
            "spo2_scale1" => vec![Kind::News2(SaturationScale::One)],
            "spo2_scale2" => vec![Kind::News2(SaturationScale::Two)],
            _ => vec![
                Kind::News2(SaturationScale::One),
                Kind::News2(SaturationScale::Two),
            ],
        },
    };
    let mut rows = 0;
    let news2 = records(include_str!("../../data/news2.csv"));
    let others = records(include_str!("../../data/scores_other.csv"));
    // The score of NEWS2's rows is their points.
    let news2 = news2.into_iter().map(|mut row| {
        let points = row.remove("score").unwrap();
        row.insert("points".into(), points);
        row
    });
    for row in news2.chain(others) {
        for kind in kind(&row) {
            let name = row.get("parameter").or(row.get("item")).unwrap();
            let item = item(name).unwrap();
            let condition = row.get("condition").map_or("", String::as_str);
            let ends = ["lo_inclusive", "hi_inclusive"].map(|end| row[end].as_str());
            let words = [condition, ends[0]];
            let values: Vec<f64> = if item == Item::Consciousness {
                let mut words = words.iter();
                let word = words.find(|word| "ACVPU".contains(**word) && !word.is_empty());
                vec![letter(word.unwrap())]
            } else if item == Item::Oxygen {
                vec![f64::from(u8::from(condition == "oxygen"))]
            } else {
                ends.iter().filter_map(|end| end.parse().ok()).collect()
            };
            let oxygen = f64::from(u8::from(condition == "oxygen"));
            for value in values {
                let known = |asked: Item| {
                    let oxygen = (asked == Item::Oxygen).then_some(oxygen);
                    if asked == item { Some(value) } else { oxygen }
                };
                let points = table(kind).points(item, known).unwrap();
                let wanted = row["points"].parse().unwrap();
                let wanted = Points {
                    low: wanted,
                    high: wanted,
                };
                assert_eq!(points, wanted, "{kind:?} {value} {row:?}");
                rows += 1;
            }
        }
    }
    assert!(rows > 150, "{rows}");
    let asked = |kind| table(kind).items().count();
    let news2 = asked(Kind::News2(SaturationScale::One));
    assert_eq!((news2, asked(Kind::News2(SaturationScale::Two))), (7, 7));
    assert_eq!(
        (asked(Kind::Mews), asked(Kind::Qsofa), asked(Kind::Rems)),
        (5, 3, 6)
    );
}

/// A book that says nothing of scores and escalation, as those recorded before
/// they could, has the built-in ones; what it says of one score leaves the others.
#[test]
fn a_book_without_scores_has_the_built_in_ones() {
    let built_in = RuleBook::built_in();
    let mut files = built_in.files().to_vec();
    files.retain(|file| file.name != "scores.toml");
    for file in &mut files {
        let end = file.text.find("[escalation]").unwrap_or(file.text.len());
        file.text.truncate(end);
    }
    let old = RuleBook::parse(files.clone()).unwrap();
    assert_eq!(old.scores(), built_in.scores());
    assert_eq!(old.escalation(), built_in.escalation());
    let own = "[score.qsofa]\nbasis = \"\"\nconfidence = \"\"\n[score.qsofa.items]\n\
               systolic = [{ to = 90, points = 2 }, { from = 91, points = 0 }]\n\
               coma_scale = [{ to = 14, points = 1 }, { from = 15, points = 0 }]\n";
    files[0].text.push_str(own);
    let new = RuleBook::parse(files).unwrap();
    let known = |item: Item| (item == Item::Systolic).then_some(90.0);
    let score = new.scores().table(Kind::Qsofa).score(known);
    assert_eq!((score.points.low, score.points.high), (2, 3));
    let news2 = Kind::News2(SaturationScale::Two);
    assert_eq!(new.scores().table(news2), built_in.scores().table(news2));
}

#[test]
fn the_worked_cases_of_news2() {
    let cases = records(include_str!("../../data/news2_vectors.csv"));
    assert_eq!(cases.len(), 20);
    for case in cases {
        let columns = [
            (Item::Respiration, "rr", "s_rr"),
            (Item::Saturation, "spo2", "s_spo2"),
            (Item::Oxygen, "supplemental_o2", "s_o2"),
            (Item::Systolic, "sbp", "s_sbp"),
            (Item::Pulse, "pulse", "s_pulse"),
            (Item::Consciousness, "acvpu", "s_acvpu"),
            (Item::Temperature, "temp", "s_temp"),
        ];
        let mut known = Known::new();
        for (item, column, _) in columns {
            match (item, case[column].as_str()) {
                (_, "") => {}
                (Item::Consciousness, text) => drop(known.insert(item, letter(text))),
                (_, text) => drop(known.insert(item, text.parse().unwrap())),
            }
        }
        let scale = match case["scale"].as_str() {
            "1" => SaturationScale::One,
            _ => SaturationScale::Two,
        };
        let (table, name) = (table(Kind::News2(scale)), &case["name"]);
        let lookup = |item: Item| known.get(&item).copied();
        for (item, _, column) in columns.iter().filter(|c| !case[c.2].is_empty()) {
            let points = table.points(*item, lookup).unwrap();
            let wanted: u8 = case[*column].parse().unwrap();
            assert_eq!(
                (points.low, points.high),
                (wanted, wanted),
                "{name} {column}"
            );
        }
        let score = table.score(lookup);
        let bound = |column: &str| case[column].parse::<u8>().unwrap();
        assert_eq!(score.points.low, bound("score_lower_bound"), "{name}");
        assert_eq!(score.points.high, bound("score_upper_bound"), "{name}");
        assert_eq!(score.missing == 0, case["complete"] == "1", "{name}");
        let response = match case["response"].as_str() {
            "minimum" => Response::Minimum,
            "low" => Response::Low,
            "urgent_ward_single3" => Response::SingleRed,
            "urgent" => Response::Urgent,
            "emergency" => Response::Emergency,
            other => panic!("{other}"),
        };
        assert_eq!(score.response(), response, "{name}");
    }
}

#[test]
fn the_worked_cases_of_the_others() {
    for case in records(include_str!("../../data/scores_other_vectors.csv")) {
        let mut known = BTreeMap::new();
        for part in case["inputs"].split(';') {
            let (name, value) = part.split_once('=').unwrap();
            let value = value.parse().unwrap_or_else(|_| letter(value));
            known.insert(name.to_owned(), value);
        }
        let kind = match case["score"].as_str() {
            "MEWS" => Kind::Mews,
            "qSOFA" => Kind::Qsofa,
            "REMS" => Kind::Rems,
            _ => {
                let index = shock_index(known["hr"], known["sbp"]);
                let wanted: Option<f64> = case["expected"].parse().ok();
                let wanted = wanted.and_then(|wanted| Decimal::from_f64(wanted, 2));
                assert_eq!(index, wanted, "{}", case["case"]);
                continue;
            }
        };
        let score = table(kind).score(|item| {
            let name = match item {
                Item::Respiration => "rr",
                Item::Saturation => "spo2",
                Item::Systolic => "sbp",
                Item::MeanPressure => "map",
                Item::Pulse => "hr",
                Item::Consciousness => "avpu",
                Item::ComaScale => "gcs",
                Item::Temperature => "temp",
                Item::Age => "age",
                Item::Oxygen => return None,
            };
            known.get(name).copied()
        });
        let wanted: u8 = case["expected"].parse().unwrap();
        assert_eq!(
            score.points,
            Points {
                low: wanted,
                high: wanted
            },
            "{case:?}"
        );
        assert_eq!(score.missing, 0, "{case:?}");
    }
}

#[test]
fn oxygen_unknown_leaves_scale_two_open() {
    let table = table(Kind::News2(SaturationScale::Two));
    let known = |item: Item| (item == Item::Saturation).then_some(97.0);
    let points = table.points(Item::Saturation, known).unwrap();
    assert_eq!((points.low, points.high), (0, 3));
}

#[test]
fn new_confusion_is_no_letter_of_mews() {
    let table = table(Kind::Mews);
    let known = |item: Item| (item == Item::Consciousness).then_some(1.0);
    let points = table.points(Item::Consciousness, known).unwrap();
    assert_eq!((points.low, points.high), (0, 3));
}

#[test]
fn what_is_missing_in_qsofa_may_be_nothing() {
    let score = table(Kind::Qsofa).score(|_| None);
    assert_eq!(
        (score.points.low, score.points.high, score.missing),
        (0, 3, 3)
    );
}

proptest! {
    /// To learn a value never widens the range nor leaves it.
    #[test]
    fn knowing_more_narrows(values in prop::collection::vec(prop::option::of(0.0..250.0f64), 7), hidden in 0..7usize) {
        let table = table(Kind::News2(SaturationScale::Two));
        let items: Vec<Item> = table.items().collect();
        let known = |with: bool| {
            table.score(|item| {
                let place = items.iter().position(|i| *i == item)?;
                let value = values[place].filter(|_| with || place != hidden)?;
                Some(if item == Item::Oxygen {
                    f64::from(u8::from(value > 125.0))
                } else if item == Item::Consciousness {
                    (value / 50.1).floor()
                } else {
                    value
                })
            })
        };
        let (more, less) = (known(true).points, known(false).points);
        prop_assert!(less.low <= more.low && more.high <= less.high, "{less:?} {more:?}");
        prop_assert!(more.low <= more.high && more.high <= 20);
    }
}

//! Limits around the current value, by the rows of the table.

use super::*;
use crate::book::RuleBook;
use crate::profile::is_ordered;
use std::fmt::Write;

fn told(id: &str, band: AgeBand, value: f64) -> String {
    let code = catalogue().vital_by_id(id).unwrap().code;
    let profile = RuleBook::built_in().population(Some(band));
    let book = profile.rule(code).map(|rule| rule.in_force());
    let book = book.unwrap_or_default();
    let limits = around(code, Some(band), value, (book, book)).unwrap();
    let word = |limit: Option<f64>| limit.map_or("-".to_owned(), |limit| limit.to_string());
    let order = if is_ordered(&limits) {
        ""
    } else {
        "  OUT OF ORDER"
    };
    format!(
        "{:<8} {id:<10} at {value:>5}: crit {:>5} warn {:>5} to {:>5} crit {:>5}{order}",
        format!("{band:?}"),
        word(limits.crit_low),
        word(limits.warn_low),
        word(limits.warn_high),
        word(limits.crit_high)
    )
}

/// Computed by hand from `data/auto_limits.csv`.
#[test]
fn limits_around_a_value_as_the_table_has_them() {
    let mut lines = String::new();
    for (id, band, value) in [
        ("hr", AgeBand::Adult, 80.0),
        ("hr", AgeBand::Adult, 45.0),
        ("hr", AgeBand::Adult, 220.0),
        ("hr", AgeBand::Neonate, 140.0),
        ("hr", AgeBand::Neonate, 110.0),
        ("rr_imp", AgeBand::Adult, 14.0),
        ("rr_imp", AgeBand::Infant, 40.0),
        ("nibp_sys", AgeBand::Adult, 120.0),
        ("nibp_sys", AgeBand::Child, 180.0),
        ("nibp_sys", AgeBand::Neonate, 70.0),
        ("nibp_mean", AgeBand::Adult, 90.0),
        ("nibp_mean", AgeBand::Neonate, 45.0),
        ("cvp_mean", AgeBand::Adult, 8.0),
        ("cvp_mean", AgeBand::Adult, 2.0),
        ("etco2", AgeBand::Adult, 32.0),
        ("etco2", AgeBand::Adult, 34.0),
        ("etco2", AgeBand::Adult, 40.0),
        ("etco2", AgeBand::Adult, 47.0),
        ("etco2", AgeBand::Adult, 49.0),
        ("temp1", AgeBand::Adult, 37.2),
    ] {
        writeln!(lines, "{}", told(id, band, value)).unwrap();
    }
    insta::assert_snapshot!(lines);
}

/// Every row of the table is read, and says something on each side but the one
/// that it leaves to a manual.
#[test]
fn every_row_is_a_rule() {
    let table = include_str!("../../data/auto_limits.csv");
    assert_eq!(ROWS.len(), table.lines().count() - 1);
    let unknown = ROWS.iter().filter(|row| row.low == Formula::Unknown);
    assert_eq!(unknown.count(), 0);
    let unknown = ROWS.iter().filter(|row| row.high == Formula::Unknown);
    let unknown: Vec<_> = unknown.map(|row| row.vital.id.as_str()).collect();
    assert_eq!(unknown, ["nibp_mean"]);
    let steps = "<=32 same; 33-35: 29; 36-45: v-6; 46-48: 39; >48 same";
    assert!(
        table.contains(steps),
        "the steps in `Formula::of` are these"
    );
    let steps = "<=32 same; 33-35: 41; 36-45: v+6; 46-48: 51; >48 same";
    assert!(
        table.contains(steps),
        "the steps in `Formula::of` are these"
    );
}

//! The built-in limits against the reference tables, layering, what is looked up.

use super::*;
use crate::book::RuleBook;
use enroute_model::catalogue::catalogue;

fn code(id: &str) -> Code {
    catalogue().vital_by_id(id).unwrap().code
}

fn rule(id: &str) -> LimitRule {
    let adult = RuleBook::built_in().population(None);
    **adult.rule(code(id)).unwrap()
}

#[test]
fn the_end_of_hysteresis_compares_as_it_reads() {
    assert_eq!(
        rule("temp1").high.crit.unwrap().clears_at.to_bits(),
        40.8f64.to_bits()
    );
    assert_eq!(
        rule("st_ii").low.warn.unwrap().clears_at.to_bits(),
        (-0.15f64).to_bits()
    );
}

#[test]
fn the_better_measurement_is_named() {
    assert_eq!(rule("pr").only_without, Some(code("hr")));
    assert_eq!(rule("rr_imp").only_without, Some(code("rr_co2")));
    assert_eq!(rule("hr").only_without, None);
}

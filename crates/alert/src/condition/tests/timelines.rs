//! What each kind of clause makes of a course, as a nurse could read it.

use super::*;

fn check(name: &str, rules: &Rules, trace: &str) {
    let lines: Vec<&str> = trace
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let trace = lines.join("\n");
    let told = run(rules, &trace);
    insta::assert_snapshot!(name, format!("{trace}\n\n{told}"));
}

#[test]
fn an_intracranial_pressure_above_22_for_five_minutes() {
    let rules = one("sustained = { of = [\"icp_mean\"], above = 22, lasts_s = 300 }");
    check(
        "sustained",
        &rules,
        "0..60 icp_mean=18
         61..200 icp_mean=26
         201 icp_mean=20
         202..420 icp_mean=26
         421..600 icp_mean=15",
    );
    // Ten minutes of coughing: never for long.
    let cough = (0..10).map(|i| {
        let from = i * 60;
        format!(
            "{}..{} icp_mean=30\n{}..{} icp_mean=14",
            from,
            from + 30,
            from + 31,
            from + 59
        )
    });
    let cough: Vec<String> = cough.collect();
    assert!(!run(&rules, &cough.join("\n")).contains("Active"));
}

#[test]
fn a_systolic_pressure_that_falls_by_a_fifth() {
    let clause = "change = { of = [\"abp_sys\", \"nibp_sys\"], falls_percent = 20, hysteresis = 5, within_s = 600 }";
    let rules = timed("on_delay_s = 30\noff_delay_s = 30", clause);
    check(
        "change_falls",
        &rules,
        "0..600 abp_sys=120
         601..700 abp_sys=110
         701 abp_sys=40
         702..900 abp_sys=94
         901..1000 abp_sys=100
         1001..1100 abp_sys=112",
    );
    check(
        "change_by_cuff",
        &rules,
        "0..900/300 nibp_sys=118@300
         1200..1500/300 nibp_sys=92@300
         1800 nibp_sys=115@300
         1900 tick",
    );
    // Slowly, over an hour: no fall within ten minutes.
    let slow: Vec<String> = (0..40)
        .map(|i| format!("{}..{} abp_sys={}", i * 90, i * 90 + 89, 140 - i))
        .collect();
    assert!(!run(&rules, &slow.join("\n")).contains("Active"));
}

#[test]
fn a_baseline_that_a_clinician_set() {
    let clause =
        "change = { of = [\"abp_sys\"], falls_percent = 20, hysteresis = 5, within_s = 600 }";
    let rules = timed("on_delay_s = 30", clause);
    check(
        "change_set",
        &rules,
        "0 usual:abp_sys=150
         1..60 abp_sys=118
         61 usual:abp_sys=120
         61..100 abp_sys=118
         101 usual:abp_sys=
         101..700 abp_sys=118",
    );
}

#[test]
fn too_little_data_is_unavailable_and_never_normal() {
    let clause = "slope = { of = [\"hr\"], rises_per_min = 1, over_s = 600, hysteresis = 0.5 }";
    let rules = timed("on_delay_s = 60", clause);
    let rising: Vec<String> = (0..60)
        .map(|i| format!("{}..{} hr={}", i * 30, i * 30 + 29, 70 + i))
        .collect();
    let told = run(&rules, &rising.join("\n"));
    insta::assert_snapshot!("slope_rises", told);
    check(
        "slope_gaps",
        &rules,
        "0..300 hr=80
         301..700 hr=-
         701..1100 hr=80",
    );
}

#[test]
fn three_short_desaturations() {
    let clause = "repeated = { of = [\"spo2\"], below = 90, hysteresis = 1, lasts_s = 10, times = 3, within_s = 600 }";
    let rules = timed("off_delay_s = 60", clause);
    check(
        "repeated",
        &rules,
        "0..29 spo2=96
         30..41 spo2=88
         42..99 spo2=96
         100..108 spo2=88
         109..199 spo2=96
         200..212 spo2=87
         213..399 spo2=96
         400..411 spo2=86
         412..1200 spo2=96",
    );
}

#[test]
fn a_score_that_rises_for_certain() {
    let clause =
        "swing = { of = [\"news2\"], from = [\"news2.high\"], rises = 2, within_s = 3600 }";
    let rules = one(clause);
    // With the temperature missing the score is a range: its lower end fell and
    // rose again, and nothing is certain.
    check(
        "swing_certain",
        &rules,
        "0..595/5 news2=3@5 news2.high=3@5
         600..1195/5 news2=1@5 news2.high=4@5
         1200..2395/5 news2=3@5 news2.high=3@5
         2400..3000/5 news2=5@5 news2.high=5@5",
    );
}

#[test]
fn so_many_of_them_within_a_time() {
    let clause = "at_least = { count = 2, within_s = 120, of = [ { level = { of = [\"hr\"], above = 120 } }, { level = { of = [\"spo2\"], below = 90 } }, { level = { of = [\"rr_co2\"], above = 30 } } ] }";
    let rules = one(clause);
    check(
        "at_least",
        &rules,
        "0..9 hr=80 spo2=97 rr_co2=16
         10..19 hr=130 spo2=97 rr_co2=16
         20..99 hr=80 spo2=97 rr_co2=16
         100..109 hr=80 spo2=85 rr_co2=16
         110..200 hr=80 spo2=97 rr_co2=16
         201..210 hr=- spo2=- rr_co2=16
         211..260 hr=80 spo2=97 rr_co2=16",
    );
}

#[test]
fn what_is_not_known_goes_through_and_and_or() {
    let both = one(
        "all = [ { level = { of = [\"hr\"], above = 120 } }, { level = { of = [\"spo2\"], below = 90 } } ]",
    );
    check(
        "and_unknown",
        &both,
        "0..5 hr=130 spo2=88
         6..9 hr=130 spo2=-
         10..12 hr=80 spo2=-
         13..15 hr=130 spo2=-
         16 hr=130 spo2=88
         17 silent
         30 heard
         30 hr=80 spo2=88",
    );
    let either = one(
        "any = [ { level = { of = [\"hr\"], above = 120 } }, { level = { of = [\"spo2\"], below = 90 } } ]",
    );
    check(
        "or_unknown",
        &either,
        "0..5 hr=130 spo2=-
         6..9 hr=80 spo2=-
         10..12 hr=80 spo2=97",
    );
}

#[test]
fn a_rule_made_of_another() {
    let text = "[[condition]]\nid = \"first\"\nmetric = \"hr\"\npriority = \"low\"\non_delay_s = 10\nwhen.level = { of = [\"hr\"], above = 120 }\n[[condition]]\nid = \"second\"\nmetric = \"hr\"\npriority = \"high\"\nwhen.all = [ { raised = \"first\" }, { marked = \"sepsis\" } ]";
    let rules = Rules::of(&rows(text), None).unwrap();
    check(
        "raised",
        &rules,
        "0..20 hr=130
         21 mark:sepsis
         22..30 hr=130
         31..33 hr=80",
    );
}

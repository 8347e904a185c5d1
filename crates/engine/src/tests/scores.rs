//! Scores beside the values that they are computed from.

use super::*;
use enroute_model::state::ScoreState;

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

fn score(engine: &Engine, id: &str) -> Option<ScoreState> {
    let code = metric(id).code;
    let source = engine.source(&gateway("amb")).unwrap();
    source.scores.into_iter().find(|score| score.code == code)
}

fn points(engine: &Engine, id: &str) -> (u8, u8) {
    let score = score(engine, id).unwrap();
    (score.low, score.high)
}

#[test]
fn a_patient_who_gets_worse() {
    check(
        "scores_worse",
        "0 amb crew enters acvpu=0
         0 amb crew enters o2_supp=0
         1..60 amb hr=80 spo2=97 rr_co2=16 nibp_sys=125@300 temp1=37
         61..200 amb hr=112 spo2=93 rr_co2=22 nibp_sys=105@300 temp1=37
         150 amb crew enters acvpu=2
         201..300 amb hr=80 spo2=97 rr_co2=16 nibp_sys=125@300 temp1=37",
    );
}

#[test]
fn what_is_not_known_makes_a_range_and_is_never_filled_in() {
    let all = "hr=112 spo2=94 rr_co2=23 nibp_sys=104@300";
    let (engine, _) = run(&format!("0 amb crew enters o2_supp=1\n1..7 amb {all}"));
    assert_eq!(
        points(&engine, "news2"),
        (8, 14),
        "neither ACVPU nor temperature"
    );
    assert_eq!(score(&engine, "news2").unwrap().missing, 2);
    let whole =
        format!("0 amb crew enters o2_supp=1\n0 amb crew enters acvpu=0\n1..7 amb {all} temp1=37");
    let (engine, _) = run(&whole);
    assert_eq!(points(&engine, "news2"), (8, 8));
    let doubtful = whole.replace("spo2=94", "spo2=94?");
    let (engine, _) = run(&doubtful);
    assert_eq!(
        points(&engine, "news2"),
        (7, 10),
        "a doubtful value does not count"
    );
}

#[test]
fn a_value_too_old_leaves_the_score() {
    let (engine, _) = run("0..9 amb hr=80 spo2=91 rr_co2=16\n10..40 amb hr=80 rr_co2=16");
    assert_eq!(score(&engine, "news2").unwrap().missing, 5);
    assert_eq!(
        points(&engine, "news2").0,
        0,
        "the low saturation is of the past"
    );
}

#[test]
fn no_score_below_sixteen_years() {
    let (engine, _) = run("0 amb crew neonate\n1..9 amb hr=80 spo2=91 rr_co2=16");
    assert_eq!(score(&engine, "news2"), None);
    let (engine, _) = run("1..9 amb hr=80 spo2=91 rr_co2=16");
    assert!(score(&engine, "news2").unwrap().age_assumed);
}

#[test]
fn oxygen_by_the_measured_fraction_until_the_crew_says_otherwise() {
    let (engine, _) = run("1..9 amb hr=80 fio2=40");
    let on_oxygen = points(&engine, "news2");
    let (engine, _) = run("0 amb crew enters o2_supp=0\n1..9 amb hr=80 fio2=40");
    assert_eq!(on_oxygen.0, points(&engine, "news2").0 + 2);
}

#[test]
fn the_second_scale_is_a_decision_of_the_hospital() {
    let frames = "1..9 amb hr=80 spo2=90 o2_supp=0";
    let (engine, _) = run(frames);
    assert_eq!(points(&engine, "news2").0, 3);
    let (engine, _) = run(&format!("0 registry hypercapnic\n{frames}"));
    assert_eq!(points(&engine, "news2").0, 0);
}

#[test]
fn the_shock_index_is_a_value_with_limits() {
    check(
        "scores_shock_index",
        "0..90 amb hr=120 abp_sys=85
         91..180 amb hr=80 abp_sys=120",
    );
}

#[test]
fn history_changes_no_score() {
    let (engine, _) = run("1..9 amb hr=80 spo2=97 rr_co2=16");
    let before = score(&engine, "news2");
    let (engine, _) = run("1..9 amb hr=80 spo2=97 rr_co2=16\n9 amb history hr=150 spo2=70");
    assert_eq!(score(&engine, "news2"), before);
}

#[test]
fn a_lost_link_raises_no_alert_for_what_is_only_computed() {
    let told = told("1..9 amb hr=80 spo2=97 rr_co2=16\n300 tick");
    assert!(told.contains("link lost"), "{told}");
    assert!(!told.contains("news2") && !told.contains("shock"), "{told}");
}

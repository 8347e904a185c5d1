//! The built-in book's conditions, one course each.

use super::*;
use enroute_model::state::{AlertPhase, Verdict};

fn check(name: &str, trace: &str) {
    let lines = trace.lines().map(str::trim).filter(|l| !l.is_empty());
    let trace = lines.collect::<Vec<&str>>().join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

fn unavailable(trace: &str) -> Vec<String> {
    run(trace).0.state().sources[0].unavailable.clone()
}

#[test]
fn a_heart_that_stops_is_told_at_once_and_once() {
    check(
        "asystole",
        "0..20 amb hr=70 spo2=97
         21..40 amb hr=0 spo2=97
         41..50 amb hr=60 spo2=97
         51 registry acknowledge 1 3",
    );
}

#[test]
fn a_pause_of_something_else_covers_neither_asystole_nor_apnoea() {
    check(
        "asystole_paused",
        "0..20 amb hr=45 rr_co2=4
         21 registry pause 1 99 600
         21 registry pause 2 99 600
         22..30 amb hr=0 rr_co2=0",
    );
}

#[test]
fn a_pressure_that_falls_and_a_clinician_who_finds_it_usual() {
    check(
        "sys_fall",
        "0..300 amb abp_sys=140 abp_dia=70 hr=70
         301..400 amb abp_sys=105 abp_dia=60 hr=70
         400 registry usual abp_sys 110
         401..450 amb abp_sys=105 abp_dia=60 hr=70",
    );
}

#[test]
fn a_line_that_goes_flat_while_the_pulse_goes_on() {
    check(
        "flat_line",
        "0..20 amb abp_sys=120 abp_dia=70 abp_mean=87 pr=80 hr=80
         21..40 amb abp_sys=14 abp_dia=10 abp_mean=12 pr=80 hr=80
         41..60 amb abp_sys=118 abp_dia=70 abp_mean=86 pr=80 hr=80",
    );
    // The pressure was low before: that stays, as not known.
    check(
        "flat_line_low",
        "0..20 amb abp_sys=60 abp_dia=40 abp_mean=47 pr=120 hr=120
         21..40 amb abp_sys=14 abp_dia=10 abp_mean=12 pr=120 hr=120
         41..60 amb abp_sys=60 abp_dia=40 abp_mean=47 pr=120 hr=120",
    );
}

#[test]
fn without_a_pulse_in_the_pleth_a_flat_line_is_the_patient() {
    check(
        "flat_line_arrest",
        "0..20 amb abp_sys=120 abp_dia=70 abp_mean=87 pr=80 hr=80
         21..40 amb abp_sys=14 abp_dia=10 abp_mean=12 pr=- hr=60",
    );
}

#[test]
fn a_doubted_value_is_shown_as_questionable() {
    let flat = "0..20 amb abp_sys=120 abp_dia=70 abp_mean=87 pr=80\n21..40 amb abp_sys=14 abp_dia=10 abp_mean=12 pr=80";
    let reading = |trace: &str| {
        let (engine, _) = run(trace);
        engine
            .value(&gateway("amb"), &metric("abp_mean"))
            .unwrap()
            .reading
    };
    let doubtful = |reading| {
        matches!(
            reading,
            Reading::Value {
                validity: Validity::Questionable,
                ..
            }
        )
    };
    assert!(doubtful(reading(flat)));
    assert!(!doubtful(reading(&format!(
        "{flat}\n41..50 amb abp_sys=120 abp_dia=70 abp_mean=87 pr=80"
    ))));
}

#[test]
fn the_cuff_on_the_arm_of_the_probe() {
    let course = "1 amb nibp_sys=120@300 spo2=97 pr=80
         2..250 amb spo2=97 pr=80 hr=80
         251..300 amb spo2=70 pr=20 hr=80
         301 amb nibp_sys=121@300 spo2=70 pr=20 hr=80
         302..310 amb spo2=70 pr=20 hr=80
         311..400 amb spo2=97 pr=80 hr=80";
    check("cuff_not_marked", course);
    check(
        "cuff_marked",
        &format!("0 registry mark cuff_on_probe_arm\n{course}"),
    );
    let off = course.replace("spo2=70 pr=20", "spo2=- pr=-");
    let marked = format!("0 registry mark cuff_on_probe_arm\n{off}");
    assert_eq!(super::told(&marked), "", "neither the probe nor its values");
    assert!(super::told(&off).contains("sensor off"));
    // Outside of a measurement a low saturation is one.
    let told = told(
        "0 registry mark cuff_on_probe_arm\n1 amb nibp_sys=120@300 spo2=97\n2..100 amb spo2=97\n101..130 amb spo2=80",
    );
    assert!(
        told.contains("111 s  #1 amb: spo2 below 85: Active"),
        "{told}"
    );
}

#[test]
fn a_ventilated_patient_whose_co2_vanishes() {
    check(
        "co2_lost",
        "0..20 amb etco2=38 rr_co2=14 vent_rr=14 hr=80
         21..60 amb etco2=- rr_co2=- vent_rr=14 hr=80
         61 registry mark co2_line_fault
         61..70 amb etco2=- rr_co2=- vent_rr=14 hr=80
         71 registry acknowledge 1 9",
    );
    // Nobody said anything, and then the link is lost as well: not over.
    check(
        "co2_lost_link",
        "0..20 amb etco2=38 vent_rr=14
         21..40 amb etco2=0 vent_rr=14
         41 amb offline
         200 amb etco2=0 vent_rr=14
         201..210 amb etco2=35 vent_rr=14",
    );
    let told = told("0..20 amb etco2=38 hr=80\n21..60 amb etco2=- hr=80");
    assert!(!told.contains("co2_lost"), "not on a ventilator: {told}");
}

#[test]
fn desaturations_that_come_again_and_again() {
    check(
        "clusters",
        "0..29 amb spo2=96
         30..42 amb spo2=88
         43..99 amb spo2=96
         100..112 amb spo2=88
         113..199 amb spo2=96
         200..212 amb spo2=88
         213..230 amb spo2=96",
    );
}

#[test]
fn the_pulse_by_ecg_then_line_then_pleth_rings_once() {
    check(
        "pulse_sources",
        "0..30 amb hr=80 abp_pr=30 pr=30
         31..60 amb hr=- abp_pr=30 pr=30
         61..62 amb hr=80 abp_pr=30 pr=30",
    );
    check("pulse_sources_pleth", "0..30 amb hr=- abp_pr=- pr=30");
}

#[test]
fn a_coma_that_deepens() {
    check(
        "gcs_fall",
        "0 amb crew enters gcs=15
         600 amb crew enters gcs=13
         1200 amb crew enters gcs=15",
    );
}

#[test]
fn the_shock_index_of_a_child() {
    check(
        "sipa_child",
        "0 amb crew child
         1..90 amb hr=110 abp_sys=100
         91..200 amb hr=130 abp_sys=100
         201..300 amb hr=90 abp_sys=100",
    );
}

#[test]
fn too_little_data_is_listed_and_nothing_else_is() {
    let seen = unavailable("0..60 amb hr=80 abp_sys=120 abp_dia=70");
    assert_eq!(seen, ["sys_fall", "shock_developing", "news2_rise"]);
    assert!(
        unavailable("0..60 amb spo2=97").is_empty(),
        "what never was is not missed"
    );
    let seen = unavailable("0..700 amb hr=80 abp_sys=120 abp_dia=70");
    assert_eq!(seen, ["news2_rise"], "a score over an hour");
    let lost = unavailable("0..700 amb hr=80 abp_sys=120 abp_dia=70\n800 tick");
    assert!(lost.contains(&"sys_fall".to_owned()), "{lost:?}");
}

#[test]
fn history_neither_raises_nor_ends_a_condition() {
    let told = told("0..20 amb hr=70\n21 amb history hr=0\n22..25 amb hr=70");
    assert!(!told.contains("asystole"), "{told}");
    let (engine, _) = run("0..20 amb hr=70\n21..25 amb hr=0\n26 amb history hr=70\n26 tick");
    let open = engine.open_for_test();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].phase, AlertPhase::Active);
}

#[test]
fn a_baseline_is_checked_and_kept() {
    let (mut engine, mut out) = (Engine::new(transfer("tx")), Effects::default());
    let mut sender = Sender::default();
    let mut set = |at, words: &[&str]| {
        let record = sender.registry(s(at), action(words));
        engine.handle(&record, &mut out)
    };
    assert_eq!(set(1, &["usual", "abp_sys", "110"]), Verdict::Applied);
    assert!(matches!(
        set(2, &["usual", "abp_sys", "999"]),
        Verdict::Refused(_)
    ));
    assert!(matches!(
        set(3, &["usual", "nothing", "1"]),
        Verdict::Refused(_)
    ));
    let baselines = engine.state().baselines;
    assert_eq!(baselines.len(), 1);
    assert_eq!(baselines[0].from.by, "doctor");
    let restored = Engine::restore(&engine.snapshot()).unwrap();
    assert_eq!(restored.state(), engine.state());
}

#[test]
fn heart_rate_and_pressure_that_move_apart_are_told_before_any_limit() {
    let mut trace = String::new();
    for minute in 0..14 {
        let (from, to) = (minute * 60, minute * 60 + 59);
        let (hr, sys) = (72 + 2 * minute, 128 - 2 * minute);
        writeln!(trace, "{from}..{to} amb hr={hr} abp_sys={sys}").unwrap();
    }
    // It stays like this: nothing moves any more.
    trace.push_str("840..1700 amb hr=100 abp_sys=102\n");
    check("shock_developing", &trace);
    // One of them alone is no shock.
    let alone = trace.replace("abp_sys=1", "nibp_dia=7");
    assert!(!told(&alone).contains("shock_developing"));
}

#[test]
fn one_red_item_is_told_and_the_score_itself_says_more() {
    check(
        "news2_red",
        "0 amb crew enters acvpu=0
         0 amb crew enters o2_supp=0
         1..3700 amb hr=80 spo2=91 rr_co2=16 nibp_sys=125@300 temp1=37
         3701..3800 amb hr=115 spo2=91 rr_co2=22 nibp_sys=125@300 temp1=37
         3801..4000 amb hr=80 spo2=96 rr_co2=16 nibp_sys=125@300 temp1=37",
    );
}

#[test]
fn a_neonate_has_too_much_saturation_only_on_oxygen() {
    check(
        "spo2_hi_on_o2",
        "0 amb crew neonate
         1..120 amb spo2=98
         121 amb crew enters o2_supp=1
         122..240 amb spo2=98
         241..250 amb spo2=95
         251..260 amb spo2=94",
    );
    let on_oxygen = "0 amb crew neonate\n1..120 amb spo2=98 fio2=30";
    assert!(told(on_oxygen).contains("spo2_hi_on_o2"));
    for not in ["fio2=21", "temp1=37"] {
        assert!(!told(&on_oxygen.replace("fio2=30", not)).contains("spo2_hi_on_o2"));
    }
    let at_term = format!("0 registry mark term_neonate\n{on_oxygen}");
    assert!(!told(&at_term).contains("spo2_hi_on_o2"));
    let of_unknown_age = on_oxygen.replace("amb crew neonate", "tick");
    assert!(!told(&of_unknown_age).contains("spo2_hi_on_o2"));
}

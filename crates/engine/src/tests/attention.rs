//! What people do about alerts, and what it changes.

use super::*;
use enroute_model::state::{AlertPhase, AlertState, Verdict};

fn open(engine: &Engine) -> AlertState {
    let mut open = engine.alerts();
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

#[test]
fn seen_and_then_worse() {
    check(
        "attention_worse",
        "0..30 amb spo2=88
         31 registry acknowledge 1 1
         32..60 amb spo2=84
         61 registry acknowledge 1 3
         62..90 amb spo2=88
         91..95 amb spo2=97",
    );
}

#[test]
fn what_is_latched_ends_when_somebody_has_looked() {
    check(
        "attention_latched",
        "0..30 amb hr=30
         31..40 amb hr=80
         41 registry acknowledge 1 2",
    );
}

#[test]
fn what_was_looked_at_while_present_does_not_latch_afterwards() {
    check(
        "attention_no_latch",
        "0..30 amb hr=30
         31 registry acknowledge 1 1
         32..40 amb hr=80
         41..60 amb hr=30
         61..70 amb hr=80",
    );
}

#[test]
fn an_old_sight_does_not_acknowledge_what_became_worse_since() {
    let trace = "0..30 amb spo2=88\n31..60 amb spo2=84";
    let (mut engine, mut effects) = run(trace);
    let alert = open(&engine);
    assert_eq!((alert.alert_id, alert.raised), (1, 2));
    let mut sender = Sender::default();
    let seen = |sender: &mut Sender, number: &str| {
        sender.registry(s(61), action(&["acknowledge", "1", number]))
    };
    let old = seen(&mut sender, "1");
    let refused = engine.handle(&old, &mut effects);
    assert!(matches!(refused, Verdict::Refused(_)), "{refused:?}");
    assert_eq!(open(&engine).acknowledged, None);
    assert_eq!(engine.handle(&old, &mut effects), refused, "asked again");
    let record = seen(&mut sender, "2");
    assert_eq!(engine.handle(&record, &mut effects), Verdict::Applied);
    assert_eq!(open(&engine).acknowledged.unwrap().by, "doctor");
    assert_eq!(engine.handle(&record, &mut effects), Verdict::Duplicate);
    let over = sender.registry(s(62), action(&["acknowledge", "7", "9"]));
    assert!(matches!(
        engine.handle(&over, &mut effects),
        Verdict::Refused(_)
    ));
}

#[test]
fn a_pause_rests_until_its_end_or_until_it_gets_worse() {
    let (engine, _) = run("0..30 amb spo2=88\n31 registry pause 1 1 120\n32..40 amb spo2=88");
    assert_eq!(open(&engine).paused_until, Some(s(151)));
    let (engine, _) = run("0..30 amb spo2=88\n31 registry pause 1 1 120\n32..60 amb spo2=84");
    assert_eq!(open(&engine).paused_until, None);
}

#[test]
fn a_remark_stays_with_its_alert() {
    let (engine, effects) =
        run("0..30 amb spo2=88\n31 registry note 1 suction\n32..60 amb spo2=84");
    assert_eq!(open(&engine).note.unwrap().text, "suction");
    let told: Vec<_> = effects
        .alerts
        .iter()
        .map(|step| step.alert.note.is_some())
        .collect();
    assert_eq!(told, [false, true, true]);
}

#[test]
fn silence_does_not_undo_what_a_person_said() {
    let (engine, _) = run("0..30 amb spo2=88\n31 registry acknowledge 1 1\n200 tick");
    let alerts = engine.alerts();
    let low = alerts.iter().find(|alert| alert.alert_id == 1).unwrap();
    assert_eq!(low.phase, AlertPhase::Unknown);
    assert!(low.acknowledged.is_some());
}

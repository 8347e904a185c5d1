//! Alerts that nobody sees to, and the way that a demand for attention took.

use super::*;
use enroute_model::registry::ViewerRole;
use enroute_model::state::{AlertPath, AlertState};

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

#[test]
fn an_alert_that_nobody_sees_to_is_passed_on() {
    check(
        "escalation",
        "0..300 amb hr=30
         301 registry acknowledge 1 1
         302..303 amb hr=30",
    );
}

#[test]
fn whoever_lets_it_rest_has_time_until_it_rings_again() {
    check(
        "escalation_paused",
        "0..100 amb hr=30
         20 registry pause 1 1 40
         101..130 amb hr=30",
    );
}

#[test]
fn what_is_worse_than_what_was_seen_is_passed_on_again() {
    check(
        "escalation_worse",
        "0..20 amb spo2=88
         21 registry acknowledge 1 1
         22..130 amb spo2=80",
    );
}

#[test]
fn a_medium_alert_waits_and_an_acknowledged_one_calls_nobody() {
    assert!(!told("0..400 amb spo2=88").contains("on call"));
    let seen = told("0..30 amb hr=30\n31 registry acknowledge 1 1\n32..400 amb hr=30");
    assert!(!seen.contains("on call"), "{seen}");
}

#[test]
fn an_exercise_calls_nobody() {
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    let mut sender = Sender::default();
    for second in 0..400 {
        let mut record = sender.frame(s(second), "amb", Lane::Live, numerics(&["hr=30"]));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            frame.header.exercise = true;
        }
        engine.handle(&record, &mut effects);
    }
    assert_eq!(effects.alerts.len(), 1, "it rings all the same");
    let state = engine.state();
    assert!(
        state.exercise
            && state
                .alerts
                .iter()
                .all(|a| !a.reaches(ViewerRole::OnCall, true))
    );
}

#[test]
fn those_on_call_are_given_what_was_passed_on_to_them() {
    let reaches = |trace: &str| {
        let (engine, _) = run(trace);
        let alert: AlertState = engine.alerts().remove(0);
        ViewerRole::ALL.map(|role| alert.reaches(role, false))
    };
    assert_eq!(reaches("0..30 amb hr=30"), [true, true, true, false]);
    assert_eq!(reaches("0..70 amb hr=30"), [true; 4]);
}

#[test]
fn the_way_of_a_demand_is_kept_with_it() {
    let shown = |role| AlertAction::Shown(role);
    let (mut engine, mut effects) = run("0..12 amb hr=30");
    let mut sender = Sender::default();
    let mut act = |engine: &mut Engine, at: i64, action: AlertAction| {
        let action = RegistryAction::Alert {
            alert_id: 1,
            seen: 1,
            action,
        };
        let record = sender.registry(s(at), action);
        engine.handle(&record, &mut effects);
    };
    act(&mut engine, 13, shown(ViewerRole::Wall));
    act(&mut engine, 14, shown(ViewerRole::Wall));
    act(&mut engine, 15, shown(ViewerRole::Viewer));
    assert!(!engine.is_news(1, 1, ViewerRole::Wall) && engine.is_news(1, 1, ViewerRole::OnCall));
    assert!(!engine.is_news(1, 0, ViewerRole::OnCall) && !engine.is_news(2, 1, ViewerRole::OnCall));
    act(&mut engine, 16, AlertAction::Acknowledge);
    let AlertPath {
        value,
        raised_at,
        shown,
    } = engine.alerts().remove(0).path;
    let value = value.unwrap();
    assert_eq!((value.received_at, value.captured_at.0), (s(4), s(4).0));
    let seen: Vec<_> = shown
        .iter()
        .map(|(role, first)| (*role, first.at))
        .collect();
    assert_eq!(
        (raised_at, seen),
        (
            s(5),
            vec![(ViewerRole::Wall, s(13)), (ViewerRole::Viewer, s(15))]
        )
    );
    let steps: Vec<u64> = effects.alerts.iter().map(|step| step.ordinal).collect();
    assert_eq!(steps, [1, 2], "what was shown is no step of the alert");
    let told = &effects.alerts.last().unwrap().alert;
    assert_eq!(told.path.shown.len(), 2);
}

//! What a person does about alerts, key by key.

use super::*;
use enroute_wire::v1::alert_action::Action;

fn open_patient() -> App {
    let mut app = App::new();
    drop(app.open("tx-sepsis".into()));
    app.heard(Stream::Patient(1), snapshot(vec![transfer()]), Span::ZERO);
    app
}

fn done(act: Act) -> v1::AlertAction {
    let Act::Attend(transfer, action) = act else {
        panic!("nothing is done: {act:?}")
    };
    assert_eq!(transfer, "tx-sepsis");
    action
}

#[test]
fn the_chosen_alert_is_acknowledged_rested_and_remarked_on() {
    let mut app = open_patient();
    let alerts = transfer().alert;
    assert!(alerts.len() > 1, "one alert is no choice");
    let first = done(key(&mut app, KeyCode::Char('a')));
    assert_eq!(
        (first.alert_id, first.seen_ordinal),
        (alerts[0].alert_id, alerts[0].raised_ordinal)
    );
    assert_eq!(first.action, Some(Action::Acknowledge(v1::Acknowledge {})));
    assert_eq!(key(&mut app, KeyCode::Down), Act::Stay);
    let second = done(key(&mut app, KeyCode::Char('z')));
    assert_eq!(
        (second.alert_id, second.action),
        (alerts[1].alert_id, Some(Action::PauseS(300)))
    );
    for c in "mq? a".chars() {
        assert_eq!(key(&mut app, KeyCode::Char(c)), Act::Stay, "{c} is text");
    }
    assert!(screen(&app, 160, 40, Span::ZERO).contains("remark: q? a_"));
    let noted = done(key(&mut app, KeyCode::Enter));
    assert_eq!(noted.action, Some(Action::Note("q? a".into())));
    app.told("not done: the alert is over".into());
    assert!(screen(&app, 160, 40, Span::ZERO).contains("not done: the alert is over"));
    assert_eq!(key(&mut app, KeyCode::Char('m')), Act::Stay);
    assert_eq!(
        key(&mut app, KeyCode::Esc),
        Act::Stay,
        "Esc drops the remark"
    );
    assert_eq!(key(&mut app, KeyCode::Esc), Act::Unfollow);
}

#[test]
fn nothing_is_asked_about_an_alert_without_a_number() {
    let mut app = App::new();
    drop(app.open("tx-sepsis".into()));
    let mut state = transfer();
    state.alert.truncate(1);
    state.alert[0].alert_id = 0;
    app.heard(Stream::Patient(1), snapshot(vec![state]), Span::ZERO);
    for doing in ['a', 'z', 'm'] {
        assert_eq!(key(&mut app, KeyCode::Char(doing)), Act::Stay, "{doing}");
    }
    let drawn = screen(&app, 160, 40, Span::ZERO);
    assert!(drawn.contains("ends by itself"), "{drawn}");
    assert!(!drawn.contains("remark:"), "{drawn}");
}

#[test]
fn what_is_drawn_is_reported_once() {
    let mut app = App::new();
    assert_eq!(app.drawn(), []);
    drop(app.open("tx-sepsis".into()));
    let mut state = transfer();
    for (ordinal, alert) in (1..).zip(&mut state.alert) {
        alert.raised_ordinal = ordinal;
    }
    let seen = v1::Shown {
        role: v1::ViewerRole::Viewer.into(),
        first: None,
    };
    state.alert[0].path = Some(v1::AlertPath {
        shown: vec![seen],
        ..v1::AlertPath::default()
    });
    app.heard(
        Stream::Patient(1),
        snapshot(vec![state.clone()]),
        Span::ZERO,
    );
    let told = app.drawn();
    assert_eq!(
        told.len(),
        state.alert.len() - 1,
        "one was reported by another viewer"
    );
    let shown = Action::Shown(v1::ViewerRole::Viewer.into());
    assert!(
        told.iter()
            .all(|(_, action)| action.action == Some(shown.clone()))
    );
    assert_eq!(app.drawn(), []);
    state.alert[1].raised_ordinal = 90;
    app.heard(Stream::Patient(1), snapshot(vec![state]), Span::ZERO);
    assert_eq!(app.drawn().len(), 1, "it asks for attention anew");
}

#[test]
fn history_and_silence_are_said_in_words() {
    let found = v1::Alert {
        kind: v1::AlertKind::LimitLow.into(),
        code: 150_456,
        retrospective: true,
        since_us: NOON,
        until_us: Some(NOON + 40_000_000),
        value: Some(83),
        limit: Some(85.0),
        ..v1::Alert::default()
    };
    assert_eq!(
        super::super::words::past(&found),
        "past: SpO2 low 83 < 85, at 14:30:00 for 40s"
    );
    let unknown = v1::Alert {
        phase: v1::AlertPhase::Unknown.into(),
        value_at_us: Some(NOON + 5_000_000),
        ..found
    };
    assert_eq!(
        super::super::words::standing(&unknown),
        "unknown: data stopped, last value 83 at 14:30:05"
    );
}

#[test]
fn who_it_is_stands_in_the_head_of_that_patient_and_of_no_other() {
    let mut app = open_patient();
    let before = screen(&app, 160, 40, Span::ZERO);
    app.identified(0, "Vogel, Ada  born 1958-02-28".into());
    assert_eq!(
        screen(&app, 160, 40, Span::ZERO),
        before,
        "of another stream"
    );
    app.identified(1, "Vogel, Ada  born 1958-02-28".into());
    assert!(screen(&app, 160, 40, Span::ZERO).contains("Vogel, Ada  born 1958-02-28"));
    assert_eq!(key(&mut app, KeyCode::Esc), Act::Unfollow);
    assert!(!screen(&app, 160, 40, Span::ZERO).contains("Vogel"));
    drop(app.open("tx-sepsis".into()));
    app.heard(Stream::Patient(2), snapshot(vec![transfer()]), Span::ZERO);
    assert!(!screen(&app, 160, 40, Span::ZERO).contains("Vogel"));
}

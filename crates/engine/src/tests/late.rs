//! History that comes late: what it brings to light, and what it leaves alone.

use super::*;
use enroute_model::state::AlertPhase;
use proptest::prelude::*;

/// A frame a second, numbered by it: `values(second)`; made at `second` by the
/// gateway's clock, in the journal at `at`.
fn frame(second: u64, at: i64, lane: Lane, words: &str) -> Record {
    let header = Header {
        epoch: Epoch(1),
        stream: Stream::Numerics,
        sequence: second,
        leg_first: 1,
        captured_at: GatewayTime(s(second.try_into().unwrap()).0),
        observed_at: None,
        boot: 1,
        monotonic: Span(s(second.try_into().unwrap()).0),
        clocks: None,
        exercise: false,
    };
    let words: Vec<&str> = words.split(' ').collect();
    Record {
        position: Position(0),
        transfer: transfer("tx"),
        at: s(at),
        received_at: ServerTime(s(at).0),
        entry: Entry::Frame {
            gateway: gateway("amb"),
            lane,
            digest: 1,
            frame: Box::new(Frame {
                header,
                body: numerics(&words),
            }),
        },
    }
}

/// What was measured, as runs of seconds from 1 s on, which of it was silent on
/// the link, and when that came after all (0: never), in the order given.
fn flight(runs: &[(u64, &str)], silent: std::ops::Range<u64>, came: &[u64]) -> (Engine, Effects) {
    let mut words = Vec::new();
    for (seconds, run) in runs {
        words.extend(std::iter::repeat_n(
            *run,
            usize::try_from(*seconds).unwrap(),
        ));
    }
    let word = |second: u64| words[usize::try_from(second).unwrap() - 1];
    let last = u64::try_from(words.len()).unwrap();
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    for second in (1..=last).filter(|second| !silent.contains(second)) {
        let at = second.try_into().unwrap();
        engine.handle(&frame(second, at, Lane::Live, word(second)), &mut effects);
    }
    let at = i64::try_from(last).unwrap();
    for second in came {
        engine.handle(
            &frame(*second, at, Lane::History, word(*second)),
            &mut effects,
        );
    }
    (engine, effects)
}

fn lines(effects: &Effects) -> String {
    let lines: Vec<String> = effects.alerts.iter().map(line).collect();
    lines.join("\n")
}

fn all(silent: std::ops::Range<u64>) -> Vec<u64> {
    silent.collect()
}

#[test]
fn six_hours_of_a_silent_flight() {
    let runs = [
        (30, "hr=80 spo2=97"),
        (3_600, "hr=80 spo2=97"),
        (40, "hr=80 spo2=83"),
        (3_600, "hr=80 spo2=97"),
        (300, "hr=150 spo2=97"),
        (60, "hr=36 spo2=97"),
        (4, "hr=20 spo2=97"),
        (14_000, "hr=80 spo2=97"),
        (60, "hr=80 spo2=97"),
    ];
    let silent = 31..21_635;
    let (engine, effects) = flight(&runs, silent.clone(), &all(silent));
    insta::assert_snapshot!("silent_flight", lines(&effects));
    let state = engine.state();
    assert!(state.alerts.is_empty(), "{:?}", state.alerts);
    let listed: Vec<u64> = state
        .retrospective
        .iter()
        .map(|alert| alert.alert_id)
        .collect();
    let mut told: Vec<u64> = { effects.alerts.iter() }
        .filter(|step| step.alert.is_retrospective())
        .map(|step| step.alert.alert_id)
        .collect();
    told.reverse();
    assert_eq!((listed, state.unsearched), (told, 0));
}

#[test]
fn what_was_already_told_is_not_told_again() {
    // It stood when the link was lost, and went on for a while.
    let before = [
        (30, "spo2=88"),
        (60, "spo2=88"),
        (200, "spo2=97"),
        (30, "spo2=97"),
    ];
    let (_, effects) = flight(&before, 31..291, &all(31..291));
    insta::assert_snapshot!("late_known_before", lines(&effects));
    // It began in the silence and was raised live behind it.
    let behind = [
        (30, "spo2=97"),
        (200, "spo2=97"),
        (60, "spo2=88"),
        (60, "spo2=88"),
    ];
    let (_, effects) = flight(&behind, 31..291, &all(31..291));
    insta::assert_snapshot!("late_known_behind", lines(&effects));
    // It began in the silence and was over before it was raised live.
    let neither = [
        (30, "spo2=97"),
        (200, "spo2=97"),
        (60, "spo2=88"),
        (5, "spo2=88"),
        (30, "spo2=97"),
    ];
    let (_, effects) = flight(&neither, 31..291, &all(31..291));
    insta::assert_snapshot!("late_not_known", lines(&effects));
}

#[test]
fn live_evaluation_is_given_the_time_to_raise_it() {
    let mut silent = all(31..291);
    let runs = [
        (30, "spo2=97"),
        (200, "spo2=97"),
        (60, "spo2=88"),
        (3, "spo2=88"),
    ];
    let (mut engine, mut effects) = flight(&runs, 31..291, &silent);
    let past = |effects: &Effects| {
        let mut steps = effects.alerts.iter();
        steps.any(|step| step.alert.is_retrospective())
    };
    assert!(!past(&effects));
    for second in 294..330 {
        let at = second.try_into().unwrap();
        engine.handle(&frame(second, at, Lane::Live, "spo2=88"), &mut effects);
    }
    assert!(!past(&effects), "{}", lines(&effects));
    let (mut engine, mut effects) = flight(&runs, 31..291, &silent);
    engine.handle(&frame(294, 294, Lane::Live, "spo2=97"), &mut effects);
    assert!(past(&effects), "{}", lines(&effects));
    // In whatever order it comes.
    silent.reverse();
    let (mut engine, mut reversed) = flight(&runs, 31..291, &silent);
    engine.handle(&frame(294, 294, Lane::Live, "spo2=97"), &mut reversed);
    assert_eq!(reversed.alerts, effects.alerts);
}

#[test]
fn what_never_comes_is_passed_over_once_that_is_certain() {
    let runs = [
        (30, "spo2=97"),
        (20, "spo2=80"),
        (200, "spo2=97"),
        (30, "spo2=97"),
    ];
    let late: Vec<u64> = (31..251).filter(|second| *second != 35).collect();
    let (mut engine, mut effects) = flight(&runs, 31..251, &late);
    assert_eq!(engine.state().retrospective, []);
    let mut shed = frame(35, 300, Lane::History, "spo2=80");
    if let Entry::Frame { frame, .. } = &mut shed.entry {
        frame.body = Body::Shed(Shed {
            first: 35,
            last: 35,
            first_captured_at: GatewayTime(0),
            cause: Some(GapCause::SpoolFull),
        });
    }
    engine.handle(&shed, &mut effects);
    assert_eq!(engine.state().retrospective.len(), 1);
}

#[test]
fn more_out_of_order_than_there_is_room_for_is_said() {
    let runs = [(30, "spo2=97"), (2_000, "spo2=80"), (30, "spo2=97")];
    let late: Vec<u64> = (131..2_031).collect();
    let (engine, _) = flight(&runs, 31..2_031, &late);
    let state = engine.state();
    assert_eq!((state.unsearched, state.retrospective.len()), (100, 1));
}

#[test]
fn a_short_silence_is_not_searched() {
    let runs = [(30, "hr=80"), (8, "hr=20"), (30, "hr=80")];
    let (engine, _) = flight(&runs, 31..39, &all(31..39));
    assert_eq!(engine.state().retrospective, []);
}

#[test]
fn a_flight_of_which_nothing_came_live() {
    let runs = [(60, "spo2=97"), (40, "spo2=80"), (60, "spo2=97")];
    let (engine, effects) = flight(&runs, 1..161, &all(1..161));
    assert_eq!(engine.state().retrospective.len(), 1, "{}", lines(&effects));
}

fn runs() -> impl Strategy<Value = Vec<(u64, &'static str)>> {
    let words = [
        "hr=80 spo2=97",
        "hr=30 spo2=97",
        "hr=150 spo2=88",
        "hr=80 spo2=80",
        "hr=118 spo2=97",
    ];
    prop::collection::vec((1..60u64, prop::sample::select(words.to_vec())), 4..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// I11: history never rings and leaves every live alert as it was.
    #[test]
    fn history_never_rings(runs in runs(), from in 1..400u64, lasts in 11..400u64) {
        let total: u64 = runs.iter().map(|(seconds, _)| seconds).sum();
        let silent = from.min(total)..(from + lasts).min(total);
        let (plain, told) = flight(&runs, silent.clone(), &[]);
        let (filled, with_history) = flight(&runs, silent.clone(), &all(silent));
        prop_assert_eq!(present(&told.alerts), present(&with_history.alerts));
        for step in with_history.alerts.iter().filter(|step| step.alert.is_retrospective()) {
            let alert = &step.alert;
            prop_assert_eq!((alert.phase, step.ordinal), (AlertPhase::Ended, alert.raised));
            prop_assert!(Some(alert.since) < alert.until && alert.since < step.at);
        }
        let kinds = |engine: &Engine| engine.alerts().iter()
            .map(|alert| (alert.kind.clone(), alert.phase, alert.since)).collect::<Vec<_>>();
        prop_assert_eq!(kinds(&plain), kinds(&filled));
    }

    /// What lies wholly in the silence is what a viewer would have seen live.
    #[test]
    fn the_search_finds_what_would_have_rung(runs in runs()) {
        let mut around = vec![(60, "hr=80 spo2=97")];
        around.extend(&runs);
        around.push((60, "hr=80 spo2=97"));
        let last: u64 = around.iter().map(|(seconds, _)| seconds).sum();
        let silent = 31..last - 30;
        let (_, heard) = flight(&around, 0..0, &[]);
        let (_, late) = flight(&around, silent.clone(), &all(silent));
        let mut wanted = Vec::new();
        for step in &heard.alerts {
            let alert = &step.alert;
            let over = matches!(alert.phase, AlertPhase::Ended | AlertPhase::Latched);
            // Scores are computed of live values alone.
            let of = ["hr", "spo2"].map(metric).into_iter().any(|of| {
                alert.kind == AlertKind::LimitLow(of.clone())
                    || alert.kind == AlertKind::LimitHigh(of)
            });
            // What latched is told once more when it is passed on.
            let same = |known: &&(AlertKind, EngineTime, EngineTime)| {
                (&known.0, known.1) == (&alert.kind, alert.since)
            };
            if of && over && wanted.iter().find(same).is_none() {
                wanted.push((alert.kind.clone(), alert.since, step.at));
            }
        }
        let found = { late.alerts.iter() }.filter(|step| step.alert.is_retrospective())
            .map(|step| (step.alert.kind.clone(), step.alert.since, step.alert.until.unwrap()));
        let mut found: Vec<_> = found.collect();
        wanted.sort();
        found.sort();
        prop_assert_eq!(found, wanted);
    }
}

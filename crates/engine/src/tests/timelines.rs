//! What a nurse would see.

use super::*;
use enroute_model::state::{Link, Phase, StreamCompleteness, ValueState, Verdict};

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

pub(super) fn value(engine: &Engine, who: &str, id: &str) -> ValueState {
    engine.value(&gateway(who), &metric(id)).unwrap()
}

#[test]
fn a_desaturation_that_comes_and_goes() {
    check(
        "desaturation",
        "0..5 amb hr=80 spo2=97
         6..30 amb hr=80 spo2=88
         31..40 amb hr=80 spo2=84
         41..50 amb hr=80 spo2=90
         51..55 amb hr=80 spo2=97",
    );
}

#[test]
fn a_tunnel() {
    check(
        "tunnel",
        "0..30 amb hr=80 spo2=88
         200 amb hr=80 spo2=88
         201 amb history spo2=70
         202..205 amb hr=80 spo2=97
         205 tick",
    );
}

#[test]
fn a_probe_falls_off() {
    check(
        "probe_off",
        "0..30 amb hr=80 spo2=88
         31..40 amb hr=80 spo2=-
         41..60 amb hr=80
         61..65 amb hr=80 spo2=98",
    );
}

#[test]
fn the_broker_says_that_the_gateway_is_gone() {
    check(
        "offline",
        "0..20 amb hr=35
         21 amb offline
         30 amb online
         31 amb hr=36
         40 amb offline
         300 tick",
    );
}

#[test]
fn pulse_rate_speaks_only_while_heart_rate_is_silent() {
    check(
        "pulse_rate",
        "0..30 amb pr=30 hr=80
         31..60 amb pr=30 hr=-
         61..62 amb pr=30 hr=80
         63..80 amb pr=30 hr=30",
    );
}

#[test]
fn what_may_not_raise_does_not() {
    check(
        "not_usable",
        "0..40 amb hr=20? spo2=200 rr_imp=-
         41..60 amb hr=400 foo=3
         60 amb history hr=10",
    );
}

#[test]
fn handover_from_ambulance_to_aircraft() {
    check(
        "handover",
        "0..20 amb hr=30 spo2=97
         15..60 air hr=30 spo2=97
         25 registry handover air
         61..80 air hr=80 spo2=97
         300 tick",
    );
}

#[test]
fn closing_ends_everything_and_a_live_frame_then_raises_nothing() {
    check(
        "closed",
        "0..20 amb hr=30
         20 amb offline
         21 registry close
         22..60 amb hr=30
         61 registry reopen
         62..70 amb hr=30",
    );
}

#[test]
fn an_unassigned_transfer_closes_after_silence_and_opens_when_heard() {
    let (engine, _) = run("0 amb hr=80\n43199 tick");
    assert_eq!(engine.state().phase, Phase::Open);
    let (engine, _) = run("0 amb hr=80\n43200 tick");
    assert_eq!(engine.state().phase, Phase::Closed { at: s(43_200) });
    let (engine, _) = run("0 amb hr=80\n43200 tick\n43300 amb history hr=80");
    assert_eq!(engine.state().phase, Phase::Closed { at: s(43_200) });
    let (engine, _) = run("0 amb hr=80\n43200 tick\n43300 amb hr=80");
    assert_eq!(engine.state().phase, Phase::Open);
    let (engine, _) = run("0 amb hr=80\n1 registry assign icu\n99999 tick");
    assert_eq!(engine.state().phase, Phase::Open);
    let (engine, _) = run("0 amb hr=80\n1 amb crew end\n2 amb hr=80");
    assert_eq!(engine.state().phase, Phase::Closed { at: s(1) });
}

#[test]
fn a_newborn_gets_other_limits() {
    check(
        "population",
        "0..60 amb hr=110
         10 amb crew neonate
         61..80 amb hr=90",
    );
    let (engine, _) = run("0 amb hr=110");
    assert!(engine.state().population_assumed);
    let (engine, _) = run("0 amb hr=110\n1 amb crew neonate\n2 registry assign icu");
    assert!(!engine.state().population_assumed);
    let limits = value(&engine, "amb", "hr").limits.unwrap();
    assert_eq!(limits.warn_low, Some(100.0));
}

#[test]
fn a_poisoned_record_is_told_once() {
    check("poisoned", "0 amb hr=80\n1 poison\n2 poison\n3 amb hr=80");
}

#[test]
fn minutes_between_values_are_not_silence() {
    check(
        "slow_source",
        "0 amb hr=80@60
         60 amb hr=80@60
         119 tick
         120 amb hr=80@60
         400 tick",
    );
}

#[test]
fn late_data_leaves_the_present_alone() {
    let (engine, effects) =
        run("0 amb hr=80\n1 amb history hr=20\n2 amb hr=81\n3 amb history hr=20");
    assert_eq!(
        value(&engine, "amb", "hr").reading,
        Reading::measured(Decimal::new(810, 1).unwrap())
    );
    assert!(effects.alerts.is_empty());
}

#[test]
fn what_the_crew_entered_in_the_tunnel_arrives() {
    let (engine, effects) = run(
        "0 amb crew enters gcs=15\n100 amb late-crew enters gcs=6\n100 amb late-crew note intubated",
    );
    assert_eq!(
        value(&engine, "amb", "gcs").reading,
        Reading::measured(Decimal::new(60, 1).unwrap())
    );
    assert!(
        !effects
            .alerts
            .iter()
            .any(|a| a.alert.kind.is_physiological())
    );
    assert_eq!(engine.state().crew_log.len(), 1);
}

#[test]
fn live_frames_that_overtake_each_other() {
    let mut sender = Sender::default();
    let frame =
        |sender: &mut Sender, hr: &str| sender.frame(s(0), "amb", Lane::Live, numerics(&[hr]));
    let (first, second) = (frame(&mut sender, "hr=80"), frame(&mut sender, "hr=81"));
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    assert_eq!(
        engine.handle(&second, &mut effects),
        Verdict::Accepted { late: false }
    );
    assert_eq!(
        engine.handle(&first, &mut effects),
        Verdict::Accepted { late: true }
    );
    let reading = value(&engine, "amb", "hr").reading;
    assert_eq!(reading, Reading::measured(Decimal::new(810, 1).unwrap()));
}

#[test]
fn a_new_spool_is_newer_than_the_old_one_whatever_its_number() {
    let mut sender = Sender::default();
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    let mut send = |engine: &mut Engine, id: u64, hr: &str| {
        let mut record = sender.frame(s(0), "amb", Lane::Live, numerics(&[hr]));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            frame.header.epoch = Epoch(id);
            frame.header.captured_at = GatewayTime(i64::MIN);
        }
        record.at = s(i64::try_from(sender.position).unwrap());
        engine.handle(&record, &mut effects)
    };
    assert_eq!(
        send(&mut engine, 7, "hr=80"),
        Verdict::Accepted { late: false }
    );
    assert_eq!(
        send(&mut engine, 3, "hr=81"),
        Verdict::Accepted { late: false }
    );
    assert_eq!(
        send(&mut engine, 7, "hr=82"),
        Verdict::Accepted { late: true }
    );
    for id in 100..200 {
        send(&mut engine, id, "hr=83");
    }
    assert_eq!(engine.receipts(&gateway("amb")).len(), 32);
    assert_eq!(engine.overflow().epochs, 70);
}

#[test]
fn a_link_report_shortens_what_counts_as_silence() {
    assert_eq!(told("0 amb hr=80@60\n1 amb report\n20 tick"), "");
    let lost = "  21 s  #1 amb: link lost: Active, Medium\n";
    assert_eq!(told("0 amb hr=80@60\n1 amb report\n21 tick"), lost);
    let (engine, _) = run("0 amb hr=80@60\n1 amb report");
    assert!(engine.next_timeout().unwrap() <= s(21));
}

#[test]
fn what_was_shed_is_neither_missing_nor_waited_for() {
    let (engine, _) = run("0 amb report\n1 amb report\n2 amb report\n3 amb report\n4 amb shed 2 5");
    let stream = &engine.completeness(&gateway("amb"))[0];
    assert_eq!((stream.durable, stream.shed, stream.missing), (5, 0, 0));
    let receipt = &engine.receipts(&gateway("amb"))[0];
    assert_eq!((receipt.first, receipt.through), (1, 5));
    assert_eq!(receipt.above, []);
}

#[test]
fn legs_of_one_spool_are_booked_apart() {
    let mut sender = Sender::default();
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    for (sequence, leg_first) in [(1, 1), (2, 1), (101, 100)] {
        let mut record = sender.frame(s(0), "amb", Lane::Live, numerics(&["hr=80"]));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            (frame.header.sequence, frame.header.leg_first) = (sequence, leg_first);
        }
        engine.handle(&record, &mut effects);
    }
    let receipts = engine.receipts(&gateway("amb"));
    let read: Vec<_> = receipts
        .iter()
        .map(|r| (r.first, r.through, r.above.clone()))
        .collect();
    assert_eq!(read, [(1, 2, vec![]), (100, 99, vec![(101, 101)])]);
    let missing: Vec<u64> = engine
        .completeness(&gateway("amb"))
        .iter()
        .map(|c| c.missing)
        .collect();
    assert_eq!(missing, [0, 1]);
}

#[test]
fn an_action_that_comes_again_is_not_done_again() {
    let mut sender = Sender::default();
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    let close = sender.registry(s(0), RegistryAction::Close);
    let reopen = sender.registry(s(1), RegistryAction::Reopen);
    assert_eq!(engine.handle(&close, &mut effects), Verdict::Applied);
    assert_eq!(engine.handle(&reopen, &mut effects), Verdict::Applied);
    assert_eq!(engine.handle(&close, &mut effects), Verdict::Duplicate);
    assert_eq!(engine.state().phase, Phase::Open);
    let join = sender.registry(s(2), RegistryAction::JoinInto(transfer("tx")));
    assert!(matches!(
        engine.handle(&join, &mut effects),
        Verdict::Refused(_)
    ));
}

#[test]
fn staleness_shows_at_its_time() {
    let (engine, _) = run("0..1 amb spo2=97\n10 tick");
    assert!(!value(&engine, "amb", "spo2").stale);
    let (engine, _) = run("0..1 amb spo2=97\n11 tick");
    assert!(value(&engine, "amb", "spo2").stale);
    let (engine, _) = run("0 amb foo=3@0\n59 tick");
    assert!(!value(&engine, "amb", "foo").stale);
    let (engine, _) = run("0 amb foo=3@0\n60 tick");
    assert!(value(&engine, "amb", "foo").stale);
}

#[test]
fn the_link_is_up_lost_and_up() {
    let link = |trace: &str| run(trace).0.state().sources[0].link;
    assert_eq!(link("0 amb hr=80\n14 tick"), Link::Up { last_heard: s(0) });
    let lost = Link::Lost {
        last_heard: Some(s(0)),
        since: s(15),
    };
    assert_eq!(link("0 amb hr=80\n500 tick"), lost);
    let never = Link::Lost {
        last_heard: None,
        since: s(15),
    };
    assert_eq!(link("0 amb history hr=80\n500 tick"), never);
    assert_eq!(
        link("0 amb hr=80\n500 amb hr=80"),
        Link::Up { last_heard: s(500) }
    );
}

#[test]
fn the_same_identity_with_other_content_is_a_conflict() {
    let mut sender = Sender::default();
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    let first = sender.frame(s(0), "amb", Lane::Live, numerics(&["hr=80"]));
    let mut other = first.clone();
    if let Entry::Frame { digest, frame, .. } = &mut other.entry {
        *digest = 2;
        frame.body = numerics(&["hr=20"]);
    }
    assert_eq!(
        engine.handle(&first, &mut effects),
        Verdict::Accepted { late: false }
    );
    assert_eq!(engine.handle(&first, &mut effects), Verdict::Duplicate);
    assert_eq!(engine.handle(&other, &mut effects), Verdict::Conflict);
    assert_eq!(engine.handle(&other, &mut effects), Verdict::Conflict);
    assert_eq!(effects.alerts.len(), 1);
    assert_eq!(
        line(&effects.alerts[0]),
        "   0 s  #1 amb: conflict in Numerics: Active, Low"
    );
    assert_eq!(
        value(&engine, "amb", "hr").reading,
        Reading::measured(Decimal::new(800, 1).unwrap())
    );
    let wanted = StreamCompleteness {
        epoch: Epoch(1),
        stream: Stream::Numerics,
        first: 1,
        highest: 1,
        sent: None,
        received: 4,
        durable: 1,
        shed: 0,
        duplicates: 1,
        conflicts: 2,
        missing: 0,
        gaps: vec![],
        more_gaps: 0,
    };
    assert_eq!(engine.completeness(&gateway("amb")), [wanted]);
}

#[test]
fn a_device_alarm_is_held_until_the_device_ends_it() {
    let alarms = |trace: &str| run(trace).0.state().sources[0].device_alarms.len();
    assert_eq!(
        alarms("0 amb alarm apnoea on\n1 amb alarm apnoea on\n2 amb alarm leads on"),
        2
    );
    assert_eq!(alarms("0 amb alarm apnoea on\n1 amb alarm apnoea off"), 0);
}

#[test]
fn joining_moves_sources_and_open_alerts() {
    let (mut engine, mut effects) = run("0..20 air hr=80");
    let (mut other, _) = run("0..20 amb hr=30\n0..20 air spo2=80");
    let before = effects.alerts.len();
    other.handle_timeout(s(21), &mut Effects::default());
    engine.absorb(other, s(21), &mut effects);
    let told: Vec<String> = effects.alerts[before..].iter().map(line).collect();
    assert_eq!(
        told,
        [
            "  21 s  #1 air: spo2 below 85: Active, High, value 80.0",
            "  21 s  #2 amb: hr below 40: Active, High, value 30.0",
        ]
    );
    assert_eq!(engine.gateways().count(), 2);
    let restored = Engine::restore(&engine.snapshot()).unwrap();
    assert_eq!(restored.state(), engine.state());
}

/// One vehicle under two names: what it sends after they are joined is the present,
/// whichever of them heard it first.
#[test]
fn what_comes_live_after_joining_two_legs_of_a_gateway_is_shown() {
    for first_joins in [true, false] {
        let mut sender = Sender::default();
        let mut engines = [Engine::new(transfer("tx-1")), Engine::new(transfer("tx-2"))];
        let mut out = Effects::default();
        for second in 0..10 {
            let numerics = super::numerics(&[&format!("hr={}", 60 + second)]);
            let record = sender.frame(s(second), "amb", Lane::Live, numerics);
            engines[usize::from(second >= 5)].handle(&record, &mut out);
        }
        let [first, second] = engines;
        let (mut engine, other) = if first_joins {
            (second, first)
        } else {
            (first, second)
        };
        engine.absorb(other, s(10), &mut out);
        let numerics = super::numerics(&["hr=90"]);
        let record = sender.frame(s(11), "amb", Lane::Live, numerics);
        let verdict = engine.handle(&record, &mut out);
        assert_eq!(verdict, Verdict::Accepted { late: false }, "{first_joins}");
    }
}

#[test]
fn joining_forgets_the_lives_unheard_for_longest() {
    let with_lives = |from: i64, epochs: std::ops::RangeInclusive<u64>| {
        let mut engine = Engine::new(transfer("tx"));
        for (second, epoch) in (from..).zip(epochs) {
            let numerics = super::numerics(&["hr=80"]);
            let mut record = Sender::default().frame(s(second), "amb", Lane::Live, numerics);
            if let Entry::Frame { frame, .. } = &mut record.entry {
                frame.header.epoch = Epoch(epoch);
            }
            engine.handle(&record, &mut Effects::default());
        }
        engine
    };
    let mut engine = with_lives(100, 1..=20);
    engine.absorb(with_lives(0, 101..=120), s(200), &mut Effects::default());
    let receipts = engine.receipts(&gateway("amb")).into_iter();
    let kept: Vec<u64> = receipts.map(|receipt| receipt.key.epoch.0).collect();
    assert_eq!(kept, (1..=20).chain(109..=120).collect::<Vec<_>>());
    assert_eq!(engine.overflow().epochs, 8);
}

#[test]
fn a_ninth_gateway_is_refused_and_counted() {
    let trace: Vec<String> = (0..9).map(|i| format!("{i} g{i} hr=80")).collect();
    let (engine, _) = run(&trace.join("\n"));
    assert_eq!(
        (engine.gateways().count(), engine.overflow().sources),
        (8, 1)
    );
}

#[test]
fn metrics_are_bounded() {
    let words: Vec<String> = (0..600).map(|i| format!("m{i}=1")).collect();
    let (engine, _) = run(&format!("0 amb {}", words.join(" ")));
    assert_eq!(engine.state().sources[0].values.len(), 512);
    assert_eq!(engine.overflow().metrics, 88);
}

#[test]
fn a_snapshot_of_another_version_is_not_restored() {
    let mut bytes = run("0 amb hr=80").0.snapshot();
    assert!(Engine::restore(&bytes[..bytes.len() - 1]).is_err());
    bytes[0] = 99;
    let error = Engine::restore(&bytes).unwrap_err();
    assert_eq!(error, crate::RestoreError::Version { found: 99 });
    assert!(Engine::restore(&[1]).is_err());
}

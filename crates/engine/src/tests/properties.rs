//! Random traces: two gateways, both lanes, repetitions, presence, people.

use super::*;
use enroute_alert::technical::stale_after;
use enroute_model::state::{AlertPhase, AlertState, Verdict};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Seconds before, which gateway, lane, values of hr, pr, spo2.
    Values(i64, bool, bool, [Option<i32>; 3]),
    /// The record so many before comes again.
    Again(usize),
    /// The same with other content.
    Conflict(usize),
    Silence(i64),
    Text(&'static str),
}

pub(super) fn actions() -> impl Strategy<Value = Vec<Action>> {
    let value = || {
        prop_oneof![
            1 => Just(None),
            6 => prop_oneof![30..60i32, 80..100i32, 115..160i32].prop_map(Some),
        ]
    };
    let values = (
        0..4i64,
        any::<bool>(),
        prop::bool::weighted(0.15),
        [value(), value(), value()],
    )
        .prop_map(|(wait, second, history, values)| Action::Values(wait, second, history, values));
    let texts = prop::sample::select(vec![
        "g0 offline",
        "g1 offline",
        "g0 online",
        "registry handover g0",
        "registry handover g1",
        "registry close",
        "registry reopen",
        "g0 crew neonate",
        "g0 crew enters gcs=7",
        "poison",
        "g1 crew handover",
        "g0 crew end",
        "g0 report",
        "g0 ladder 3 30",
        "g0 ladder 2 5",
        "g0 ladder 0 0",
        "g0 shed 1 3",
        "registry join tx",
        "g1 late-crew enters gcs=12",
        "g0 alarm x on",
        "g1 crew join ABC",
        "registry assign icu",
        "registry mark sepsis air_transfer",
        "registry limits hr 35 45 110 130",
        "registry limits hr book",
        "registry auto",
        "book strict",
        "book built-in",
        "book unknown",
    ]);
    let action = prop_oneof![
        20 => values,
        2 => (1..6usize).prop_map(Action::Again),
        1 => (1..6usize).prop_map(Action::Conflict),
        2 => prop_oneof![5..20i64, 100..400i64].prop_map(Action::Silence),
        2 => texts.prop_map(Action::Text),
    ];
    prop::collection::vec(action, 1..60)
}

pub(super) fn build(actions: &[Action]) -> Vec<Record> {
    let (mut sender, mut records, mut now) = (Sender::default(), Vec::<Record>::new(), 0);
    for action in actions {
        match action {
            Action::Values(wait, second, history, values) => {
                now += wait;
                let words = ["hr", "pr", "spo2"].iter().zip(values);
                let word = |(id, value): (&&str, &Option<i32>)| match value {
                    Some(value) => format!("{id}={value}"),
                    None => format!("{id}=-"),
                };
                let words: Vec<String> = words.map(word).collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let lane = if *history { Lane::History } else { Lane::Live };
                let who = if *second { "g1" } else { "g0" };
                records.push(sender.frame(s(now), who, lane, numerics(&words)));
            }
            Action::Again(back) | Action::Conflict(back) => {
                let Some(index) = records.len().checked_sub(*back) else {
                    continue;
                };
                let mut again = records[index].clone();
                again.at = s(now);
                if let (Action::Conflict(_), Entry::Frame { digest, .. }) =
                    (action, &mut again.entry)
                {
                    *digest = 2;
                }
                records.push(again);
            }
            Action::Silence(seconds) => now += seconds,
            Action::Text(text) => records.extend(record(&mut sender, s(now), text)),
        }
    }
    records
}

/// Effects of each record, and of the time after the last.
fn play(
    engine: &mut Engine,
    records: &[Record],
    until: EngineTime,
) -> Vec<(Option<Verdict>, Effects)> {
    let mut all = Vec::new();
    for record in records {
        let mut effects = Effects::default();
        let verdict = engine.handle(record, &mut effects);
        all.push((Some(verdict), effects));
    }
    let mut effects = Effects::default();
    engine.handle_timeout(until, &mut effects);
    all.push((None, effects));
    all
}

fn end_of(records: &[Record]) -> EngineTime {
    records
        .last()
        .map_or(s(0), |record| record.at)
        .plus(Span::from_secs(500))
}

fn alerts(played: &[(Option<Verdict>, Effects)]) -> Vec<AlertTransition> {
    played
        .iter()
        .flat_map(|(_, effects)| effects.alerts.clone())
        .collect()
}

/// The last value is inside of the limit that an alert speaks of.
fn is_back(engine: &Engine, alert: &AlertState) -> bool {
    let (metric, side) = if let AlertKind::LimitLow(metric) = &alert.kind {
        (metric, 1.0)
    } else if let AlertKind::LimitHigh(metric) = &alert.kind {
        (metric, -1.0)
    } else {
        return false;
    };
    let value = alert
        .gateway
        .as_ref()
        .and_then(|gateway| engine.value(gateway, metric));
    let reading = value.map(|value| value.reading);
    let Some(Reading::Value { value, .. }) = reading else {
        return false;
    };
    alert
        .limit
        .is_some_and(|limit| (value.value() - limit) * side > 0.0)
}

fn fresh() -> Engine {
    Engine::with_books(transfer("tx"), rules::BOOKS.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// I1, and restart: a snapshot at any moment and the rest equal the whole.
    #[test]
    fn a_restart_anywhere_changes_nothing(actions in actions()) {
        let records = build(&actions);
        let end = end_of(&records);
        let mut engine = fresh();
        let whole = play(&mut engine, &records, end);
        let mut running = fresh();
        for (done, record) in records.iter().enumerate() {
            let mut restored = Engine::restore_with(&running.snapshot(), &rules::BOOKS).unwrap();
            prop_assert_eq!(restored.next_timeout(), running.clone().earliest_for_test());
            let rest = play(&mut restored, &records[done..], end);
            prop_assert_eq!(&rest[..], &whole[done..]);
            prop_assert_eq!(restored.snapshot(), engine.snapshot());
            prop_assert_eq!(restored.state(), engine.state());
            running.handle(record, &mut Effects::default());
        }
    }

    /// However finely time is cut, alerts and state are the same.
    #[test]
    fn ticks_do_not_matter(actions in actions(), step in 1..7i64) {
        let records = build(&actions);
        let end = end_of(&records);
        let (mut coarse, mut fine) = (fresh(), fresh());
        let wanted = alerts(&play(&mut coarse, &records, end));
        let (mut effects, mut now) = (Effects::default(), s(0));
        for record in &records {
            while now < record.at {
                fine.handle_timeout(now, &mut effects);
                now = now.plus(Span::from_secs(step));
            }
            fine.handle(record, &mut effects);
        }
        while let Some(due) = fine.next_timeout().filter(|due| *due <= end) {
            fine.handle_timeout(due, &mut effects);
        }
        fine.handle_timeout(end, &mut effects);
        prop_assert_eq!(effects.alerts, wanted);
        prop_assert_eq!(fine.snapshot(), coarse.snapshot());
    }

    /// I4: what comes again changes its counter and nothing else.
    #[test]
    fn duplicates_change_nothing(actions in actions(), every in 1..4usize) {
        let once: Vec<Action> = actions.into_iter()
            .filter(|a| !matches!(a, Action::Again(_) | Action::Conflict(_))).collect();
        let records = build(&once);
        let end = end_of(&records);
        let (mut single, mut double) = (fresh(), fresh());
        let wanted = alerts(&play(&mut single, &records, end));
        let (mut effects, mut verdicts) = (Effects::default(), Vec::new());
        for (index, record) in records.iter().enumerate() {
            verdicts.push(double.handle(record, &mut effects));
            let first = index - index % every;
            let mut again = records[first].clone();
            again.at = record.at;
            // What was refused is refused again.
            let expected = match (&again.entry, &verdicts[first]) {
                (Entry::Registry { .. }, refused @ Verdict::Refused(_)) => refused.clone(),
                (Entry::Frame { .. } | Entry::Registry { .. }, _) => Verdict::Duplicate,
                _ => continue,
            };
            prop_assert_eq!(double.handle(&again, &mut effects), expected);
        }
        double.handle_timeout(end, &mut effects);
        prop_assert_eq!(effects.alerts, wanted);
        let (mut a, mut b) = (single.state(), double.state());
        for stream in a.sources.iter_mut().chain(&mut b.sources).flat_map(|s| &mut s.completeness) {
                stream.received -= stream.duplicates;
                stream.duplicates = 0;
        }
        prop_assert_eq!(a, b);
    }

    /// I11: history changes neither a latest value nor an alert.
    #[test]
    fn history_leaves_the_present_alone(actions in actions(), late in prop::collection::vec((0..60usize, 20..200i32), 0..10)) {
        let records = build(&actions);
        let end = end_of(&records);
        let (mut plain, mut filled) = (fresh(), fresh());
        let wanted = alerts(&play(&mut plain, &records, end));
        let mut effects = Effects::default();
        let mut sender = Sender::default();
        for (index, record) in records.iter().enumerate() {
            filled.handle(record, &mut effects);
            for (_, value) in late.iter().filter(|(place, _)| *place == index) {
                // A source that history alone made known would be missed live.
                if filled.gateways().any(|id| id.as_str() == "g0") {
                    let body = numerics(&[&format!("hr={value}"), &format!("spo2={value}")]);
                    let mut record = sender.frame(record.at, "g0", Lane::History, body);
                    if let Entry::Frame { frame, .. } = &mut record.entry {
                        frame.header.epoch = Epoch(9);
                    }
                    prop_assert_eq!(filled.handle(&record, &mut effects), Verdict::Accepted { late: true });
                }
            }
        }
        filled.handle_timeout(end, &mut effects);
        prop_assert_eq!(present(&effects.alerts), present(&wanted));
        for (a, b) in plain.state().sources.iter().zip(&filled.state().sources) {
            for (a, b) in a.values.iter().zip(&b.values) {
                let mut b = b.clone();
                b.slope_per_min = a.slope_per_min;
                prop_assert_eq!(a, &b);
            }
            prop_assert_eq!(a.values.len(), b.values.len());
        }
    }

    /// I6: silence never clears a physiological alert, and nothing that speaks
    /// of now stays active in it. (What the last value was inside of may end by
    /// its off-delay.)
    #[test]
    fn silence_clears_nothing(actions in actions()) {
        let records = build(&actions);
        let mut engine = fresh();
        let mut effects = Effects::default();
        for record in &records {
            engine.handle(record, &mut effects);
        }
        let before: Vec<u64> = engine.open_for_test().iter()
            .filter(|a| a.kind.is_physiological() && !is_back(&engine, a))
            .map(|a| a.alert_id).collect();
        engine.handle_timeout(end_of(&records).plus(Span::from_secs(10_000)), &mut effects);
        let after = engine.open_for_test();
        for id in before {
            let alert = after.iter().find(|alert| alert.alert_id == id);
            prop_assert!(alert.is_some(), "alert {} went away in silence", id);
        }
        for alert in after.iter().filter(|a| a.kind.is_physiological()) {
            prop_assert_ne!(alert.phase, AlertPhase::Active);
        }
    }

    /// Ordinals have no holes; an id lives once, from first step to `Ended`;
    /// what the steps add up to is what is open; every stale mark is right.
    #[test]
    fn the_books_balance(actions in actions()) {
        let records = build(&actions);
        let (mut engine, mut effects) = (fresh(), Effects::default());
        for record in &records {
            engine.handle(record, &mut effects);
            for source in engine.state().sources {
                let plain = source.report.as_ref().is_none_or(|r| *r == LinkReport::default());
                for value in source.values.into_iter().filter(|_| plain) {
                    let vital = catalogue().vital(value.metric.code);
                    let due = value.heard_at.plus(stale_after(vital, value.interval));
                    let patient = actions.iter().any(|a| matches!(a, Action::Text(t) if t.contains("ladder")));
                    let stale = due <= record.at.max(s(0));
                    prop_assert!(value.stale == stale || patient && stale, "{:?}", value);
                }
                for stream in source.completeness {
                    let produced = stream.highest - stream.first + 1;
                    prop_assert_eq!(produced, stream.durable + stream.shed + stream.missing);
                }
            }
        }
        let mut open = BTreeMap::new();
        let mut over = std::collections::BTreeSet::new();
        for (ordinal, step) in (1..).zip(&effects.alerts) {
            prop_assert_eq!(step.ordinal, ordinal);
            let alert = &step.alert;
            prop_assert!(!over.contains(&alert.alert_id), "{:?} after its end", alert);
            if alert.is_retrospective() {
                prop_assert_eq!(alert.phase, AlertPhase::Ended);
                over.insert(alert.alert_id);
            } else if alert.phase == AlertPhase::Ended {
                over.insert(alert.alert_id);
                prop_assert!(open.remove(&alert.alert_id).is_some(), "ended before it began");
            } else {
                let before = open.insert(alert.alert_id, alert.clone());
                prop_assert_ne!(before.as_ref(), Some(alert), "a step that changes nothing");
            }
        }
        let listed: Vec<_> = engine.open_for_test();
        prop_assert_eq!(open.into_values().collect::<Vec<_>>(), listed);
    }
}

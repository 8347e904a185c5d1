//! Values whose source declares that it sends them less often.

use super::*;
use enroute_model::state::Link;
use proptest::prelude::*;

/// What a viewer sees change, at whole seconds: values that turn stale or are
/// fresh again, the link, and the alerts.
fn seen(trace: &str) -> String {
    let (mut engine, mut text) = (Engine::new(transfer("tx")), String::new());
    let mut before: BTreeMap<String, &str> = BTreeMap::new();
    let mut now = 0;
    for (at, record) in records(trace) {
        while now <= at.0 / 1_000_000 {
            let mut effects = Effects::default();
            engine.handle_timeout(s(now), &mut effects);
            tell(&engine, &effects, &mut before, now, &mut text);
            now += 1;
        }
        if let Some(record) = record {
            let mut effects = Effects::default();
            engine.handle(&record, &mut effects);
            tell(&engine, &effects, &mut before, now - 1, &mut text);
        }
    }
    text
}

fn tell(
    engine: &Engine,
    effects: &Effects,
    before: &mut BTreeMap<String, &str>,
    now: i64,
    text: &mut String,
) {
    let mut after = BTreeMap::new();
    for source in engine.state().sources {
        let link = match source.link {
            Link::Up { .. } => "up",
            Link::Lost { .. } => "lost",
        };
        after.insert(format!("link to {}", source.gateway), link);
        for value in source.values {
            let vital = catalogue().vital(value.metric.code).unwrap();
            after.insert(
                vital.id.clone(),
                if value.stale { "stale" } else { "fresh" },
            );
        }
    }
    for (what, is) in &after {
        if before.get(what) != Some(is) {
            writeln!(text, "{now:>4} s  {what} {is}").unwrap();
        }
    }
    for transition in &effects.alerts {
        writeln!(text, "{}", line(transition)).unwrap();
    }
    *before = after;
}

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", seen(&trace)));
}

/// Every `step` seconds.
fn every(step: usize, from: i64, to: i64, what: &str) -> String {
    (from..=to)
        .step_by(step)
        .fold(String::new(), |mut text, at| {
            writeln!(text, "{at} {what}").unwrap();
            text
        })
}

#[test]
fn a_thin_link_is_not_a_missing_value() {
    let full = every(1, 0, 9, "amb hr=80");
    let thin = every(30, 12, 132, "amb hr=80");
    let reports = every(10, 10, 150, "amb ladder 3 30");
    let back = every(1, 151, 170, "amb hr=80");
    check(
        "ladder_thin",
        &format!("{full}{reports}{thin}150 amb ladder 0 0\n{back}"),
    );
}

#[test]
fn a_value_that_stops_on_a_thin_link_turns_stale() {
    let full = every(1, 0, 9, "amb hr=80 spo2=97");
    let thin = every(30, 12, 42, "amb hr=80 spo2=97");
    let hr = every(30, 72, 162, "amb hr=80");
    let reports = every(10, 10, 170, "amb ladder 3 30");
    check("ladder_stops", &format!("{full}{reports}{thin}{hr}"));
}

#[test]
fn a_value_that_does_not_come_back_with_the_link_turns_stale() {
    let full = every(1, 0, 9, "amb hr=80 spo2=97");
    let reports = every(10, 10, 30, "amb ladder 3 30");
    let back = every(1, 36, 60, "amb hr=80");
    check(
        "ladder_returns",
        &format!("{full}{reports}35 amb ladder 0 0\n{back}"),
    );
}

#[test]
fn a_thin_link_can_be_lost_all_the_same() {
    let reports = every(10, 5, 45, "amb ladder 3 30");
    check("ladder_lost", &format!("0 amb hr=80\n{reports}200 tick"));
}

#[test]
fn a_declared_interval_beyond_reason_is_not_believed() {
    let (engine, _) = run("0 amb hr=80\n1 amb ladder 3 86400\n151 tick");
    let hr = engine.value(&gateway("amb"), &metric("hr")).unwrap();
    assert!(hr.stale, "{hr:?}");
}

#[test]
fn what_the_crew_enters_does_not_live_longer_on_a_thin_link() {
    let (engine, _) = run("0 amb ladder 3 60\n0 amb crew enters hr=80\n10 tick");
    let hr = engine.value(&gateway("amb"), &metric("hr")).unwrap();
    assert!(hr.stale, "{hr:?}");
}

/// Intervals of the steps, seconds; the source itself gives a value a second.
const STEPS: [i64; 4] = [1, 1, 5, 30];

/// A gateway that goes up and down the ladder: seconds on a step, step.
fn ladders() -> impl Strategy<Value = Vec<(i64, usize)>> {
    prop::collection::vec((1..90i64, 0..4usize), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the ladder does: what comes as often as declared is never stale,
    /// and what stops is, no later than its longest step since allows.
    #[test]
    fn stale_is_what_stops_and_nothing_else(ladder in ladders(), stops in 0..500i64) {
        let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
        let mut sender = Sender::default();
        let (mut now, mut sent, mut next, mut longest) = (0, 0, 0, 0);
        let mut reported = i64::MIN / 2;
        for (seconds, step) in ladder.into_iter().chain([(200, 0)]) {
            let declared = if step < 2 { 0 } else { STEPS[step] };
            // A change is told at once, and what comes next is planned anew.
            reported -= 100;
            next = next.min(now + STEPS[step]);
            longest = longest.max(STEPS[step]);
            for _ in 0..seconds {
                if now - reported >= 10 {
                    let text = format!("amb ladder {step} {declared}");
                    let record = record(&mut sender, s(now), &text).unwrap();
                    engine.handle(&record, &mut effects);
                    reported = now;
                    prop_assert!(engine.next_timeout() <= engine.earliest_for_test());
                }
                let comes = now < stops;
                if comes && now >= next {
                    let record = record(&mut sender, s(now), "amb hr=80").unwrap();
                    engine.handle(&record, &mut effects);
                    (sent, next, longest) = (now, now + STEPS[step], STEPS[step]);
                }
                engine.handle_timeout(s(now), &mut effects);
                if let Some(hr) = engine.value(&gateway("amb"), &metric("hr")) {
                    // Half seconds.
                    let (age, allowed) = (2 * (now - sent), (longest * 5).max(20));
                    prop_assert!(!hr.stale || now - sent >= 10, "stale after {} s", now - sent);
                    prop_assert!(!(hr.stale && comes), "stale at {now} s, and it comes");
                    prop_assert!(hr.stale || age < allowed, "fresh at {now} s");
                }
                now += 1;
            }
        }
        if stops > 0 && stops < now - 100 {
            let hr = engine.value(&gateway("amb"), &metric("hr")).unwrap();
            prop_assert!(hr.stale);
        }
    }
}

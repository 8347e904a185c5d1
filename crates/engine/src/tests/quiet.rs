//! An engine that goes on against one that is restored from its snapshot before each
//! record. What an engine knows of which rules need no asking, of slopes and of its next
//! deadline is in no snapshot, so the other one looks at everything, always.

use super::*;
use proptest::prelude::*;

/// So often, so many seconds apart.
#[derive(Clone, Debug)]
struct Stretch {
    times: i64,
    wait: i64,
    text: String,
}

fn value() -> impl Strategy<Value = String> {
    let vitals = vec![
        "hr", "pr", "spo2", "rr_co2", "rr_imp", "abp_sys", "abp_dia", "abp_mean", "nibp_sys",
        "etco2", "vent_rr", "temp1", "gcs", "o2_supp", "icp_mean",
    ];
    let reading = prop_oneof![
        1 => Just("-".to_owned()),
        1 => Just("_".to_owned()),
        1 => Just("80?".to_owned()),
        8 => prop_oneof![0..8i32, 10..40i32, 60..130i32, 88..93i32].prop_map(|v| v.to_string()),
    ];
    let interval = prop::sample::select(vec!["", "", "", "@2", "@60", "@300"]);
    (prop::sample::select(vitals), reading, interval)
        .prop_map(|(id, reading, interval)| format!("{id}={reading}{interval}"))
}

fn text() -> impl Strategy<Value = String> {
    let deeds = vec![
        "g0 offline",
        "g1 offline",
        "registry handover g0",
        "registry handover g1",
        "registry close",
        "registry reopen",
        "g0 crew child",
        "g0 crew neonate",
        "g0 crew enters gcs=7",
        "g0 report",
        "g0 ladder 3 30",
        "g0 ladder 0 0",
        "registry mark cuff_on_probe_arm",
        "registry mark co2_line_fault sepsis",
        "registry mark",
        "registry hypercapnic",
        "registry usual abp_sys 110",
        "registry usual abp_sys 70",
        "registry limits hr 35 45 110 130",
        "registry limits hr book",
        "registry auto hr spo2",
        "registry acknowledge 1 1",
        "registry acknowledge 2 2",
        "registry assign icu",
        "book strict",
        "book built-in",
    ];
    let who = prop::sample::select(vec!["g0", "g0", "g0", "g1", "g0 history"]);
    let values = (who, prop::collection::vec(value(), 1..10))
        .prop_map(|(who, values)| format!("{who} {}", values.join(" ")));
    prop_oneof![3 => values, 2 => prop::sample::select(deeds).prop_map(str::to_owned)]
}

fn course() -> impl Strategy<Value = Vec<Stretch>> {
    let times = prop_oneof![4 => 1..3i64, 3 => 3..40i64, 1 => 40..200i64];
    let wait = prop_oneof![8 => 0..3i64, 2 => 5..60i64, 1 => 300..4_000i64];
    let stretch = (times, wait, text()).prop_map(|(times, wait, text)| {
        let times = if text.contains('=') { times } else { 1 };
        Stretch { times, wait, text }
    });
    prop::collection::vec(stretch, 1..20)
}

fn records(course: &[Stretch]) -> Vec<Record> {
    let (mut sender, mut now, mut all) = (Sender::default(), 0, Vec::new());
    for stretch in course {
        for _ in 0..stretch.times {
            now += stretch.wait;
            all.extend(record(&mut sender, s(now), &stretch.text));
        }
    }
    all
}

fn again(engine: &Engine) -> Engine {
    Engine::restore_with(&engine.snapshot(), &rules::BOOKS).unwrap()
}

/// The same record to both, and the same effects of both.
fn step(going: &mut Engine, restored: &mut Engine, record: &Record) {
    *restored = again(restored);
    let (mut a, mut b) = (Effects::default(), Effects::default());
    assert_eq!(
        going.handle(record, &mut a),
        restored.handle(record, &mut b)
    );
    assert_eq!(a, b, "at {:?}", record.at);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_not_asked_changes_no_effect(course in course(), other in course(), join in 1..4usize) {
        let of = |name| Engine::with_books(transfer(name), rules::BOOKS.clone());
        let (mut going, mut restored, mut joined) = (of("tx"), of("tx"), of("ty"));
        let (records, other) = (records(&course), records(&other));
        let (before, behind) = records.split_at(records.len() * join / 4);
        for record in before {
            step(&mut going, &mut restored, record);
        }
        for record in &other {
            joined.handle(record, &mut Effects::default());
        }
        // Joined with another transfer it goes on, and then nothing comes any more.
        let at = |records: &[Record]| records.last().map_or(s(0), |record| record.at);
        let now = at(before).max(at(&other));
        joined.handle_timeout(now, &mut Effects::default());
        let (mut a, mut b) = (Effects::default(), Effects::default());
        restored = again(&restored);
        restored.absorb(again(&joined), now, &mut b);
        going.absorb(joined, now, &mut a);
        prop_assert_eq!(a, b);
        for record in behind {
            let at = record.at.plus(Span(now.0));
            step(&mut going, &mut restored, &Record { at, ..record.clone() });
        }
        let end = at(behind).plus(Span(now.0)).plus(Span::from_secs(20_000));
        let (mut a, mut b) = (Effects::default(), Effects::default());
        going.handle_timeout(end, &mut a);
        again(&restored).handle_timeout(end, &mut b);
        prop_assert_eq!(a, b);
        prop_assert_eq!(going.state(), { restored.handle_timeout(end, &mut Effects::default()); restored.state() });
        prop_assert_eq!(going.snapshot(), restored.snapshot());
    }
}

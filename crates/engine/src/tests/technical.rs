//! What the equipment tells, as a nurse would see it.

use super::*;

fn check(name: &str, trace: &str) {
    let trace: Vec<&str> = trace.lines().map(str::trim).collect();
    let trace = trace.join("\n");
    insta::assert_snapshot!(name, format!("{trace}\n\n{}", told(&trace)));
}

#[test]
fn a_probe_that_comes_off_is_one_alert_and_not_four() {
    check(
        "probe_comes_off",
        "0..20 amb hr=80 spo2=97 pr=80 pi=2
         21..80 amb hr=80 spo2=- pr=- pi=-
         81..83 amb hr=80 spo2=96? pr=80? pi=1?
         84..100 amb hr=80 spo2=96 pr=80 pi=2",
    );
}

#[test]
fn a_probe_that_is_moved_is_no_alert() {
    assert_eq!(
        told("0..20 amb spo2=97\n21..29 amb spo2=-\n30..60 amb spo2=97"),
        ""
    );
    // One lead of several: the others still give something.
    assert_eq!(
        told("0..20 amb hr=80 st_ii=0\n21..60 amb hr=80 st_ii=-"),
        ""
    );
}

#[test]
fn a_sensor_of_a_silent_source_is_not_told_behind_its_back() {
    check(
        "probe_off_in_silence",
        "0..20 amb spo2=88
         21..25 amb spo2=-
         200 tick
         201..215 amb spo2=-
         216..220 amb spo2=97",
    );
}

#[test]
fn a_sensor_that_is_off_covers_what_goes_stale() {
    check(
        "probe_off_then_stale",
        "0..20 amb hr=80 spo2=97 pi=2
         21..40 amb hr=80 spo2=- pi=-
         41..80 amb hr=80
         81..110 amb hr=80 spo2=97",
    );
}

#[test]
fn a_spool_that_fills_and_a_battery_that_runs_down() {
    check(
        "spool_and_battery",
        "0 amb equipment 10 40
         10 amb equipment 55 25
         20 amb equipment 91 27
         30 amb equipment 86 9
         40 amb equipment 47 12
         50 amb equipment 44 mains",
    );
    // Full of what receipts cover is full of nothing.
    assert_eq!(told("0 amb equipment unknown mains"), "");
}

#[test]
fn history_that_does_not_come_and_history_that_never_will() {
    let mut reports = String::new();
    for second in (12..=1_202).step_by(10) {
        writeln!(reports, "{second} amb report").unwrap();
    }
    check_lines(
        "history_overdue",
        &format!("0 amb hr=80@600\n1 amb loses 5\n2 amb hr=80@600\n{reports}"),
        "0 hr, 1 loses 5 frames, 2 hr, then a report each 10 s to 1,202 s",
    );
    let progress = "0 amb hr=80@600\n1 amb loses 5\n2 amb hr=80@600\n500 amb history hr=80\n";
    assert_eq!(told(&format!("{progress}{reports}")), "");
    check(
        "history_given_up",
        "0 amb report
         10 amb report
         15 amb loses-events 3
         20 amb shed 3 6
         30 amb report
         35 registry acknowledge 1 1
         40 amb report
         45 amb loses-events 2
         46 amb shed 9 11
         50 amb report",
    );
}

fn check_lines(name: &str, trace: &str, said: &str) {
    insta::assert_snapshot!(name, format!("{said}\n\n{}", told(trace)));
}

#[test]
fn a_wrong_clock_is_told_while_it_is_wrong() {
    let (mut engine, mut effects) = (Engine::new(transfer("tx")), Effects::default());
    let mut sender = Sender::default();
    for (second, offset) in [(0, 0), (10, 9), (20, 9), (30, 0)] {
        let mut record = sender.frame(s(second), "amb", Lane::Live, numerics(&["hr=80"]));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            let gateway = Some(enroute_model::frame::Offset {
                offset: Span::from_secs(offset),
                uncertainty: Span::from_millis(20),
            });
            let monitor = None;
            frame.header.clocks = Some(enroute_model::frame::ClockOffsets { monitor, gateway });
        }
        engine.handle(&record, &mut effects);
    }
    let lines: Vec<String> = effects.alerts.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "  10 s  #1 amb: clock wrong: Active, Low",
            "  30 s  #1 amb: clock wrong: Ended, Low"
        ]
    );
}

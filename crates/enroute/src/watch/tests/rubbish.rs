//! What a broken or hostile server may say.

use super::*;

#[test]
fn text_from_the_network_cannot_drive_the_terminal() {
    let mut state = transfer();
    state.info.as_mut().unwrap().concern = "x\u{1b}[2Jy\u{7}".into();
    let mut app = App::new();
    app.heard(BOARD, snapshot(vec![state]), Span::ZERO);
    assert!(!screen(&app, 160, 16, Span::ZERO).contains('\u{1b}'));
}

#[test]
fn rubbish_is_drawn_without_harm() {
    let mut state = transfer();
    state.source.push(v1::Source::default());
    state.unrecorded.push(v1::Unrecorded {
        since_us: i64::MAX,
        until_us: i64::MIN,
        reason: "x\u{1b}[2J".repeat(99),
    });
    for source in &mut state.source {
        source.active = true;
        source.rejected_publishes = u64::MAX;
        source.report = Some(v1::LinkReport {
            degradation_level: u32::MAX,
            numerics_interval_ms: u32::MAX,
            spool_bytes: u64::MAX,
            spool_bytes_max: 1,
            ..v1::LinkReport::default()
        });
        source.clocks = Some(v1::ClockOffsets {
            monitor_us: Some(i64::MIN),
            monitor_uncertainty_us: u64::MAX,
            gateway_us: Some(i64::MAX),
            gateway_uncertainty_us: u64::MAX,
        });
        let bad = v1::Gap {
            first: u64::MAX,
            last: 0,
            from_us: Some(i64::MAX),
            to_us: Some(i64::MIN),
            cause: 99,
        };
        source.completeness = vec![
            v1::StreamCompleteness {
                stream: 99,
                durable: u64::MAX,
                missing: u64::MAX,
                shed: u64::MAX,
                conflicts: u64::MAX,
                sent: Some(u64::MAX),
                gap: vec![bad; 40],
                more_gaps: u64::MAX,
                ..v1::StreamCompleteness::default()
            };
            3
        ];
        source.value.push(v1::Value {
            value: i64::MIN,
            decimals: u32::MAX,
            state: 99,
            heard_at_us: i64::MIN,
            interval_ms: u32::MAX,
            slope_per_min: Some(f64::NAN),
            warn_low: Some(f64::NEG_INFINITY),
            ..v1::Value::default()
        });
    }
    state.alert.push(v1::Alert {
        kind: 77,
        since_us: i64::MAX,
        ..v1::Alert::default()
    });
    state.travel = Some(v1::Travel {
        position: Some(v1::Position {
            latitude_e7: i32::MIN,
            ..v1::Position::default()
        }),
        leg: Some(u32::MAX),
        distance_m: Some(f64::NAN),
        eta_us: Some(i64::MIN),
        ..v1::Travel::default()
    });
    let mut app = App::new();
    app.heard(BOARD, snapshot(vec![state.clone()]), Span::ZERO);
    assert_eq!(
        key(&mut app, KeyCode::Enter),
        Act::Follow("tx-sepsis".into(), 1)
    );
    app.heard(Stream::Patient(1), snapshot(vec![state]), Span::ZERO);
    let mut bad = waveform(0);
    if let Some(Update::Samples(samples)) = &mut bad.update {
        samples.frame = vec![0xff; 40].into();
    }
    app.heard(Stream::Patient(1), bad, Span::ZERO);
    for (width, height) in [(1, 1), (3, 2), (20, 5), (60, 9), (99, 12), (250, 80)] {
        screen(&app, width, height, Span(1));
        screen(&board(), width, height, Span(1));
    }
}

//! Samples on their way to the screen.

use super::*;

fn run(start_us: i64, values: Vec<Option<f64>>) -> Run {
    Run {
        start_us,
        step_us: 8_000.0,
        unit: "mV".into(),
        values,
    }
}

/// Half a second at 125 Hz.
fn flat(start_us: i64, level: f64) -> Run {
    run(start_us, vec![Some(level); 62])
}

#[test]
fn the_pen_never_runs_ahead_of_the_samples() {
    let mut trace = Trace::begin(&flat(0, 1.0), Span(10_000_000));
    for (half, jitter) in [(1, 0), (2, 150_000), (3, 20_000), (4, 300_000), (5, 0)] {
        let arrives = Span(10_000_000 + half * 500_000 + jitter);
        trace.extend(&flat(half * 496_000, 1.0), arrives);
        let pen = arrives.0 + trace.lead_us;
        assert!(pen <= trace.newest_us, "half {half}");
    }
}

#[test]
fn a_gap_in_the_samples_stays_a_gap() {
    let mut values = vec![Some(1.0); 62];
    for value in values.iter_mut().skip(20).take(20) {
        *value = None;
    }
    let mut trace = Trace::begin(&run(0, values), Span::ZERO);
    trace.extend(&flat(496_000, 1.0), Span(496_000));
    let drawn = trace.sweep(Span(496_000), 300, 4).concat();
    let gaps = drawn
        .split(|c| c != ' ')
        .filter(|gap| gap.len() >= 4)
        .count();
    assert!(
        gaps >= 2,
        "a hole inside the run, besides what is not yet drawn: {drawn:?}"
    );
}

#[test]
fn a_source_that_begins_again_is_followed() {
    let mut trace = Trace::begin(&flat(50_000_000, 1.0), Span::ZERO);
    trace.extend(&flat(0, 1.0), Span(500_000));
    assert!(trace.newest_us < 1_000_000);
    assert_eq!(trace.lead_us, -500_000);
}

#[test]
fn memory_is_bounded_whatever_the_rate() {
    let mut fast = flat(0, 1.0);
    fast.step_us = 1.0;
    fast.values = vec![Some(1.0); 16_384];
    let mut trace = Trace::begin(&fast, Span::ZERO);
    for n in 1..20 {
        fast.start_us = n * 20_000;
        trace.extend(&fast, Span(n * 20_000));
        assert!(trace.samples.len() <= SAMPLES_MAX);
    }
}

#[test]
fn a_waveform_that_makes_no_sense_is_left_out() {
    let good = v1::Waveform {
        rate_hz: 250.0,
        gain: 200.0,
        delta: vec![1, 2],
        ..v1::Waveform::default()
    };
    assert!(Run::of(&good, 0).is_some());
    for bad in [
        v1::Waveform {
            rate_hz: f64::NAN,
            ..good.clone()
        },
        v1::Waveform {
            rate_hz: 0.0,
            ..good.clone()
        },
        v1::Waveform {
            gain: 0.0,
            ..good.clone()
        },
        v1::Waveform {
            delta: vec![],
            ..good.clone()
        },
        v1::Waveform {
            delta: vec![i32::MAX, i32::MAX],
            ..good.clone()
        },
    ] {
        assert!(Run::of(&bad, 0).is_none(), "{bad:?}");
    }
}

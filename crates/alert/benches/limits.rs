//! One limit condition: values inside all limits, which is nearly always, and values
//! that go beyond and come back.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a measure that cannot run says so"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use enroute_alert::limit::LimitCondition;
use enroute_alert::profile::{LimitRule, Terms};
use enroute_model::catalogue::catalogue;
use enroute_model::state::LimitsInForce;
use enroute_model::time::EngineTime;
use std::hint::black_box;

fn limits(c: &mut Criterion) {
    let hr = catalogue().vital_by_id("hr").unwrap().code;
    let limits = LimitsInForce {
        crit_low: Some(40.0),
        warn_low: Some(50.0),
        warn_high: Some(120.0),
        crit_high: Some(150.0),
    };
    let terms = Terms {
        limits,
        hysteresis: 2.0,
        ..Terms::default()
    };
    let rule = LimitRule::new(hr, None, terms);
    for (word, values) in [("inside", [80.0, 81.0]), ("beyond and back", [130.0, 80.0])] {
        let mut condition = LimitCondition::default();
        let mut second = 0;
        c.bench_function(&format!("a value {word}"), |b| {
            b.iter(|| {
                second += 1;
                // Half a minute on each side: the delays run, alerts come and go.
                let value = if second / 30 % 2 == 0 {
                    values[0]
                } else {
                    values[1]
                };
                let now = EngineTime(second * 1_000_000);
                condition.value(&rule, black_box(value), now, |step| {
                    black_box(step);
                });
            });
        });
    }
}

criterion_group!(benches, limits);
criterion_main!(benches);

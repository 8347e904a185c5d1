//! What becomes of values that newer ones meet in the queue.

use super::*;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::Metric;
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::state::ValueState;
use enroute_model::time::{EngineTime, GatewayTime, Span};

fn value(vital: &str, number: i64) -> ValueState {
    ValueState {
        metric: Metric {
            code: catalogue().vital_by_id(vital).unwrap().code,
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::Value {
            value: Decimal::new(number, 0).unwrap(),
            validity: Validity::Measured,
        },
        implausible: false,
        observed_at: None,
        captured_at: GatewayTime(0),
        measured_at: None,
        heard_at: EngineTime(0),
        stale: false,
        interval: Span::from_secs(1),
        slope_per_min: None,
        limits: None,
    }
}

/// By metric, as the shard gives them.
fn change(values: &[(&str, i64)]) -> Arc<Worded<ValuesChange>> {
    let values = values.iter().map(|(vital, number)| value(vital, *number));
    let mut values: Vec<_> = values.collect();
    values.sort_by(|one, other| one.metric.cmp(&other.metric));
    Arc::new(Worded::new(ValuesChange {
        transfer: TransferId::new("tx-a").unwrap(),
        gateway: GatewayId::new("gw-a").unwrap(),
        values,
    }))
}

fn taken(queue: &Queue) -> Arc<Worded<ValuesChange>> {
    let Some(Ok(Item::Update(Update::Values(change)))) = queue.take(true) else {
        panic!("no values");
    };
    assert!(queue.take(true).is_none());
    change
}

#[test]
fn a_change_that_replaces_all_that_waits_stays_the_one_that_others_have() {
    let queue = Queue::new(&Options::default());
    assert_eq!(queue.values(&change(&[("hr", 80), ("spo2", 97)])), 0);
    let newer = change(&[("hr", 81), ("spo2", 96), ("temp1", 37)]);
    assert_eq!(queue.values(&newer), 2);
    assert!(Arc::ptr_eq(&taken(&queue), &newer));
    assert_eq!(queue.conflated(), 2);
}

#[test]
fn what_a_newer_change_does_not_name_is_kept_beside_it() {
    let queue = Queue::new(&Options::default());
    queue.values(&change(&[("hr", 80), ("spo2", 97)]));
    assert_eq!(queue.values(&change(&[("temp1", 37), ("spo2", 96)])), 1);
    let all = change(&[("hr", 80), ("spo2", 96), ("temp1", 37)]);
    assert_eq!(*taken(&queue), *all);
}

//! One engine, its patient an adult with every overlay: a frame of twelve numerics, one
//! a second.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a measure that cannot run says so"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use enroute_alert::book::RuleBook;
use enroute_engine::{Effects, Engine};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{AgeBand, Population, RegistryAction, TransferInfo};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use std::hint::black_box;

/// A resting adult: quantity, value, decimals.
const VITALS: [(&str, i64, u8); 12] = [
    ("hr", 82, 0),
    ("pr", 82, 0),
    ("spo2", 97, 0),
    ("rr_imp", 15, 0),
    ("nibp_sys", 121, 0),
    ("nibp_dia", 74, 0),
    ("nibp_mean", 90, 0),
    ("abp_sys", 123, 0),
    ("abp_dia", 72, 0),
    ("abp_mean", 89, 0),
    ("temp1", 368, 1),
    ("etco2", 38, 0),
];

fn record(second: i64, entry: Entry) -> Record {
    Record {
        position: Position(1),
        at: EngineTime(second * 1_000_000),
        received_at: ServerTime(second * 1_000_000),
        transfer: TransferId::new("tx").unwrap(),
        entry,
    }
}

fn admitted() -> Engine {
    let mut engine = Engine::new(TransferId::new("tx").unwrap());
    let overlays = RuleBook::built_in();
    let overlays = overlays.overlays().iter();
    let action = RegistryAction::Put(TransferInfo {
        hospital: "h".into(),
        population: Population {
            age_band: Some(AgeBand::Adult),
            weight_g: None,
        },
        conditions: overlays.map(|overlay| overlay.name.clone()).collect(),
        ..TransferInfo::default()
    });
    let entry = Entry::Registry {
        action_id: "1".into(),
        actor: "doctor".into(),
        action,
        happened_unrecorded: None,
    };
    engine.handle(&record(0, entry), &mut Effects::default());
    engine
}

fn numerics(second: i64) -> Record {
    let one = |(id, value, decimals): (&str, i64, u8)| Numeric {
        metric: Metric {
            code: catalogue().vital_by_id(id).unwrap().code,
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::measured(Decimal::new(value + second % 3, decimals).unwrap()),
        interval: Span::from_secs(1),
    };
    let header = Header {
        epoch: Epoch(1),
        stream: Stream::Numerics,
        sequence: second.unsigned_abs(),
        leg_first: 1,
        captured_at: GatewayTime(second * 1_000_000),
        observed_at: None,
        boot: 1,
        monotonic: Span::from_secs(second),
        clocks: None,
        exercise: false,
    };
    let body = Body::Numerics(VITALS.map(one).to_vec());
    let entry = Entry::Frame {
        gateway: GatewayId::new("amb-1").unwrap(),
        lane: Lane::Live,
        digest: 7,
        frame: Box::new(Frame { header, body }),
    };
    record(second, entry)
}

fn step(c: &mut Criterion) {
    let (mut engine, mut out, mut second) = (admitted(), Effects::default(), 0);
    let mut next = || {
        second += 1;
        numerics(second)
    };
    // Every window of the rule book is full.
    for _ in 0..4_000 {
        out.clear();
        engine.handle(&next(), &mut out);
    }
    c.bench_function("12 numerics", |b| {
        b.iter_batched(
            &mut next,
            |record| {
                out.clear();
                black_box(engine.handle(&record, &mut out))
            },
            criterion::BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, step);
criterion_main!(benches);

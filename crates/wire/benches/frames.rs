//! Frames: decoded and checked, as `prost` alone decodes them, and encoded.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a measure that cannot run says so"
)]

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Stream};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::time::{GatewayTime, Span};
use enroute_wire::{Message, frame, record, v1};
use std::hint::black_box;

const VITALS: [&str; 12] = [
    "hr",
    "pr",
    "spo2",
    "rr_imp",
    "nibp_sys",
    "nibp_dia",
    "nibp_mean",
    "abp_sys",
    "abp_dia",
    "abp_mean",
    "temp1",
    "etco2",
];

fn numerics() -> Body {
    let one = |id: &str| {
        let vital = catalogue().vital_by_id(id).unwrap();
        Numeric {
            metric: metric(vital.code),
            unit: String::new(),
            reading: Reading::measured(Decimal::new(82, 0).unwrap()),
            interval: Span::from_secs(1),
        }
    };
    Body::Numerics(VITALS.map(one).to_vec())
}

fn waveforms() -> Body {
    let one = |id: &str| Waveform {
        metric: metric(catalogue().waveform_by_id(id).unwrap().code),
        unit: String::new(),
        rate_hz: 250.0,
        gain: 200.0,
        baseline: 0,
        first_sample: 250_000,
        start_offset: Span::ZERO,
        samples: (0..250).map(|n| Some(n % 97 - 48)).collect(),
    };
    Body::Waveforms(["ecg_ii", "pleth", "abp"].map(one).to_vec())
}

fn metric(code: enroute_model::frame::Code) -> Metric {
    let label = String::new();
    Metric { code, label }
}

fn frame_of(stream: Stream, body: Body) -> Frame {
    let header = Header {
        epoch: Epoch(u64::MAX / 3),
        stream,
        sequence: 1_000,
        leg_first: 1,
        captured_at: GatewayTime(1_700_000_000_000_000),
        observed_at: None,
        boot: 1,
        monotonic: Span::from_secs(1_000),
        clocks: None,
        exercise: false,
    };
    Frame { header, body }
}

fn frames(c: &mut Criterion) {
    let gateway = GatewayId::new("amb-1").unwrap();
    for (word, stream, body) in [
        ("12 numerics", Stream::Numerics, numerics()),
        ("3 waveforms", Stream::Waveforms, waveforms()),
    ] {
        let model = frame_of(stream, body);
        let bytes = Bytes::from(frame::encode(&model));
        let payload = record::of_frame(&gateway, Lane::Live, bytes.clone());
        let mut group = c.benchmark_group(word);
        group.bench_function("prost decode", |b| {
            b.iter(|| v1::Frame::decode(black_box(bytes.clone())).unwrap());
        });
        group.bench_function("record decoded and checked", |b| {
            b.iter(|| record::decode(black_box(&payload)).unwrap());
        });
        group.bench_function("frame encoded", |b| {
            b.iter(|| frame::encode(black_box(&model)));
        });
        group.finish();
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);

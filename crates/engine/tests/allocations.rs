//! In the steady state the engine allocates nothing: what comes is put where its
//! like was before. Counted by the allocator itself.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

use enroute_alert::book::RuleBook;
use enroute_engine::{Effects, Engine};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Header, Metric, Numeric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::record::{Entry, Record};
use enroute_model::registry::{AgeBand, Population, RegistryAction, TransferInfo};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};

/// A resting adult on a ventilator.
const VALUES: [(&str, i64, u8); 14] = [
    ("hr", 82, 0),
    ("pr", 82, 0),
    ("spo2", 97, 0),
    ("rr_imp", 15, 0),
    ("rr_co2", 15, 0),
    ("nibp_sys", 121, 0),
    ("nibp_dia", 74, 0),
    ("nibp_mean", 90, 0),
    ("abp_sys", 123, 0),
    ("abp_dia", 72, 0),
    ("abp_mean", 89, 0),
    ("temp1", 368, 1),
    ("etco2", 38, 0),
    ("icp_mean", 10, 0),
];

struct Ward {
    engine: Engine,
    out: Effects,
    gateway: GatewayId,
}

impl Ward {
    fn new() -> Self {
        let mut ward = Self {
            engine: Engine::new(TransferId::new("tx").unwrap()),
            out: Effects::default(),
            gateway: GatewayId::new("amb").unwrap(),
        };
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
        let record = ward.record(0, entry);
        ward.engine.handle(&record, &mut ward.out);
        ward
    }

    fn record(&self, second: i64, entry: Entry) -> Record {
        Record {
            position: Position(1),
            at: EngineTime(second * 1_000_000),
            received_at: ServerTime(second * 1_000_000),
            transfer: self.engine.transfer().clone(),
            entry,
        }
    }

    fn frame(&self, second: i64, stream: Stream, body: Body) -> Record {
        let header = Header {
            epoch: Epoch(1),
            stream,
            sequence: second.unsigned_abs(),
            leg_first: 1,
            captured_at: GatewayTime(second * 1_000_000),
            observed_at: None,
            boot: 1,
            monotonic: Span::from_secs(second),
            clocks: None,
            exercise: true,
        };
        let entry = Entry::Frame {
            gateway: self.gateway.clone(),
            lane: Lane::Live,
            digest: 7,
            frame: Box::new(Frame { header, body }),
        };
        self.record(second, entry)
    }

    /// Allocations per second of a patient's time.
    fn second(&mut self, second: i64) -> u64 {
        let records = [
            self.frame(second, Stream::Numerics, numerics(second)),
            self.frame(second, Stream::Waveforms, waveform()),
        ];
        self.out.clear();
        let counted = allocation_counter::measure(|| {
            for record in &records {
                self.engine.handle(record, &mut self.out);
            }
        });
        assert!(self.out.alerts.is_empty(), "{:?}", self.out.alerts);
        counted.count_total
    }
}

fn metric(code: enroute_model::frame::Code) -> Metric {
    Metric {
        code,
        label: String::new(),
    }
}

fn numerics(second: i64) -> Body {
    let one = |(id, value, decimals): &(&str, i64, u8)| Numeric {
        metric: metric(catalogue().vital_by_id(id).unwrap().code),
        unit: String::new(),
        reading: Reading::Value {
            value: Decimal::new(value + second % 3, *decimals).unwrap(),
            validity: Validity::Measured,
        },
        interval: Span::from_secs(1),
    };
    Body::Numerics(VALUES.iter().map(one).collect())
}

fn waveform() -> Body {
    Body::Waveforms(vec![Waveform {
        metric: metric(catalogue().waveform_by_id("ecg_ii").unwrap().code),
        unit: String::new(),
        rate_hz: 250.0,
        gain: 200.0,
        baseline: 0,
        first_sample: 0,
        start_offset: Span::ZERO,
        samples: vec![Some(0); 250],
    }])
}

#[test]
fn nothing_is_allocated_in_the_steady_state() {
    let mut ward = Ward::new();
    // Every window of the rule book is full.
    for second in 1..=4_000 {
        ward.second(second);
    }
    let counted: Vec<(i64, u64)> = (4_001..=4_600)
        .map(|second| (second, ward.second(second)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let total: u64 = counted.iter().map(|(_, count)| count).sum();
    assert_eq!(total, 0, "{} seconds of 600: {counted:?}", counted.len());
}

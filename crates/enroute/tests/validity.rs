//! Real recordings through the engine as a gateway reads them: zeros and gaps raise
//! nothing about the patient. Each alert stands on a value that was measured and
//! that lies beyond its limit; a recording of which every value is missing is silent.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test"
)]

use enroute_engine::{Effects, Engine};
use enroute_gateway::{Source, WfdbConfig, WfdbSource};
use enroute_model::frame::{Body, Emission, Frame, Header, Metric};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{NoValue, Reading, Validity};
use enroute_model::record::{Entry, Record};
use enroute_model::state::{AlertKind, AlertState};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime};
use enroute_tests::recordings::folder;
use std::collections::BTreeMap;

/// Record, whether a zero means that there was no value, whether it has numerics.
const RECORDS: [(&str, bool, bool); 3] = [
    ("mimicdb-037/03700181", false, false),
    ("mimicdb-041s/041s", false, false),
    ("mimic3-numerics/s00001-2896-10-10-00-31n", true, true),
];

/// What came of a recording.
#[derive(Default)]
struct Found {
    values: usize,
    missing: usize,
    raised: usize,
}

struct Patient {
    engine: Engine,
    out: Effects,
    sequences: [u64; 3],
    last: BTreeMap<Metric, Reading>,
    found: Found,
}

impl Patient {
    fn take(&mut self, emission: Emission) {
        let at = emission.due.0;
        let stream = enroute_wire::frame::stream_of(&emission.body).unwrap();
        let place = match stream {
            Stream::Events => 0,
            Stream::Numerics => 1,
            Stream::Waveforms => 2,
        };
        self.sequences[place] += 1;
        if let Body::Numerics(numerics) = &emission.body {
            for numeric in numerics {
                self.found.values += 1;
                self.found.missing += usize::from(matches!(numeric.reading, Reading::None(_)));
                self.last.insert(numeric.metric.clone(), numeric.reading);
            }
        }
        let header = Header {
            epoch: Epoch(1),
            stream,
            sequence: self.sequences[place],
            leg_first: 1,
            captured_at: GatewayTime(at),
            observed_at: emission.observed_at,
            boot: 1,
            monotonic: emission.due,
            clocks: None,
            exercise: true,
        };
        let body = emission.body;
        let record = Record {
            position: Position(self.sequences.iter().sum()),
            at: EngineTime(at),
            received_at: ServerTime(at),
            transfer: self.engine.transfer().clone(),
            entry: Entry::Frame {
                gateway: GatewayId::new("wfdb").unwrap(),
                lane: Lane::Live,
                digest: 0,
                frame: Box::new(Frame { header, body }),
            },
        };
        // What is due before this frame stands on the values before it.
        self.out.clear();
        let before = EngineTime(at.saturating_sub(1));
        self.engine.handle_timeout(before, &mut self.out);
        self.check(&BTreeMap::new());
        self.out.clear();
        self.engine.handle(&record, &mut self.out);
        self.check(&self.last.clone());
    }

    /// `now`: what the frame just handled carries; empty: time has passed.
    fn check(&mut self, now: &BTreeMap<Metric, Reading>) {
        for step in &self.out.alerts {
            let alert = &step.alert;
            if !alert.kind.is_physiological() || alert.raised != step.ordinal {
                continue;
            }
            self.found.raised += 1;
            let value = measured(alert.value);
            let value = value.unwrap_or_else(|| panic!("raised by no value: {alert:?}"));
            let (metric, beyond) = match &alert.kind {
                AlertKind::LimitLow(metric) => (metric, value < limit(alert)),
                AlertKind::LimitHigh(metric) => (metric, value > limit(alert)),
                _ => continue,
            };
            assert!(beyond, "{alert:?}");
            if let Some(reading) = now.get(metric) {
                assert_eq!(measured(Some(*reading)), Some(value), "{alert:?}");
            }
        }
    }
}

fn measured(reading: Option<Reading>) -> Option<f64> {
    match reading? {
        Reading::Value {
            value,
            validity: Validity::Measured,
        } => Some(value.value()),
        Reading::Value { .. } | Reading::None(_) => None,
    }
}

fn limit(alert: &AlertState) -> f64 {
    alert.limit.expect("a limit")
}

fn play(record: &str, zero_is_missing: bool, change: impl Fn(&mut Reading)) -> Option<Found> {
    let mut config = WfdbConfig::new(folder("validity")?.join(record));
    config.zero_is_missing = zero_is_missing;
    let mut source = WfdbSource::open(config).unwrap();
    let mut patient = Patient {
        engine: Engine::new(TransferId::new("wfdb").unwrap()),
        out: Effects::default(),
        sequences: [0; 3],
        last: BTreeMap::new(),
        found: Found::default(),
    };
    while let Some(mut emission) = source.next() {
        if let Body::Numerics(numerics) = &mut emission.body {
            for numeric in numerics {
                change(&mut numeric.reading);
            }
        }
        patient.take(emission);
    }
    Some(patient.found)
}

#[test]
fn each_alert_of_a_real_recording_stands_on_a_measured_value() {
    for (record, zero_is_missing, has_numerics) in RECORDS {
        let Some(found) = play(record, zero_is_missing, |_| {}) else {
            return;
        };
        eprintln!(
            "{record}: {} values, {} of them missing, {} alerts",
            found.values, found.missing, found.raised
        );
        // Else there was nothing to see.
        assert_eq!(found.raised > 0, has_numerics, "{record}");
        assert_eq!(found.missing > 0, has_numerics, "{record}");
    }
}

#[test]
fn a_real_recording_without_its_values_is_silent() {
    for (record, zero_is_missing, _) in RECORDS {
        let missing = |reading: &mut Reading| *reading = Reading::None(NoValue::Missing);
        let Some(found) = play(record, zero_is_missing, missing) else {
            return;
        };
        assert_eq!((found.raised, found.values), (0, found.missing), "{record}");
    }
}

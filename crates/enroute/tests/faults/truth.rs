//! What the sources produced, and what must therefore have come.

use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, Metric, Waveform};
use enroute_model::reading::Reading;
use enroute_tests::viewer::FrameId;
use enroute_tests::wfdb_set::Samples;
use std::collections::BTreeMap;

/// Within each life and run the frames are the beginning of the record.
pub(crate) fn assert_true(frames: &BTreeMap<FrameId, Frame>, channels: &Expected, rates: &[u32]) {
    let mut samples: BTreeMap<(String, u64, u32, Metric), usize> = BTreeMap::new();
    let mut rows: BTreeMap<(String, u64, u32), usize> = BTreeMap::new();
    let mut last: Option<&FrameId> = None;
    for (id, frame) in frames {
        let follows = last.is_some_and(|l| (&l.0, l.1, l.2, l.3 + 1) == (&id.0, id.1, id.2, id.3));
        assert!(follows || id.3 == 1, "a hole before {id:?}, after {last:?}");
        last = Some(id);
        let run = (id.0.clone(), id.1, frame.header.boot);
        match &frame.body {
            Body::Waveforms(waveforms) => {
                for waveform in waveforms {
                    let key = (run.0.clone(), run.1, run.2, waveform.metric.clone());
                    let done = samples.entry(key).or_default();
                    assert_eq!(waveform.first_sample, *done as u64, "{id:?}");
                    let expected = &expected(channels, waveform)[*done..];
                    assert_eq!(
                        waveform.samples,
                        expected[..waveform.samples.len()],
                        "{id:?}"
                    );
                    *done += waveform.samples.len();
                }
            }
            Body::Numerics(numerics) => {
                let row = rows.entry(run).or_default();
                let Reading::Value { value, .. } = numerics[0].reading else {
                    panic!("{id:?}: no value");
                };
                assert!(
                    (value.value() - f64::from(rates[*row])).abs() < 1e-9,
                    "{id:?}"
                );
                *row += 1;
            }
            // What it says is the gateway's own; held against the spool only.
            Body::Link(_) => {}
            other => panic!("{id:?}: {other:?} that nobody gave"),
        }
    }
}

pub(crate) type Expected = Vec<(&'static str, Samples)>;

fn expected<'a>(channels: &'a Expected, waveform: &Waveform) -> &'a Samples {
    let is = |label: &str| {
        let id = match label {
            "II" => "ecg_ii",
            "ABP" => "abp",
            "PLETH" => "pleth",
            other => other,
        };
        let code = catalogue().waveform_by_id(id).map(|c| c.code);
        Some(waveform.metric.code) == code || waveform.metric.label == label
    };
    let found = channels.iter().find(|(label, _)| is(label));
    &found.unwrap_or_else(|| panic!("{:?}", waveform.metric)).1
}

//! What the sources produced, and what must therefore have come.

use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, Frame, GapCause, Metric, Numeric, Shed, Waveform};
use enroute_model::ids::Stream;
use enroute_model::reading::Reading;
use enroute_tests::viewer::FrameId;
use enroute_tests::wfdb_set::Samples;
use std::collections::BTreeMap;

pub(crate) type Expected = Vec<(&'static str, Samples)>;
/// A gateway and a life of its spool.
pub(crate) type Life = (String, u64);
/// Frames that the gateway says it could not write, by life and stream.
pub(crate) type Declared = BTreeMap<(Life, Stream), u64>;

/// Microseconds between two rows of numerics.
const ROW_US: i64 = 2_000_000;

/// What the records hold.
pub(crate) struct Records {
    pub(crate) channels: Expected,
    /// The heart rate of each row.
    pub(crate) rates: Vec<u32>,
}

impl Records {
    /// What every start of a gateway gave is the beginning of its record, each
    /// sample once and in order, over all lives of the spool that it began; what
    /// is not there was declared by the gateway before it went on, as not written.
    /// `starts`: which start of its gateway a life is of.
    pub(crate) fn assert_given(
        &self,
        frames: &BTreeMap<FrameId, Frame>,
        starts: &BTreeMap<Life, usize>,
    ) -> Declared {
        let began = first_row(frames);
        let mut declared = Declared::new();
        for lives in in_order(frames, starts).values() {
            let mut played = Played::default();
            for (_, life) in lives {
                for stream in Stream::ALL {
                    let of = |number| (life.0.clone(), life.1, stream, number);
                    let mut last = 0;
                    for (id, frame) in frames.range(of(0)..=of(u64::MAX)) {
                        let before = last;
                        last = follows(last, id, frame);
                        match &frame.body {
                            Body::Waveforms(waveforms) => {
                                let unwritten = played.unwritten.entry(stream).or_default();
                                let done = &mut played.samples;
                                self.waveforms(waveforms, done, unwritten, id);
                            }
                            Body::Numerics(numerics) => {
                                let at = frame.header.observed_at.unwrap().0;
                                let row = usize::try_from((at - began) / ROW_US).unwrap();
                                let unwritten = played.unwritten.entry(stream).or_default();
                                self.row(numerics, row, &mut played.row, unwritten, id);
                            }
                            Body::Shed(shed) => {
                                let gone = lost(shed, before, id);
                                *played.unwritten.entry(stream).or_default() += gone;
                                *declared.entry((life.clone(), stream)).or_default() += gone;
                            }
                            // What it says is the gateway's own; held against the spool only.
                            Body::Link(_) => {}
                            other => panic!("{id:?}: {other:?} that nobody gave"),
                        }
                    }
                }
            }
        }
        declared
    }

    fn waveforms(
        &self,
        waveforms: &[Waveform],
        done: &mut BTreeMap<Metric, u64>,
        unwritten: &mut u64,
        id: &FrameId,
    ) {
        let mut skipped = Vec::new();
        for waveform in waveforms {
            let done = done.entry(waveform.metric.clone()).or_default();
            let count = waveform.samples.len() as u64;
            let hole = waveform.first_sample.checked_sub(*done);
            let hole = hole.unwrap_or_else(|| panic!("{id:?} goes back"));
            assert_eq!(hole % count, 0, "{id:?}: a part of a frame is missing");
            skipped.push(hole / count);
            let first = usize::try_from(waveform.first_sample).unwrap();
            let expected = &self.channel(waveform)[first..][..waveform.samples.len()];
            assert_eq!(waveform.samples, expected, "{id:?}");
            *done = waveform.first_sample + count;
        }
        assert!(skipped.iter().all(|count| *count == skipped[0]), "{id:?}");
        excuse(skipped[0], unwritten, id);
    }

    fn row(
        &self,
        numerics: &[Numeric],
        row: usize,
        next: &mut usize,
        unwritten: &mut u64,
        id: &FrameId,
    ) {
        let Reading::Value { value, .. } = numerics[0].reading else {
            panic!("{id:?}: no value");
        };
        let rate = f64::from(self.rates[row]);
        assert!((value.value() - rate).abs() < 1e-9, "{id:?}");
        let skipped = row.checked_sub(*next);
        let skipped = skipped.unwrap_or_else(|| panic!("{id:?} goes back"));
        excuse(skipped as u64, unwritten, id);
        *next = row + 1;
    }

    fn channel(&self, waveform: &Waveform) -> &Samples {
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
        let found = self.channels.iter().find(|(label, _)| is(label));
        &found.unwrap_or_else(|| panic!("{:?}", waveform.metric)).1
    }
}

/// How far one start of a gateway has come in its record.
#[derive(Default)]
struct Played {
    samples: BTreeMap<Metric, u64>,
    row: usize,
    /// Declared, and not seen as missing yet.
    unwritten: BTreeMap<Stream, u64>,
}

/// Missing frames of the source are those that the gateway declared.
fn excuse(skipped: u64, unwritten: &mut u64, id: &FrameId) {
    let left = unwritten.checked_sub(skipped);
    *unwritten = left.unwrap_or_else(|| {
        panic!("{skipped} frames missing before {id:?}, {unwritten} of them declared")
    });
}

/// The number of a frame, which is the next one; a shed record stands for more.
fn follows(last: u64, id: &FrameId, frame: &Frame) -> u64 {
    let first = match &frame.body {
        Body::Shed(shed) => shed.first,
        _ => id.3,
    };
    assert!(first <= last + 1, "a hole between {last} and {id:?}");
    id.3
}

/// Nothing is given up here but what a full disk did not take; the record has a
/// number of its own. One that was not confirmed yet when the next was made is
/// repeated in it: what lies `before` is counted.
fn lost(shed: &Shed, before: u64, id: &FrameId) -> u64 {
    assert_eq!(shed.cause, Some(GapCause::Damaged), "{id:?}");
    assert_eq!(shed.last, id.3, "{id:?}");
    shed.last - shed.first.max(before + 1)
}

/// The lives that each start of a gateway began, by its own clock, which begins
/// with it.
fn in_order(
    frames: &BTreeMap<FrameId, Frame>,
    starts: &BTreeMap<Life, usize>,
) -> BTreeMap<(String, usize), Vec<(i64, Life)>> {
    let mut first: BTreeMap<Life, (i64, i64)> = BTreeMap::new();
    for (id, frame) in frames {
        let header = &frame.header;
        let at = header.monotonic.0;
        let told = (at, header.captured_at.0 - at);
        let known = first.entry((id.0.clone(), id.1)).or_insert(told);
        *known = told.min(*known);
    }
    // A life that the disk took no frame of is in no spool: it is of the start at
    // nearly the same time.
    let nearest = |life: &Life, started: i64| {
        let others = first.iter().filter(|(other, _)| other.0 == life.0);
        let apart = others.filter_map(|(other, (_, then))| {
            let start = starts.get(other)?;
            Some(((then - started).abs(), *start))
        });
        apart.min().map(|(_, start)| start)
    };
    let mut lives: BTreeMap<(String, usize), Vec<(i64, Life)>> = BTreeMap::new();
    for (life, (at, started)) in &first {
        let start = starts.get(life).copied();
        let start = start.or_else(|| nearest(life, *started)).unwrap();
        let of_start = lives.entry((life.0.clone(), start)).or_default();
        of_start.push((*at, life.clone()));
        of_start.sort();
    }
    lives
}

/// The record's own time of its first row; nothing strikes before that has come.
fn first_row(frames: &BTreeMap<FrameId, Frame>) -> i64 {
    let rows = frames
        .values()
        .filter(|frame| matches!(frame.body, Body::Numerics(_)));
    let times = rows.filter_map(|frame| frame.header.observed_at);
    times.map(|at| at.0).min().unwrap_or_default()
}

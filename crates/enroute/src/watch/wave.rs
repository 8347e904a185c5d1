//! Samples as a bedside monitor draws them: a pen sweeps from left to right at
//! true speed, ahead of it a gap, behind it the past seconds. Gaps in the samples
//! stay gaps; only neighbours are joined by a line, and nothing late is drawn as now.

use enroute_model::time::Span;
use enroute_wire::Message;
use enroute_wire::v1;
use enroute_wire::v1::frame::Body;
use std::collections::{BTreeMap, VecDeque};

/// What a sweep shows from edge to edge.
pub(crate) const WINDOW: Span = Span::from_secs(6);
/// Cleared ahead of the pen.
const GAP: Span = Span::from_millis(240);
/// Samples kept per channel: the window at 1,000 samples per second.
const SAMPLES_MAX: usize = 6_000;
/// Channels kept per transfer; further ones are not drawn.
const CHANNELS_MAX: usize = 16;
/// A pen this far from where the samples say it should be starts anew.
const JUMP: Span = Span::from_secs(2);

/// A channel of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    /// Whose.
    pub(crate) gateway: String,
    /// Code of the contract.
    pub(crate) code: u32,
    /// The source's own name.
    pub(crate) label: String,
}

/// The newest samples of one channel.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// UCUM; empty: the catalogue's.
    pub(crate) unit: String,
    /// Sample times, gateway's clock in microseconds, ascending; `None` is a gap.
    samples: VecDeque<(i64, Option<f64>)>,
    /// Time of the newest sample.
    newest_us: i64,
    /// Pen position minus our monotonic clock.
    lead_us: i64,
    /// When the newest samples arrived, on our monotonic clock.
    arrived: Span,
    /// Bottom and top of the drawing.
    scale: (f64, f64),
}

/// The newest samples of a transfer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waves {
    traces: BTreeMap<Channel, Trace>,
}

impl Waves {
    /// Takes a frame that arrived `now`; what is late or no waveform is left out.
    pub(crate) fn take(&mut self, samples: &v1::Samples, now: Span) {
        if samples.late {
            return;
        }
        let Ok(frame) = v1::Frame::decode(samples.frame.as_ref()) else {
            return;
        };
        let (Some(header), Some(Body::Waveforms(waveforms))) = (frame.header, frame.body) else {
            return;
        };
        for waveform in waveforms.waveform {
            let channel = Channel {
                gateway: samples.gateway.clone(),
                code: waveform.code,
                label: waveform.label.clone(),
            };
            let room = self.traces.len() < CHANNELS_MAX || self.traces.contains_key(&channel);
            if let Some(run) = Run::of(&waveform, header.captured_at_us).filter(|_| room) {
                match self.traces.get_mut(&channel) {
                    Some(trace) => trace.extend(&run, now),
                    None => {
                        self.traces.insert(channel, Trace::begin(&run, now));
                    }
                }
            }
        }
    }

    /// The channels, in the order of a bedside monitor: ECG, pressures, pleth,
    /// CO2, respiration, others.
    pub(crate) fn in_order(&self) -> Vec<(&Channel, &Trace)> {
        let mut traces: Vec<_> = self.traces.iter().collect();
        traces.sort_by_key(|(channel, _)| {
            let id = super::words::id(channel.code);
            let rank = match id {
                "ecg_ii" => 0,
                _ if id.starts_with("ecg") => 1,
                "abp" => 2,
                "pleth" => 3,
                "co2" => 4,
                "resp" => 5,
                _ => 6,
            };
            (rank, *channel)
        });
        traces
    }
}

/// One run of samples in physical units.
struct Run {
    start_us: i64,
    step_us: f64,
    unit: String,
    values: Vec<Option<f64>>,
}

impl Run {
    fn of(waveform: &v1::Waveform, captured_at_us: i64) -> Option<Self> {
        let (rate_hz, gain) = (waveform.samples_per_second(), waveform.steps_per_unit());
        let usable = rate_hz.is_finite()
            && rate_hz > 0.0
            && gain.is_finite()
            && gain.abs() > 0.0
            && !waveform.delta.is_empty();
        if !usable {
            return None;
        }
        let mut sample: i64 = 0;
        let mut values: Vec<Option<f64>> = Vec::with_capacity(waveform.delta.len());
        for delta in &waveform.delta {
            sample = sample.saturating_add(i64::from(*delta));
            let steps = i32::try_from(sample).ok()?;
            let from_zero = f64::from(steps) - f64::from(waveform.baseline);
            values.push(Some(from_zero / gain));
        }
        for run in waveform.missing.chunks_exact(2) {
            if let [start, length] = run {
                let start = usize::try_from(*start).ok()?;
                let length = usize::try_from(*length).ok()?;
                for value in values.iter_mut().skip(start).take(length) {
                    *value = None;
                }
            }
        }
        Some(Self {
            start_us: captured_at_us.saturating_add(i64::from(waveform.start_offset_us)),
            step_us: 1e6 / rate_hz,
            unit: waveform.unit.clone(),
            values,
        })
    }

    fn times(&self) -> impl Iterator<Item = (i64, Option<f64>)> {
        self.values.iter().enumerate().map(|(i, value)| {
            let offset = u32::try_from(i).map_or(0.0, f64::from) * self.step_us;
            (self.start_us.saturating_add(whole(offset)), *value)
        })
    }
}

impl Trace {
    fn begin(run: &Run, now: Span) -> Self {
        let mut trace = Self {
            unit: run.unit.clone(),
            samples: VecDeque::new(),
            newest_us: i64::MIN,
            lead_us: run.start_us.saturating_sub(now.0),
            arrived: now,
            scale: (0.0, 0.0),
        };
        trace.extend(run, now);
        trace
    }

    /// The pen stands at the start of a run when it arrives and has drawn it when
    /// the next one is due; it follows a later arrival at once, an earlier slowly.
    fn extend(&mut self, run: &Run, now: Span) {
        let lead = run.start_us.saturating_sub(now.0);
        let behind = lead.saturating_sub(self.lead_us);
        self.lead_us = if (0..=JUMP.0).contains(&behind) {
            self.lead_us.saturating_add(behind / 16)
        } else {
            lead
        };
        if run.start_us.saturating_add(JUMP.0) < self.newest_us {
            self.samples.clear();
            self.newest_us = i64::MIN;
        }
        for (at, value) in run.times() {
            if at > self.newest_us {
                self.samples.push_back((at, value));
                self.newest_us = at;
            }
        }
        let oldest = self.newest_us.saturating_sub(WINDOW.0 + JUMP.0);
        while self
            .samples
            .front()
            .is_some_and(|(at, _)| *at < oldest || self.samples.len() > SAMPLES_MAX)
        {
            self.samples.pop_front();
        }
        self.arrived = now;
        self.rescale();
    }

    /// Grows with the signal at once and shrinks slowly, so that it does not jump.
    fn rescale(&mut self) {
        let seen = self.samples.iter().filter_map(|(_, value)| *value);
        let (low, high) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return;
        }
        let pad = ((high - low) * 0.08)
            .max(high.abs().max(low.abs()) * 0.01)
            .max(0.01);
        let (low, high) = (low - pad, high + pad);
        let (bottom, top) = self.scale;
        let fresh = top <= bottom;
        let slowly = |from: f64, to: f64| from + (to - from) * 0.1;
        self.scale = (
            if fresh || low < bottom {
                low
            } else {
                slowly(bottom, low)
            },
            if fresh || high > top {
                high
            } else {
                slowly(top, high)
            },
        );
    }

    /// Bottom and top of the drawing, in the channel's unit.
    pub(crate) fn scale(&self) -> (f64, f64) {
        self.scale
    }

    /// Since samples came last.
    pub(crate) fn silence(&self, now: Span) -> Span {
        Span(now.0.saturating_sub(self.arrived.0))
    }

    /// The sweep at `now`, `width` × `height` cells of braille.
    pub(crate) fn sweep(&self, now: Span, width: usize, height: usize) -> Vec<String> {
        let pen = now.0.saturating_add(self.lead_us).min(self.newest_us);
        let columns = width * 2;
        let rows = height * 4;
        let (bottom, top) = self.scale;
        let mut strokes: Vec<Option<(usize, usize, usize)>> = vec![None; columns];
        let mut last: Option<(usize, usize)> = None;
        let from = pen.saturating_sub(WINDOW.0).saturating_add(GAP.0);
        for (at, value) in self
            .samples
            .iter()
            .filter(|(at, _)| (from..=pen).contains(at))
        {
            let Some(value) = value else {
                last = None;
                continue;
            };
            let x = cell(share(at.rem_euclid(WINDOW.0), WINDOW.0), columns);
            let y = cell(1.0 - (value - bottom) / (top - bottom), rows);
            let joined = match last {
                Some((before, level)) if x == before || x == before + 1 => level,
                Some((before, level)) if x > before && x - before <= 4 => {
                    for stroke in strokes.iter_mut().take(x).skip(before + 1) {
                        *stroke = Some((level, level, level));
                    }
                    level
                }
                Some(_) | None => y,
            };
            if let Some(stroke) = strokes.get_mut(x) {
                let (low, high, _) = stroke.unwrap_or((joined, joined, y));
                *stroke = Some((low.min(y).min(joined), high.max(y).max(joined), y));
            }
            last = Some((x, y));
        }
        braille(&strokes, width, height)
    }
}

fn braille(strokes: &[Option<(usize, usize, usize)>], width: usize, height: usize) -> Vec<String> {
    /// Dots of a cell, left then right column, from the top (Unicode 2800 block).
    const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    let mut cells = vec![0u32; width * height];
    for (x, stroke) in strokes.iter().enumerate() {
        let Some((low, high, _)) = stroke else {
            continue;
        };
        for y in *low..=*high {
            let dot = DOTS
                .get(x % 2)
                .and_then(|column| column.get(y % 4))
                .copied()
                .unwrap_or(0);
            if let Some(cell) = cells.get_mut((y / 4) * width + x / 2) {
                *cell |= dot;
            }
        }
    }
    let glyph = |bits: &u32| match bits {
        0 => ' ',
        bits => char::from_u32(0x2800 + bits).unwrap_or(' '),
    };
    cells
        .chunks(width.max(1))
        .map(|row| row.iter().map(glyph).collect())
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "both are within one window")]
fn share(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

/// The cell of `0..cells` that a share of the whole falls into.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to 0..cells, which is a screen's size"
)]
fn cell(share: f64, cells: usize) -> usize {
    if share.is_nan() {
        return 0;
    }
    ((share.clamp(0.0, 1.0) * cells as f64) as usize).min(cells.saturating_sub(1))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "offsets of samples within one frame"
)]
fn whole(microseconds: f64) -> i64 {
    microseconds.round() as i64
}

#[cfg(test)]
#[path = "wave_tests.rs"]
mod tests;

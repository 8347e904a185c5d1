//! What a recording holds, found out while it is read in the order of arrival:
//! its sources, their channels and vital signs with the ranges of their values,
//! and how the clocks on board stand to the server's. Writers need it before
//! their first byte: a header names every signal.

use crate::error::Error;
use crate::item::{Item, Key, label, lasted, stream_order};
use crate::names;
use enroute_model::frame::{Body, Frame, Metric, Numeric, Waveform};
use enroute_model::reading::Reading;
use enroute_wire::v1;
use std::collections::BTreeMap;

/// Lives of gateways' spools in one recording.
const SOURCES_MAX: usize = 4_096;
/// Channels, and vital signs, of one source; what lies beyond is in no header.
const SIGNALS_MAX: usize = 512;
/// Starts of one gateway whose clocks are remembered; later ones go by their labels.
const BOOTS_MAX: usize = 4_096;
/// Differences of clocks that are remembered; of more every other one is dropped.
const OFFSETS_MAX: usize = 4_096;
/// A difference this near to the last one is the same.
const OFFSET_STEP_US: i64 = 250_000;

/// Everything that is known of a recording before it is written.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// By index.
    pub(crate) sources: Vec<Source>,
    index: BTreeMap<(String, u64), u32>,
    clocks: BTreeMap<String, Clocks>,
    /// Frames taken.
    pub(crate) frames: u64,
    /// Frames that do not decode: they are left out.
    pub(crate) unreadable: u64,
}

/// A gateway and one life of its spool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Source {
    /// Its id.
    pub(crate) gateway: String,
    /// Life of its spool.
    pub(crate) epoch: u64,
    /// Anything of it was simulated or published again.
    pub(crate) exercise: bool,
    /// It has a monitor with a clock.
    pub(crate) device_clock: bool,
    /// Channels, in the order in which they first came.
    pub(crate) waves: Vec<Wave>,
    /// Vital signs, in the order in which they first came.
    pub(crate) vitals: Vec<Vital>,
    /// Shortest interval that it declared for a vital sign, microseconds.
    pub(crate) interval_us: i64,
    anchors: BTreeMap<u32, i64>,
}

/// A channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wave {
    /// Which.
    pub(crate) metric: Metric,
    /// Samples per second; the same channel at another rate is another one.
    pub(crate) rate_hz: f64,
    /// As it came first.
    pub(crate) scale: Scale,
    /// Lowest and highest sample.
    pub(crate) range: (i32, i32),
}

/// How samples become values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Steps per unit.
    pub(crate) gain: f64,
    /// The sample that stands for zero.
    pub(crate) baseline: i32,
    /// UCUM.
    pub(crate) unit: String,
}

impl Scale {
    pub(crate) fn of(waveform: &Waveform) -> Self {
        Self {
            gain: waveform.gain,
            baseline: waveform.baseline,
            unit: names::channel_unit(&waveform.metric, &waveform.unit),
        }
    }
}

/// A vital sign.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vital {
    /// Which.
    pub(crate) metric: Metric,
    /// UCUM.
    pub(crate) unit: String,
    /// Most decimal places that a value had.
    pub(crate) decimals: u8,
    /// Lowest and highest value, times 10^decimals.
    pub(crate) range: (i64, i64),
}

/// A gateway's time against the server's, as its live frames came.
#[derive(Clone, Debug, Default)]
struct Clocks(Vec<(i64, i64)>);

impl Clocks {
    fn heard(&mut self, received_at: i64, offset: i64) {
        let last = self.0.last().map(|(_, last)| *last);
        if last.is_some_and(|last| offset.abs_diff(last) < OFFSET_STEP_US.unsigned_abs()) {
            return;
        }
        if self.0.len() >= OFFSETS_MAX {
            let mut keep = false;
            self.0.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.0.push((received_at, offset));
    }

    fn on_board(&self, at: i64) -> Option<i64> {
        let after = self.0.partition_point(|(received, _)| *received <= at);
        let nearest = self.0.get(after.saturating_sub(1))?;
        Some(at.saturating_add(nearest.1))
    }
}

impl Survey {
    /// Takes a frame; gives the key under which it is sorted, or nothing for one
    /// that does not decode.
    ///
    /// # Errors
    /// When there are too many sources.
    pub(crate) fn frame(&mut self, samples: &v1::Samples) -> Result<Option<Key>, Error> {
        let Ok(frame) = enroute_wire::frame::decode(&samples.frame) else {
            self.unreadable += 1;
            return Ok(None);
        };
        self.frames += 1;
        let header = &frame.header;
        let number = self.source(&samples.gateway, header.epoch.0)?;
        let (at, lasts) = (label(header), lasted(&frame.body));
        if samples.lane() == v1::Lane::Live {
            let offset = at
                .saturating_add(lasts)
                .saturating_sub(samples.received_at_us);
            let clocks = self.clocks.entry(samples.gateway.clone()).or_default();
            clocks.heard(samples.received_at_us, offset);
        }
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(source) = self.sources.get_mut(index) else {
            return Ok(None);
        };
        source.take(&frame);
        Ok(Some(Key {
            time: source.steady(&frame, at, lasts),
            source: number,
            stream: stream_order(header.stream),
            sequence: header.sequence,
            position: samples.position,
        }))
    }

    /// The key of a step of an alert: when it happened by the clock on board.
    #[must_use]
    pub(crate) fn alert(&self, step: &v1::AlertTransition) -> Key {
        let gateway = step.alert.as_ref().map_or("", |a| a.gateway.as_str());
        let clocks = self.clocks.get(gateway).or(self.clocks.values().next());
        let on_board = clocks.and_then(|clocks| clocks.on_board(step.at_us));
        Key {
            time: on_board.unwrap_or(step.at_us),
            source: u32::MAX,
            stream: u8::MAX,
            sequence: step.ordinal,
            position: 0,
        }
    }

    /// The index of the newest source of a gateway.
    #[must_use]
    pub(crate) fn newest_of(&self, gateway: &str) -> Option<u32> {
        let newest = self.sources.iter().rposition(|s| s.gateway == gateway)?;
        u32::try_from(newest).ok()
    }

    fn source(&mut self, gateway: &str, epoch: u64) -> Result<u32, Error> {
        let key = (gateway.to_owned(), epoch);
        if let Some(number) = self.index.get(&key) {
            return Ok(*number);
        }
        if self.sources.len() == SOURCES_MAX {
            let (what, limit) = ("lives of gateways' spools", SOURCES_MAX);
            return Err(Error::TooMuch { what, limit });
        }
        let number = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.push(Source {
            gateway: gateway.to_owned(),
            epoch,
            ..Source::default()
        });
        self.index.insert(key, number);
        Ok(number)
    }
}

impl Source {
    fn take(&mut self, frame: &Frame) {
        self.exercise |= frame.header.exercise;
        self.device_clock |= frame.header.observed_at.is_some();
        match &frame.body {
            Body::Waveforms(waveforms) => waveforms.iter().for_each(|w| self.wave(w)),
            Body::Numerics(numerics) => numerics.iter().for_each(|n| self.vital(n)),
            Body::DeviceAlarms(_)
            | Body::Position(_)
            | Body::Crew(_)
            | Body::Link(_)
            | Body::Shed(_)
            | Body::Unknown => {}
        }
    }

    /// The frame's time by the clock that never steps. The end of a frame is what
    /// follows the order of the numbers: a short one may begin behind a long one.
    fn steady(&mut self, frame: &Frame, at: i64, lasts: i64) -> i64 {
        let header = &frame.header;
        let end = header.monotonic.0.saturating_add(lasts);
        let full = self.anchors.len() >= BOOTS_MAX;
        if full && !self.anchors.contains_key(&header.boot) {
            return at;
        }
        let fresh = at.saturating_add(lasts).saturating_sub(end);
        let anchor = *self.anchors.entry(header.boot).or_insert(fresh);
        anchor.saturating_add(end)
    }

    fn wave(&mut self, waveform: &Waveform) {
        let same = |wave: &&mut Wave| {
            wave.metric == waveform.metric && wave.rate_hz.to_bits() == waveform.rate_hz.to_bits()
        };
        let values = waveform.samples.iter().flatten();
        let (low, high) = (values.clone().min(), values.max());
        if let Some(wave) = self.waves.iter_mut().find(same) {
            wave.range.0 = wave.range.0.min(low.copied().unwrap_or(i32::MAX));
            wave.range.1 = wave.range.1.max(high.copied().unwrap_or(i32::MIN));
        } else if self.waves.len() < SIGNALS_MAX {
            self.waves.push(Wave {
                metric: waveform.metric.clone(),
                rate_hz: waveform.rate_hz,
                scale: Scale::of(waveform),
                range: (
                    low.copied().unwrap_or(i32::MAX),
                    high.copied().unwrap_or(i32::MIN),
                ),
            });
        }
    }

    fn vital(&mut self, numeric: &Numeric) {
        let interval = numeric.interval.0.max(1_000);
        if self.interval_us == 0 || interval < self.interval_us {
            self.interval_us = interval;
        }
        let known = self.vitals.iter().position(|v| v.metric == numeric.metric);
        let index = match known {
            Some(index) => index,
            None if self.vitals.len() == SIGNALS_MAX => return,
            None => {
                self.vitals.push(Vital {
                    metric: numeric.metric.clone(),
                    unit: names::vital_unit(&numeric.metric, &numeric.unit),
                    decimals: 0,
                    range: (i64::MAX, i64::MIN),
                });
                self.vitals.len() - 1
            }
        };
        if let Some(vital) = self.vitals.get_mut(index)
            && let Reading::Value { value, .. } = numeric.reading
        {
            vital.value(value.mantissa(), value.decimals());
        }
    }
}

impl Vital {
    fn value(&mut self, mantissa: i64, decimals: u8) {
        let decimals_new = self.decimals.max(decimals);
        let grown = power(decimals_new - self.decimals);
        let scaled = mantissa.saturating_mul(power(decimals_new - decimals));
        if self.range.0 > self.range.1 {
            self.range = (scaled, scaled);
        } else {
            let (low, high) = self.range;
            self.range = (
                low.saturating_mul(grown).min(scaled),
                high.saturating_mul(grown).max(scaled),
            );
        }
        self.decimals = decimals_new;
    }

    /// Decimal places with which every value is an integer of 32 bits, and
    /// whether that rounds some.
    #[must_use]
    pub(crate) fn places(&self) -> (u8, bool) {
        let widest = self.range.0.unsigned_abs().max(self.range.1.unsigned_abs());
        let widest = if self.range.0 > self.range.1 {
            0
        } else {
            widest
        };
        let fits = |places: u8| {
            let divisor = power(self.decimals - places).unsigned_abs();
            widest.div_ceil(divisor) < u64::from(i32::MAX.unsigned_abs())
        };
        let places = (0..=self.decimals).rev().find(|places| fits(*places));
        let places = places.unwrap_or(0);
        (places, places < self.decimals)
    }
}

/// 10 to so many places.
pub(crate) fn power(places: u8) -> i64 {
    10i64.saturating_pow(u32::from(places))
}

/// The body of an item that holds a frame, decoded.
#[must_use]
pub(crate) fn decoded(item: &Item) -> Option<(&v1::Samples, Frame)> {
    match item {
        Item::Frame(samples) => {
            let frame = enroute_wire::frame::decode(&samples.frame).ok()?;
            Some((samples, frame))
        }
        Item::Alert(_) => None,
    }
}

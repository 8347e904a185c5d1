//! Waveform frames into rows. A sample's place follows from its number, not from
//! clocks: `first_sample` counts what the source gave, so a jump is a gap and
//! nothing is moved or lost. Clocks only label where a stretch begins.

use crate::error::Error;
use crate::grid::{
    GAP_US_MAX, Group, HELD_SAMPLES_MAX, Kind, LAG_US_MAX, Open, Rows, STEP_US_MAX, Signal, Stretch,
};
use crate::names;
use crate::num::{index, signed, size, span_us, steps};
use crate::survey::{Scale, Source, Wave};
use enroute_model::frame::Waveform;
use std::collections::VecDeque;
use std::path::Path;

/// A frame's waveforms and when they were taken.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) at: i64,
    pub(crate) device_clock: bool,
    pub(crate) boot: u32,
    pub(crate) waveforms: &'a [Waveform],
}

/// Channels that share rows.
pub(crate) struct WaveGrid {
    rows_hz: f64,
    channels: Vec<Channel>,
    open: Option<OpenStretch>,
    row: Vec<Option<i32>>,
}

struct Channel {
    wave: Wave,
    per_row: usize,
    /// As in the newest frame that had it.
    scale: Scale,
    /// Sample number that would stand at the first row; not known before the
    /// channel came.
    origin: Option<i64>,
    /// Microseconds by which samples were taken earlier (negative) or later than
    /// the rows say.
    offset_us: i64,
    /// Samples of rows not yet written.
    held: VecDeque<Option<i32>>,
}

struct OpenStretch {
    rows: Box<dyn Rows>,
    start_us: i64,
    boot: u32,
    device_clock: bool,
    written: i64,
}

impl WaveGrid {
    pub(crate) fn new(source: &Source, group: &Group) -> Self {
        let channel = |(index, per_row): &(usize, usize)| {
            let wave = source.waves.get(*index)?.clone();
            Some(Channel {
                scale: wave.scale.clone(),
                wave,
                per_row: *per_row,
                origin: None,
                offset_us: 0,
                held: VecDeque::new(),
            })
        };
        Self {
            rows_hz: group.rows_hz,
            channels: group.channels.iter().filter_map(channel).collect(),
            open: None,
            row: Vec::new(),
        }
    }

    /// Takes what of a frame belongs here. Gives the stretch that has to be begun
    /// for it, if the one before cannot go on: [`WaveGrid::begin`] and then again.
    pub(crate) fn take(&mut self, part: Part<'_>) -> Result<Taken, Error> {
        let mine: Vec<(usize, &Waveform)> = part
            .waveforms
            .iter()
            .filter_map(|w| Some((self.channels.iter().position(|c| c.is(w))?, w)))
            .collect();
        if mine.is_empty() {
            return Ok(Taken::Done { overlapping: 0 });
        }
        if !self.goes_on(part, &mine) {
            return Ok(Taken::Begin);
        }
        let mut overlapping = 0;
        let (start, written) = match &self.open {
            Some(open) => (open.start_us, open.written),
            None => return Ok(Taken::Begin),
        };
        for (at, waveform) in mine {
            if let Some(channel) = self.channels.get_mut(at)
                && !channel.put(waveform, part.at.saturating_sub(start), written)
            {
                overlapping += 1;
            }
        }
        self.flush(false)?;
        Ok(Taken::Done { overlapping })
    }

    fn goes_on(&self, part: Part<'_>, mine: &[(usize, &Waveform)]) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        open.boot == part.boot
            && open.device_clock == part.device_clock
            && mine.iter().all(|(at, waveform)| {
                let channel = self.channels.get(*at);
                channel.is_some_and(|channel| {
                    let into = part.at.saturating_sub(open.start_us);
                    channel.goes_on(waveform, into, open)
                })
            })
    }

    /// Begins a stretch with this frame.
    pub(crate) fn begin(
        &mut self,
        (dir, open): (&Path, Open),
        mut stretch: Stretch,
        part: Part<'_>,
    ) -> Result<(), Error> {
        for channel in &mut self.channels {
            channel.held.clear();
            channel.origin = None;
            channel.offset_us = 0;
            if let Some(waveform) = part.waveforms.iter().find(|w| channel.is(w)) {
                channel.scale = Scale::of(waveform);
                channel.offset_us = waveform.start_offset.0.min(0);
            }
        }
        stretch.kind = Kind::Waves;
        stretch.rows_hz = self.rows_hz;
        stretch.start_us = part.at;
        stretch.device_clock = part.device_clock;
        let signals = self.channels.iter().map(|c| c.signal(self.rows_hz));
        stretch.signals = signals.collect();
        self.open = Some(OpenStretch {
            rows: open(dir, &stretch)?,
            start_us: part.at,
            boot: part.boot,
            device_clock: part.device_clock,
            written: 0,
        });
        Ok(())
    }

    /// The file that takes rows now.
    pub(crate) fn rows(&mut self) -> Option<&mut dyn Rows> {
        match &mut self.open {
            Some(open) => Some(&mut *open.rows),
            None => None,
        }
    }

    /// Ends the stretch.
    pub(crate) fn end(&mut self) -> Result<Option<Vec<String>>, Error> {
        self.flush(true)?;
        let ended = self.open.take().map(|open| open.rows.finish());
        ended.transpose()
    }

    /// Writes the rows that are whole; with `all` those with holes as well, and
    /// otherwise those that have waited too long for a channel.
    fn flush(&mut self, all: bool) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let per_row: usize = self.channels.iter().map(|c| c.per_row).sum();
        let held = |c: &Channel| c.held.len() / c.per_row.max(1);
        let whole = self.channels.iter().map(held).min().unwrap_or(0);
        let longest = self
            .channels
            .iter()
            .map(|c| c.held.len().div_ceil(c.per_row.max(1)));
        let longest = longest.max().unwrap_or(0);
        let lag = index(lag_rows(self.rows_hz, per_row));
        let ready = if all {
            longest
        } else {
            whole.max(longest.saturating_sub(lag))
        };
        for _ in 0..ready {
            self.row.clear();
            for channel in &mut self.channels {
                for _ in 0..channel.per_row {
                    self.row.push(channel.held.pop_front().flatten());
                }
            }
            open.rows.row(&self.row)?;
            open.written += 1;
        }
        Ok(())
    }
}

/// What became of a frame's waveforms.
pub(crate) enum Taken {
    /// They are in, but for those that lay over others of the same frame.
    Done { overlapping: u64 },
    /// A stretch has to begin first.
    Begin,
}

fn lag_rows(rows_hz: f64, per_row: usize) -> i64 {
    let room = HELD_SAMPLES_MAX / size(per_row.max(1));
    steps(LAG_US_MAX, rows_hz).min(room).max(1)
}

impl Channel {
    fn is(&self, waveform: &Waveform) -> bool {
        self.wave.metric == waveform.metric
            && self.wave.rate_hz.to_bits() == waveform.rate_hz.to_bits()
    }

    /// The number, in this stretch, of the next sample to be held.
    fn next(&self, written: i64) -> i64 {
        let written = written.saturating_mul(size(self.per_row));
        written.saturating_add(size(self.held.len()))
    }

    /// The number, in this stretch, of a waveform's first sample.
    fn place(&self, waveform: &Waveform, into_us: i64, written: i64) -> i64 {
        if let Some(origin) = self.origin {
            return signed(waveform.first_sample).saturating_sub(origin);
        }
        // The first of this channel here: where its time says, or where it fits.
        let into = into_us
            .saturating_add(waveform.start_offset.0)
            .saturating_sub(self.offset_us);
        let place = steps(into, self.wave.rate_hz);
        let next = self.next(written);
        let near = steps(STEP_US_MAX, self.wave.rate_hz).max(1);
        if place < next && next - place <= near {
            next
        } else {
            place
        }
    }

    fn goes_on(&self, waveform: &Waveform, into_us: i64, open: &OpenStretch) -> bool {
        let rate_hz = self.wave.rate_hz;
        let (place, next) = (
            self.place(waveform, into_us, open.written),
            self.next(open.written),
        );
        let room = HELD_SAMPLES_MAX / size(self.per_row.max(1));
        let gap_max = steps(GAP_US_MAX, rate_hz).min(room);
        let by_count = span_us(place, rate_hz).saturating_add(self.offset_us);
        let by_label = into_us.saturating_add(waveform.start_offset.0);
        // Without a monitor's clock the label is when the gateway got it, which
        // jitters: the count alone says where samples belong.
        let steady = !open.device_clock
            || self.origin.is_none()
            || by_label.saturating_sub(by_count).abs() <= STEP_US_MAX;
        let unused = self.origin.is_none() && self.held.is_empty() && open.written == 0;
        steady
            && (unused || place >= next)
            && place.saturating_sub(next) <= gap_max
            && Scale::of(waveform) == self.scale
    }

    /// Holds a waveform's samples; false: their place is taken.
    fn put(&mut self, waveform: &Waveform, into_us: i64, written: i64) -> bool {
        let place = self.place(waveform, into_us, written).max(0);
        let next = self.next(written);
        if place < next {
            return false;
        }
        self.origin = Some(signed(waveform.first_sample).saturating_sub(place));
        let missing = index(place - next);
        self.held.extend(std::iter::repeat_n(None, missing));
        self.held.extend(&waveform.samples);
        true
    }

    fn signal(&self, rows_hz: f64) -> Signal {
        let skew_rows = index(steps(self.offset_us.saturating_neg(), rows_hz));
        Signal {
            name: names::signal(&self.wave.metric),
            unit: self.scale.unit.clone(),
            gain: self.scale.gain,
            baseline: self.scale.baseline,
            per_row: self.per_row,
            skew_rows,
            range: self.wave.range,
        }
    }
}

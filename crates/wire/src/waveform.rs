//! Waveform bodies: steps between samples on the wire, samples in the model.

use crate::frame::{Refusal, at_most, text};
use crate::limits::{LABEL_CHARS_MAX, RATE_HZ_MAX, SAMPLES_MAX};
use crate::numerics::metric;
use crate::v1;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Waveform};
use enroute_model::time::Span;

pub(crate) fn waveform_from(waveform: v1::Waveform) -> Result<Waveform, Refusal> {
    at_most("samples", waveform.delta.len(), SAMPLES_MAX)?;
    let mut last = 0i32;
    let steps = waveform.delta.iter().map(|step| {
        last = last.wrapping_add(*step);
        Some(last)
    });
    let mut samples = steps.collect::<Vec<_>>();
    let filled = fill_missing(&mut samples, &waveform.missing);
    let waveform = waveform_from_samples(waveform, samples)?;
    filled.map(|()| waveform)
}

/// The same, with the samples read already.
pub(crate) fn waveform_from_samples(
    waveform: v1::Waveform,
    samples: Vec<Option<i32>>,
) -> Result<Waveform, Refusal> {
    let (rate_hz, gain) = (waveform.samples_per_second(), waveform.steps_per_unit());
    if !(rate_hz > 0.0 && rate_hz <= RATE_HZ_MAX) {
        return Err(Refusal::Invalid(
            "rate_hz must be above 0 and at most 100,000",
        ));
    }
    if !gain.is_finite() || gain.abs() < f64::MIN_POSITIVE {
        return Err(Refusal::Invalid("gain must be finite and not 0"));
    }
    let known = catalogue().waveform(Code(waveform.code)).is_some();
    Ok(Waveform {
        metric: metric(waveform.code, waveform.label, known)?,
        unit: text("unit", waveform.unit, LABEL_CHARS_MAX)?,
        rate_hz,
        gain,
        baseline: waveform.baseline,
        first_sample: waveform.first_sample,
        start_offset: Span(i64::from(waveform.start_offset_us)),
        samples,
    })
}

/// Takes out what the runs say is missing.
pub(crate) fn fill_missing(samples: &mut [Option<i32>], missing: &[u32]) -> Result<(), Refusal> {
    let mut free = 0;
    for run in missing.chunks(2) {
        let &[start, length] = run else {
            return Err(Refusal::Invalid(
                "missing runs come in pairs of start and length",
            ));
        };
        let (start, length) = (start as usize, length as usize);
        let run = start
            .checked_add(length)
            .and_then(|end| samples.get_mut(start..end));
        let run = run.filter(|run| start >= free && !run.is_empty());
        run.ok_or(Refusal::Invalid(
            "missing runs must ascend and lie within the samples",
        ))?
        .fill(None);
        free = start + length + 1;
    }
    Ok(())
}

pub(crate) fn waveform_to(waveform: &Waveform) -> v1::Waveform {
    let (delta, missing) = samples_to(&waveform.samples);
    let whole_rate = whole(waveform.rate_hz).and_then(|rate| u32::try_from(rate).ok());
    let whole_gain = whole(waveform.gain);
    v1::Waveform {
        code: waveform.metric.code.0,
        label: waveform.metric.label.clone(),
        unit: waveform.unit.clone(),
        rate_hz: whole_rate.map_or(waveform.rate_hz, |_| 0.0),
        gain: whole_gain.map_or(waveform.gain, |_| 0.0),
        whole_rate_hz: whole_rate.unwrap_or(0),
        whole_gain: whole_gain.unwrap_or(0),
        baseline: waveform.baseline,
        first_sample: waveform.first_sample,
        start_offset_us: i32::try_from(waveform.start_offset.0).unwrap_or(i32::MAX),
        delta,
        missing,
    }
}

impl v1::Waveform {
    /// Its rate, in whichever form it is given.
    #[must_use]
    pub fn samples_per_second(&self) -> f64 {
        match self.whole_rate_hz {
            0 => self.rate_hz,
            whole => f64::from(whole),
        }
    }

    /// Its gain, in whichever form it is given.
    #[must_use]
    pub fn steps_per_unit(&self) -> f64 {
        match self.whole_gain {
            0 => self.gain,
            whole => f64::from(whole),
        }
    }
}

/// A number that is whole, and not 0.
fn whole(number: f64) -> Option<i32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what does not come back the same is not taken"
    )]
    let cut = number as i32;
    (cut != 0 && f64::from(cut).to_bits() == number.to_bits()).then_some(cut)
}

/// Steps wrap at 32 bits on both ends, so that every sample comes back exactly.
fn samples_to(samples: &[Option<i32>]) -> (Vec<i32>, Vec<u32>) {
    let (mut last, mut delta) = (0i32, Vec::with_capacity(samples.len()));
    let mut missing: Vec<u32> = Vec::new();
    for (index, sample) in (0u32..).zip(samples) {
        delta.push(sample.unwrap_or(last).wrapping_sub(last));
        last = sample.unwrap_or(last);
        if sample.is_none() {
            match missing.as_mut_slice() {
                [.., start, length] if *start + *length == index => *length += 1,
                _ => missing.extend([index, 1]),
            }
        }
    }
    (delta, missing)
}

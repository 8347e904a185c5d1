//! Waveforms: integer samples of five channels, each a function of time and of
//! the beats and breaths around it, so that frames join without a seam.
//!
//! The ECG is a sum of Gaussians per beat (the shape, not the equations, of
//! `McSharry` et al., IEEE Trans Biomed Eng 2003;50:289); the arterial pulse has
//! a dicrotic notch at the end of systole; the capnogram is a trapezoid with a
//! rising plateau. Amplitudes are those of an adult in lead II; everything
//! else is plausible by construction.

use crate::course::Rhythm;
use crate::num::{Noise, float, lerp, to_i32, to_u64};
use crate::patient::{MEAN_OF_PULSE, Vitals};
use crate::rhythm::{INSPIRATION, Rhythms};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Metric, Waveform};
use enroute_model::time::Span;
use std::f64::consts::TAU;

/// Which signal, and how it becomes integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ecg,
    Pleth,
    Abp,
    Co2,
    Resp,
}

/// One channel of one monitor.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    kind: Kind,
    metric: Metric,
    rate_hz: f64,
    /// Steps per unit: the reciprocal of the catalogue's resolution.
    gain: f64,
    baseline: i32,
    min: f64,
    max: f64,
    next_sample: u64,
}

impl Channel {
    /// The channels of a monitor; pressure only with an arterial line.
    pub(crate) fn all(arterial_line: bool) -> Vec<Self> {
        [
            ("ecg_ii", Kind::Ecg, 409.6, 0),
            ("pleth", Kind::Pleth, 4000.0, 0),
            ("abp", Kind::Abp, 16.0, 640),
            ("co2", Kind::Co2, 10.0, 0),
            ("resp", Kind::Resp, 1000.0, 0),
        ]
        .into_iter()
        .filter(|(_, kind, ..)| arterial_line || *kind != Kind::Abp)
        .filter_map(|(id, kind, gain, baseline)| {
            let known = catalogue().waveform_by_id(id)?;
            Some(Self {
                kind,
                metric: Metric {
                    code: known.code,
                    label: String::new(),
                },
                rate_hz: known.rate_hz,
                gain,
                baseline,
                min: known.range_min,
                max: known.range_max,
                next_sample: 0,
            })
        })
        .collect()
    }

    /// The samples from `from_s` up to `to_s`, both since the source began,
    /// which is `source_s` after the scenario's start.
    pub(crate) fn run(
        &mut self,
        from_s: f64,
        to_s: f64,
        source_s: f64,
        synth: &mut Synth<'_>,
    ) -> Waveform {
        let first = self.next_sample;
        let end = to_u64((to_s * self.rate_hz).ceil());
        let mut samples =
            Vec::with_capacity(usize::try_from(end.saturating_sub(first)).unwrap_or(0));
        for sample in first..end {
            let t = source_s + float(sample) / self.rate_hz;
            let value = synth.value(self.kind, t).clamp(self.min, self.max);
            samples.push(Some(
                to_i32(value * self.gain).saturating_add(self.baseline),
            ));
        }
        self.next_sample = end.max(first);
        Waveform {
            metric: self.metric.clone(),
            unit: String::new(),
            rate_hz: self.rate_hz,
            gain: self.gain,
            baseline: self.baseline,
            first_sample: first,
            start_offset: Span(i64::from(to_i32(
                (float(first) / self.rate_hz - from_s) * 1e6,
            ))),
            samples,
        }
    }
}

/// What samples are made from: one second of a patient.
pub(crate) struct Synth<'a> {
    pub(crate) rhythms: &'a Rhythms,
    pub(crate) noise: &'a mut Noise,
    /// Start of the second, since the scenario's start.
    pub(crate) second_s: f64,
    /// At its start.
    pub(crate) before: Vitals,
    /// At its end.
    pub(crate) after: Vitals,
    /// Pulse amplitude that fills half the pleth's range.
    pub(crate) usual_pi: f64,
}

impl Synth<'_> {
    fn value(&mut self, kind: Kind, t: f64) -> f64 {
        match kind {
            Kind::Ecg => self.ecg(t),
            Kind::Pleth => self.pleth(t),
            Kind::Abp => self.abp(t),
            Kind::Co2 => self.co2(t),
            Kind::Resp => self.resp(t),
        }
    }

    /// A vital sign at `t`, on the line between the seconds.
    fn at(&self, t: f64, of: impl Fn(&Vitals) -> f64) -> f64 {
        let part = (t - self.second_s).clamp(0.0, 1.0);
        lerp(of(&self.before), of(&self.after), part)
    }

    /// Millivolt.
    fn ecg(&mut self, t: f64) -> f64 {
        let now = self.after.now;
        let ischaemia = self.at(t, |v| ((88.0 - v.sao2) / 20.0).clamp(0.0, 1.0));
        let mut mv: f64 = 0.04 * (TAU * 0.21 * t).sin() + 0.012 * self.noise.normal();
        for beat in self.rhythms.beats() {
            let since = t - beat.at;
            if since > -0.4 && since < 0.75 {
                mv += beat_mv(since, beat.period, ischaemia);
            }
        }
        mv += match now.rhythm {
            Rhythm::Sinus => 0.0,
            Rhythm::Fibrillation => fibrillation_mv(t),
            Rhythm::Asystole => 0.03 * (TAU * 0.4 * t).sin(),
        };
        if now.cpr {
            mv += 0.45 * compression(t) - 0.2;
        }
        if now.motion > 0.0 {
            let sway = (TAU * 1.3 * t).sin() + 0.7 * (TAU * 2.9 * t + 1.0).sin();
            mv += now.motion * (0.22 * sway + 0.09 * self.noise.normal());
        }
        mv
    }

    /// Of the display's height.
    fn pleth(&mut self, t: f64) -> f64 {
        let now = self.after.now;
        let noise = 0.002 * self.noise.normal();
        if now.probe_off {
            return 0.02 + 0.3 * noise;
        }
        let height = self
            .at(t, |v| (v.pi / self.usual_pi).max(0.0).powf(0.6))
            .min(1.6);
        let pulse = self.pulse(t, 0.27, pleth_pulse);
        let mut value = 0.2 + 0.5 * height * pulse + noise;
        if now.cpr {
            value += 0.08 * compression(t - 0.2);
        }
        if now.motion > 0.0 {
            let shake = (TAU * 1.7 * t + 2.0 * (0.9 * t).sin()).sin() + 0.5 * (TAU * 3.1 * t).sin();
            value += now.motion * (0.2 * shake + 0.02 * self.noise.normal());
        }
        value.clamp(0.0, 1.0)
    }

    /// Millimetres of mercury.
    fn abp(&mut self, t: f64) -> f64 {
        let diastolic = self.at(t, Vitals::diastolic);
        let pressure = self.at(t, |v| v.pulse_pressure);
        let pulse = if self.after.now.cpr {
            compression(t - 0.1)
        } else {
            self.pulse(t, 0.19, arterial_pulse)
        };
        diastolic
            + pressure * pulse
            + 0.25 * self.noise.normal()
            + 1.5 * self.after.now.motion * (TAU * 1.3 * t).sin()
    }

    /// Millimetres of mercury.
    fn co2(&mut self, t: f64) -> f64 {
        let level = self.at(t, |v| v.etco2);
        // The capnogram lags by the time the gas takes to the sensor.
        let value = self.rhythms.breath(t).map_or(0.0, |(breath, part)| {
            let seconds = part * breath.period;
            let start = INSPIRATION * breath.period;
            if seconds < start {
                // The last of the breath before is washed out first.
                return 0.97 * level * (1.0 - smooth(seconds / 0.16));
            }
            let rise = smooth((seconds - start - 0.1) / 0.32);
            let slope = (seconds - start) / (breath.period - start);
            rise * level * (0.88 + 0.12 * slope)
        });
        (value + 0.12 * self.noise.normal()).max(0.0)
    }

    /// Ohm.
    fn resp(&mut self, t: f64) -> f64 {
        let now = self.after.now;
        let chest = self.rhythms.breath(t).map_or(0.0, |(_, part)| {
            if part < INSPIRATION {
                smooth(part / INSPIRATION)
            } else {
                1.0 - smooth((part - INSPIRATION) / (0.85 - INSPIRATION))
            }
        });
        let heart = 0.03 * self.pulse(t, 0.1, arterial_pulse);
        let pumping = if now.cpr { 0.7 * compression(t) } else { 0.0 };
        let moving = now.motion * 0.5 * (TAU * 1.3 * t + 0.4).sin();
        0.9 * chest - 0.3 + heart + pumping + moving + 0.006 * self.noise.normal()
    }

    /// The pulse at `t` of beats whose wave arrives `delay` later; 0 between beats.
    fn pulse(&self, t: f64, delay: f64, shape: fn(f64) -> f64) -> f64 {
        self.rhythms
            .beats()
            .filter_map(|beat| {
                let since = t - beat.at - delay;
                let inside = since >= 0.0 && since < beat.period;
                inside.then(|| beat.strength * shape(phase(since, beat.period)))
            })
            .sum()
    }
}

/// Phase of a pulse, warped so that systole keeps most of its length when the
/// heart is fast (ejection time shortens with the root of the period).
fn phase(since: f64, period: f64) -> f64 {
    let systole = (0.30 * (period / 0.85).sqrt() / period).clamp(0.25, 0.6);
    let part = since / period;
    if part < systole {
        part / systole * NOTCH
    } else {
        NOTCH + (part - systole) / (1.0 - systole) * (1.0 - NOTCH)
    }
}

/// Phase of the dicrotic notch.
const NOTCH: f64 = 0.38;

/// From 0 at the foot to 1 at the peak and back, with a dicrotic notch. The
/// mean is close to [`MEAN_OF_PULSE`].
fn arterial_pulse(phase: f64) -> f64 {
    const SHAPE: [(f64, f64); 16] = [
        (0.0, 0.0),
        (0.04, 0.12),
        (0.08, 0.5),
        (0.12, 0.86),
        (0.16, 1.0),
        (0.20, 0.98),
        (0.26, 0.86),
        (0.32, 0.70),
        (NOTCH, 0.47),
        (0.42, 0.52),
        (0.47, 0.525),
        (0.55, 0.44),
        (0.66, 0.31),
        (0.78, 0.19),
        (0.90, 0.08),
        (1.0, 0.0),
    ];
    curve(phase, &SHAPE)
}

/// As seen by a finger: rounder, later, the notch nearly gone.
fn pleth_pulse(phase: f64) -> f64 {
    const SHAPE: [(f64, f64); 12] = [
        (0.0, 0.0),
        (0.05, 0.10),
        (0.12, 0.55),
        (0.20, 0.95),
        (0.25, 1.0),
        (0.32, 0.90),
        (0.42, 0.66),
        (0.50, 0.56),
        (0.58, 0.52),
        (0.72, 0.32),
        (0.87, 0.11),
        (1.0, 0.0),
    ];
    curve(phase, &SHAPE)
}

const _: () = assert!(MEAN_OF_PULSE > 0.35 && MEAN_OF_PULSE < 0.45);

/// Catmull-Rom spline (finite differences over uneven points) through `points`.
fn curve(x: f64, points: &[(f64, f64)]) -> f64 {
    let after = points.partition_point(|(at, _)| *at <= x);
    let get = |i: usize| points.get(i).copied();
    let (Some(p1), Some(p2)) = (after.checked_sub(1).and_then(get), get(after)) else {
        return 0.0;
    };
    let p0 = after.checked_sub(2).and_then(get).unwrap_or(p1);
    let p3 = get(after + 1).unwrap_or(p2);
    let width = p2.0 - p1.0;
    let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
    let (m1, m2) = (slope(p0, p2) * width, slope(p1, p3) * width);
    let u = (x - p1.0) / width;
    let (u2, u3) = (u * u, u * u * u);
    (2.0 * u3 - 3.0 * u2 + 1.0) * p1.1
        + (u3 - 2.0 * u2 + u) * m1
        + (3.0 * u2 - 2.0 * u3) * p2.1
        + (u3 - u2) * m2
}

/// One beat of lead II, `since` seconds after its R peak.
fn beat_mv(since: f64, period: f64, ischaemia: f64) -> f64 {
    let stretch = (period / 0.85).sqrt().clamp(0.6, 1.25);
    let p = stretch.clamp(0.7, 1.1);
    let waves = [
        (0.13, -0.165 * p, 0.021),
        (-0.09, -0.027, 0.009),
        (1.1, 0.0, 0.0105),
        (-0.24, 0.028, 0.0105),
        (-0.12 * ischaemia, 0.12 * stretch, 0.045),
        (0.12, 0.22 * stretch, 0.045 * stretch),
        (0.26 - 0.12 * ischaemia, 0.285 * stretch, 0.036 * stretch),
    ];
    waves
        .into_iter()
        .map(|(height, at, width): (f64, f64, f64)| {
            let z = (since - at) / width;
            if z.abs() < 4.0 {
                height * (-0.5 * z * z).exp()
            } else {
                0.0
            }
        })
        .sum()
}

/// Coarse ventricular fibrillation: 4 to 7 Hz, waxing and waning.
fn fibrillation_mv(t: f64) -> f64 {
    let swell = 0.42 + 0.16 * (TAU * 0.27 * t).sin() + 0.08 * (TAU * 0.11 * t).sin();
    let main = (TAU * 4.8 * t + 2.3 * (TAU * 0.23 * t + 1.0).sin()).sin();
    let other = (TAU * 6.7 * t + 3.1 * (TAU * 0.37 * t).sin()).sin();
    let slow = (TAU * 3.1 * t + 1.3 * (TAU * 0.19 * t + 2.0).sin()).sin();
    swell * (main + 0.45 * other + 0.3 * slow)
}

/// Chest compressions at 110 a minute: 0 to 1.
fn compression(t: f64) -> f64 {
    let wave = 0.5 - 0.5 * (TAU * 110.0 / 60.0 * t).cos();
    wave * wave
}

/// 0 before 0, 1 after 1, an S between.
fn smooth(x: f64) -> f64 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

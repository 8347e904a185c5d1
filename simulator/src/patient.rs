//! A patient: vital signs that hang together, moved by a course of illness.
//!
//! Once a second the course gives hidden quantities, from these follow targets,
//! and each vital sign moves towards its target with its own delay.
//!
//! Where the figures come from:
//! - Blood loss: the classes of haemorrhagic shock of ATLS (9th edition, table
//!   of classes I to IV): heart rate rises from 15 % loss, pulse pressure
//!   narrows from 15 %, pressure falls only beyond 30 %, breathing quickens.
//! - EtCO2 falls with cardiac output and with faster breathing; 10 to 20 mmHg
//!   in resuscitation and a jump with the return of circulation (capnography
//!   in the ERC guidelines on advanced life support, 2021).
//! - Sepsis: fever, tachycardia, tachypnoea, wide pulse pressure, mean pressure
//!   below 65 mmHg before a vasopressor (Sepsis-3).
//! - Hypoxia: the oximeter lags behind the blood (probe and averaging); heart
//!   rate first rises, and falls below an `SaO2` of about 74 %.
//!
//! Slopes and time constants between these marks are plausible by construction.

use crate::course::{Derangement, Rhythm};
use crate::num::{Noise, ramp};

/// What one patient is like when well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) hr: f64,
    pub(crate) map: f64,
    pub(crate) pulse_pressure: f64,
    pub(crate) rr: f64,
    pub(crate) spo2: f64,
    pub(crate) etco2: f64,
    pub(crate) temp: f64,
    pub(crate) pi: f64,
}

impl Profile {
    pub(crate) fn random(noise: &mut Noise) -> Self {
        Self {
            hr: noise.between(66.0, 92.0),
            map: noise.between(78.0, 95.0),
            pulse_pressure: noise.between(42.0, 56.0),
            rr: noise.between(12.0, 17.0),
            spo2: noise.between(95.5, 98.5),
            etco2: noise.between(35.0, 40.0),
            temp: noise.between(36.3, 37.2),
            pi: noise.between(1.8, 4.5),
        }
    }
}

/// The vital signs of one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    /// Beats per minute; meaningless unless the rhythm is sinus.
    pub(crate) hr: f64,
    pub(crate) map: f64,
    pub(crate) pulse_pressure: f64,
    /// Breaths per minute; 0 is apnoea.
    pub(crate) rr: f64,
    /// In the blood.
    pub(crate) sao2: f64,
    /// As the oximeter shows it.
    pub(crate) spo2: f64,
    pub(crate) etco2: f64,
    pub(crate) temp: f64,
    pub(crate) pi: f64,
    /// Of the patient's own output when well.
    pub(crate) output: f64,
    pub(crate) now: Derangement,
}

impl Vitals {
    pub(crate) fn systolic(&self) -> f64 {
        self.diastolic() + self.pulse_pressure
    }

    pub(crate) fn diastolic(&self) -> f64 {
        self.map - MEAN_OF_PULSE * self.pulse_pressure
    }

    /// The heart moves no blood by itself.
    pub(crate) fn arrested(&self) -> bool {
        self.now.rhythm != Rhythm::Sinus
    }
}

/// Mean of an arterial pulse between diastolic (0) and systolic (1) pressure.
pub(crate) const MEAN_OF_PULSE: f64 = 0.4;

/// A patient under way.
#[derive(Clone, Debug)]
pub(crate) struct Patient {
    profile: Profile,
    /// Makes delays shorter where a scenario is shorter than life.
    pace: f64,
    noise: Noise,
    /// Slow natural variation, in deviations: heart rate, pressure, breathing.
    drift: [f64; 3],
    vitals: Vitals,
}

impl Patient {
    pub(crate) fn new(profile: Profile, pace: f64, noise: Noise, now: Derangement) -> Self {
        let vitals = Vitals {
            hr: profile.hr,
            map: profile.map,
            pulse_pressure: profile.pulse_pressure,
            rr: profile.rr,
            sao2: profile.spo2,
            spo2: profile.spo2,
            etco2: profile.etco2,
            temp: profile.temp,
            pi: profile.pi,
            output: 1.0,
            now,
        };
        let mut patient = Self {
            profile,
            pace,
            noise,
            drift: [0.0; 3],
            vitals,
        };
        // A patient who is ill from the start has been so for a while.
        for _ in 0..WARM_UP_STEPS {
            patient.step(now);
        }
        patient.vitals.temp = patient.profile.temp + 2.0 * now.sepsis;
        patient
    }

    pub(crate) fn vitals(&self) -> Vitals {
        self.vitals
    }

    /// One second on.
    pub(crate) fn step(&mut self, now: Derangement) {
        for drift in &mut self.drift {
            *drift = 0.97 * *drift + 0.24 * self.noise.normal();
        }
        let was = self.vitals.arrested();
        self.vitals.now = now;
        self.oxygenate(now);
        if self.vitals.arrested() {
            self.arrest(now);
        } else {
            if was {
                // A heart that starts again does so at once, fast.
                self.vitals.hr = self.profile.hr + 35.0;
                self.vitals.rr = 10.0;
            }
            self.circulate(now);
        }
        self.vitals.temp = self.toward(
            self.vitals.temp,
            self.profile.temp + 2.4 * now.sepsis - 1.5 * now.blood_loss,
            400.0,
        );
    }

    fn oxygenate(&mut self, now: Derangement) {
        let low_flow = if self.vitals.arrested() { 0.5 } else { 0.0 };
        let target = self.profile.spo2 - 25.0 * now.shunt - 3.0 * now.sepsis - 30.0 * low_flow;
        self.vitals.sao2 = self.toward(self.vitals.sao2, target.min(99.6), 18.0);
        self.vitals.spo2 = self.toward(self.vitals.spo2, self.vitals.sao2, 14.0);
    }

    fn circulate(&mut self, now: Derangement) {
        let [hr_drift, map_drift, rr_drift] = self.drift;
        let loss = now.blood_loss;
        let hypoxic = ((92.0 - self.vitals.sao2) / 20.0).clamp(0.0, 1.0);
        let dying = ((74.0 - self.vitals.sao2) / 14.0).clamp(0.0, 1.0);

        let hr = self.profile.hr + 165.0 * loss + 44.0 * now.sepsis + 34.0 * hypoxic - 75.0 * dying
            + 30.0 * now.stunning
            - 8.0 * now.pressor;
        let rr = self.profile.rr + 38.0 * loss + 13.0 * now.sepsis + 11.0 * hypoxic;
        let map = self.profile.map
            * ramp(loss, &[(0.15, 1.0), (0.3, 0.87), (0.4, 0.55)])
            * (1.0 - 0.38 * now.sepsis + 0.24 * now.pressor * now.sepsis)
            * (1.0 - 0.25 * dying - 0.28 * now.stunning + 0.06 * hypoxic);
        let narrowing = ramp(loss, &[(0.1, 1.0), (0.3, 0.62), (0.4, 0.42)]);
        let pulse_pressure = self.profile.pulse_pressure
            * narrowing
            * (1.0 + 0.12 * now.sepsis - 0.3 * now.stunning);
        let output = ramp(loss, &[(0.08, 1.0), (0.3, 0.74), (0.4, 0.52)])
            * (1.0 + 0.1 * now.sepsis - 0.25 * now.stunning - 0.4 * dying);

        let vitals = self.vitals;
        self.vitals.hr = self
            .toward(vitals.hr, hr + 1.8 * hr_drift, 8.0)
            .clamp(22.0, 210.0);
        self.vitals.rr = self
            .toward(vitals.rr, rr + 0.9 * rr_drift, 10.0)
            .clamp(4.0, 60.0);
        self.vitals.map = self.toward(vitals.map, map + 1.8 * map_drift, 9.0);
        self.vitals.pulse_pressure = self.toward(vitals.pulse_pressure, pulse_pressure, 9.0);
        self.vitals.output = self.toward(vitals.output, output, 10.0);
        let breathing = (self.profile.rr / self.vitals.rr).powf(0.45);
        let washed_out = self.profile.etco2 * self.vitals.output.powf(0.75) * breathing;
        self.vitals.etco2 = self.toward(vitals.etco2, washed_out + 14.0 * now.stunning, 9.0);
        let pi = self.profile.pi
            * (1.0 - 2.1 * loss)
            * (1.0 - 0.35 * now.stunning)
            * (1.0 + 0.15 * now.sepsis - 0.4 * now.pressor);
        self.vitals.pi = self.toward(vitals.pi, pi, 12.0).max(0.05);
    }

    fn arrest(&mut self, now: Derangement) {
        let (map, pulse_pressure, output) = if now.cpr {
            (38.0, 42.0, 0.24)
        } else {
            (16.0, 0.5, 0.02)
        };
        let vitals = self.vitals;
        self.vitals.map = self.toward(vitals.map, map, 3.0);
        self.vitals.pulse_pressure = self.toward(vitals.pulse_pressure, pulse_pressure, 1.5);
        self.vitals.output = self.toward(vitals.output, output, 3.0);
        self.vitals.pi = self.toward(vitals.pi, 0.05, 2.0).max(0.03);
        self.vitals.rr = if now.cpr { 10.0 } else { 0.0 };
        let etco2 = 6.0 + 52.0 * self.vitals.output;
        self.vitals.etco2 = self.toward(vitals.etco2, etco2.min(38.0), 12.0);
    }

    /// One second of an exponential approach.
    fn toward(&self, from: f64, to: f64, seconds: f64) -> f64 {
        from + (to - from) * (1.0 - (-1.0 / (seconds * self.pace).max(1.0)).exp())
    }
}

const WARM_UP_STEPS: u32 = 120;

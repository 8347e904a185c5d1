//! When the heart beats and when breaths begin.
//!
//! Both are scheduled a little ahead of the samples that need them: a P wave
//! precedes its beat, and a pulse needs to know when the next beat comes.

use crate::num::{Noise, lerp};
use crate::patient::Vitals;
use std::collections::VecDeque;

/// One heartbeat; times in seconds since the scenario's start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Beat {
    /// The R peak.
    pub(crate) at: f64,
    /// Until the next one.
    pub(crate) period: f64,
    /// Pulse pressure relative to the mean: breathing moves it.
    pub(crate) strength: f64,
}

/// One breath; begins with inspiration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Breath {
    pub(crate) at: f64,
    pub(crate) period: f64,
}

/// Part of a breath that is inspiration (1:2).
pub(crate) const INSPIRATION: f64 = 0.34;

/// Beats and breaths around the present.
#[derive(Clone, Debug)]
pub(crate) struct Rhythms {
    noise: Noise,
    beats: VecDeque<Beat>,
    breaths: VecDeque<Breath>,
    next_beat: f64,
    next_breath: f64,
}

/// Scheduled ahead of the present: a P wave and its foot.
const AHEAD_S: f64 = 0.5;
/// Kept behind the present: the longest pulse with its delay, and a breath.
const BEHIND_S: f64 = 4.0;
const BREATHS_BEHIND_S: f64 = 16.0;

impl Rhythms {
    pub(crate) fn new(mut noise: Noise) -> Self {
        let next_beat = noise.unit();
        let next_breath = noise.between(-3.0, 0.0);
        Self {
            noise,
            beats: VecDeque::new(),
            breaths: VecDeque::new(),
            next_beat,
            next_breath,
        }
    }

    pub(crate) fn beats(&self) -> impl Iterator<Item = &Beat> {
        self.beats.iter()
    }

    /// The breath under way at `t`, and how far it is (0 to 1).
    pub(crate) fn breath(&self, t: f64) -> Option<(Breath, f64)> {
        let breath = self.breaths.iter().rev().find(|breath| breath.at <= t)?;
        let part = (t - breath.at) / breath.period;
        (part < 1.0).then_some((*breath, part))
    }

    /// Schedules what the second from `t` to `t + 1` needs.
    pub(crate) fn advance(&mut self, t: f64, vitals: &Vitals) {
        while self
            .beats
            .front()
            .is_some_and(|beat| beat.at < t - BEHIND_S)
        {
            self.beats.pop_front();
        }
        while self
            .breaths
            .front()
            .is_some_and(|breath| breath.at < t - BREATHS_BEHIND_S)
        {
            self.breaths.pop_front();
        }
        let until = t + 1.0 + AHEAD_S;
        self.breathe(t, until, vitals);
        if vitals.arrested() {
            while self.beats.back().is_some_and(|beat| beat.at > t) {
                self.beats.pop_back();
            }
            self.next_beat = t + 1.4;
        } else {
            self.beat(until, vitals);
        }
    }

    fn breathe(&mut self, t: f64, until: f64, vitals: &Vitals) {
        if vitals.rr < 1.0 {
            self.next_breath = self.next_breath.max(t + 1.5);
            return;
        }
        while self.next_breath < until {
            let period = 60.0 / vitals.rr * (1.0 + 0.025 * self.noise.normal());
            self.breaths.push_back(Breath {
                at: self.next_breath,
                period,
            });
            self.next_breath += period;
        }
    }

    fn beat(&mut self, until: f64, vitals: &Vitals) {
        while self.next_beat < until {
            let inspiring = self
                .breath(self.next_beat)
                .map_or(0.0, |(_, part)| (std::f64::consts::TAU * part).sin());
            // Sinus arrhythmia fades, and pulse pressure swings more, in shock.
            let empty = (vitals.now.blood_loss / 0.35).clamp(0.0, 1.0);
            let arrhythmia = lerp(0.022, 0.005, empty);
            let period =
                60.0 / vitals.hr * (1.0 - arrhythmia * inspiring + 0.006 * self.noise.normal());
            let strength = 1.0 + lerp(0.03, 0.09, empty) * inspiring;
            self.beats.push_back(Beat {
                at: self.next_beat,
                period,
                strength,
            });
            self.next_beat += period;
        }
    }
}

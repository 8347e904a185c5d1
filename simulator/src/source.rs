//! What one gateway's surroundings give: an iterator of emissions.

use crate::course::Script;
use crate::fleet::LegPlan;
use crate::geo::Route;
use crate::monitor::{DeviceClock, Monitor};
use crate::num::{Noise, Part, float, span};
use crate::patient::{Patient, Profile, Vitals};
use crate::rhythm::Rhythms;
use crate::wave::{Channel, Synth};
use enroute_model::frame::{Body, CrewEvent, Emission};
use enroute_model::time::{ServerTime, Span};
use std::collections::VecDeque;
use std::sync::Arc;

/// How much to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Numerics, positions, device alarms and crew events.
    Numerics,
    /// Waveforms too: ECG II, pleth, arterial pressure, CO2, respiration.
    Waveforms,
}

/// What is aboard one vehicle: everything that its emissions follow from.
#[derive(Clone, Debug)]
pub(crate) struct Aboard {
    pub(crate) seed: u64,
    pub(crate) number: u32,
    pub(crate) profile: Profile,
    pub(crate) script: Script,
    pub(crate) pace: f64,
    pub(crate) arterial_line: bool,
    pub(crate) clock: Option<DeviceClock>,
    /// True time of the leg's start.
    pub(crate) leg_start: ServerTime,
    /// Whole seconds from the scenario's start to the leg's.
    pub(crate) starts_s: u64,
    /// From the leg's start to its hand-over.
    pub(crate) lasts: Option<Span>,
    /// Within a second, the same on all legs: spreads the load of a fleet.
    pub(crate) phase: Span,
    pub(crate) route: Route,
    /// Departure since the leg's start, seconds; negative: already under way.
    pub(crate) departs_s: f64,
    /// Journey in emission time, seconds.
    pub(crate) journey_s: f64,
    /// Journey in life, seconds: what the speed is reckoned from.
    pub(crate) real_journey_s: f64,
    pub(crate) nibp_every_s: u64,
    /// By moment, since the leg's start.
    pub(crate) crew: Vec<(Span, CrewEvent)>,
}

/// Emissions of one leg in order of `due`. Endless on the last leg; otherwise
/// it ends with the hand-over. Numerics come each second, waveforms each half
/// second, positions every five seconds. A waveform emission is due when its
/// half second ends; its `observed_at` is that of the first sample.
#[derive(Clone, Debug)]
pub struct Emissions {
    aboard: Arc<Aboard>,
    detail: Detail,
    patient: Patient,
    before: Vitals,
    rhythms: Rhythms,
    monitor: Monitor,
    channels: Vec<Channel>,
    samples: Noise,
    /// Whole seconds given, since the leg's start.
    second: u64,
    queue: VecDeque<Emission>,
    crew_given: usize,
    over: bool,
}

const POSITION_EVERY_S: u64 = 5;
/// Seconds of waveform in an emission.
const RUN_S: f64 = 0.5;

impl Emissions {
    pub(crate) fn new(leg: &LegPlan, detail: Detail) -> Self {
        let aboard = Arc::clone(&leg.aboard);
        let noise = |part| Noise::new(aboard.seed, aboard.number, part);
        let leg_noise = |part| {
            let mut noise = noise(part);
            noise.skip_to_leg(aboard.starts_s);
            noise
        };
        let first = aboard.script.at(0.0);
        let mut patient = Patient::new(aboard.profile, aboard.pace, noise(Part::Patient), first);
        let mut rhythms = Rhythms::new(noise(Part::Rhythm));
        // The patient lived through the legs before.
        for second in 0..aboard.starts_s {
            patient.step(aboard.script.at(float(second + 1)));
            rhythms.advance(float(second), &patient.vitals());
        }
        Self {
            detail,
            before: patient.vitals(),
            patient,
            rhythms,
            monitor: Monitor::new(
                aboard.arterial_line,
                aboard.nibp_every_s,
                leg_noise(Part::Monitor),
            ),
            channels: Channel::all(aboard.arterial_line),
            samples: leg_noise(Part::Samples),
            second: 0,
            queue: VecDeque::new(),
            crew_given: 0,
            over: false,
            aboard,
        }
    }

    /// Simulates one more second into the queue.
    fn advance(&mut self) {
        let aboard = Arc::clone(&self.aboard);
        let scenario_s = aboard.starts_s + self.second;
        self.patient.step(aboard.script.at(float(scenario_s + 1)));
        let after = self.patient.vitals();
        let mut given = Vec::new();
        if self.detail == Detail::Waveforms {
            self.rhythms.advance(float(scenario_s), &after);
            self.waveforms(&after, &mut given);
        }
        self.before = after;
        self.second += 1;
        let due = later(aboard.phase, seconds(self.second));
        let numerics = self.monitor.numerics(self.second, &after);
        let alarms = self.monitor.alarms(&numerics, &after);
        given.push((due, Body::Numerics(numerics)));
        if !alarms.is_empty() {
            given.push((due, Body::DeviceAlarms(alarms)));
        }
        if self.second % POSITION_EVERY_S == 1 {
            given.push((due, Body::Position(aboard.position(due))));
        }
        while let Some((at, event)) = aboard
            .crew
            .get(self.crew_given)
            .filter(|(at, _)| *at <= due)
        {
            given.push((*at, Body::Crew(event.clone())));
            self.crew_given += 1;
        }
        given.sort_by_key(|(due, _)| *due);
        self.give(given);
    }

    fn waveforms(&mut self, after: &Vitals, given: &mut Vec<(Span, Body)>) {
        let source_s = float(self.aboard.starts_s);
        let begins = float(self.second);
        for half in [0.0, RUN_S] {
            let from = begins + half;
            let mut synth = Synth {
                rhythms: &self.rhythms,
                noise: &mut self.samples,
                second_s: source_s + begins,
                before: self.before,
                after: *after,
                usual_pi: self.aboard.profile.pi,
            };
            let runs = self
                .channels
                .iter_mut()
                .map(|channel| channel.run(from, from + RUN_S, source_s, &mut synth))
                .collect();
            // A run can be told when its last sample has been taken.
            let due = later(self.aboard.phase, span(from + RUN_S));
            given.push((due, Body::Waveforms(runs)));
        }
    }

    /// Queues in order; at the end of a leg the monitor's alarms end, and the
    /// hand-over is the last word.
    fn give(&mut self, given: Vec<(Span, Body)>) {
        for (due, body) in given {
            if let Some(lasts) = self.aboard.lasts.filter(|lasts| due >= *lasts) {
                self.over = true;
                let alarms = self.monitor.silence();
                if !alarms.is_empty() {
                    self.push(lasts, Body::DeviceAlarms(alarms));
                }
                self.push(lasts, Body::Crew(CrewEvent::HandOver));
                return;
            }
            self.push(due, body);
        }
    }

    fn push(&mut self, due: Span, body: Body) {
        let by_hand = matches!(body, Body::Crew(_) | Body::Position(_));
        let clock = self.aboard.clock.filter(|_| !by_hand);
        let runs = matches!(body, Body::Waveforms(_));
        let began = Span(due.0.saturating_sub(if runs { span(RUN_S).0 } else { 0 }));
        let observed_at = clock.map(|clock| clock.shows(self.aboard.leg_start, began));
        self.queue.push_back(Emission {
            due,
            observed_at,
            body,
        });
    }
}

impl Iterator for Emissions {
    type Item = Emission;

    fn next(&mut self) -> Option<Emission> {
        while self.queue.is_empty() && !self.over {
            self.advance();
        }
        self.queue.pop_front()
    }
}

impl Aboard {
    fn position(&self, due: Span) -> enroute_model::frame::GeoPoint {
        let part = (due.as_secs_f64() - self.departs_s) / self.journey_s.max(1.0);
        self.route.at(part, self.real_journey_s)
    }
}

fn seconds(whole: u64) -> Span {
    Span::from_secs(i64::try_from(whole).unwrap_or(i64::MAX))
}

fn later(a: Span, b: Span) -> Span {
    Span(a.0.saturating_add(b.0))
}

//! Courses of illness: what happens to a patient, and when.
//!
//! A course drives hidden quantities (blood lost, severity of sepsis, shunt,
//! rhythm, probe, movement); `patient` turns them into vital signs.
//! The sequence of each course is plausible by construction; the order of
//! resuscitation follows the adult ALS algorithm for a shockable rhythm
//! (compressions at once, shock, adrenaline after later shocks), shortened.

use crate::num::{ramp, span};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::CrewEvent;
use enroute_model::reading::Decimal;
use enroute_model::time::Span;
use serde::{Deserialize, Serialize};

/// What happens to a patient on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Course {
    /// Small variation around the patient's own normal values.
    Stable,
    /// Blood loss in stages, then fluid and blood.
    Haemorrhage,
    /// Warm shock that grows, then a vasopressor.
    Sepsis,
    /// A failing lung, then more oxygen; comes back in long scenarios.
    Hypoxia,
    /// Ventricular fibrillation, resuscitation, return of circulation.
    CardiacArrest,
    /// The SpO2 probe falls off and is put back; comes back in long scenarios.
    SensorOff,
    /// Rough road: movement in ECG and pleth; comes back in long scenarios.
    MovementArtefact,
}

impl Course {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Stable,
        Self::Haemorrhage,
        Self::Sepsis,
        Self::Hypoxia,
        Self::CardiacArrest,
        Self::SensorOff,
        Self::MovementArtefact,
    ];

    /// A word for file names, tables and arguments.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Haemorrhage => "haemorrhage",
            Self::Sepsis => "sepsis",
            Self::Hypoxia => "hypoxia",
            Self::CardiacArrest => "cardiac_arrest",
            Self::SensorOff => "sensor_off",
            Self::MovementArtefact => "movement_artefact",
        }
    }

    /// How long one pass takes at most, and what part of the scenario it may use.
    fn unit(self) -> (f64, f64) {
        match self {
            Self::Stable | Self::Haemorrhage => (1500.0, 0.5),
            Self::Sepsis => (2400.0, 0.45),
            Self::Hypoxia => (360.0, 0.5),
            Self::CardiacArrest => (480.0, 0.55),
            Self::SensorOff => (90.0, 0.4),
            Self::MovementArtefact => (60.0, 0.4),
        }
    }

    fn comes_back(self) -> bool {
        match self {
            Self::Hypoxia | Self::SensorOff | Self::MovementArtefact => true,
            Self::Stable | Self::Haemorrhage | Self::Sepsis | Self::CardiacArrest => false,
        }
    }
}

/// What the heart does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rhythm {
    Sinus,
    Fibrillation,
    Asystole,
}

/// The hidden state that a course imposes at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Derangement {
    /// Of the blood volume, 0 to about 0.4.
    pub(crate) blood_loss: f64,
    /// 0 to 1.
    pub(crate) sepsis: f64,
    /// 0 to 1.
    pub(crate) pressor: f64,
    /// 0 to 1.
    pub(crate) shunt: f64,
    /// Weakness of the heart after an arrest, 0 to 1.
    pub(crate) stunning: f64,
    pub(crate) rhythm: Rhythm,
    /// Chest compressions and bag ventilation.
    pub(crate) cpr: bool,
    pub(crate) probe_off: bool,
    /// 0 to 1.
    pub(crate) motion: f64,
}

/// A course with its times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    course: Course,
    /// Seconds since the scenario's start.
    onset_s: f64,
    /// Length of one pass, seconds.
    unit_s: f64,
    /// How bad, about 1.
    strength: f64,
}

impl Script {
    /// Begins at the given part of a scenario of `length_s` seconds.
    pub(crate) fn new(course: Course, onset: f64, strength: f64, length_s: f64) -> Self {
        let (unit_s_max, part) = course.unit();
        Self {
            course,
            onset_s: onset * length_s,
            unit_s: (part * length_s).min(unit_s_max),
            strength,
        }
    }

    /// Passes since the onset; negative before it.
    fn progress(&self, t_s: f64) -> f64 {
        let passes = (t_s - self.onset_s) / self.unit_s;
        if self.course.comes_back() && passes > 0.0 {
            return passes % PASSES_BETWEEN_RETURNS;
        }
        passes
    }

    pub(crate) fn at(&self, t_s: f64) -> Derangement {
        let x = self.progress(t_s);
        let mut now = Derangement {
            blood_loss: 0.0,
            sepsis: 0.0,
            pressor: 0.0,
            shunt: 0.0,
            stunning: 0.0,
            rhythm: Rhythm::Sinus,
            cpr: false,
            probe_off: false,
            motion: 0.0,
        };
        match self.course {
            Course::Stable => {}
            Course::Haemorrhage => {
                let lost = [
                    (0.0, 0.02),
                    (0.45, 0.29),
                    (0.7, 0.38),
                    (1.25, 0.38),
                    (1.8, 0.2),
                ];
                now.blood_loss = self.strength * ramp(x, &lost);
            }
            Course::Sepsis => {
                let severity = [(0.0, 0.25), (0.8, 1.0), (1.2, 1.0), (2.0, 0.75)];
                now.sepsis = self.strength * ramp(x, &severity);
                now.pressor = ramp(x, &[(1.0, 0.0), (1.3, 1.0)]);
            }
            Course::Hypoxia => {
                let shunt = [
                    (0.0, 0.05),
                    (0.3, 1.0),
                    (0.65, 1.0),
                    (0.95, 0.1),
                    (1.2, 0.05),
                ];
                now.shunt = self.strength * ramp(x, &shunt);
            }
            Course::CardiacArrest => arrest(x, &mut now),
            Course::SensorOff => now.probe_off = (0.0..1.0).contains(&x),
            Course::MovementArtefact => {
                now.motion = ramp(x, &[(0.0, 0.0), (0.08, 1.0), (0.9, 1.0), (1.0, 0.0)]);
            }
        }
        now
    }

    /// What the crew enters, by moment.
    pub(crate) fn crew(&self) -> Vec<(Span, CrewEvent)> {
        let events: &[(f64, Entry)] = match self.course {
            Course::Stable => &[],
            Course::Haemorrhage => &[
                (
                    0.35,
                    Entry::Note("dressing soaked through, pressure applied"),
                ),
                (0.55, Entry::Button("fluid", "500 mL balanced crystalloid")),
                (0.75, Entry::Acvpu(VOICE)),
                (1.1, Entry::Button("blood", "2 units O negative")),
                (1.7, Entry::Acvpu(ALERT)),
            ],
            Course::Sepsis => &[
                (0.4, Entry::Button("fluid", "500 mL balanced crystalloid")),
                (0.7, Entry::Acvpu(CONFUSED)),
                (1.0, Entry::Button("drug", "noradrenaline infusion started")),
            ],
            Course::Hypoxia => &[
                (0.45, Entry::Oxygen),
                (
                    0.65,
                    Entry::Button("ventilation_change", "PEEP raised, FiO2 1.0"),
                ),
            ],
            Course::CardiacArrest => &[
                (ARREST_CPR, Entry::Button("cpr_start", "")),
                (ARREST_CPR + 0.02, Entry::Acvpu(UNRESPONSIVE)),
                (
                    0.3,
                    Entry::Button("defibrillation", "200 J biphasic, no change"),
                ),
                (0.42, Entry::Button("drug", "adrenaline 1 mg IV")),
                (
                    ARREST_ROSC - 0.02,
                    Entry::Button("defibrillation", "200 J biphasic"),
                ),
                (ARREST_ROSC, Entry::Button("rosc", "")),
                (ARREST_ROSC + 0.01, Entry::Button("cpr_stop", "")),
            ],
            Course::SensorOff => &[(0.9, Entry::Note("SpO2 probe moved to the other hand"))],
            Course::MovementArtefact => &[(0.5, Entry::Note("rough road, movement artefact"))],
        };
        let at = |x: f64| span(self.onset_s + x * self.unit_s);
        events
            .iter()
            .filter_map(|(x, entry)| Some((at(*x), entry.event()?)))
            .collect()
    }
}

/// A course that comes back does so after this many of its own lengths.
const PASSES_BETWEEN_RETURNS: f64 = 4.0;

const ARREST_CPR: f64 = 0.08;
const ARREST_ASYSTOLE: f64 = 0.45;
const ARREST_VF_AGAIN: f64 = 0.52;
const ARREST_ROSC: f64 = 0.65;

/// Fibrillation, asystole after the first shock, fibrillation again, a rhythm.
fn arrest(x: f64, now: &mut Derangement) {
    now.shunt = ramp(
        x,
        &[(-0.15, 0.0), (0.0, 0.2), (ARREST_ROSC, 0.3), (1.2, 0.1)],
    );
    if (0.0..ARREST_ROSC).contains(&x) {
        let asystole = (ARREST_ASYSTOLE..ARREST_VF_AGAIN).contains(&x);
        now.rhythm = if asystole {
            Rhythm::Asystole
        } else {
            Rhythm::Fibrillation
        };
        now.cpr = x >= ARREST_CPR;
    } else if x >= ARREST_ROSC {
        now.stunning = ramp(x, &[(ARREST_ROSC, 1.0), (1.6, 0.4)]);
    }
}

/// Values of the catalogue's `acvpu`: the letters in order from 0.
pub(crate) const ALERT: i64 = 0;
const CONFUSED: i64 = 1;
const VOICE: i64 = 2;
const UNRESPONSIVE: i64 = 4;

/// A crew event as the scripts write it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Acvpu(i64),
    Oxygen,
    Button(&'static str, &'static str),
    Note(&'static str),
}

impl Entry {
    pub(crate) fn event(self) -> Option<CrewEvent> {
        let observed = |id: &str, value: i64| {
            Some(CrewEvent::Observation {
                code: catalogue().vital_by_id(id)?.code,
                value: Decimal::new(value, 0)?,
            })
        };
        match self {
            Self::Acvpu(level) => observed("acvpu", level),
            Self::Oxygen => observed("o2_supp", 1),
            Self::Button(kind, text) => Some(CrewEvent::Intervention {
                kind: kind.to_owned(),
                text: text.to_owned(),
            }),
            Self::Note(text) => Some(CrewEvent::Note(text.to_owned())),
        }
    }
}

//! Courses of illness: what happens to a patient, and when.

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
}

//! What one gateway's surroundings give: an iterator of emissions.

use crate::fleet::LegPlan;
use enroute_model::frame::Emission;

/// How much to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Numerics, positions, device alarms and crew events.
    Numerics,
    /// Waveforms too: ECG II, pleth, arterial pressure, CO2, respiration.
    Waveforms,
}

/// Emissions of one leg in order of `due`. Endless on the last leg; otherwise
/// it ends with the hand-over. Numerics come each second, waveforms each half
/// second, positions every five seconds. A waveform emission is due at the end
/// of its half second; `start_offset` is relative to its beginning, which is
/// half a second before `due`.
#[derive(Clone, Debug)]
pub struct Emissions {
    _leg: LegPlan,
}

impl Emissions {
    pub(crate) fn new(leg: &LegPlan, detail: Detail) -> Self {
        let _ = detail;
        Self { _leg: leg.clone() }
    }
}

impl Iterator for Emissions {
    type Item = Emission;

    fn next(&mut self) -> Option<Emission> {
        None
    }
}

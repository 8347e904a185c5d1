//! A fleet: who is transferred, from where to where, in which vehicles, with
//! which illness, monitor and radio link.

use crate::course::Course;
use crate::radio::Plan;
use crate::source::{Detail, Emissions};
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::registry::{Mode, TransferInfo};
use enroute_model::time::{ServerTime, Span};

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many transfers.
    pub transfers: u32,
    /// How long the showcase takes from door to door, in emission time: all
    /// courses, routes and radio outages are scaled to it. Clamped to
    /// [`LENGTH_MIN`]..=[`LENGTH_MAX`].
    pub length: Span,
    /// True time at which the fleet starts: anchors planned times and the
    /// monitors' clocks.
    pub starts_at: ServerTime,
}

/// Shortest scenario that still passes through all three legs.
pub const LENGTH_MIN: Span = Span::from_secs(20);
/// Longest scenario.
pub const LENGTH_MAX: Span = Span::from_secs(24 * 3600);

/// One simulated transfer.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// From 1; 1 is the showcase: ambulance, aircraft and ambulance across a
    /// border, silent in mid-flight.
    pub number: u32,
    /// The id that its first gateway publishes under.
    pub transfer: TransferId,
    /// What the registry knows: hospital, legs with planned times, population,
    /// conditions, concern.
    pub info: TransferInfo,
    /// What happens to the patient.
    pub course: Course,
    /// How much faster than life the vehicles travel: planned times and
    /// positions are compressed by it, heartbeats and reported speeds are not.
    pub time_scale: f64,
    /// One per vehicle, in order of travel; neighbours overlap a little.
    pub legs: Vec<LegPlan>,
}

/// One vehicle with its gateway, monitor and radio.
#[derive(Clone, Debug)]
pub struct LegPlan {
    /// The box on board.
    pub gateway: GatewayId,
    /// What the gateway publishes under at first. The first leg uses the
    /// scenario's id; later ones have their own and ask, by a crew event in
    /// their first second, to join the scenario's by its short code.
    pub transfer: TransferId,
    /// Road or air.
    pub mode: Mode,
    /// When its gateway is switched on, since the fleet's start.
    pub starts: Span,
    /// When its crew hands over, since the fleet's start: the last emission is
    /// that crew event. `None`: the last leg goes on for ever, standing at its
    /// destination after arrival.
    pub ends: Option<Span>,
    /// Its radio link, times since [`Self::starts`].
    pub radio: Plan,
}

impl LegPlan {
    /// What the monitor, the receiver of positions and the crew give, in order
    /// of `due`, which counts from [`Self::starts`].
    #[must_use]
    pub fn emissions(&self, detail: Detail) -> Emissions {
        Emissions::new(self, detail)
    }
}

/// Builds a fleet.
#[must_use]
pub fn fleet(options: &Options) -> Vec<Scenario> {
    let _ = options;
    Vec::new()
}

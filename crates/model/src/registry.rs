//! The small registry of transfers: who goes where, in which vehicle, how old.

use crate::frame::Code;
use crate::ids::{GatewayId, TransferId};
use crate::reading::Decimal;
use crate::state::LimitsInForce;
use crate::time::{GatewayTime, ServerTime, Span};
use serde::{Deserialize, Serialize};

/// Age decides the limits (bands as in the contract).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AgeBand {
    /// Up to 28 days.
    Neonate,
    /// From 29 days to under 1 year.
    Infant,
    /// From 1 to under 13 years.
    Child,
    /// From 13 to under 16 years.
    Adolescent,
    /// From 16 years.
    Adult,
}

/// What is known of the patient's size; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Unknown uses adult limits, marked *assumed* everywhere.
    pub age_band: Option<AgeBand>,
    /// Body weight in grams.
    pub weight_g: Option<u32>,
}

/// How a leg is travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Ambulance.
    Road,
    /// Fixed wing or helicopter.
    Air,
}

/// A named point on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the hospital, airport …
    pub name: String,
    /// Degrees × 10^7, north positive.
    pub latitude_e7: i32,
    /// Degrees × 10^7, east positive.
    pub longitude_e7: i32,
}

/// A planned part of the transfer with one vehicle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Call sign or registration of the vehicle.
    pub vehicle: String,
    /// Road or air.
    pub mode: Mode,
    /// The gateway on board, if known.
    pub gateway: Option<GatewayId>,
    /// Where it starts.
    pub from: Place,
    /// Where it ends.
    pub to: Place,
    /// Planned departure.
    pub departs_at: Option<ServerTime>,
    /// Planned arrival.
    pub arrives_at: Option<ServerTime>,
}

/// What people entered about a transfer; the empty one is unassigned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferInfo {
    /// The receiving hospital; empty: unassigned.
    pub hospital: String,
    /// In order of travel.
    pub legs: Vec<Leg>,
    /// Known by the registry or entered by the crew, whichever came last.
    pub population: Population,
    /// Conditions such as `sepsis`, `traumatic_brain_injury`.
    pub conditions: Vec<String>,
    /// The headline concern, in a few words; must not identify the patient.
    pub concern: String,
    /// In which regions it may be seen; none: those that it comes from and goes to.
    pub regions: Vec<String>,
}

/// Regions that one transfer can name.
pub const REGIONS_MAX: usize = 16;
/// Characters in the name of a region.
pub const REGION_CHARS_MAX: usize = 32;

/// Whether this is the name of a region: letters, digits and hyphens.
#[must_use]
pub fn is_region(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=REGION_CHARS_MAX).contains(&name.len()) && name.chars().all(is_plain)
}

/// What a person did to a transfer; journalled like everything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RegistryAction {
    /// Creates the transfer, or replaces what is known of it (assign).
    Put(TransferInfo),
    /// This transfer is a leg of another one: from here on it is an alias.
    JoinInto(TransferId),
    /// This gateway's source becomes the active one.
    HandOverTo(GatewayId),
    /// What is usual for this patient: changes are counted from it.
    SetBaseline {
        /// Of which vital sign of the catalogue.
        code: Code,
        /// In its unit; `None` takes it back.
        value: Option<Decimal>,
        /// Why.
        reason: String,
    },
    /// Over; still accepts history.
    Close,
    /// Closed by mistake, or the gateway came back.
    Reopen,
    /// Somebody has seen to an alert.
    Alert {
        /// Which.
        alert_id: u64,
        /// The ordinal of the newest transition of this alert that the person
        /// saw: what became more urgent since is not acknowledged by it.
        seen: u64,
        /// What.
        action: AlertAction,
    },
    /// A note to the crew; the action's id is its id.
    NoteToCrew(String),
    /// Somebody has read what the crew noted.
    ReadNotes {
        /// Whose notes.
        gateway: GatewayId,
        /// The newest one of them, by that gateway's clock.
        through: GatewayTime,
    },
    /// A clinician's own limits for one vital sign of this patient.
    SetLimits {
        /// Of what.
        code: Code,
        /// `None`: back to those of the rule book.
        limits: Option<LimitsInForce>,
        /// Why.
        reason: String,
    },
    /// The same, set around the values of this moment.
    AutoLimits {
        /// None: all that have a rule and a usable value.
        codes: Vec<Code>,
        /// Why.
        reason: String,
    },
}

/// What a person does about an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertAction {
    /// Seen, and taken care of: its signals end, and what was only latched is over.
    Acknowledge,
    /// Its signals rest for a time; a new or more urgent condition breaks through.
    Pause {
        /// For how long.
        lasts: Span,
    },
    /// A remark for whoever looks next.
    Note(String),
    /// A viewer has drawn it. Asks nothing of the alert, and says when it was seen.
    Shown(ViewerRole),
}

/// As whom somebody looks, by their own word.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum ViewerRole {
    /// A screen on a wall.
    Wall,
    /// A screen that somebody looks at.
    #[default]
    Viewer,
    /// Somebody who cares for the patient.
    Clinician,
    /// Somebody who is called when the others do not see to it.
    OnCall,
}

impl ViewerRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Wall, Self::Viewer, Self::Clinician, Self::OnCall];
}

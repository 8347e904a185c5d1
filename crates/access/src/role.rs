//! Roles, and what each may do.

use enroute_model::registry::ViewerRole;
use serde::{Deserialize, Serialize};

/// What a caller is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A screen on a wall: the board, and nothing else.
    Wall,
    /// Somebody who looks.
    Viewer,
    /// Somebody who cares for patients.
    Clinician,
    /// Clinical engineer: recordings, replay, export, the registry of transfers.
    Operator,
    /// Runs the service: backups, deletions, the registry. Sees no patient.
    Administrator,
}

/// What is done by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// See the board: all transfers, with values and alerts, without samples.
    SeeBoard,
    /// See one patient: samples, course, alerts of the past.
    SeePatient,
    /// Say that an alert was shown.
    Report,
    /// See to alerts, write to the crew, set a patient's limits.
    Treat,
    /// Create, assign, join, hand over, close transfers.
    Register,
    /// See what is recorded, and what was deleted.
    SeeRecordings,
    /// Play what is recorded.
    Replay,
    /// Delete a recording for good.
    Delete,
    /// Copy everything that is stored.
    Backup,
    /// Take a recording out of the house, waveforms included.
    Export,
    /// See who a patient is, and on what the handling of the data rests.
    SeeIdentity,
    /// Say who a patient is, take it back, export all of a person.
    Identify,
    /// Delete who a person is, by record number, unseen.
    Forget,
    /// See how the service does: counts, queues, what was refused.
    SeeService,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Wall,
        Self::Viewer,
        Self::Clinician,
        Self::Operator,
        Self::Administrator,
    ];

    /// What is not said here is refused.
    #[must_use]
    pub fn may(self, action: Action) -> bool {
        use Role::{Administrator, Clinician, Operator, Viewer, Wall};
        let roles: &[Self] = match action {
            Action::SeeBoard => &Self::ALL,
            Action::SeePatient | Action::Export => &[Viewer, Clinician, Operator],
            Action::Report => &[Wall, Viewer, Clinician],
            Action::Treat | Action::SeeIdentity | Action::Identify => &[Clinician],
            Action::Register | Action::SeeRecordings => &[Clinician, Operator, Administrator],
            Action::Replay => &[Clinician, Operator],
            Action::Delete | Action::Backup | Action::Forget => &[Administrator],
            Action::SeeService => &[Operator, Administrator],
        };
        roles.contains(&self)
    }

    /// As whom a caller looks who says to look as `claimed`: a clinician chooses, the
    /// others are what they are.
    #[must_use]
    pub fn looks_as(self, claimed: ViewerRole) -> ViewerRole {
        match self {
            Self::Clinician => claimed,
            Self::Wall => ViewerRole::Wall,
            Self::Viewer | Self::Operator | Self::Administrator => ViewerRole::Viewer,
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Viewer => "viewer",
            Self::Clinician => "clinician",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SeeBoard,
        Self::SeePatient,
        Self::Report,
        Self::Treat,
        Self::Register,
        Self::SeeRecordings,
        Self::Replay,
        Self::Delete,
        Self::Backup,
        Self::Export,
        Self::SeeIdentity,
        Self::Identify,
        Self::Forget,
        Self::SeeService,
    ];

    /// Whether a broken glass lets its bearer do this for the one transfer: what a
    /// clinician needs to take over a patient there and then. What lasts beyond the
    /// emergency (where a transfer goes, who is said to be on it) or leaves the house is
    /// not of that kind.
    #[must_use]
    pub fn is_under_glass(self) -> bool {
        match self {
            Self::SeePatient | Self::Report | Self::Treat | Self::Replay | Self::SeeIdentity => {
                true
            }
            Self::SeeBoard
            | Self::Register
            | Self::SeeRecordings
            | Self::Delete
            | Self::Backup
            | Self::Export
            | Self::Identify
            | Self::Forget
            | Self::SeeService => false,
        }
    }

    /// What somebody is refused, in words that fit "may not …".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SeeBoard => "see the board",
            Self::SeePatient => "see a patient",
            Self::Report => "say what was shown",
            Self::Treat => "see to alerts and limits",
            Self::Register => "change the registry of transfers",
            Self::SeeRecordings => "see what is recorded",
            Self::Replay => "play recordings",
            Self::Delete => "delete recordings",
            Self::Backup => "copy what is stored",
            Self::Export => "take recordings away",
            Self::SeeIdentity => "see who a patient is",
            Self::Identify => "say who a patient is, or take it away",
            Self::Forget => "delete who a person is",
            Self::SeeService => "see how the service does",
        }
    }
}

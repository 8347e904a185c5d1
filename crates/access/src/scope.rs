//! Which transfers a caller is concerned with.

use serde::{Deserialize, Serialize};

/// Hospitals, and transfers, that one scope can name.
pub const NAMES_MAX: usize = 64;

/// Transfers by where they go, or by themselves. One that names nothing is all of
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Names of receiving hospitals, as the registry has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hospitals: Vec<String>,
    /// Ids of transfers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<String>,
}

impl Scope {
    /// Whether nothing is outside of it, what has no transfer included.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.hospitals.is_empty() && self.transfers.is_empty()
    }

    /// Whether a transfer with these ids that goes to `hospital` (empty: nowhere yet)
    /// is in it.
    #[must_use]
    pub fn covers<'a>(&self, hospital: &str, ids: impl IntoIterator<Item = &'a str>) -> bool {
        let goes_there = || !hospital.is_empty() && self.hospitals.iter().any(|h| h == hospital);
        self.is_everything() || goes_there() || {
            let mut ids = ids.into_iter();
            ids.any(|id| self.transfers.iter().any(|named| named == id))
        }
    }
}

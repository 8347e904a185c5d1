//! Which limits are in force, and what they come from: a rule book, the overlays
//! of the conditions that the transfer is marked with.

use super::{Bound, Engine};
use crate::effects::Effects;
use crate::source::Source;
use enroute_alert::book::RuleBook;
use enroute_alert::profile::Profile;
use enroute_model::registry::TransferInfo;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The limits in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rules {
    #[serde(skip, default = "RuleBook::built_in")]
    book: Arc<RuleBook>,
    /// Follows from all else.
    #[serde(skip)]
    profile: Arc<Profile>,
}

impl Default for Rules {
    fn default() -> Self {
        let book = RuleBook::built_in();
        Self {
            profile: book.population(None),
            book,
        }
    }
}

impl Rules {
    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Lays them on top of each other anew.
    pub(super) fn resolve(&mut self, info: &TransferInfo) {
        let band = info.population.age_band;
        self.profile = self.book.profile(band, &info.conditions);
    }
}

impl Engine {
    /// What the limits come from has changed.
    pub(super) fn apply_rules(&mut self, out: &mut Effects) {
        self.rules.resolve(&self.info);
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, Source::use_profile);
        }
        self.bound = Bound::Unknown;
    }
}

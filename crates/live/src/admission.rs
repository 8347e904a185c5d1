//! How many transfers may be in memory, and which are (I9).
//!
//! Whoever can publish can invent ids. What has an engine is always let in; a new
//! id, and one whose engine sleeps on disk, only while there is room. Room comes
//! when engines go to sleep (`sleep.rs`): a closed transfer after an hour of
//! silence, or at once when there is no room; an unassigned one closes by itself.

use enroute_model::ids::TransferId;
use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An id that was let in has an engine by then, or its records were not stored.
const ARRIVES_WITHIN: Span = Span::from_secs(60);
/// By when the engine of an id that has one was let in: it always is.
const HERE: EngineTime = EngineTime(i64::MAX);

/// Shared by the shard and whoever takes records in. Joined ids count.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Mutex<Ids>>);

#[derive(Debug)]
struct Ids {
    max: usize,
    /// Engine time at which an id was let in; [`HERE`]: it has an engine.
    let_in: BTreeMap<TransferId, EngineTime>,
}

impl Admission {
    pub(crate) fn new(max: usize) -> Self {
        let let_in = BTreeMap::new();
        Self(Arc::new(Mutex::new(Ids { max, let_in })))
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records of this transfer may be stored at engine time `at`; a new id
    /// has its place from then on.
    #[must_use]
    pub fn admits(&self, transfer: &TransferId, at: EngineTime) -> bool {
        let mut ids = self.ids();
        let max = ids.max;
        ids.admit(transfer, at, max)
    }

    /// The same for what a clinician does, who may go beyond the limit by a quarter:
    /// a flood of invented ids must not keep a hospital from naming a real one.
    pub(crate) fn admits_action(&self, transfer: &TransferId, at: EngineTime) -> bool {
        let mut ids = self.ids();
        let max = ids.max.saturating_add(ids.max / 4).saturating_add(1);
        ids.admit(transfer, at, max)
    }

    /// No new id is let in.
    pub(crate) fn is_full(&self) -> bool {
        let ids = self.ids();
        ids.let_in.len() >= ids.max
    }

    /// These have an engine now, and no others.
    pub(crate) fn sync<'a>(&self, here: impl Iterator<Item = &'a TransferId>, now: EngineTime) {
        let mut ids = self.ids();
        let arriving = |at: EngineTime| at != HERE && now.since(at) < ARRIVES_WITHIN;
        ids.let_in.retain(|_, at| arriving(*at));
        ids.let_in.extend(here.map(|id| (id.clone(), HERE)));
    }
}

impl Ids {
    fn admit(&mut self, transfer: &TransferId, at: EngineTime, max: usize) -> bool {
        if self.let_in.contains_key(transfer) {
            return true;
        }
        let room = self.let_in.len() < max;
        if room {
            self.let_in.insert(transfer.clone(), at);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> TransferId {
        TransferId::new(&format!("tx-{number}")).unwrap()
    }

    fn at(seconds: i64) -> EngineTime {
        EngineTime(seconds * 1_000_000)
    }

    #[test]
    fn a_flood_of_new_ids_leaves_the_living_alone() {
        let admission = Admission::new(4);
        admission.sync([id(1), id(2)].iter(), at(0));
        let let_in = (3..100).filter(|n| admission.admits(&id(*n), at(1)));
        assert_eq!(let_in.collect::<Vec<_>>(), [3, 4]);
        assert!(admission.is_full());
        for living in [1, 2, 3, 4] {
            assert!(admission.admits(&id(living), at(2)), "{living}");
        }
        // Staff may go beyond it, by a bound of its own, and the gateways follow.
        let by_staff = (200..300).filter(|n| admission.admits_action(&id(*n), at(2)));
        assert_eq!(by_staff.collect::<Vec<_>>(), [200, 201]);
        assert!(admission.admits(&id(200), at(3)));
        // Of the flood only what was stored keeps its place.
        admission.sync([id(1), id(2), id(3)].iter(), at(59));
        assert!(admission.is_full(), "4 may be on its way to its engine");
        admission.sync([id(1), id(3)].iter(), at(70));
        assert!(admission.admits(&id(7), at(70)));
        assert!(admission.admits(&id(2), at(70)), "came back");
        assert!(!admission.admits(&id(8), at(70)));
    }
}

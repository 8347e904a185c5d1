//! Which transfers may have records, so that memory has a bound (I9).
//!
//! Whoever can publish can invent ids. What has an engine is always let in.
//!
//! | | bound | beyond it |
//! | --- | --- | --- |
//! | a new id | [`crate::Options::transfers_max`] in memory | refused until one goes to sleep (`sleep.rs`) |
//! | a new id by one gateway | [`BY_GATEWAY_MAX`] open ones that it speaks for | refused until one of them closes |
//! | a new id | [`crate::Options::known_max`] with a record, asleep or not | refused until some are deleted |
//! | what sleeps, and what staff begins | a quarter of `transfers_max` more | refused until one goes to sleep |
//!
//! Room comes by itself: a closed transfer sleeps after an hour of silence, or at
//! once when there is no room; an unassigned one closes after 12 hours. What is
//! refused is lost to nobody, because its gateway keeps it on board.

use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::time::{EngineTime, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A gateway speaks for one transfer at a time; those before it that nobody closed
/// close by themselves. One that is broken or stolen takes the room of few.
pub const BY_GATEWAY_MAX: usize = 64;
/// An id that was let in has an engine by then, or its records were not stored.
const ARRIVES_WITHIN: Span = Span::from_secs(60);

/// Shared by the shard and whoever takes records in. Joined ids count.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Mutex<Ids>>);

#[derive(Debug)]
struct Ids {
    max: usize,
    known_max: usize,
    /// In memory, or on the way there.
    let_in: BTreeMap<TransferId, Place>,
    /// Open transfers by the gateways that speak for them.
    by_gateway: BTreeMap<GatewayId, usize>,
    /// With a record; also those asleep.
    known: BTreeSet<TransferId>,
}

#[derive(Debug)]
enum Place {
    /// It has an engine.
    Here,
    /// Let in at this engine time, for this gateway.
    Arriving(EngineTime, Option<GatewayId>),
}

impl Admission {
    pub(crate) fn new(max: usize, known_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Ids {
            max,
            known_max,
            let_in: BTreeMap::new(),
            by_gateway: BTreeMap::new(),
            known: BTreeSet::new(),
        })))
    }

    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether records of this transfer by this gateway may be stored at engine time
    /// `at`; a new id has its place from then on.
    #[must_use]
    pub fn admits(&self, transfer: &TransferId, gateway: &GatewayId, at: EngineTime) -> bool {
        self.ids().admit(transfer, Some(gateway), at)
    }

    /// The same for what a clinician does: a flood of invented ids must not keep a
    /// hospital from naming a real one.
    pub(crate) fn admits_action(&self, transfer: &TransferId, at: EngineTime) -> bool {
        self.ids().admit(transfer, None, at)
    }

    /// No new id is let in.
    pub(crate) fn is_full(&self) -> bool {
        let ids = self.ids();
        ids.let_in.len() >= ids.max
    }

    /// These have records by now.
    pub(crate) fn know<'a>(&self, transfers: impl Iterator<Item = &'a TransferId>) {
        self.ids().known.extend(transfers.cloned());
    }

    /// These have an engine now, and no others; and so many open ones each gateway.
    pub(crate) fn sync<'a>(
        &self,
        here: impl Iterator<Item = &'a TransferId>,
        by_gateway: BTreeMap<GatewayId, usize>,
        now: EngineTime,
    ) {
        let mut ids = self.ids();
        ids.let_in.retain(|_, place| match place {
            Place::Here => false,
            Place::Arriving(at, _) => now.since(*at) < ARRIVES_WITHIN,
        });
        let here = here.map(|id| (id.clone(), Place::Here));
        ids.let_in.extend(here);
        let arriving: Vec<_> = ids.let_in.values().filter_map(Place::gateway).collect();
        let mut by_gateway = by_gateway;
        for gateway in arriving {
            *by_gateway.entry(gateway).or_default() += 1;
        }
        ids.by_gateway = by_gateway;
    }
}

impl Place {
    fn gateway(&self) -> Option<GatewayId> {
        match self {
            Self::Here => None,
            Self::Arriving(_, gateway) => gateway.clone(),
        }
    }
}

impl Ids {
    fn admit(
        &mut self,
        transfer: &TransferId,
        gateway: Option<&GatewayId>,
        at: EngineTime,
    ) -> bool {
        if self.let_in.contains_key(transfer) {
            return true;
        }
        let is_known = self.known.contains(transfer);
        let in_reserve = is_known || gateway.is_none();
        let reserve = if in_reserve { self.max / 4 + 1 } else { 0 };
        let few = |gateway| {
            self.by_gateway
                .get(gateway)
                .is_none_or(|n| *n < BY_GATEWAY_MAX)
        };
        let room = self.let_in.len() < self.max.saturating_add(reserve)
            && (is_known || self.known.len() < self.known_max)
            && (is_known || gateway.is_none_or(few));
        if room {
            let gateway = gateway.filter(|_| !is_known).cloned();
            if let Some(gateway) = &gateway {
                *self.by_gateway.entry(gateway.clone()).or_default() += 1;
            }
            let place = Place::Arriving(at, gateway);
            self.let_in.insert(transfer.clone(), place);
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

    fn gw(number: usize) -> GatewayId {
        GatewayId::new(&format!("gw-{number}")).unwrap()
    }

    fn at(seconds: i64) -> EngineTime {
        EngineTime(seconds * 1_000_000)
    }

    fn sync(admission: &Admission, here: &[usize], now: i64) {
        let here: Vec<_> = here.iter().map(|n| id(*n)).collect();
        admission.sync(here.iter(), BTreeMap::new(), at(now));
    }

    /// Each id by a gateway of its own.
    fn admits(admission: &Admission, number: usize, seconds: i64) -> bool {
        admission.admits(&id(number), &gw(number), at(seconds))
    }

    #[test]
    fn a_flood_of_new_ids_leaves_the_living_alone() {
        let admission = Admission::new(4, 1_000);
        sync(&admission, &[1, 2], 0);
        let let_in = (3..100).filter(|n| admits(&admission, *n, 1));
        assert_eq!(let_in.collect::<Vec<_>>(), [3, 4]);
        assert!(admission.is_full());
        for living in [1, 2, 3, 4] {
            assert!(admits(&admission, living, 2), "{living}");
        }
        // Staff may go beyond it, by a bound of its own, and the gateways follow.
        let by_staff = (200..300).filter(|n| admission.admits_action(&id(*n), at(2)));
        assert_eq!(by_staff.collect::<Vec<_>>(), [200, 201]);
        assert!(admits(&admission, 200, 3));
        // Of the flood only what was stored keeps its place.
        sync(&admission, &[1, 2, 3], 59);
        assert!(admission.is_full(), "4 may be on its way to its engine");
        sync(&admission, &[1, 3], 70);
        assert!(admits(&admission, 7, 70));
        assert!(admits(&admission, 2, 70), "came back");
        assert!(!admits(&admission, 8, 70));
    }

    #[test]
    fn what_sleeps_comes_back_though_new_ids_do_not() {
        let admission = Admission::new(4, 1_000);
        admission.know([id(50), id(51), id(52)].iter());
        sync(&admission, &[1, 2, 3, 4], 0);
        assert!(!admits(&admission, 5, 1));
        let woken = (50..60).filter(|n| admits(&admission, *n, 1));
        assert_eq!(woken.collect::<Vec<_>>(), [50, 51]);
    }

    #[test]
    fn ids_that_are_remembered_are_bounded_too() {
        let admission = Admission::new(100, 3);
        for number in 0..10 {
            let room = admits(&admission, number, 1);
            assert_eq!(room, number < 3, "{number}");
            if room {
                admission.know([id(number)].iter());
            }
        }
        sync(&admission, &[], 100);
        assert!(admits(&admission, 1, 100), "known");
        assert!(!admits(&admission, 11, 100));
        assert!(!admission.admits_action(&id(12), at(100)));
    }

    #[test]
    fn one_gateway_takes_the_room_of_few() {
        let admission = Admission::new(1_000, 10_000);
        let mine = |number| admission.admits(&id(number), &gw(0), at(1));
        assert_eq!((0..200).filter(|n| mine(*n)).count(), BY_GATEWAY_MAX);
        assert!(mine(3), "what was let in stays so");
        assert!(admits(&admission, 900, 1), "others have room");
        // Open ones count on, closed ones do not.
        let open = BTreeMap::from([(gw(0), BY_GATEWAY_MAX - 1)]);
        admission.sync([id(0), id(1)].iter(), open, at(100));
        assert!(mine(300) && !mine(301));
    }
}

//! What is known of each gateway that has come, by the name in its certificate: its
//! connections, its budget, and how often it was refused.

use crate::pace::Budget;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Of one name so many refusals are told one by one, then each time they have doubled.
const TOLD: u64 = 10;

#[derive(Debug)]
pub(crate) struct Names {
    connections_max: usize,
    names: Mutex<BTreeMap<String, Name>>,
}

#[derive(Debug)]
struct Name {
    connections: usize,
    refused: u64,
    budget: Arc<Mutex<Budget>>,
}

impl Names {
    /// Each may have so many connections.
    pub(crate) fn new(connections_max: usize) -> Self {
        let names = Mutex::default();
        Self {
            connections_max,
            names,
        }
    }

    /// One more connection of `name`, with its budget; `None` when it has enough.
    pub(crate) fn take(&self, name: &str) -> Option<Arc<Mutex<Budget>>> {
        let mut names = self.lock();
        if let Some(known) = names.get_mut(name) {
            if known.connections >= self.connections_max {
                return None;
            }
            known.connections += 1;
            return Some(Arc::clone(&known.budget));
        }
        let now = Instant::now();
        // Who is away and owes nothing is forgotten, so the table holds little more
        // than those who are there.
        names.retain(|_, of| of.connections > 0 || !of.budget_is_full(now));
        let budget = Arc::new(Mutex::new(Budget::new(now)));
        let new = Name {
            connections: 1,
            refused: 0,
            budget: Arc::clone(&budget),
        };
        names.insert(name.to_owned(), new);
        Some(budget)
    }

    /// A connection has ended.
    pub(crate) fn give_back(&self, name: &str) {
        if let Some(of) = self.lock().get_mut(name) {
            of.connections = of.connections.saturating_sub(1);
        }
    }

    /// Counts what `name` was refused; says whether it is to be told.
    pub(crate) fn refused(&self, name: &str) -> bool {
        self.lock().get_mut(name).is_none_or(|of| {
            of.refused = of.refused.saturating_add(1);
            of.refused <= TOLD || of.refused.is_power_of_two()
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Name {
    fn budget_is_full(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.is_full(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_connections_and_one_that_has_gone_makes_room() {
        let names = Names::new(2);
        assert!(names.take("a").is_some() && names.take("a").is_some());
        assert!(names.take("a").is_none());
        assert!(names.take("b").is_some());
        names.give_back("a");
        assert!(names.take("a").is_some());
    }

    #[test]
    fn who_comes_again_has_the_debt_it_went_with_and_others_are_forgotten() {
        let names = Names::new(2);
        let budget = names.take("mad").unwrap();
        let owes = budget.lock().unwrap().spend(Instant::now(), 1 << 40);
        assert!(!owes.is_zero());
        drop(names.take("honest"));
        names.give_back("mad");
        names.give_back("honest");
        drop(names.take("new"));
        assert_eq!(names.lock().len(), 2, "mad and new");
        let again = names.take("mad").unwrap();
        assert!(!again.lock().unwrap().spend(Instant::now(), 1).is_zero());
    }

    #[test]
    fn a_flood_of_refusals_does_not_fill_the_log() {
        let names = Names::new(2);
        drop(names.take("a"));
        let told = (0..100_000).filter(|_| names.refused("a")).count();
        assert_eq!(told, 10 + 13);
    }
}

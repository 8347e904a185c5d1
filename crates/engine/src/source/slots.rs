//! The newest values of a source by metric, in a list: there are some dozens, and a
//! monitor names them in the same turn in each frame, so that a value is nearly always
//! found where the one after the last was found before.

use enroute_model::frame::Metric;
use serde::{Deserialize, Serialize};

/// By metric, ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slots<T> {
    list: Vec<(Metric, T)>,
    /// The place that was asked for after each place; a guess, always checked.
    #[serde(skip)]
    next: Vec<usize>,
    #[serde(skip)]
    last: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            next: Vec::new(),
            last: 0,
        }
    }
}

impl<T> Slots<T> {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Where it is, until the next one is inserted.
    pub(crate) fn place_of(&self, metric: &Metric) -> Option<usize> {
        self.place(metric).ok()
    }

    pub(crate) fn at(&self, place: usize) -> Option<&T> {
        self.list.get(place).map(|(_, slot)| slot)
    }

    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut T> {
        self.list.get_mut(place).map(|(_, slot)| slot)
    }

    fn place(&self, metric: &Metric) -> Result<usize, usize> {
        self.list.binary_search_by(|(known, _)| known.cmp(metric))
    }

    pub(crate) fn get(&self, metric: &Metric) -> Option<&T> {
        let place = self.place(metric).ok()?;
        self.list.get(place).map(|(_, slot)| slot)
    }

    pub(crate) fn get_mut(&mut self, metric: &Metric) -> Option<&mut T> {
        let place = self.place(metric).ok()?;
        self.list.get_mut(place).map(|(_, slot)| slot)
    }

    /// The same for one value of a frame behind the other.
    pub(crate) fn get_in_turn(&mut self, metric: &Metric) -> Option<&mut T> {
        let guess = self.next.get(self.last).copied();
        let right = |place: &usize| {
            let known = self.list.get(*place);
            known.is_some_and(|(known, _)| known.cmp(metric).is_eq())
        };
        let place = if let Some(place) = guess.filter(right) {
            place
        } else {
            let place = self.place(metric).ok()?;
            self.next.resize(self.list.len(), 0);
            if let Some(next) = self.next.get_mut(self.last) {
                *next = place;
            }
            place
        };
        self.last = place;
        self.list.get_mut(place).map(|(_, slot)| slot)
    }

    pub(crate) fn contains(&self, metric: &Metric) -> bool {
        self.place(metric).is_ok()
    }

    pub(crate) fn insert(&mut self, metric: Metric, slot: T) {
        match self.place(&metric) {
            Ok(place) => {
                if let Some((_, old)) = self.list.get_mut(place) {
                    *old = slot;
                }
            }
            Err(place) => {
                // As many as there are: they come once, and stay.
                self.list.reserve_exact(1);
                self.list.insert(place, (metric, slot));
            }
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Metric> {
        self.list.iter().map(|(metric, _)| metric)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.list.iter().map(|(_, slot)| slot)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.list.iter_mut().map(|(_, slot)| slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Metric, &T)> {
        self.list.iter().map(|(metric, slot)| (metric, slot))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Metric, &mut T)> {
        self.list.iter_mut().map(|(metric, slot)| (&*metric, slot))
    }

    pub(crate) fn into_list(self) -> Vec<(Metric, T)> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::frame::Code;

    fn metric(code: u32) -> Metric {
        let code = Code(code);
        let label = String::new();
        Metric { code, label }
    }

    #[test]
    fn a_value_is_found_whatever_the_turn_was_before() {
        let mut slots = Slots::default();
        let turns = [
            [30, 10, 20],
            [30, 10, 20],
            [20, 10, 30],
            [10, 25, 20],
            [5, 25, 5],
        ];
        for code in turns.concat() {
            let known = slots.contains(&metric(code));
            let found = slots.get_in_turn(&metric(code));
            assert_eq!(found.copied(), known.then_some(code));
            slots.insert(metric(code), code);
        }
        let codes: Vec<u32> = slots.values().copied().collect();
        assert_eq!(codes, [5, 10, 20, 25, 30]);
        assert!(
            slots
                .keys()
                .zip(codes)
                .all(|(known, code)| known.code.0 == code)
        );
    }
}

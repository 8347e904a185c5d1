//! What is on its way: sent, and neither covered by a receipt nor given up as
//! lost. Pure; the time is an argument.

use crate::spool::StreamLife;
use enroute_model::ids::Lane;
use enroute_model::ranges::RangeSet;
use enroute_model::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Without any receipt, the time to wait doubles up to so many times the
/// configured one: a server that is away is not sent the same again and again.
const PATIENCE_MAX: i64 = 12;

/// Numbers of frames, by stream and life.
pub(super) type Numbers = BTreeMap<StreamLife, RangeSet>;

/// One publish.
#[derive(Debug)]
struct Flight {
    lane: Lane,
    frames: Numbers,
    bytes: usize,
    at: Span,
    /// The broker has it; says nothing of the server (I3).
    puback: bool,
}

/// All publishes on their way, by token.
#[derive(Debug)]
pub(crate) struct Sent {
    flights: BTreeMap<u64, Flight>,
    /// All their numbers, as far as nothing was taken away since.
    numbers: Option<Arc<Numbers>>,
    resend: Span,
    patience: i64,
    /// When it last doubled.
    doubled_at: Option<Span>,
}

impl Sent {
    pub(crate) fn new(resend: Span) -> Self {
        Self {
            flights: BTreeMap::new(),
            numbers: None,
            resend,
            patience: 1,
            doubled_at: None,
        }
    }

    pub(crate) fn add(
        &mut self,
        token: u64,
        lane: Lane,
        frames: impl IntoIterator<Item = (StreamLife, u64)>,
        bytes: usize,
        at: Span,
    ) {
        let mut numbers = Numbers::new();
        for (life, sequence) in frames {
            numbers.entry(life).or_default().insert(sequence, sequence);
        }
        if let Some(all) = &mut self.numbers {
            add_all(Arc::make_mut(all), &numbers);
        }
        let flight = Flight {
            lane,
            frames: numbers,
            bytes,
            at,
            puback: false,
        };
        self.flights.insert(token, flight);
    }

    pub(crate) fn puback(&mut self, token: u64) {
        if let Some(flight) = self.flights.get_mut(&token) {
            flight.puback = true;
        }
    }

    /// The lane of a publish on its way.
    pub(crate) fn lane(&self, token: u64) -> Option<Lane> {
        self.flights.get(&token).map(|flight| flight.lane)
    }

    /// A publish that did not arrive: its frames may be sent again at once.
    pub(crate) fn lost(&mut self, token: u64) {
        self.flights.remove(&token);
        self.numbers = None;
    }

    /// A receipt covers these.
    pub(crate) fn durable(&mut self, life: StreamLife, durable: &RangeSet) {
        self.patience = 1;
        self.doubled_at = None;
        self.numbers = None;
        self.flights.retain(|_, flight| {
            if let Some(numbers) = flight.frames.get(&life) {
                let open = numbers
                    .iter()
                    .any(|(a, b)| durable.missing(a, b).next().is_some());
                if !open {
                    flight.frames.remove(&life);
                }
            }
            !flight.frames.is_empty()
        });
    }

    /// Forgets what waited too long for a receipt. Says whether there was any.
    pub(crate) fn expire(&mut self, now: Span) -> bool {
        let wait = self.wait();
        let late = |flight: &Flight| flight.at.0.saturating_add(wait.0) <= now.0;
        let newest = self
            .flights
            .values()
            .filter(|f| late(f))
            .map(|f| f.at)
            .max();
        let Some(newest) = newest else { return false };
        self.flights.retain(|_, flight| !late(flight));
        self.numbers = None;
        // Once for each round: what left before the last doubling says nothing new.
        if self.doubled_at.is_none_or(|at| newest >= at) {
            self.patience = self.patience.saturating_mul(2).min(PATIENCE_MAX);
            self.doubled_at = Some(now);
        }
        true
    }

    /// When the next one will have waited too long.
    pub(crate) fn next_expiry(&self) -> Option<Span> {
        let oldest = self.flights.values().map(|flight| flight.at).min()?;
        Some(Span(oldest.0.saturating_add(self.wait().0)))
    }

    /// Everything is to be sent again.
    pub(crate) fn clear(&mut self) {
        self.flights.clear();
        self.numbers = None;
        self.patience = 1;
        self.doubled_at = None;
    }

    /// Publishes of a lane that the broker has not acknowledged, and their bytes.
    pub(crate) fn unacknowledged(&self, lane: Lane) -> (usize, usize) {
        let open = self
            .flights
            .values()
            .filter(|f| f.lane == lane && !f.puback);
        open.fold((0, 0), |(count, bytes), f| (count + 1, bytes + f.bytes))
    }

    /// Bytes of a lane that no receipt covers.
    pub(crate) fn unconfirmed_bytes(&self, lane: Lane) -> usize {
        let of_lane = self.flights.values().filter(|f| f.lane == lane);
        of_lane.map(|f| f.bytes).sum()
    }

    /// All numbers on their way.
    pub(crate) fn numbers(&mut self) -> Arc<Numbers> {
        let flights = &self.flights;
        let all = self.numbers.get_or_insert_with(|| {
            let mut all = Numbers::new();
            for flight in flights.values() {
                add_all(&mut all, &flight.frames);
            }
            Arc::new(all)
        });
        Arc::clone(all)
    }

    fn wait(&self) -> Span {
        self.resend.scaled(self.patience, 1)
    }
}

fn add_all(all: &mut Numbers, more: &Numbers) {
    for (life, numbers) in more {
        let set = all.entry(*life).or_default();
        for (from, to) in numbers.iter() {
            set.insert(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::ids::{Epoch, Stream};

    const LIFE: StreamLife = (Epoch(7), Stream::Numerics);

    fn ranges(list: &[(u64, u64)]) -> RangeSet {
        let mut set = RangeSet::default();
        for (a, b) in list {
            set.insert(*a, *b);
        }
        set
    }

    #[test]
    fn only_a_receipt_or_time_ends_the_wait() {
        let at = Span::from_secs;
        let mut sent = Sent::new(Span::from_secs(5));
        sent.add(1, Lane::History, (1..=3).map(|n| (LIFE, n)), 30, at(0));
        sent.add(2, Lane::Live, [(LIFE, 4)], 10, at(1));
        sent.puback(1);
        assert_eq!(sent.unacknowledged(Lane::History), (0, 0));
        assert_eq!(
            sent.unconfirmed_bytes(Lane::History),
            30,
            "a PUBACK frees nothing"
        );
        sent.durable(LIFE, &ranges(&[(1, 2)]));
        assert_eq!(sent.numbers()[&LIFE], ranges(&[(1, 4)]));
        sent.durable(LIFE, &ranges(&[(1, 3)]));
        assert_eq!(sent.numbers()[&LIFE], ranges(&[(4, 4)]));
        assert_eq!(sent.next_expiry(), Some(at(6)));
        assert!(!sent.expire(at(5)));
        assert!(sent.expire(at(6)));
        assert_eq!(sent.next_expiry(), None);
    }

    #[test]
    fn a_silent_server_is_asked_ever_less_often() {
        let at = Span::from_secs;
        let mut sent = Sent::new(Span::from_secs(5));
        let (mut now, mut waits) = (0, Vec::new());
        for token in 0..6 {
            sent.add(token, Lane::History, [(LIFE, 1)], 1, at(now));
            let wait = (1..1_000).find(|w| sent.expire(at(now + w))).unwrap();
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        sent.durable(LIFE, &ranges(&[(9, 9)]));
        sent.add(9, Lane::History, [(LIFE, 1)], 1, at(now));
        assert_eq!(sent.next_expiry(), Some(at(now + 5)));
    }

    #[test]
    fn many_publishes_of_one_silence_double_the_wait_once() {
        let mut sent = Sent::new(Span::from_secs(5));
        for second in 0..4 {
            let token = u64::try_from(second).unwrap();
            sent.add(
                token,
                Lane::Live,
                [(LIFE, token + 1)],
                1,
                Span::from_secs(second),
            );
        }
        assert!(sent.expire(Span::from_secs(5)));
        assert_eq!(sent.next_expiry(), Some(Span::from_secs(1 + 10)));
        for second in 11..14 {
            assert!(sent.expire(Span::from_secs(second)));
        }
        sent.add(9, Lane::History, [(LIFE, 1)], 1, Span::from_secs(20));
        assert_eq!(sent.next_expiry(), Some(Span::from_secs(20 + 10)));
    }

    #[test]
    fn a_lost_publish_is_free_at_once() {
        let mut sent = Sent::new(Span::from_secs(5));
        sent.add(
            1,
            Lane::Live,
            [(LIFE, 1), ((Epoch(7), Stream::Events), 1)],
            9,
            Span::ZERO,
        );
        assert_eq!(sent.unacknowledged(Lane::Live), (1, 9));
        sent.lost(1);
        assert!(sent.numbers().is_empty());
    }
}

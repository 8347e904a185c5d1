//! What is on its way: sent, and neither covered by a receipt nor given up as
//! lost. Pure; the time is an argument.

use crate::spool::StreamLife;
use enroute_model::ids::Lane;
use enroute_model::ranges::RangeSet;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Without any receipt, the time to wait doubles up to so many times the
/// configured one: a server that is away is not sent the same again and again.
const PATIENCE_MAX: u32 = 12;

/// One publish.
#[derive(Debug)]
struct Flight {
    lane: Lane,
    frames: BTreeMap<StreamLife, RangeSet>,
    bytes: usize,
    at: Instant,
    /// The broker has it; says nothing of the server (I3).
    puback: bool,
}

/// All publishes on their way, by token.
#[derive(Debug)]
pub(crate) struct Sent {
    flights: BTreeMap<u64, Flight>,
    resend: Duration,
    patience: u32,
}

impl Sent {
    pub(crate) fn new(resend: Duration) -> Self {
        Self {
            flights: BTreeMap::new(),
            resend,
            patience: 1,
        }
    }

    pub(crate) fn add(
        &mut self,
        token: u64,
        lane: Lane,
        frames: impl IntoIterator<Item = (StreamLife, u64)>,
        bytes: usize,
        at: Instant,
    ) {
        let mut numbers: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
        for (life, sequence) in frames {
            numbers.entry(life).or_default().insert(sequence, sequence);
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

    /// A publish that did not arrive: its frames may be sent again at once.
    pub(crate) fn lost(&mut self, token: u64) {
        self.flights.remove(&token);
    }

    /// A receipt covers these.
    pub(crate) fn durable(&mut self, life: StreamLife, durable: &RangeSet) {
        self.patience = 1;
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
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let wait = self.wait();
        let before = self.flights.len();
        self.flights.retain(|_, flight| flight.at + wait > now);
        let any = self.flights.len() < before;
        if any {
            self.patience = self.patience.saturating_mul(2).min(PATIENCE_MAX);
        }
        any
    }

    /// When the next one will have waited too long.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let oldest = self.flights.values().map(|flight| flight.at).min()?;
        Some(oldest + self.wait())
    }

    /// Everything is to be sent again.
    pub(crate) fn clear(&mut self) {
        self.flights.clear();
        self.patience = 1;
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
    pub(crate) fn numbers(&self) -> BTreeMap<StreamLife, RangeSet> {
        let mut all: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
        for (life, numbers) in self.flights.values().flat_map(|f| &f.frames) {
            let set = all.entry(*life).or_default();
            for (from, to) in numbers.iter() {
                set.insert(from, to);
            }
        }
        all
    }

    fn wait(&self) -> Duration {
        self.resend.saturating_mul(self.patience)
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
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sent = Sent::new(Duration::from_secs(5));
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
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut sent = Sent::new(Duration::from_secs(5));
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
    fn a_lost_publish_is_free_at_once() {
        let mut sent = Sent::new(Duration::from_secs(5));
        sent.add(
            1,
            Lane::Live,
            [(LIFE, 1), ((Epoch(7), Stream::Events), 1)],
            9,
            Instant::now(),
        );
        assert_eq!(sent.unacknowledged(Lane::Live), (1, 9));
        sent.lost(1);
        assert!(sent.numbers().is_empty());
    }
}

//! What is on its way: sent, and neither covered by a receipt nor given up as
//! lost. Pure; the time is an argument.

use crate::spool::StreamLife;
use enroute_model::ids::Lane;
use enroute_model::ranges::RangeSet;
use enroute_model::time::Span;
use std::collections::BTreeMap;
use std::sync::Arc;

/// While no receipt covers anything of a lane, the time to wait doubles up to so many
/// times the configured one: a server that is away, or still busy with a long queue
/// of history, is not sent the same again and again.
const PATIENCE_MAX: i64 = 12;

/// Numbers of frames, by stream and life.
pub(crate) type Numbers = BTreeMap<StreamLife, RangeSet>;

/// What is known of a publish.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) lane: Lane,
    pub(super) bytes: usize,
    /// When it left.
    pub(super) at: Span,
    /// No history was under way then.
    pub(super) alone: bool,
}

/// One publish.
#[derive(Debug)]
struct Flight {
    frames: Numbers,
    facts: Facts,
    /// When the broker took it; says nothing of the server (I3).
    puback_at: Option<Span>,
}

/// All publishes on their way, by token.
#[derive(Debug)]
pub(crate) struct Sent {
    flights: BTreeMap<u64, Flight>,
    /// All their numbers, as far as nothing was taken away since.
    numbers: Option<Arc<Numbers>>,
    /// All that was handed to the network at least once, and whether that has
    /// changed since it was told.
    handed: Numbers,
    handed_changed: bool,
    resend: Span,
    patience: Patiences,
}

/// How long a lane waits for receipts.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// So many times the configured time.
    times: i64,
    /// When it last doubled.
    doubled_at: Option<Span>,
}

/// Of both lanes.
#[derive(Clone, Copy, Debug)]
struct Patiences {
    live: Patience,
    history: Patience,
}

impl Patiences {
    const FRESH: Self = Self {
        live: Patience::FRESH,
        history: Patience::FRESH,
    };

    fn of(&mut self, lane: Lane) -> &mut Patience {
        match lane {
            Lane::Live => &mut self.live,
            Lane::History => &mut self.history,
        }
    }
}

impl Patience {
    const FRESH: Self = Self {
        times: 1,
        doubled_at: None,
    };

    /// Once for each round: what left before the last doubling says nothing new.
    fn doubled(self, newest: Span, now: Span) -> Self {
        if self.doubled_at.is_some_and(|at| newest < at) {
            return self;
        }
        Self {
            times: self.times.saturating_mul(2).min(PATIENCE_MAX),
            doubled_at: Some(now),
        }
    }
}

impl Sent {
    pub(crate) fn new(resend: Span) -> Self {
        Self {
            flights: BTreeMap::new(),
            numbers: None,
            handed: Numbers::new(),
            handed_changed: false,
            resend,
            patience: Patiences::FRESH,
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
        let facts = Facts {
            lane,
            bytes,
            at,
            alone: self.unacknowledged(Lane::History).0 == 0,
        };
        let flight = Flight {
            frames: numbers,
            facts,
            puback_at: None,
        };
        self.flights.insert(token, flight);
    }

    /// The broker answered; gives what it answered, the first time.
    pub(super) fn puback(&mut self, token: u64, now: Span) -> Option<Facts> {
        let open = |flight: &&mut Flight| flight.puback_at.is_none();
        let flight = self.flights.get_mut(&token).filter(open)?;
        flight.puback_at = Some(now);
        add_all(&mut self.handed, &flight.frames);
        self.handed_changed = true;
        Some(flight.facts)
    }

    /// When the oldest publish of a lane left that the broker has not answered.
    pub(crate) fn oldest_unacknowledged(&self, lane: Lane) -> Option<Span> {
        let open = self
            .flights
            .values()
            .filter(|f| f.facts.lane == lane && f.puback_at.is_none());
        open.map(|flight| flight.facts.at).min()
    }

    /// Whether this frame is on its way.
    pub(crate) fn contains(&self, life: StreamLife, sequence: u64) -> bool {
        let of = |f: &Flight| {
            f.frames
                .get(&life)
                .is_some_and(|set| set.contains(sequence))
        };
        self.flights.values().any(of)
    }

    /// The lane of a publish on its way.
    pub(crate) fn lane(&self, token: u64) -> Option<Lane> {
        self.flights.get(&token).map(|flight| flight.facts.lane)
    }

    /// A publish that did not arrive: its frames may be sent again at once.
    pub(crate) fn lost(&mut self, token: u64) {
        if let Some(flight) = self.flights.remove(&token) {
            add_all(&mut self.handed, &flight.frames);
            self.handed_changed = true;
        }
        self.numbers = None;
    }

    /// A publish that never left.
    pub(crate) fn unsent(&mut self, token: u64) {
        self.flights.remove(&token);
        self.numbers = None;
    }

    /// What was handed to the network at least once, if that has changed since.
    pub(crate) fn take_handed(&mut self) -> Option<Numbers> {
        std::mem::take(&mut self.handed_changed).then(|| self.handed.clone())
    }

    /// A receipt covers these.
    pub(crate) fn durable(&mut self, life: StreamLife, durable: &RangeSet) {
        self.numbers = None;
        // What the server holds was sent, perhaps before a restart of ours.
        if let Some(handed) = self.handed.get_mut(&life) {
            for (from, to) in durable.iter() {
                self.handed_changed |= handed.insert(from, to);
            }
        }
        let patience = &mut self.patience;
        self.flights.retain(|_, flight| {
            if let Some(numbers) = flight.frames.get(&life) {
                let open = numbers
                    .iter()
                    .any(|(a, b)| durable.missing(a, b).next().is_some());
                if !open {
                    flight.frames.remove(&life);
                    *patience.of(flight.facts.lane) = Patience::FRESH;
                }
            }
            !flight.frames.is_empty()
        });
    }

    /// Forgets what waited too long for a receipt. Says whether there was any.
    pub(crate) fn expire(&mut self, now: Span) -> bool {
        let (resend, mut before) = (self.resend, self.patience);
        let mut late = |flight: &Flight| {
            let wait = resend.scaled(before.of(flight.facts.lane).times, 1);
            due(flight, resend, wait) <= now
        };
        let gone = self.flights.extract_if(.., |_, flight| late(flight));
        let gone: Vec<Facts> = gone.map(|(_, flight)| flight.facts).collect();
        for lane in [Lane::Live, Lane::History] {
            let of_lane = gone.iter().filter(|facts| facts.lane == lane);
            if let Some(newest) = of_lane.map(|facts| facts.at).max() {
                let patience = self.patience.of(lane);
                *patience = patience.doubled(newest, now);
            }
        }
        if !gone.is_empty() {
            self.numbers = None;
        }
        !gone.is_empty()
    }

    /// When the next one will have waited too long.
    pub(crate) fn next_expiry(&self) -> Option<Span> {
        let (resend, mut patience) = (self.resend, self.patience);
        let due = |flight: &Flight| {
            let wait = resend.scaled(patience.of(flight.facts.lane).times, 1);
            due(flight, resend, wait)
        };
        self.flights.values().map(due).min()
    }

    /// Everything is to be sent again.
    pub(crate) fn clear(&mut self) {
        self.flights.clear();
        self.numbers = None;
        self.patience = Patiences::FRESH;
    }

    /// Publishes of a lane that the broker has not acknowledged, and their bytes.
    pub(crate) fn unacknowledged(&self, lane: Lane) -> (usize, usize) {
        let open = self
            .flights
            .values()
            .filter(|f| f.facts.lane == lane && f.puback_at.is_none());
        open.fold((0, 0), |(count, bytes), f| {
            (count + 1, bytes + f.facts.bytes)
        })
    }

    /// Bytes of a lane that no receipt covers.
    pub(crate) fn unconfirmed_bytes(&self, lane: Lane) -> usize {
        let of_lane = self.flights.values().filter(|f| f.facts.lane == lane);
        of_lane.map(|f| f.facts.bytes).sum()
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
}

/// When a publish has waited too long for a receipt. Until the broker took it, it
/// is on a thin link rather than lost, which the connection's end would tell.
fn due(flight: &Flight, resend: Span, wait: Span) -> Span {
    let (since, wait) = match flight.puback_at {
        Some(at) => (at, wait),
        None => (flight.facts.at, resend.scaled(PATIENCE_MAX, 1)),
    };
    Span(since.0.saturating_add(wait.0))
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
        sent.puback(1, at(0));
        sent.puback(2, at(1));
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
            sent.puback(token, at(now));
            let wait = (1..1_000).find(|w| sent.expire(at(now + w))).unwrap();
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        // What goes live is received, and the queue of history still long.
        sent.add(7, Lane::Live, [(LIFE, 8)], 1, at(now));
        sent.durable(LIFE, &ranges(&[(8, 8)]));
        sent.add(8, Lane::History, [(LIFE, 9)], 1, at(now));
        sent.puback(8, at(now));
        assert_eq!(sent.next_expiry(), Some(at(now + 60)));
        sent.durable(LIFE, &ranges(&[(8, 9)]));
        sent.add(9, Lane::History, [(LIFE, 1)], 1, at(now));
        sent.puback(9, at(now));
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
            sent.puback(token, Span::from_secs(second));
        }
        assert!(sent.expire(Span::from_secs(5)));
        assert_eq!(sent.next_expiry(), Some(Span::from_secs(1 + 10)));
        for second in 11..14 {
            assert!(sent.expire(Span::from_secs(second)));
        }
        sent.add(9, Lane::Live, [(LIFE, 1)], 1, Span::from_secs(20));
        sent.puback(9, Span::from_secs(20));
        assert_eq!(sent.next_expiry(), Some(Span::from_secs(20 + 10)));
    }

    #[test]
    fn what_a_thin_link_still_carries_is_not_sent_again() {
        let mut sent = Sent::new(Span::from_secs(5));
        sent.add(1, Lane::Live, [(LIFE, 1)], 1, Span::ZERO);
        assert!(!sent.expire(Span::from_secs(59)));
        sent.puback(1, Span::from_secs(59));
        assert_eq!(sent.next_expiry(), Some(Span::from_secs(64)));
        // A broker that never answers is no reason to wait for ever.
        sent.add(2, Lane::Live, [(LIFE, 2)], 1, Span::ZERO);
        assert!(sent.expire(Span::from_secs(60)));
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

    #[test]
    fn what_left_once_is_counted_once() {
        let mut sent = Sent::new(Span::from_secs(5));
        for (token, number) in [(1, 1), (2, 2), (3, 3), (4, 2)] {
            sent.add(token, Lane::Live, [(LIFE, number)], 9, Span::ZERO);
        }
        assert_eq!(sent.take_handed(), None);
        sent.puback(1, Span::ZERO);
        sent.lost(2);
        sent.unsent(3);
        sent.puback(4, Span::ZERO);
        assert_eq!(sent.take_handed().unwrap()[&LIFE], ranges(&[(1, 2)]));
        assert_eq!(sent.take_handed(), None);
        sent.durable(LIFE, &ranges(&[(1, 7)]));
        assert_eq!(sent.take_handed().unwrap()[&LIFE], ranges(&[(1, 7)]));
    }
}

//! How much one caller may ask: so many calls a second of each class, so many streams at
//! a time, so that one that went mad takes no time of the others. And wrong tokens of an
//! address, beyond what a wrong browser shows, are answered late.
//!
//! Honest ones never meet it: a console makes a handful of calls for each patient that is
//! opened, a report for each alert that it draws, and some steps of a playback a second,
//! and a ward's screens may share a token. The table is bounded; when it is full, those
//! whose budget is whole again are forgotten, and all further ones share one.

use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Callers and addresses that have a budget of their own.
const KEYS_MAX: usize = 8_192;
/// Streams of one token at a time.
const STREAMS_MAX: u32 = 256;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Looks.
    Look,
    /// Does something.
    Act,
    /// Asks whether the server lives, for which nobody shows a token: apart from looks,
    /// so that a flood of it takes no look from screens behind the same address.
    Health,
    /// Shows a token that is none.
    Wrong,
}

/// Who has a budget.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Of the token with this id.
    Token(String),
    /// Of a certificate of this name, where no token is asked for.
    Peer(String),
    /// Of an address, without its port.
    Address(String),
    /// Of all that have no room of their own.
    Others,
}

impl Class {
    /// Calls a second, and how many at once.
    const fn budget(self) -> (i64, i64) {
        match self {
            Self::Look | Self::Health => (200, 4_000),
            Self::Act => (100, 5_000),
            Self::Wrong => (1, 600),
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct RateCounts {
    /// Calls that were refused because their caller made too many.
    pub calls: AtomicU64,
    /// Streams that were refused because their caller had too many.
    pub streams: AtomicU64,
    /// Tokens that were shown and are none.
    pub wrong: AtomicU64,
    /// Those of them that were answered late.
    pub slowed: AtomicU64,
}

/// What is left of a budget, in millionths of a call.
struct Bucket {
    left: i64,
    at: EngineTime,
}

impl Bucket {
    fn fill(&mut self, class: Class, now: EngineTime) {
        let (rate, burst) = class.budget();
        let more = now.since(self.at).0.max(0).saturating_mul(rate);
        let whole = burst.saturating_mul(ONE);
        self.left = self.left.saturating_add(more).min(whole);
        self.at = self.at.max(now);
    }

    fn is_whole(&self, class: Class) -> bool {
        self.left >= class.budget().1.saturating_mul(ONE)
    }
}

const ONE: i64 = 1_000_000;

#[derive(Default)]
struct Table {
    buckets: BTreeMap<(Whose, Class), Bucket>,
    streams: BTreeMap<String, u32>,
    /// When was looked last for those that can be forgotten.
    cleaned: Option<EngineTime>,
}

impl Table {
    /// Forgets those whose budget is whole; once a second, as it looks at all of them.
    fn clean(&mut self, now: EngineTime) {
        let is_soon = |at: EngineTime| now.since(at) < Span::from_secs(1);
        if self.cleaned.is_some_and(is_soon) {
            return;
        }
        self.cleaned = Some(now);
        self.buckets.retain(|(_, class), bucket| {
            bucket.fill(*class, now);
            !bucket.is_whole(*class)
        });
    }

    /// Takes one out of a budget; the error says how long until there is one again.
    fn take(&mut self, whose: Whose, class: Class, now: EngineTime) -> Result<(), Span> {
        let mut key = (whose, class);
        if !self.buckets.contains_key(&key) && self.buckets.len() >= KEYS_MAX {
            self.clean(now);
            if self.buckets.len() >= KEYS_MAX {
                key.0 = Whose::Others;
            }
        }
        let (rate, burst) = class.budget();
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            left: burst.saturating_mul(ONE),
            at: now,
        });
        bucket.fill(class, now);
        if bucket.left >= ONE {
            bucket.left -= ONE;
            return Ok(());
        }
        let missing = ONE.saturating_sub(bucket.left);
        Err(Span(missing.div_euclid(rate).saturating_add(1)))
    }
}

/// All clones are of the same table.
#[derive(Clone, Default)]
pub(crate) struct Rates {
    table: Arc<Mutex<Table>>,
    counts: Arc<RateCounts>,
}

/// One of the streams that a token may have.
pub(crate) struct Place {
    table: Arc<Mutex<Table>>,
    token: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if let Some(count) = table.streams.get_mut(&self.token) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.streams.remove(&self.token);
            }
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rates {
    pub(crate) fn counts(&self) -> Arc<RateCounts> {
        Arc::clone(&self.counts)
    }

    /// Lets a call through; the error says why not, and when to come again.
    pub(crate) fn call(&self, whose: Whose, class: Class, now: EngineTime) -> Result<(), String> {
        lock(&self.table).take(whose, class, now).map_err(|wait| {
            self.counts.calls.fetch_add(1, Ordering::Relaxed);
            let seconds = wait.0.div_euclid(ONE).saturating_add(1);
            format!("too many calls by one caller: try again in {seconds} s")
        })
    }

    /// Lets a stream of a token begin; it has its place until that is dropped.
    pub(crate) fn stream(&self, token: &str) -> Result<Place, String> {
        let mut table = lock(&self.table);
        let count = table.streams.entry(token.to_owned()).or_default();
        if *count >= STREAMS_MAX {
            self.counts.streams.fetch_add(1, Ordering::Relaxed);
            return Err(format!(
                "{STREAMS_MAX} streams are open with this token: close some and try again"
            ));
        }
        *count = count.saturating_add(1);
        Ok(Place {
            table: Arc::clone(&self.table),
            token: token.to_owned(),
        })
    }

    /// Counts a token that is none; whether its answer has to wait.
    pub(crate) fn is_slowed(&self, from: Option<String>, now: EngineTime) -> bool {
        self.counts.wrong.fetch_add(1, Ordering::Relaxed);
        let whose = from.map_or(Whose::Others, Whose::Address);
        let is_slowed = lock(&self.table).take(whose, Class::Wrong, now).is_err();
        let slowed = u64::from(is_slowed);
        self.counts.slowed.fetch_add(slowed, Ordering::Relaxed);
        is_slowed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]
    use super::*;

    fn at(ms: i64) -> EngineTime {
        EngineTime(ms * 1_000)
    }

    fn token(n: usize) -> Whose {
        Whose::Token(format!("{n}"))
    }

    fn taken(rates: &Rates, whose: &Whose, now: EngineTime) -> usize {
        let asks = 0..10_000;
        let through = asks.take_while(|_| rates.call(whose.clone(), Class::Look, now).is_ok());
        through.count()
    }

    #[test]
    fn one_that_asks_too_much_is_refused_and_the_others_are_not() {
        let rates = Rates::default();
        assert_eq!(taken(&rates, &token(1), at(0)), 4_000);
        let why = rates.call(token(1), Class::Look, at(0)).unwrap_err();
        assert!(why.ends_with("try again in 1 s"), "{why}");
        assert!(rates.call(token(1), Class::Act, at(0)).is_ok());
        assert!(rates.call(token(2), Class::Look, at(0)).is_ok());
        // So many a second come again, and never more than the burst.
        assert_eq!(taken(&rates, &token(1), at(1_000)), 200);
        assert_eq!(taken(&rates, &token(1), at(10_000_000)), 4_000);
        assert_eq!(rates.counts().calls.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_flood_of_callers_takes_bounded_room_and_no_budget_anew() {
        let rates = Rates::default();
        for n in 0..KEYS_MAX {
            rates.call(token(n), Class::Look, at(0)).unwrap();
        }
        // No room: these share one.
        for n in 0..4_000 {
            rates.call(token(KEYS_MAX + n), Class::Look, at(0)).unwrap();
        }
        assert!(rates.call(token(99_999), Class::Look, at(0)).is_err());
        assert!(rates.call(token(1), Class::Look, at(0)).is_ok(), "its own");
        assert!(lock(&rates.table).buckets.len() <= KEYS_MAX + 1);
        // Whose budget is whole again is forgotten, and there is room.
        rates.call(token(99_999), Class::Look, at(60_000)).unwrap();
        assert!(lock(&rates.table).buckets.len() <= 2);
    }

    #[test]
    fn streams_of_a_token_have_places_that_come_free() {
        let rates = Rates::default();
        let mut places: Vec<_> = (0..STREAMS_MAX)
            .map(|_| rates.stream("a").unwrap())
            .collect();
        assert!(rates.stream("a").is_err() && rates.stream("b").is_ok());
        places.pop();
        let again = rates.stream("a").unwrap();
        assert!(rates.stream("a").is_err());
        drop((again, places));
        assert!(lock(&rates.table).streams.is_empty());
    }

    #[test]
    fn wrong_tokens_of_an_address_are_slowed_and_of_others_not() {
        let rates = Rates::default();
        let from = |host: &str| Some(host.to_owned());
        let slowed = (0..700).filter(|_| rates.is_slowed(from("10.0.0.1"), at(0)));
        assert_eq!(slowed.count(), 100);
        assert!(!rates.is_slowed(from("10.0.0.2"), at(0)));
        assert!(!rates.is_slowed(from("10.0.0.1"), at(1_000)));
        assert!(rates.is_slowed(from("10.0.0.1"), at(1_000)));
    }
}

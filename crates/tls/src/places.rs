//! Places of one listener: how many connections there are, in all and from one
//! address, and who gives way when there is no room.
//!
//! A connection is *new* until the other side has taken an answer of ours behind the
//! handshake. When there is no room for who comes, the oldest new connection gives up
//! its place: in all, or of the same address if that has its share. An honest one is
//! new for a few round trips, one that stays silent until its time is over, so a flood
//! of half-open connections pushes out itself. Where nobody is new, who comes is
//! refused.

use crate::turns::{Pace, Turns};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How much a listener takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, those in their handshake too.
    pub connections_max: usize,
    /// Of these, from one address; of IPv6, from one network of 64 bits, which is what
    /// one customer has.
    pub per_address_max: usize,
    /// A connection on which the other side has taken no byte of ours for so long is
    /// ended; it may take up to twice the time.
    pub idle_max: Duration,
    /// How often an address may shake hands.
    pub handshakes: Pace,
}

impl Limits {
    /// So many connections, half of them from one address at the most, two minutes
    /// without a word, and the usual pace of handshakes.
    #[must_use]
    pub fn of(connections_max: usize) -> Self {
        Self {
            connections_max,
            per_address_max: connections_max.div_ceil(2),
            idle_max: Duration::from_mins(2),
            handshakes: Pace::default(),
        }
    }
}

/// What became of the connections of a listener.
#[derive(Debug, Default)]
pub struct Counts {
    /// That are there now.
    pub open: AtomicU64,
    /// That came and had a place.
    pub accepted: AtomicU64,
    /// That found no place among all.
    pub refused_full: AtomicU64,
    /// That found no place among those of their address.
    pub refused_address: AtomicU64,
    /// That gave up their place to one that came later.
    pub gave_way: AtomicU64,
    /// That had to wait for their handshake, because their address had many.
    pub handshakes_waited: AtomicU64,
    /// That would have waited for it too long.
    pub refused_pace: AtomicU64,
    /// Whose handshake failed or took too long.
    pub handshake_failed: AtomicU64,
    /// That were ended because they had taken nothing for too long.
    pub idle: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64) -> u64 {
        counter.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

#[derive(Debug)]
pub(crate) struct Places {
    limits: Limits,
    pub(crate) counts: Arc<Counts>,
    table: Mutex<Table>,
    turns: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// Whose each place is.
    taken: BTreeMap<u64, IpAddr>,
    by_address: BTreeMap<IpAddr, usize>,
    /// Those not answered yet, oldest first; dropped, the sender ends the connection.
    new: BTreeMap<u64, oneshot::Sender<()>>,
    new_by_address: BTreeSet<(IpAddr, u64)>,
}

/// A place, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Places>,
    number: u64,
    /// Resolves when the place went to another; `None` once it cannot any more.
    pub(crate) lost: Option<oneshot::Receiver<()>>,
}

impl Places {
    pub(crate) fn new(limits: Limits, counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts,
            table: Mutex::default(),
            turns: Mutex::default(),
        })
    }

    pub(crate) fn idle_max(&self) -> Duration {
        self.limits.idle_max
    }

    /// A place for who comes from there; `None` when there is none, and it is counted.
    pub(crate) fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let address = network(from);
        let mut table = self.lock();
        if table.of(address) >= self.limits.per_address_max.max(1) {
            let oldest = table.oldest_new_of(address);
            self.make_room(&mut table, oldest, &self.counts.refused_address)?;
        }
        if table.taken.len() >= self.limits.connections_max.max(1) {
            let oldest = table.new.keys().next().copied();
            self.make_room(&mut table, oldest, &self.counts.refused_full)?;
        }
        let (keep, lost) = oneshot::channel();
        let number = table.put(address, keep);
        Counts::add(&self.counts.accepted);
        self.count(&table);
        Some(Place {
            of: Arc::clone(self),
            number,
            lost: Some(lost),
        })
    }

    /// How long one from there has to wait before it shakes hands; `None`: too long.
    /// Either is counted.
    pub(crate) fn turn(&self, from: IpAddr) -> Option<Duration> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = &self.limits.handshakes;
        let Some(wait) = turns.take(pace, network(from), Instant::now()) else {
            let times = Counts::add(&self.counts.refused_pace);
            // A flood must not fill the log.
            if times.is_power_of_two() {
                tracing::warn!(
                    times,
                    "refused connections: too many handshakes of an address"
                );
            }
            return None;
        };
        if !wait.is_zero() {
            Counts::add(&self.counts.handshakes_waited);
        }
        Some(wait)
    }

    fn make_room(&self, table: &mut Table, oldest: Option<u64>, refused: &AtomicU64) -> Option<()> {
        let Some(oldest) = oldest else {
            let times = Counts::add(refused);
            // A flood must not fill the log.
            if times.is_power_of_two() {
                tracing::warn!(times, "refused connections: there is no place");
            }
            return None;
        };
        table.remove(oldest);
        let times = Counts::add(&self.counts.gave_way);
        if times.is_power_of_two() {
            tracing::warn!(times, "connections without an answer gave up their places");
        }
        Some(())
    }

    fn count(&self, table: &Table) {
        let open = u64::try_from(table.taken.len()).unwrap_or(u64::MAX);
        self.counts.open.store(open, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    fn oldest_new_of(&self, address: IpAddr) -> Option<u64> {
        let mut of_it = self
            .new_by_address
            .range((address, 0)..=(address, u64::MAX));
        of_it.next().map(|(_, number)| *number)
    }

    fn put(&mut self, address: IpAddr, keep: oneshot::Sender<()>) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.taken.insert(number, address);
        *self.by_address.entry(address).or_default() += 1;
        self.new.insert(number, keep);
        self.new_by_address.insert((address, number));
        number
    }

    fn remove(&mut self, number: u64) {
        self.settle(number);
        let Some(address) = self.taken.remove(&number) else {
            return;
        };
        let left = self.of(address).saturating_sub(1);
        if left == 0 {
            self.by_address.remove(&address);
        } else {
            self.by_address.insert(address, left);
        }
    }

    /// It is not new any more.
    fn settle(&mut self, number: u64) {
        self.new.remove(&number);
        if let Some(address) = self.taken.get(&number) {
            self.new_by_address.remove(&(*address, number));
        }
    }
}

impl Place {
    /// The other side has taken an answer: from now on nobody takes its place.
    pub(crate) fn settle(&mut self) {
        if self.lost.take().is_some() {
            self.of.lock().settle(self.number);
        }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.of.counts
    }

    pub(crate) fn idle_max(&self) -> Duration {
        self.of.idle_max()
    }

    /// As [`Places::turn`].
    pub(crate) fn turn(&self, from: IpAddr) -> Option<Duration> {
        self.of.turn(from)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.of.lock();
        table.remove(self.number);
        self.of.count(&table);
    }
}

/// Who is taken to be one, by its address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(connections_max: usize, per_address_max: usize) -> Arc<Places> {
        let limits = Limits {
            connections_max,
            per_address_max,
            idle_max: Duration::from_mins(1),
            handshakes: Pace::default(),
        };
        Places::new(limits, Arc::default())
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn lost(place: &mut Place) -> bool {
        let lost = place.lost.as_mut();
        lost.is_some_and(|lost| lost.try_recv() == Err(oneshot::error::TryRecvError::Closed))
    }

    fn count(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    #[test]
    fn one_address_takes_its_share_and_pushes_out_its_own_alone() {
        let places = places(8, 4);
        let mut other = places.take(address(1)).unwrap();
        let mut flood: Vec<_> = (0..4).map(|_| places.take(address(9)).unwrap()).collect();
        for _ in 0..100 {
            flood.push(places.take(address(9)).unwrap());
        }
        assert_eq!(count(&places.counts.gave_way), 100);
        let lost_ones = flood
            .iter_mut()
            .filter_map(|p| lost(p).then_some(()))
            .count();
        assert_eq!(lost_ones, 100);
        assert!(flood.iter_mut().rev().take(4).all(|place| !lost(place)));
        assert!(!lost(&mut other));
        assert_eq!(count(&places.counts.open), 5);
        drop(flood);
        assert_eq!(count(&places.counts.open), 1);
        assert_eq!(places.lock().by_address.len(), 1);
    }

    #[test]
    fn who_was_answered_keeps_its_place() {
        let places = places(4, 4);
        let mut answered: Vec<_> = (0..3).map(|_| places.take(address(1)).unwrap()).collect();
        answered.iter_mut().for_each(Place::settle);
        let mut new = places.take(address(2)).unwrap();
        let mut newer = places.take(address(3)).unwrap();
        assert!(lost(&mut new), "the oldest that is new gives way");
        newer.settle();
        assert!(places.take(address(4)).is_none(), "nobody is new");
        assert_eq!(count(&places.counts.refused_full), 1);
        assert!(answered.iter().all(|place| place.lost.is_none()));
        drop(answered);
        assert!(places.take(address(4)).is_some());
    }

    #[test]
    fn an_address_that_was_answered_as_often_as_it_may_is_refused_and_no_other() {
        let places = places(8, 2);
        let mut two: Vec<_> = (0..2).map(|_| places.take(address(1)).unwrap()).collect();
        two.iter_mut().for_each(Place::settle);
        assert!(places.take(address(1)).is_none());
        assert_eq!(count(&places.counts.refused_address), 1);
        assert!(places.take(address(2)).is_some());
        drop(two.pop());
        assert!(places.take(address(1)).is_some());
    }

    #[test]
    fn an_address_is_what_one_customer_has() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}

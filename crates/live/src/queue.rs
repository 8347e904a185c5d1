//! What waits for one viewer, bounded in every kind (I5):
//!
//! - alert transitions: at most `alerts_max`; one more ends the subscription;
//! - values: newest per source and metric; states: newest per transfer; what
//!   is replaced is counted (values) or simply older (states);
//! - samples: at most `samples_max` and so many bytes; the oldest go, counted.
//!
//! Things keep the place in line that they, or what they replace, first took;
//! but values that are newer than a waiting state of their transfer go behind it:
//! it holds values too, and would show the older ones behind the newer.

use crate::options::Options;
use crate::update::{AlertStep, Ended, NotRecorded, Sample, Snapshot, Update, ValuesChange};
use crate::worded::Worded;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::state::TransferState;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

enum Place {
    Alert(Arc<AlertStep>),
    /// The viewer follows its transfer into this one, from this ordinal on.
    Follow(TransferId, u64),
    /// The whole picture, and that everything behind it is or is not recorded.
    Snapshot,
    /// Says that something is not recorded if nothing else does.
    Word,
    State(TransferId),
    Values(TransferId, GatewayId),
    Sample,
}

/// What the queue gives.
pub(crate) enum Item {
    Update(Update),
    Follow(TransferId, u64),
    /// The whole picture.
    Snapshot(Snapshot),
    /// A heartbeat is due.
    Word,
}

/// Why nothing more comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The subscription is over.
    Ended(Ended),
    /// It goes on from where its viewer stands, as one that comes with a token
    /// does; this is why.
    Again(Arc<str>),
}

/// A picture that waits.
struct Picture {
    snapshot: Snapshot,
    not_recorded: Option<Arc<NotRecorded>>,
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<Place>,
    alerts: usize,
    states: BTreeMap<TransferId, Arc<Worded<TransferState>>>,
    values: BTreeMap<(TransferId, GatewayId), Arc<Worded<ValuesChange>>>,
    samples: VecDeque<Arc<Worded<Sample>>>,
    sample_bytes: usize,
    conflated: u64,
    picture: Option<Picture>,
    not_recorded: Option<Arc<NotRecorded>>,
    over: Option<Over>,
    /// The viewer has gone.
    gone: bool,
    /// Something came of which the viewer was not woken yet.
    is_news: bool,
}

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    alerts_max: usize,
    samples_max: usize,
    sample_bytes_max: usize,
}

impl Queue {
    pub(crate) fn new(options: &Options) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::default(),
            changed: Notify::new(),
            alerts_max: options.alerts_queued_max,
            samples_max: options.samples_queued_max,
            sample_bytes_max: options.sample_bytes_queued_max,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put<T>(&self, put: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
        let mut waiting = self.lock();
        if waiting.gone || waiting.over.is_some() {
            return None;
        }
        let done = put(&mut waiting);
        waiting.is_news = true;
        Some(done)
    }

    /// Wakes the viewer if something came since the last time: behind several things,
    /// so that it takes them together.
    pub(crate) fn wake(&self) {
        if std::mem::take(&mut self.lock().is_news) {
            self.changed.notify_one();
        }
    }

    /// False: there was no room, and the subscription ends.
    pub(crate) fn alert(&self, step: &Arc<AlertStep>) -> bool {
        let room = self.put(|waiting| {
            if waiting.alerts >= self.alerts_max {
                waiting.over = Some(Over::Ended(Ended::Overflow));
                return false;
            }
            waiting.alerts += 1;
            waiting.order.push_back(Place::Alert(Arc::clone(step)));
            true
        });
        room.unwrap_or(true)
    }

    pub(crate) fn follow(&self, transfer: &TransferId, ordinal: u64) {
        self.put(|waiting| {
            let place = Place::Follow(transfer.clone(), ordinal);
            waiting.order.push_back(place);
        });
    }

    /// From here on, and with what waits, the viewer is told that it is not
    /// recorded.
    pub(crate) fn not_recorded(&self, told: &Arc<NotRecorded>) {
        self.put(|waiting| {
            waiting.not_recorded = Some(Arc::clone(told));
            // One that waits is from before this failure, and behind it all is not.
            if let Some(picture) = &mut waiting.picture {
                picture.not_recorded = Some(Arc::clone(told));
            }
            waiting.order.push_front(Place::Word);
        });
    }

    /// What goes with what is given now.
    pub(crate) fn told(&self) -> Option<Arc<NotRecorded>> {
        self.lock().not_recorded.clone()
    }

    /// Puts a whole picture behind what waits, in the place of changes that it
    /// contains.
    pub(crate) fn snapshot(&self, snapshot: Snapshot, not_recorded: Option<Arc<NotRecorded>>) {
        self.put(|waiting| {
            waiting.states.clear();
            waiting.values.clear();
            waiting.order.retain(|place| match place {
                Place::Snapshot | Place::State(_) | Place::Values(..) => false,
                Place::Alert(_) | Place::Follow(..) | Place::Word | Place::Sample => true,
            });
            waiting.picture = Some(Picture {
                snapshot,
                not_recorded,
            });
            waiting.order.push_back(Place::Snapshot);
        });
    }

    pub(crate) fn state(&self, state: &Arc<Worded<TransferState>>) {
        self.put(|waiting| {
            let (transfer, state) = (state.transfer.clone(), Arc::clone(state));
            if waiting.states.insert(transfer.clone(), state).is_none() {
                waiting.order.push_back(Place::State(transfer));
            }
        });
    }

    /// How many values this replaced.
    pub(crate) fn values(&self, change: &Arc<Worded<ValuesChange>>) -> u64 {
        let replaced = self.put(|waiting| {
            let key = (change.transfer.clone(), change.gateway.clone());
            waiting.behind_the_state(&key);
            let (newest, replaced) = if let Some(older) = waiting.values.get(&key) {
                newest(older, change)
            } else {
                let (transfer, gateway) = key.clone();
                waiting.order.push_back(Place::Values(transfer, gateway));
                (Arc::clone(change), 0)
            };
            waiting.values.insert(key, newest);
            waiting.conflated = waiting.conflated.saturating_add(replaced);
            replaced
        });
        replaced.unwrap_or(0)
    }

    /// How many samples went to make room.
    pub(crate) fn sample(&self, sample: &Arc<Worded<Sample>>) -> u64 {
        let dropped = self.put(|waiting| {
            waiting.sample_bytes = waiting.sample_bytes.saturating_add(sample.frame.len());
            waiting.samples.push_back(Arc::clone(sample));
            waiting.order.push_back(Place::Sample);
            let mut dropped = 0u64;
            while waiting.samples.len() > self.samples_max
                || waiting.sample_bytes > self.sample_bytes_max
            {
                let oldest = waiting.order.iter().position(Place::is_sample);
                let Some(index) = oldest.filter(|_| waiting.next_sample().is_some()) else {
                    break;
                };
                waiting.order.remove(index);
                dropped = dropped.saturating_add(1);
            }
            waiting.conflated = waiting.conflated.saturating_add(dropped);
            dropped
        });
        dropped.unwrap_or(0)
    }

    /// Nothing more comes; what waits is still given.
    pub(crate) fn end(&self, why: Over) {
        self.put(|waiting| waiting.over = Some(why));
    }

    fn leave(&self) {
        *self.lock() = Waiting {
            gone: true,
            ..Waiting::default()
        };
    }

    pub(crate) fn is_over(&self) -> bool {
        let waiting = self.lock();
        waiting.gone || waiting.over.is_some()
    }

    pub(crate) fn conflated(&self) -> u64 {
        self.lock().conflated
    }

    /// Alert transitions, samples, and bytes of samples that wait.
    pub(crate) fn waiting(&self) -> (usize, usize, usize) {
        let waiting = self.lock();
        (waiting.alerts, waiting.samples.len(), waiting.sample_bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    /// The next thing; without `samples`, samples stay where they are. Who waits is
    /// told of more by [`Queue::wake`]. Cancel-safe.
    pub(crate) async fn next(&self, samples: bool) -> Result<Item, Over> {
        loop {
            if let Some(given) = self.take(samples) {
                return given;
            }
            self.changed.notified().await;
        }
    }

    /// The next thing if there is one now.
    pub(crate) fn take(&self, samples: bool) -> Option<Result<Item, Over>> {
        let mut waiting = self.lock();
        loop {
            let wanted = |place: &Place| samples || !place.is_sample();
            let Some(index) = waiting.order.iter().position(wanted) else {
                return waiting.over.clone().map(Err);
            };
            let place = waiting.order.remove(index)?;
            if let Some(item) = waiting.content(place) {
                return Some(Ok(item));
            }
        }
    }
}

/// A queue in the hands of its viewer; let go, the viewer has gone.
pub(crate) struct Seat(pub(crate) Arc<Queue>);

impl Deref for Seat {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Place {
    fn is_sample(&self) -> bool {
        matches!(self, Self::Sample)
    }
}

impl Waiting {
    /// Values of a source go behind the waiting state of its transfer.
    fn behind_the_state(&mut self, key: &(TransferId, GatewayId)) {
        if !self.states.contains_key(&key.0) {
            return;
        }
        let is_state = |place: &Place| matches!(place, Place::State(whose) if *whose == key.0);
        let is_values = |place: &Place| matches!(place, Place::Values(whose, from) if (whose, from) == (&key.0, &key.1));
        let state = self.order.iter().position(is_state);
        let values = self.order.iter().position(is_values);
        if let Some(place) = values.filter(|values| Some(*values) < state) {
            let values = self.order.remove(place);
            self.order.extend(values);
        }
    }

    fn next_sample(&mut self) -> Option<Arc<Worded<Sample>>> {
        let sample = self.samples.pop_front()?;
        self.sample_bytes = self.sample_bytes.saturating_sub(sample.frame.len());
        Some(sample)
    }

    fn content(&mut self, place: Place) -> Option<Item> {
        let update = match place {
            Place::Alert(step) => {
                self.alerts = self.alerts.saturating_sub(1);
                Update::Alert(step)
            }
            Place::Follow(transfer, ordinal) => return Some(Item::Follow(transfer, ordinal)),
            Place::Word => return Some(Item::Word),
            Place::Snapshot => {
                let picture = self.picture.take()?;
                self.not_recorded = picture.not_recorded;
                return Some(Item::Snapshot(picture.snapshot));
            }
            Place::State(transfer) => Update::State(self.states.remove(&transfer)?),
            Place::Values(transfer, gateway) => {
                Update::Values(self.values.remove(&(transfer, gateway))?)
            }
            Place::Sample => Update::Sample(self.next_sample()?),
        };
        Some(Item::Update(update))
    }
}

/// What is newest of two changes of one source, and how many values of the older one
/// were replaced. Mostly all: then it is the newer change itself, as others have it.
fn newest(
    older: &ValuesChange,
    newer: &Arc<Worded<ValuesChange>>,
) -> (Arc<Worded<ValuesChange>>, u64) {
    let mut values: BTreeMap<_, _> = older.values.iter().map(|v| (&v.metric, v)).collect();
    for value in &newer.values {
        values.remove(&value.metric);
    }
    let replaced = older.values.len().saturating_sub(values.len());
    let replaced = u64::try_from(replaced).unwrap_or(u64::MAX);
    if values.is_empty() {
        return (Arc::clone(newer), replaced);
    }
    values.extend(newer.values.iter().map(|v| (&v.metric, v)));
    let change = ValuesChange {
        transfer: newer.transfer.clone(),
        gateway: newer.gateway.clone(),
        values: values.into_values().cloned().collect(),
    };
    (Arc::new(Worded::new(change)), replaced)
}

#[cfg(test)]
mod tests;

//! Who watches what, and the fan-out to their queues. Never waits.

use crate::options::{Stats, add};
use crate::queue::{Over, Queue};
use crate::totals::ViewersWaiting;
use crate::update::{AlertStep, Ended, NotRecorded, Sample, ValuesChange};
use crate::worded::Worded;
use enroute_model::ids::TransferId;
use enroute_model::state::TransferState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) struct Viewer {
    pub(crate) queue: Arc<Queue>,
    /// The transfers by the ids they go by now; `None`: all.
    pub(crate) named: Option<BTreeSet<TransferId>>,
    /// Samples go to the queue (and not still through catching up).
    pub(crate) attached: bool,
    /// Whose samples, by the ids they go by now.
    pub(crate) sampled: BTreeSet<TransferId>,
    pub(crate) waveforms: bool,
}

#[derive(Default)]
pub(crate) struct Viewers {
    all: BTreeMap<u64, Viewer>,
    boards: BTreeSet<u64>,
    of: BTreeMap<TransferId, BTreeSet<u64>>,
    next: u64,
    /// Nobody is told anything.
    muted: bool,
}

impl Viewers {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn add(&mut self, viewer: Viewer) -> u64 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        match &viewer.named {
            None => {
                self.boards.insert(id);
            }
            Some(named) => {
                for transfer in named {
                    self.of.entry(transfer.clone()).or_default().insert(id);
                }
            }
        }
        self.all.insert(id, viewer);
        id
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Viewer> {
        self.all.get_mut(&id)
    }

    /// Forgets viewers that have gone or were ended.
    pub(crate) fn prune(&mut self, stats: &Stats) {
        let over = self.all.iter().filter(|(_, viewer)| viewer.queue.is_over());
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.boards.remove(&id);
            let viewer = self.all.remove(&id);
            let Some(viewer) = viewer else {
                continue;
            };
            // Nobody comes to it any more who would.
            viewer.queue.wake();
            for transfer in viewer.named.unwrap_or_default() {
                if let Some(ids) = self.of.get_mut(&transfer) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.of.remove(&transfer);
                    }
                }
            }
        }
        let viewers = u64::try_from(self.all.len()).unwrap_or(u64::MAX);
        stats.viewers.store(viewers, Ordering::Relaxed);
    }

    /// What waits for all of them.
    pub(crate) fn waiting(&self) -> ViewersWaiting {
        let mut sum = ViewersWaiting::default();
        for viewer in self.all.values() {
            sum.add(viewer.queue.waiting());
        }
        sum
    }

    pub(crate) fn watched(&self, transfer: &TransferId) -> bool {
        !self.muted && (!self.boards.is_empty() || self.of.contains_key(transfer))
    }

    pub(crate) fn wants_samples(&self, transfer: &TransferId, waveforms: bool) -> bool {
        self.of(transfer)
            .any(|viewer| viewer.takes_sample(transfer, waveforms))
    }

    fn of(&self, transfer: &TransferId) -> impl Iterator<Item = &Viewer> {
        let named = self.of.get(transfer).into_iter().flatten();
        let ids = self.boards.iter().chain(named).filter(|_| !self.muted);
        ids.filter_map(|id| self.all.get(id))
    }

    pub(crate) fn alert(&self, step: &Arc<AlertStep>, stats: &Stats) {
        for viewer in self.of(&step.transfer) {
            if !viewer.queue.alert(step) {
                add(&stats.overflowed, 1);
            }
        }
    }

    pub(crate) fn state(&self, state: &Arc<Worded<TransferState>>) {
        for viewer in self.of(&state.transfer) {
            viewer.queue.state(state);
        }
    }

    pub(crate) fn values(&self, change: &Arc<Worded<ValuesChange>>, stats: &Stats) {
        for viewer in self.of(&change.transfer) {
            add(&stats.conflated, viewer.queue.values(change));
        }
    }

    pub(crate) fn sample(&self, sample: &Arc<Worded<Sample>>, waveforms: bool, stats: &Stats) {
        for viewer in self.of(&sample.transfer) {
            if viewer.takes_sample(&sample.transfer, waveforms) {
                add(&stats.conflated, viewer.queue.sample(sample));
            }
        }
    }

    /// Wakes all to whom something came since they were woken.
    pub(crate) fn wake(&self) {
        for viewer in self.all.values() {
            viewer.queue.wake();
        }
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Everyone is told, with what waits for them and all that comes.
    pub(crate) fn not_recorded(&self, told: &Arc<NotRecorded>) {
        for viewer in self.all.values() {
            viewer.queue.not_recorded(told);
        }
    }

    /// Queues, the transfers that were named for each, and whether it is for all.
    pub(crate) fn each(&self) -> Vec<(Arc<Queue>, BTreeSet<TransferId>, bool)> {
        let queues = self.all.values();
        let queues = queues.filter(|viewer| !viewer.queue.is_over());
        let each = queues.map(|viewer| {
            let named = viewer.named.as_ref().unwrap_or(&viewer.sampled);
            let all = viewer.named.is_none();
            (Arc::clone(&viewer.queue), named.clone(), all)
        });
        each.collect()
    }

    /// Whoever watches `other` watches `into` from here on; its token follows
    /// from this ordinal on.
    pub(crate) fn joined(&mut self, other: &TransferId, into: &TransferId, follow: Option<u64>) {
        for viewer in self.all.values_mut() {
            if viewer.sampled.remove(other) {
                viewer.sampled.insert(into.clone());
            }
        }
        for id in self.of.remove(other).unwrap_or_default() {
            let Some(viewer) = self.all.get_mut(&id) else {
                continue;
            };
            let Some(named) = viewer.named.as_mut() else {
                continue;
            };
            named.remove(other);
            if named.insert(into.clone())
                && let Some(ordinal) = follow
            {
                viewer.queue.follow(into, ordinal);
            }
            self.of.entry(into.clone()).or_default().insert(id);
        }
    }

    pub(crate) fn end(&self, why: Ended) {
        for viewer in self.all.values() {
            viewer.queue.end(Over::Ended(why));
        }
    }

    /// Everyone goes on from where they stand, behind what waits for them.
    pub(crate) fn again(&self, why: &Arc<str>) {
        for viewer in self.all.values() {
            viewer.queue.end(Over::Again(Arc::clone(why)));
        }
    }
}

impl Viewer {
    fn takes_sample(&self, transfer: &TransferId, waveforms: bool) -> bool {
        self.attached && (self.waveforms || !waveforms) && self.sampled.contains(transfer)
    }
}

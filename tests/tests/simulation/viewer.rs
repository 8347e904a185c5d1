//! Viewers: they come and go, read at their own pace, resume from their last
//! token after whatever happened, and note what they were shown.

use crate::gateway::COUNT;
use crate::world::{Event, World};
use enroute_live::simulation::Viewer as Subscription;
use enroute_live::{Delivery, Token, Update, Watch};
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::reading::Reading;
use enroute_model::state::ValueState;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Viewer {
    /// The transfer that it watches; none: the board.
    pub(crate) transfer: Option<TransferId>,
    samples: bool,
    /// How many times as long as others it takes to look again.
    pace: u64,
    pub(crate) on: Option<Subscription>,
    token: Option<Token>,
    /// Alert transitions seen, by transfer and ordinal; how often, on the board.
    pub(crate) alerts: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
    /// The last ordinal before the first subscription, by transfer.
    pub(crate) before: BTreeMap<String, u64>,
    newest: BTreeMap<(TransferId, GatewayId), i64>,
    given: BTreeSet<(String, u64, i32, u64)>,
    live: BTreeMap<(String, u64, i32), u64>,
    /// The journal that it was given its token of.
    pub(crate) journal: u64,
    /// Outages that it was told of.
    outages: usize,
    pub(crate) resumed: u64,
    pub(crate) deliveries: u64,
}

/// Why a viewer may be told that it missed something.
#[derive(Clone, Copy)]
struct Excuses {
    journal: u64,
    outages: usize,
    now: bool,
    /// Every delivery is printed.
    told: bool,
}

pub(crate) fn new(transfer: Option<TransferId>, samples: bool, pace: u64) -> Viewer {
    Viewer {
        transfer,
        samples,
        pace,
        on: None,
        token: None,
        alerts: BTreeMap::new(),
        before: BTreeMap::new(),
        newest: BTreeMap::new(),
        given: BTreeSet::new(),
        live: BTreeMap::new(),
        journal: 0,
        outages: 0,
        resumed: 0,
        deliveries: 0,
    }
}

impl World {
    /// A viewer looks at what there is.
    pub(crate) fn view(&mut self, number: usize) {
        let wait = self.rng.between(200_000, 1_500_000) * self.viewers[number].pace;
        self.at(self.now + wait, Event::View(number));
        if self.server.on.is_none() {
            return;
        }
        if self.viewers[number].on.is_none() && !self.subscribe(number) {
            return;
        }
        let most = if self.healing {
            u64::MAX
        } else {
            self.rng.between(1, 60)
        };
        self.read(number, most);
        if !self.healing && self.rng.chance(4) {
            self.viewers[number].on = None;
        }
    }

    fn subscribe(&mut self, number: usize) -> bool {
        let viewer = &mut self.viewers[number];
        let another = viewer.journal != self.server.journals;
        if another && self.outage {
            // Where its account begins could not be read.
            return false;
        }
        let server = self.server.on.as_mut().unwrap();
        let watch = Watch {
            transfers: viewer.transfer.iter().map(ToString::to_string).collect(),
            samples: viewer.samples,
            waveforms: viewer.samples,
            resume: viewer.token.clone(),
            ..Watch::default()
        };
        // Nothing is known of the transfer yet.
        let Ok(subscription) = server.live.watch(watch) else {
            return false;
        };
        if another {
            viewer.forget();
            for (transfer, _) in server.journal.reader().transfers().unwrap() {
                let told = server.journal.reader().derived(&transfer, 0).count();
                viewer
                    .before
                    .insert(transfer.to_string(), u64::try_from(told).unwrap());
            }
        } else {
            viewer.resumed += u64::from(viewer.token.is_some());
        }
        viewer.on = Some(subscription);
        true
    }

    /// Takes at most so many deliveries.
    pub(crate) fn read(&mut self, number: usize, most: u64) {
        let excuses = Excuses {
            journal: self.server.journals,
            outages: self.outages,
            now: self.outage,
            told: self.told,
        };
        let viewer = &mut self.viewers[number];
        for _ in 0..most {
            let Some(on) = &mut viewer.on else { return };
            match on.try_next() {
                Ok(Some(delivery)) => viewer.take(delivery, excuses),
                Ok(None) => {
                    let beat = on.beat();
                    return viewer.take(beat, excuses);
                }
                Err(_) => viewer.on = None,
            }
        }
    }
}

impl Viewer {
    /// Another journal: what it saw of the former one says nothing.
    fn forget(&mut self) {
        self.alerts.clear();
        self.before.clear();
        self.newest.clear();
        self.given.clear();
        self.live.clear();
    }

    fn take(&mut self, delivery: Delivery, excuses: Excuses) {
        if excuses.told {
            println!("{:>12} {:?}: {delivery:?}", "", self.transfer);
        }
        self.deliveries += 1;
        let had = self.token.replace(delivery.token).is_some();
        let recorded = delivery.not_recorded.is_none();
        match delivery.update {
            Update::Snapshot(snapshot) => {
                let restored = had && self.journal != excuses.journal;
                let excused = restored || excuses.now || self.outages < excuses.outages;
                let missed = snapshot.missed.is_some();
                assert!(excused || !missed, "not honoured: {:?}", snapshot.missed);
                assert!(
                    missed || !restored,
                    "a token of another journal is honoured"
                );
                self.journal = excuses.journal;
                if missed && !excuses.now {
                    self.outages = excuses.outages;
                }
                for state in snapshot.states.iter().filter(|_| recorded) {
                    self.state(state);
                }
            }
            // Of what is in no record nothing is kept, and the past is the newest again.
            Update::State(_) | Update::Values(_) if !recorded => {}
            Update::Sample(sample) if sample.position.0 == 0 => {}
            Update::Alert(step) if step.ordinal == 0 => {}
            Update::State(state) => self.state(&state),
            Update::Values(change) => {
                self.values(&change.transfer, &change.gateway, &change.values);
            }
            Update::Sample(sample) => self.sample(&sample),
            Update::Alert(step) => {
                let transfer = step.transfer.to_string();
                let bytes = step.transition.encode_to_vec();
                let named = self.transfer.is_some();
                let seen = self.alerts.entry(transfer).or_default();
                let last = seen.last_key_value().map(|(ordinal, _)| *ordinal);
                if let Some(before) = seen.insert(step.ordinal, bytes.clone()) {
                    assert!(!named, "transition {} came twice", step.ordinal);
                    assert_eq!(
                        before, bytes,
                        "transition {} has two contents",
                        step.ordinal
                    );
                } else if let Some(last) = last {
                    assert_eq!(step.ordinal, last + 1, "a transition was left out");
                }
            }
            Update::Heartbeat { .. } => {}
        }
    }

    fn state(&mut self, state: &enroute_model::state::TransferState) {
        for source in &state.sources {
            self.values(&state.transfer, &source.gateway, &source.values);
        }
    }

    /// The newest value never becomes an older one (I11).
    fn values(&mut self, transfer: &TransferId, gateway: &GatewayId, values: &[ValueState]) {
        for value in values.iter().filter(|value| value.metric.label == COUNT) {
            let Reading::Value { value, .. } = value.reading else {
                continue;
            };
            let whose = (transfer.clone(), gateway.clone());
            let newest = self.newest.entry(whose).or_default();
            let count = value.mantissa();
            assert!(count >= *newest, "{gateway} shows {count} after {newest}");
            *newest = count;
        }
    }

    /// Each frame once, the live ones in order.
    fn sample(&mut self, sample: &enroute_live::Sample) {
        let frame = v1::Frame::decode(sample.frame.clone()).unwrap();
        let header = frame.header.unwrap();
        let (gateway, number) = (sample.gateway.to_string(), header.sequence);
        let line = (gateway.clone(), header.epoch, header.stream);
        let new = self
            .given
            .insert((gateway, header.epoch, header.stream, number));
        assert!(new, "sample {line:?} {number} came twice");
        if !sample.late {
            let last = self.live.entry(line).or_default();
            assert!(number > *last, "live sample {number} after {last}");
            *last = number;
        }
    }
}

//! What engines said, to where it goes: derived records, viewers, receipts,
//! commands, those who wait for an action.

use crate::core::{CoreError, Store, raised_at};
use crate::deletion::DELETED;
use crate::engines::{About, Step};
use crate::guard::guard;
use crate::options::{AlertStage, Stage, add};
use crate::outbox::UseTransfer;
use crate::shard::{Shard, Told};
use crate::update::{AlertStep, Sample, ValuesChange};
use crate::worded::Worded;
use bytes::Bytes;
use enroute_engine::{Changed, Effects};
use enroute_journal::{Class, Stored};
use enroute_model::ids::{GatewayId, Lane, Position, ShortCode, TransferId};
use enroute_model::notes::NotesOnBoard;
use enroute_model::state::{AlertPhase, AlertTransition, Verdict};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a gateway that goes on under a joined id is told again.
const COMMAND_EVERY: Span = Span::from_secs(10);
/// How often a state is sent of which only counters changed.
const COUNTED_EVERY: Span = Span::from_secs(1);

/// Stores the transitions of a re-run that are not stored yet. One that is there
/// stays: it is what happened, even if this engine would have it otherwise.
pub(crate) fn store_missing(
    store: &Store,
    told: &mut BTreeMap<TransferId, Told>,
    transfer: &TransferId,
    alerts: &[AlertTransition],
) -> Result<(), CoreError> {
    for alert in alerts {
        let bytes = enroute_wire::state::transition_to(transfer, alert).encode_to_vec();
        let told = told.entry(transfer.clone()).or_default();
        if alert.ordinal <= told.ordinal {
            continue;
        }
        let (ordinal, at) = (alert.ordinal, alert.at);
        *told = Told { ordinal, at };
        match derived(store, transfer, ordinal)? {
            Some(stored) if stored == bytes => {}
            Some(_) => differs(transfer, ordinal),
            None => store.side.put_derived(transfer, ordinal, &bytes)?,
        }
    }
    Ok(())
}

fn differs(transfer: &TransferId, ordinal: u64) {
    tracing::warn!(%transfer, ordinal, "alert differs from the one raised; that one is kept");
}

fn derived(store: &Store, transfer: &TransferId, ordinal: u64) -> Result<Option<Bytes>, CoreError> {
    let first = store.reader.derived(transfer, ordinal).next().transpose()?;
    Ok(first
        .filter(|(found, _)| *found == ordinal)
        .map(|(_, bytes)| bytes))
}

/// When a stored transition happened.
pub(crate) fn stored_at(
    store: &Store,
    transfer: &TransferId,
    ordinal: u64,
) -> Result<Option<EngineTime>, CoreError> {
    let step = derived(store, transfer, ordinal)?;
    Ok(step.and_then(raised_at))
}

/// The last transition that is stored behind `after`, and when it happened.
pub(crate) fn last_stored(
    store: &Store,
    transfer: &TransferId,
    after: u64,
) -> Result<Option<(u64, EngineTime)>, CoreError> {
    let mut last = None;
    for row in store.reader.derived(transfer, after.saturating_add(1)) {
        let (ordinal, bytes) = row?;
        last = raised_at(bytes).map(|at| (ordinal, at)).or(last);
    }
    Ok(last)
}

impl Shard {
    /// Passes on what one record or tick did.
    pub(crate) fn fan_out(&mut self, steps: Vec<Step>, stored: Option<&Stored>) {
        for step in steps {
            match step {
                Step::Effects { transfer, effects } => self.effects(&transfer, &effects),
                Step::Handled {
                    transfer,
                    verdict,
                    about,
                } => {
                    if let Some(stored) = stored {
                        self.handled(&transfer, verdict, about, stored);
                    }
                }
                Step::Joined {
                    other,
                    into,
                    gateways,
                    ordinal,
                } => {
                    self.joined(&other, &into, &gateways, ordinal);
                }
                Step::Rebuilt { transfer } => {
                    self.dirty.insert(transfer);
                }
            }
        }
    }

    fn effects(&mut self, transfer: &TransferId, effects: &Effects) {
        for alert in &effects.alerts {
            self.alert(transfer, alert);
        }
        let changed = &effects.changed;
        if !effects.alerts.is_empty()
            || changed.crew_log
            || changed.phase
            || !changed.sources.is_empty()
        {
            self.notes_due.insert(transfer.clone());
        }
        for took in &effects.shown {
            self.alert_came(AlertStage::Shown, *took);
        }
        self.changed(transfer, &effects.changed);
    }

    fn alert_came(&self, stage: AlertStage, took: Span) {
        if let Some(latency) = &self.options.latency {
            latency.alert(stage, took);
        }
    }

    /// Tells how long an alert took to come here.
    fn alert_took(&self, step: &AlertTransition) {
        let alert = &step.alert;
        let raised_at = alert.path.raised_at;
        let seen = alert
            .acknowledged
            .as_ref()
            .filter(|seen| seen.at == step.at);
        if seen.is_some() && alert.phase != AlertPhase::Ended {
            self.alert_came(AlertStage::Acknowledged, step.at.since(raised_at));
        }
        if let Some(value) = alert.path.value.filter(|_| step.ordinal == alert.raised) {
            if let Some((measured_at, _)) = value.measured_at {
                let took = Span(value.received_at.0.saturating_sub(measured_at.0));
                self.alert_came(AlertStage::Received, took);
            }
            self.alert_came(AlertStage::Raised, raised_at.since(value.received_at));
        }
    }

    fn alert(&mut self, transfer: &TransferId, alert: &AlertTransition) {
        if self.is_forked() {
            let unrecorded = AlertTransition {
                ordinal: 0,
                ..alert.clone()
            };
            return self.send(transfer, &unrecorded);
        }
        let told = self.told.entry(transfer.clone()).or_default();
        // A rebuilt engine says again what it said before.
        if alert.ordinal <= told.ordinal {
            return;
        }
        let (ordinal, at) = (alert.ordinal, alert.at);
        *told = Told { ordinal, at };
        self.alert_took(alert);
        self.core.kept = self.core.kept.max(at);
        let bytes = enroute_wire::state::transition_to(transfer, alert).encode_to_vec();
        let put = self.core.store.side.put_derived(transfer, ordinal, &bytes);
        if let Err(failure) = put {
            // The next start, or the repair, derives it again.
            tracing::debug!(%failure, "an alert is not stored yet");
        }
        self.send(transfer, alert);
    }

    fn send(&self, transfer: &TransferId, alert: &AlertTransition) {
        add(&self.stats.alerts, 1);
        if self.viewers.watched(transfer) {
            let step = Arc::new(AlertStep {
                transfer: transfer.clone(),
                ordinal: alert.ordinal,
                at: alert.at,
                transition: enroute_wire::state::transition_to(transfer, alert),
            });
            self.viewers.alert(&step, &self.stats);
        }
    }

    fn changed(&mut self, transfer: &TransferId, changed: &Changed) {
        if !self.viewers.watched(transfer) {
            return;
        }
        let Changed {
            values,
            sources,
            completeness,
            info,
            phase,
            travel,
            crew_log,
            poisoned,
        } = changed;
        if !sources.is_empty() || *info || *phase || *crew_log || *poisoned {
            self.dirty.insert(transfer.clone());
        } else if !completeness.is_empty() || *travel {
            self.counted.insert(transfer.clone());
        }
        let Some(slot) = self.core.engines.slots.get(transfer) else {
            return;
        };
        // Each once, by source and metric.
        let mut values: Vec<_> = values.iter().collect();
        values.sort_unstable();
        values.dedup();
        for source in values.chunk_by(|one, next| one.0 == next.0) {
            let Some((gateway, _)) = source.first() else {
                continue;
            };
            let mut values = Vec::with_capacity(source.len());
            values.extend(source.iter().filter_map(|(gateway, metric)| {
                guard(|| slot.engine.value(gateway, metric)).ok().flatten()
            }));
            let (transfer, gateway) = (transfer.clone(), gateway.clone());
            let change = ValuesChange {
                transfer,
                gateway,
                values,
            };
            let change = Arc::new(Worded::new(change));
            self.viewers.values(&change, &self.stats);
        }
    }

    fn handled(&mut self, transfer: &TransferId, verdict: Verdict, about: About, stored: &Stored) {
        match about {
            About::Frame {
                gateway,
                lane,
                captured_at,
            } => {
                self.frame(transfer, gateway, (lane, captured_at), &verdict, stored);
            }
            // A gateway that comes back may have missed its receipts.
            About::Presence { gateway } => {
                self.receipt_due.insert((transfer.clone(), gateway));
            }
            About::Action { id } => self.answer(transfer, id, verdict, stored),
            About::Poisoned => {}
        }
        if self.core.engines.has(transfer) {
            self.told.entry(transfer.clone()).or_default();
        }
    }

    fn frame(
        &mut self,
        transfer: &TransferId,
        gateway: GatewayId,
        (lane, captured_at): (Lane, GatewayTime),
        verdict: &Verdict,
        stored: &Stored,
    ) {
        if matches!(verdict, Verdict::Refused(why) if why == DELETED) {
            return self.came_for_deleted(&gateway, stored);
        }
        self.receipt_due.insert((transfer.clone(), gateway.clone()));
        if stored.transfer != *transfer && lane == Lane::Live {
            self.command(&gateway, &stored.transfer, transfer);
        }
        match verdict {
            Verdict::Accepted { late } => {
                if lane == Lane::Live {
                    self.took(transfer, &gateway, captured_at, stored);
                }
                self.sample(transfer, gateway, (lane, *late), stored);
            }
            Verdict::Duplicate => add(&self.stats.duplicates, 1),
            Verdict::Conflict => add(&self.stats.conflicts, 1),
            Verdict::Applied | Verdict::Refused(_) => {}
        }
    }

    /// Tells how long a live frame took to come here.
    fn took(
        &self,
        transfer: &TransferId,
        gateway: &GatewayId,
        captured_at: GatewayTime,
        stored: &Stored,
    ) {
        let Some(latency) = &self.options.latency else {
            return;
        };
        let (position, received_at) = (stored.position, stored.received_at);
        if stored.class == Class::Vitals {
            let slot = self.core.engines.slots.get(transfer);
            let clocks = slot.and_then(|slot| slot.engine.clocks(gateway));
            let ahead = clocks.and_then(|clocks| clocks.gateway);
            let ahead = ahead.map_or(0, |gateway| gateway.offset.0);
            let captured_at = ServerTime(captured_at.0.saturating_sub(ahead));
            latency.record(Stage::Received, position, received_at.since(captured_at));
        }
        let handled_at = ServerTime(self.clock.wall());
        latency.record(Stage::Handled, position, handled_at.since(received_at));
    }

    fn sample(
        &self,
        transfer: &TransferId,
        gateway: GatewayId,
        came: (Lane, bool),
        stored: &Stored,
    ) {
        let waveforms = stored.class == Class::Waveforms;
        if !self.viewers.wants_samples(transfer, waveforms) {
            return;
        }
        let Some((_, frame)) = crate::catch_up::received(&stored.payload) else {
            return;
        };
        let sample = Arc::new(Worded::new(Sample {
            transfer: transfer.clone(),
            gateway,
            lane: came.0,
            late: came.1,
            received_at: stored.received_at,
            position: if self.is_forked() {
                Position(0)
            } else {
                stored.position
            },
            frame,
        }));
        self.viewers.sample(&sample, waveforms, &self.stats);
    }

    fn answer(&mut self, transfer: &TransferId, id: String, verdict: Verdict, stored: &Stored) {
        let key = (stored.transfer.clone(), id);
        let Some(waiting) = self.waiters.get_mut(&key) else {
            return;
        };
        if let Some(waiter) = waiting.pop_front() {
            drop(waiter.send((transfer.clone(), verdict)));
        }
        if waiting.is_empty() {
            self.waiters.remove(&key);
        }
    }

    fn joined(
        &mut self,
        other: &TransferId,
        into: &TransferId,
        gateways: &[GatewayId],
        ordinal: u64,
    ) {
        let follow = (!self.is_forked()).then_some(ordinal);
        self.viewers.joined(other, into, follow);
        self.dirty.insert(into.clone());
        for gateway in gateways {
            // What was told under the old id is told under the new one.
            if self
                .noted
                .remove(&(other.clone(), gateway.clone()))
                .is_some()
            {
                let gone = BTreeMap::from([(other.clone(), NotesOnBoard::default())]);
                self.notes.put(gateway, gone);
            }
            self.commanded.remove(gateway);
            self.command(gateway, other, into);
            self.receipt_due.insert((into.clone(), gateway.clone()));
        }
    }

    /// Tells a gateway which id to use, now and then again while it does not.
    fn command(&mut self, gateway: &GatewayId, instead_of: &TransferId, transfer: &TransferId) {
        if self.is_forked() {
            return;
        }
        let now = self.core.now;
        let told = self.commanded.get(gateway);
        if told.is_some_and(|told| now.since(*told) < COMMAND_EVERY) {
            return;
        }
        self.commanded.insert(gateway.clone(), now);
        let command = UseTransfer {
            instead_of: instead_of.clone(),
            transfer: transfer.clone(),
            short_code: ShortCode::of(transfer),
        };
        self.commands.put(gateway, command);
    }

    /// Of whom that interval has passed, nobody need remember anything.
    pub(crate) fn forget_old_commands(&mut self) {
        let now = self.core.now;
        self.commanded
            .retain(|_, told| now.since(*told) < COMMAND_EVERY);
    }

    pub(crate) fn flush_states(&mut self) {
        let mut due = std::mem::take(&mut self.dirty);
        if self.core.now.since(self.counted_at) >= COUNTED_EVERY {
            self.counted_at = self.core.now;
            due.append(&mut self.counted);
        }
        for transfer in due {
            self.counted.remove(&transfer);
            if !self.viewers.watched(&transfer) {
                continue;
            }
            if let Some(slot) = self.core.engines.slots.get(&transfer) {
                let state = Worded::new(self.state_of(slot));
                self.viewers.state(&Arc::new(state));
            }
        }
    }

    /// Tells crews what is new to them. Behind a commit only, like a receipt; after
    /// a restart all of it is said again.
    pub(crate) fn flush_notes(&mut self) {
        if self.is_forked() {
            return self.notes_due.clear();
        }
        for transfer in std::mem::take(&mut self.notes_due) {
            let Some(slot) = self.core.engines.slots.get(&transfer) else {
                continue;
            };
            let engine = &slot.engine;
            for gateway in engine.gateways() {
                let Ok(notes) = guard(|| engine.notes_on_board(gateway)) else {
                    continue;
                };
                let key = (transfer.clone(), gateway.clone());
                let said = if notes.is_empty() {
                    self.noted.remove(&key)
                } else {
                    self.noted.insert(key, notes.clone())
                };
                if said.unwrap_or_default() != notes {
                    let news = BTreeMap::from([(transfer.clone(), notes)]);
                    self.notes.put(gateway, news);
                }
            }
        }
    }

    pub(crate) fn flush_receipts(&mut self) {
        if self.is_forked() {
            // Receipts follow a commit, always (I2).
            return self.receipt_due.clear();
        }
        let waited = self.core.now.since(self.receipts_at);
        // Behind a silence the first one is answered at once.
        if self.receipt_due.is_empty() || waited < self.options.receipts_every {
            return;
        }
        self.receipts_at = self.core.now;
        let due = std::mem::take(&mut self.receipt_due).into_iter();
        let slots = &self.core.engines.slots;
        let receipts = due.filter_map(|(transfer, gateway)| {
            let slot = slots.get(&transfer)?;
            let streams = guard(|| slot.engine.receipts(&gateway)).unwrap_or_default();
            let streams = streams.into_iter().map(|stream| {
                let key = (stream.key.epoch.0, stream.key.stream, stream.first);
                (key, stream)
            });
            let streams: BTreeMap<_, _> = streams.collect();
            (!streams.is_empty()).then_some((gateway, streams))
        });
        let receipts: Vec<_> = receipts.collect();
        self.receipts.put_all(receipts);
    }
}

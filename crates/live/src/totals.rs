//! Sums over all transfers, for metrics: nothing in them names a transfer (I10).

use crate::engines::Slot;
use crate::guard::guard;
use crate::shard::Shard;
use enroute_model::frame::{GapCause, Priority};
use enroute_model::ids::Stream;
use enroute_model::state::{AlertKind, AlertState, Phase, StreamCompleteness};
use std::collections::BTreeMap;

/// What all engines and queues hold at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transfers under way.
    pub open: u64,
    /// Transfers that are closed and still in memory.
    pub closed: u64,
    /// As many may be in memory.
    pub max: u64,
    /// Closed transfers that are on disk only.
    pub asleep: u64,
    /// Transfers with frames that are neither received nor given up.
    pub with_missing: u64,
    /// Transfers with frames that will never come.
    pub with_shed: u64,
    /// Transfers with a poisoned record (I9).
    pub degraded: u64,
    /// The ledgers, summed.
    pub streams: BTreeMap<Stream, StreamTotals>,
    /// Open alerts by kind and priority; those of closed transfers are not counted.
    pub alerts: BTreeMap<(&'static str, Priority), u64>,
    /// Gateways whose receipt has not been taken.
    pub receipts_waiting: u64,
    /// Gateways whose command has not been taken.
    pub commands_waiting: u64,
    /// What waits for viewers.
    pub viewers: ViewersWaiting,
}

/// Sums of one stream's ledgers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamTotals {
    /// Known to exist.
    pub produced: u64,
    /// Different frames in the journal.
    pub durable: u64,
    /// Neither received nor given up.
    pub missing: u64,
    /// Given up.
    pub shed: u64,
    /// Of those, by cause; a ledger lists 16 gaps, what is given up in further ones
    /// is `unlisted`.
    pub shed_by: ShedBy,
}

/// Frames that were given up, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShedBy {
    /// The spool was full.
    pub spool_full: u64,
    /// The server was restored from an older copy, and the gateway no longer held
    /// them.
    pub restored: u64,
    /// The gateway's disk could not give them back.
    pub damaged: u64,
    /// The spool that held them is gone.
    pub spool_lost: u64,
    /// In gaps that are not listed.
    pub unlisted: u64,
}

/// What waits in the queues of all viewers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewersWaiting {
    /// Alert transitions, summed.
    pub alerts: u64,
    /// Alert transitions of the viewer that has most.
    pub alerts_most: u64,
    /// Samples, summed.
    pub samples: u64,
    /// Samples of the viewer that has most.
    pub samples_most: u64,
    /// Bytes of samples, summed.
    pub sample_bytes: u64,
}

impl ViewersWaiting {
    /// One more viewer's queue.
    pub(crate) fn add(&mut self, (alerts, samples, bytes): (usize, usize, usize)) {
        let [alerts, samples, bytes] = [alerts, samples, bytes].map(count);
        self.alerts = self.alerts.saturating_add(alerts);
        self.alerts_most = self.alerts_most.max(alerts);
        self.samples = self.samples.saturating_add(samples);
        self.samples_most = self.samples_most.max(samples);
        self.sample_bytes = self.sample_bytes.saturating_add(bytes);
    }
}

/// What one transfer adds.
struct Facts {
    open: bool,
    degraded: bool,
    streams: Vec<StreamCompleteness>,
    alerts: Vec<AlertState>,
}

impl Facts {
    fn of(slot: &Slot) -> Self {
        let engine = &slot.engine;
        let streams = engine.gateways().flat_map(|id| engine.completeness(id));
        Self {
            open: engine.phase() == Phase::Open,
            degraded: slot.is_broken() || engine.is_degraded(),
            streams: streams.collect(),
            alerts: engine.alerts(),
        }
    }
}

impl Totals {
    fn add(&mut self, facts: &Facts) {
        let transfers = if facts.open {
            &mut self.open
        } else {
            &mut self.closed
        };
        *transfers += 1;
        for stream in &facts.streams {
            self.streams.entry(stream.stream).or_default().add(stream);
        }
        let any = |of: fn(&StreamCompleteness) -> u64| facts.streams.iter().any(|s| of(s) > 0);
        self.with_missing += u64::from(any(|stream| stream.missing));
        self.with_shed += u64::from(any(|stream| stream.shed));
        self.degraded += u64::from(facts.degraded);
        for alert in facts.alerts.iter().filter(|_| facts.open) {
            let key = (word(&alert.kind), alert.priority);
            *self.alerts.entry(key).or_default() += 1;
        }
    }
}

impl StreamTotals {
    fn add(&mut self, stream: &StreamCompleteness) {
        let produced = [stream.durable, stream.shed, stream.missing];
        self.produced = produced
            .into_iter()
            .fold(self.produced, u64::saturating_add);
        self.durable = self.durable.saturating_add(stream.durable);
        self.missing = self.missing.saturating_add(stream.missing);
        self.shed = self.shed.saturating_add(stream.shed);
        self.shed_by.add(stream);
    }
}

impl ShedBy {
    fn add(&mut self, stream: &StreamCompleteness) {
        let mut unlisted = stream.shed;
        for gap in &stream.gaps {
            let sum = match gap.cause {
                Some(GapCause::SpoolFull) => &mut self.spool_full,
                Some(GapCause::Restored) => &mut self.restored,
                Some(GapCause::Damaged) => &mut self.damaged,
                Some(GapCause::SpoolLost) => &mut self.spool_lost,
                None => continue,
            };
            let frames = gap.last.saturating_sub(gap.first).saturating_add(1);
            *sum = sum.saturating_add(frames);
            unlisted = unlisted.saturating_sub(frames);
        }
        self.unlisted = self.unlisted.saturating_add(unlisted);
    }
}

/// The kind without the vital sign.
fn word(kind: &AlertKind) -> &'static str {
    match kind {
        AlertKind::LimitLow(_) => "limit_low",
        AlertKind::LimitHigh(_) => "limit_high",
        AlertKind::Stale(_) => "stale",
        AlertKind::LinkLost => "link_lost",
        AlertKind::Conflict(_) => "conflict",
        AlertKind::EngineDegraded => "engine_degraded",
        AlertKind::NotRecorded => "not_recorded",
        AlertKind::Rule(_) => "rule",
        AlertKind::SensorOff(_) => "sensor_off",
        AlertKind::ClockWrong => "clock_wrong",
        AlertKind::SpoolFilling => "spool_filling",
        AlertKind::BatteryLow => "battery_low",
        AlertKind::HistoryIncomplete => "history_incomplete",
        AlertKind::NotAttended => "not_attended",
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

impl Shard {
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            receipts_waiting: count(self.receipts.len()),
            commands_waiting: count(self.commands.len()),
            viewers: self.viewers.waiting(),
            max: count(self.options.transfers_max),
            asleep: count(self.core.engines.asleep.len()),
            ..Totals::default()
        };
        for slot in self.core.engines.slots.values() {
            // One engine that cannot say what it holds does not hide the others.
            match guard(|| Facts::of(slot)) {
                Ok(facts) => totals.add(&facts),
                Err(_) => totals.degraded += 1,
            }
        }
        totals
    }
}

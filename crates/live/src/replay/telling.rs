//! What a replayed course says to its viewer, in the words of the live view.
//! Alerts and samples in their order; of values and states the newest behind each
//! batch of records.

use crate::engines::{About, Step};
use crate::guard::guard;
use crate::replay::course::Course;
use crate::replay::source::Taken;
use crate::update::{AlertStep, Sample, Snapshot, Update, ValuesChange};
use crate::worded::Worded;
use enroute_engine::Changed;
use enroute_journal::Class;
use enroute_model::frame::Metric;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::state::{AlertTransition, Verdict};
use enroute_model::time::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often a state is sent of which only counters changed.
const COUNTED_EVERY: Span = Span::from_secs(1);

/// What is to be told.
pub(crate) struct Telling {
    samples: bool,
    waveforms: bool,
    values: BTreeMap<(TransferId, GatewayId), BTreeSet<Metric>>,
    dirty: BTreeSet<TransferId>,
    counted: BTreeSet<TransferId>,
    counted_at: Option<Span>,
    /// One transfer became part of another: the picture is another one.
    joined: bool,
}

impl Telling {
    pub(crate) fn new(samples: bool, waveforms: bool) -> Self {
        Self {
            samples,
            waveforms,
            values: BTreeMap::new(),
            dirty: BTreeSet::new(),
            counted: BTreeSet::new(),
            counted_at: None,
            joined: false,
        }
    }

    /// Takes note of what one record or deadline did.
    pub(crate) fn note(&mut self, steps: &[Step], taken: Option<&Taken>, out: &mut Vec<Update>) {
        for step in steps {
            match step {
                Step::Effects { transfer, effects } => {
                    let alerts = effects.alerts.iter();
                    out.extend(alerts.map(|alert| Update::Alert(alert_step(transfer, alert))));
                    self.changed(transfer, &effects.changed);
                }
                Step::Handled {
                    transfer,
                    verdict: Verdict::Accepted { late },
                    about: About::Frame { gateway, .. },
                } => {
                    let sample = taken.and_then(|taken| self.sample(taken, *late));
                    let sample = sample.map(|sample| Sample {
                        transfer: transfer.clone(),
                        gateway: gateway.clone(),
                        ..sample
                    });
                    out.extend(sample.map(|sample| Update::Sample(Arc::new(Worded::new(sample)))));
                }
                Step::Handled { .. } => {}
                Step::Joined { .. } | Step::Rebuilt { .. } => self.joined = true,
            }
        }
    }

    fn sample(&self, taken: &Taken, late: bool) -> Option<Sample> {
        let wanted = self.samples && (self.waveforms || taken.class != Class::Waveforms);
        let (way, frame) = taken.frame.as_ref().filter(|_| wanted)?;
        let enroute_model::record::Entry::Frame { gateway, .. } = &taken.record.entry else {
            return None;
        };
        Some(Sample {
            transfer: taken.record.transfer.clone(),
            gateway: gateway.clone(),
            lane: *way,
            late,
            received_at: taken.record.received_at,
            position: taken.record.position,
            frame: frame.clone(),
        })
    }

    fn changed(&mut self, transfer: &TransferId, changed: &Changed) {
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
        for (gateway, metric) in values {
            let key = (transfer.clone(), gateway.clone());
            self.values.entry(key).or_default().insert(metric.clone());
        }
    }

    /// The newest of what changed.
    pub(crate) fn flush(&mut self, now: Span, course: &Course, out: &mut Vec<Update>) {
        if std::mem::take(&mut self.joined) {
            out.push(self.picture(course));
            return;
        }
        if self
            .counted_at
            .is_none_or(|at| Span(now.0.saturating_sub(at.0)) >= COUNTED_EVERY)
        {
            self.counted_at = Some(now);
            self.dirty.append(&mut self.counted);
        }
        for ((transfer, gateway), metrics) in std::mem::take(&mut self.values) {
            let Some(slot) = course.engines.slots.get(&transfer) else {
                continue;
            };
            let values = metrics
                .iter()
                .filter_map(|metric| guard(|| slot.engine.value(&gateway, metric)).ok().flatten());
            let values = values.collect();
            let change = ValuesChange {
                transfer,
                gateway,
                values,
            };
            out.push(Update::Values(Arc::new(Worded::new(change))));
        }
        for transfer in std::mem::take(&mut self.dirty) {
            if let Some(slot) = course.engines.slots.get(&transfer) {
                out.push(Update::State(Arc::new(Worded::new(slot.state()))));
            }
        }
    }

    /// The whole picture, in the place of all that waits.
    pub(crate) fn picture(&mut self, course: &Course) -> Update {
        self.values.clear();
        self.dirty.clear();
        self.counted.clear();
        let slots = course.engines.slots.values();
        Update::Snapshot(Snapshot {
            states: slots.map(|slot| Arc::new(slot.state())).collect(),
            missed: None,
        })
    }
}

/// A transition as viewers get it and as the journal keeps it.
pub(crate) fn alert_step(transfer: &TransferId, alert: &AlertTransition) -> Arc<AlertStep> {
    Arc::new(AlertStep {
        transfer: transfer.clone(),
        ordinal: alert.ordinal,
        at: alert.at,
        transition: enroute_wire::state::transition_to(transfer, alert),
    })
}

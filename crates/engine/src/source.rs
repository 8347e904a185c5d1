//! One gateway's part of a transfer: identity of its frames, its link, its
//! values, its device's alarms.

mod clocks;
mod conditions;
mod deadlines;
pub(crate) mod derived;
mod epochs;
pub(crate) mod late;
mod slots;
mod technical;
mod values;

use crate::alerts::{Alerts, Now};
use crate::bounds::{DEVICE_ALARMS_MAX, LIVE_INTERVAL_MAX, Overflow};
use crate::effects::Effects;
use crate::value::{Order, Origin, Slot};
use clocks::Clocks;
use enroute_alert::condition::{Conditions, Rule, Rules};
use enroute_alert::limit::Side;
use enroute_alert::profile::Profile;
use enroute_alert::score::Scores;
use enroute_alert::technical::LinkCondition;
use enroute_model::frame::{ClockOffsets, Code, DeviceAlarm, Header, LinkReport, Metric};
use enroute_model::ids::{Epoch, GatewayId, Lane, Stream};
use enroute_model::registry::AgeBand;
use enroute_model::state::{AlertKind, Baseline, Link, ScoreState, SourceState};
use enroute_model::time::{EngineTime, ServerTime, Span};
use epochs::{Life, Rejected};
use late::Late;
use serde::{Deserialize, Serialize};
use slots::Slots;
use std::collections::BTreeMap;
use technical::Technical;
use values::RATES_COUNT;

/// Link reports come at least this often, so a source that sends them is
/// expected to be heard at this interval (contract: `LinkReport`).
const LINK_REPORT_EVERY: Span = Span::from_secs(10);

/// What a source's step needs of the rest of the engine.
pub(crate) struct Ctx<'a> {
    pub(crate) gateway: &'a GatewayId,
    pub(crate) at: EngineTime,
    /// The transfer is open.
    pub(crate) open: bool,
    pub(crate) profile: &'a Profile,
    pub(crate) conditions: &'a Rules,
    pub(crate) scores: &'a Scores,
    /// What the transfer is marked with.
    pub(crate) marks: &'a [String],
    pub(crate) baselines: &'a BTreeMap<Code, Baseline>,
    pub(crate) age_band: Option<AgeBand>,
    pub(crate) alerts: &'a mut Alerts,
    pub(crate) overflow: &'a mut Overflow,
    pub(crate) out: &'a mut Effects,
}

/// One gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, in any combination"
)]
pub(crate) struct Source {
    /// False after a handover to another gateway or the crew's end: it is shown
    /// and raises nothing.
    pub(crate) active: bool,
    /// The registry made it active: an older word of its crew, that came late,
    /// does not undo that.
    pub(crate) named: bool,
    pub(crate) link: LinkCondition,
    sends_reports: bool,
    sends_waveforms: bool,
    report: Option<LinkReport>,
    rejected: Rejected,
    /// When scores were last computed.
    derived_at: Option<EngineTime>,
    scores: Vec<ScoreState>,
    pub(crate) conditions: Conditions,
    clocks: Clocks,
    pub(crate) values: Slots<Slot>,
    /// Where rates of several sensors are among so many values.
    #[serde(skip)]
    rates: (usize, [Option<usize>; RATES_COUNT]),
    device_alarms: Vec<HeldAlarm>,
    pub(crate) technical: Technical,
    late: Late,
    epochs: BTreeMap<Epoch, Life>,
    /// Newest live frame of each stream.
    newest: BTreeMap<Stream, Order>,
    /// Some stale value was excused by silence of the whole source.
    pub(crate) excused: bool,
    /// Order of the crew's last word on age and weight.
    pub(crate) population_order: Option<Order>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct HeldAlarm {
    alarm: DeviceAlarm,
    order: Order,
}

impl Source {
    pub(crate) fn new(at: EngineTime) -> Self {
        Self {
            active: true,
            named: false,
            link: LinkCondition::new(at),
            sends_reports: false,
            sends_waveforms: false,
            report: None,
            rejected: Rejected::default(),
            derived_at: None,
            scores: Vec::new(),
            conditions: Conditions::default(),
            clocks: Clocks::default(),
            values: Slots::default(),
            rates: (0, [None; RATES_COUNT]),
            device_alarms: Vec::new(),
            technical: Technical::default(),
            late: Late::default(),
            epochs: BTreeMap::new(),
            newest: BTreeMap::new(),
            excused: false,
            population_order: None,
        }
    }

    /// Whether its data may raise alerts.
    pub(crate) fn is_watched(&self, ctx: &Ctx) -> bool {
        self.active && ctx.open
    }

    /// Where a frame stands in the order of production, and whether it is late:
    /// by the history lane, or behind the newest live one of its stream. Neither
    /// clock has a say: they may be wrong, drift and step.
    pub(crate) fn place(&mut self, header: &Header, lane: Lane, at: EngineTime) -> Origin {
        // Engine time stands while the server's clock catches up after a step back, and
        // the epoch's number says nothing: each life has a moment of its own.
        let others = self.epochs.values().filter_map(|life| life.heard_live);
        let last = others.max().map_or(i64::MIN, |last| last.0);
        let first_heard = EngineTime(at.0.max(last.saturating_add(1)));
        let life = self.epochs.get_mut(&header.epoch);
        let epoch_heard = life.and_then(|life| match lane {
            Lane::Live => Some(life.heard(first_heard)),
            Lane::History => life.heard_live,
        });
        let order = Order {
            epoch_heard: epoch_heard.unwrap_or(EngineTime(i64::MIN)),
            epoch: header.epoch,
            sequence: header.sequence,
        };
        let behind = self
            .newest
            .get(&header.stream)
            .is_some_and(|newest| order < *newest);
        let of_the_past = lane == Lane::History || behind;
        if !of_the_past {
            self.newest.insert(header.stream, order);
        }
        Origin {
            stream: header.stream,
            order,
            observed_at: header.observed_at,
            captured_at: header.captured_at,
            measured_at: None,
            late: of_the_past,
        }
    }

    /// A new frame came by the live lane.
    pub(crate) fn heard(&mut self, ctx: &mut Ctx) {
        if self.link.heard(ctx.at) {
            ctx.out.changed.source(ctx.gateway);
            let key = (Some(ctx.gateway.clone()), AlertKind::LinkLost);
            ctx.alerts.end(&key, ctx.at, ctx.out);
            self.technical.note_progress(ctx.at);
        }
        if self.excused {
            self.no_longer_excused(ctx.at);
        }
    }

    /// The broker's word.
    pub(crate) fn presence(&mut self, online: bool, ctx: &mut Ctx) {
        if !online && self.link.offline(ctx.at) {
            self.lost(ctx);
        }
    }

    pub(crate) fn clocks(&self) -> ClockOffsets {
        self.clocks.offsets()
    }

    /// What a live frame says of the clocks. Gives when it was measured, on the
    /// server's clock.
    pub(crate) fn note_clocks(
        &mut self,
        header: &Header,
        ctx: &mut Ctx,
    ) -> Option<(ServerTime, Span)> {
        if self.clocks.note(header, ctx.at) {
            ctx.out.changed.source(ctx.gateway);
            self.tell_technical(ctx);
        }
        self.clocks.measured_at(header)
    }

    /// Says whether deadlines moved.
    pub(crate) fn note_report(&mut self, report: LinkReport, ctx: &mut Ctx) -> bool {
        let before = (self.sends_reports, self.level(), self.declared());
        self.note_equipment(&report, ctx);
        self.report = Some(report);
        self.sends_reports = true;
        ctx.out.changed.source(ctx.gateway);
        let moved = before != (true, self.level(), self.declared());
        if moved {
            self.declare(ctx.at);
        }
        moved
    }

    /// Step of the ladder of its last live report.
    fn level(&self) -> u32 {
        self.report.as_ref().map_or(0, |r| r.degradation_level)
    }

    /// How often numerics come live at most, by its last live report.
    fn declared(&self) -> Span {
        let declared = self.report.as_ref().map(|r| r.numerics_interval);
        declared.unwrap_or_default().min(LIVE_INTERVAL_MAX)
    }

    /// Its values and its link are expected by what it declares.
    fn declare(&mut self, at: EngineTime) {
        let declared = self.declared();
        for slot in self.values.values_mut() {
            slot.declare(declared, at);
        }
        self.expect();
    }

    pub(crate) fn note_waveforms(&mut self) {
        if !self.sends_waveforms {
            self.sends_waveforms = true;
            self.expect();
        }
    }

    /// The device's alarms. A late statement may end one that is older than it,
    /// never begin one: history does not sound (I11).
    pub(crate) fn note_device_alarms(
        &mut self,
        alarms: &[DeviceAlarm],
        origin: Origin,
        ctx: &mut Ctx,
    ) {
        for alarm in alarms {
            let same = |held: &HeldAlarm| {
                held.alarm.code == alarm.code
                    && held.alarm.label == alarm.label
                    && held.alarm.subject == alarm.subject
            };
            let known = self.device_alarms.iter().position(same);
            match (known, alarm.active) {
                (Some(index), false) => {
                    let held = self.device_alarms.get(index);
                    if held.is_some_and(|held| held.order < origin.order) {
                        self.device_alarms.remove(index);
                        ctx.out.changed.source(ctx.gateway);
                    }
                }
                (Some(index), true) if !origin.late => {
                    if let Some(held) = self.device_alarms.get_mut(index) {
                        held.alarm.priority = alarm.priority;
                        held.order = origin.order;
                        ctx.out.changed.source(ctx.gateway);
                    }
                }
                (None, true) if !origin.late => self.hold(alarm, origin.order, ctx),
                (_, true) | (None, false) => {}
            }
        }
    }

    fn hold(&mut self, alarm: &DeviceAlarm, order: Order, ctx: &mut Ctx) {
        if self.device_alarms.len() >= DEVICE_ALARMS_MAX {
            ctx.overflow.device_alarms = ctx.overflow.device_alarms.saturating_add(1);
            return;
        }
        let alarm = alarm.clone();
        self.device_alarms.push(HeldAlarm { alarm, order });
        ctx.out.changed.source(ctx.gateway);
    }

    /// Another source speaks for the patient: technical alerts end, what was
    /// active becomes unknown (I6).
    pub(crate) fn deactivate(&mut self, ctx: &mut Ctx) {
        if !self.active {
            return;
        }
        self.active = false;
        self.named = false;
        ctx.out.changed.source(ctx.gateway);
        let gateway = Some(ctx.gateway);
        ctx.alerts.end_all(ctx.at, ctx.out, |alert| {
            alert.gateway.as_ref() == gateway && !alert.kind.is_physiological()
        });
        self.forget_stale_alerts();
        self.technical.forget_sensors();
        self.conditions
            .end_those(ctx.conditions, |rule: &Rule| !rule.physiological);
        self.no_values(ctx);
    }

    /// Speaks for the patient again, or its transfer is open again.
    pub(crate) fn watch(&mut self, ctx: &mut Ctx) {
        ctx.out.changed.source(ctx.gateway);
        if self.link.loss().is_some() {
            self.tell_loss(ctx);
        } else {
            self.link.watch_from(ctx.at);
        }
        self.tell_technical(ctx);
    }

    pub(crate) fn forget_stale_alerts(&mut self) {
        for slot in self.values.values_mut() {
            slot.stale_alert = false;
            slot.stale_alert_at = None;
        }
        self.excused = false;
    }

    /// The link was just lost.
    fn lost(&mut self, ctx: &mut Ctx) {
        ctx.out.changed.source(ctx.gateway);
        self.technical.forget_pending();
        self.tell_loss(ctx);
        self.no_values(ctx);
    }

    fn tell_loss(&mut self, ctx: &mut Ctx) {
        if let Some(loss) = self.link.loss()
            && self.is_watched(ctx)
        {
            let key = (Some(ctx.gateway.clone()), AlertKind::LinkLost);
            let now = Now::technical(loss.priority, loss.since);
            ctx.alerts.set(key, now, ctx.at, ctx.out);
        }
    }

    /// The shortest interval at which something ought to come.
    fn expect(&mut self) {
        let values = self.values.values().filter(|slot| !slot.is_unpromised());
        let intervals = values.map(Slot::live_interval).filter(|i| *i > Span::ZERO);
        let reports = self.sends_reports.then_some(LINK_REPORT_EVERY);
        let waveforms = self.sends_waveforms && self.level() == 0;
        let waveforms = waveforms.then_some(Span::from_secs(1));
        let shortest = intervals.chain(reports).chain(waveforms).min();
        self.link.expect(shortest.unwrap_or(Span::ZERO));
    }

    /// Takes over what another engine knows of the same gateway; the newer wins.
    pub(crate) fn merge(&mut self, mut other: Self, ctx: &mut Ctx) {
        if other.link.last_heard() > self.link.last_heard() {
            self.merge_conditions(&mut other, ctx);
        }
        self.merge_epochs(other.epochs, ctx);
        self.late.merge(other.late);
        self.merge_values(other.values, ctx);
        if other.link.last_heard() > self.link.last_heard() {
            let key = (Some(ctx.gateway.clone()), AlertKind::LinkLost);
            ctx.alerts.end(&key, ctx.at, ctx.out);
            self.link = other.link;
            self.report = other.report.or(self.report.take());
            self.clocks = other.clocks;
            self.device_alarms = other.device_alarms;
            self.technical = other.technical;
        }
        for (stream, mut theirs) in other.newest {
            self.reorder(&mut theirs);
            let mut ours = self.newest.get(&stream).copied().unwrap_or(theirs);
            self.reorder(&mut ours);
            self.newest.insert(stream, theirs.max(ours));
        }
        self.sends_reports |= other.sends_reports;
        self.sends_waveforms |= other.sends_waveforms;
        self.declare(ctx.at);
        self.excused |= other.excused;
        self.population_order = self.population_order.max(other.population_order);
        let mut values = std::mem::take(&mut self.values);
        for slot in values.values_mut() {
            self.reorder(&mut slot.origin.order);
        }
        self.values = values;
        let mut alarms = std::mem::take(&mut self.device_alarms);
        for alarm in &mut alarms {
            self.reorder(&mut alarm.order);
        }
        self.device_alarms = alarms;
    }

    /// A life of the spool that was heard by both engines was first heard by one of
    /// them earlier: by the order of the other, what comes next would be behind what
    /// came, and never be shown.
    fn reorder(&self, order: &mut Order) {
        let heard = self.epochs.get(&order.epoch);
        if let Some(heard) = heard.and_then(|life| life.heard_live) {
            order.epoch_heard = heard;
        }
    }

    /// Whether the condition behind an alert is held here.
    pub(crate) fn stands_behind(&self, kind: &AlertKind) -> bool {
        match kind {
            AlertKind::LimitLow(metric) => self.is_shown(metric, Side::Low),
            AlertKind::LimitHigh(metric) => self.is_shown(metric, Side::High),
            AlertKind::Stale(metric) => {
                self.values.get(metric).is_some_and(|slot| slot.stale_alert)
            }
            AlertKind::LinkLost => self.link.loss().is_some(),
            AlertKind::Rule(subject) => self.conditions.is_shown(&subject.rule),
            AlertKind::SensorOff(_)
            | AlertKind::SpoolFilling
            | AlertKind::BatteryLow
            | AlertKind::HistoryIncomplete => self.technical.holds(kind) == Some(true),
            AlertKind::Conflict(_)
            | AlertKind::EngineDegraded
            | AlertKind::NotRecorded
            | AlertKind::ClockWrong
            | AlertKind::NotAttended => true,
        }
    }

    fn is_shown(&self, metric: &Metric, side: Side) -> bool {
        let slot = self.values.get(metric);
        slot.is_some_and(|slot| slot.condition.is_shown(side))
    }

    pub(crate) fn state(&self, gateway: &GatewayId) -> SourceState {
        SourceState {
            gateway: gateway.clone(),
            active: self.active,
            link: self.link_state(),
            report: self.report.clone(),
            clocks: self.clocks.offsets(),
            values: self
                .values
                .iter()
                .map(|(metric, slot)| slot.state(metric))
                .collect(),
            device_alarms: self
                .device_alarms
                .iter()
                .map(|held| held.alarm.clone())
                .collect(),
            completeness: self.completeness(),
            rejected_publishes: self.rejected.publishes(),
            scores: self.scores(),
            unavailable: self.conditions.unavailable().map(str::to_owned).collect(),
            clock_state: self.clocks.flags(),
        }
    }

    fn link_state(&self) -> Link {
        match (self.link.loss(), self.link.last_heard()) {
            (None, Some(last_heard)) => Link::Up { last_heard },
            (Some(loss), last_heard) => Link::Lost {
                last_heard,
                since: loss.since,
            },
            (None, None) => Link::Lost {
                last_heard: None,
                since: self.link.silent_from(),
            },
        }
    }
}

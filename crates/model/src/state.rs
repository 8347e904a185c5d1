//! What comes out of the engine: the state of a transfer as viewers see it,
//! and the transitions of alerts.

use crate::frame::{
    ClockOffsets, Code, DeviceAlarm, GapCause, GeoPoint, LinkReport, Metric, Priority,
};
use crate::ids::{BookHash, Epoch, GatewayId, Position, ShortCode, Stream, TransferId};
use crate::notes::{CrewEntry, NoteToCrew};
use crate::reading::{Decimal, Reading};
use crate::registry::{TransferInfo, ViewerRole};
use crate::time::{DeviceTime, EngineTime, GatewayTime, ServerTime, Span};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Everything a viewer needs for a first picture of one transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransferState {
    /// Its id.
    pub transfer: TransferId,
    /// For the telephone.
    pub short_code: ShortCode,
    /// Ids that were joined to it.
    pub aliases: Vec<TransferId>,
    /// What people entered.
    pub info: TransferInfo,
    /// What clinicians said is usual for this patient, by code.
    pub baselines: Vec<Baseline>,
    /// True while no age band is known: adult limits are *assumed*.
    pub population_assumed: bool,
    /// Simulated or published again.
    pub exercise: bool,
    /// Open or closed, and since when.
    pub phase: Phase,
    /// First record.
    pub started_at: ServerTime,
    /// One per gateway that spoke for it, by gateway id.
    pub sources: Vec<SourceState>,
    /// Active and latched alerts, most urgent first, then oldest first.
    pub alerts: Vec<AlertState>,
    /// Where it is and when it arrives.
    pub travel: Travel,
    /// Records that could not be handled (I9), oldest first, at most 16.
    pub poisoned: Vec<PoisonedRecord>,
    /// Newest crew events (observations excepted), oldest first, at most 64.
    pub crew_log: Vec<CrewEntry>,
    /// What the hospital noted to the crew, oldest first, at most 32.
    pub notes_to_crew: Vec<NoteToCrew>,
    /// Times of which viewers saw what no record holds, oldest first, at most 16.
    pub unrecorded: Vec<Unrecorded>,
    /// Found in history that came late, newest finds first, at most 64.
    pub retrospective: Vec<AlertState>,
    /// Frames of history that were not searched, for want of room.
    pub unsearched: u64,
    /// Where the limits in force come from.
    pub rules: RulesInForce,
}

/// Where the limits in force come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulesInForce {
    /// Name of the rule book.
    pub book_name: String,
    /// Its version, in its author's words.
    pub book_version: String,
    /// What it goes by.
    pub book_hash: BookHash,
    /// Who approved it; empty: nobody.
    pub approved_by: String,
    /// When; empty: never.
    pub approved_on: String,
    /// Overlays in force, in the order in which they are laid on.
    pub overlays: Vec<String>,
    /// Limits that a clinician set for this patient, by code.
    pub own: Vec<OwnLimits>,
    /// The book that was to be used and is not known here.
    pub missing_book: Option<BookHash>,
}

/// Limits that a clinician set for this patient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnLimits {
    /// Of what.
    pub code: Code,
    /// They replace those of the rule book.
    pub limits: LimitsInForce,
    /// Set around the value of that moment.
    pub automatic: bool,
    /// Who, and when.
    pub from: Attention,
    /// Why.
    pub reason: String,
}

/// A value that is usual for one patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Of which vital sign.
    pub code: Code,
    /// In its unit.
    pub value: Decimal,
    /// Who said so, and when.
    pub from: Attention,
    /// Why.
    pub reason: String,
}

/// Whether a transfer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Under way; unassigned while `info.hospital` is empty.
    Open,
    /// Over; still accepts history.
    Closed {
        /// Engine time of closing.
        at: EngineTime,
    },
}

/// A record that broke the engine and is skipped ever after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoisonedRecord {
    /// Where it lies.
    pub position: Position,
    /// What happened.
    pub reason: String,
}

/// What one gateway gives for a transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// Who.
    pub gateway: GatewayId,
    /// False after a handover to another gateway or the crew's end.
    pub active: bool,
    /// Is it heard?
    pub link: Link,
    /// Its last report about itself.
    pub report: Option<LinkReport>,
    /// Its newest clock estimates.
    pub clocks: ClockOffsets,
    /// Newest values, by metric.
    pub values: Vec<ValueState>,
    /// The bedside device's own active alarms.
    pub device_alarms: Vec<DeviceAlarm>,
    /// What arrived and what is missing, per epoch and stream.
    pub completeness: Vec<StreamCompleteness>,
    /// Publishes that ingest refused, as far as records say: told at the 1st,
    /// 2nd, 4th, 8th … since each start of the server.
    pub rejected_publishes: u64,
    /// What is known of its clocks.
    pub clock_state: ClockState,
    /// Early warning scores, by code; those of the values beside them.
    pub scores: Vec<ScoreState>,
    /// Rules of the book that would say something of this patient, for which too
    /// little data comes: unknown, not normal.
    pub unavailable: Vec<String>,
}

/// What is certain of a score and what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreState {
    /// Which, as in the catalogue.
    pub code: Code,
    /// Points that are certain.
    pub low: u8,
    /// Points if all that is not known were at its worst.
    pub high: u8,
    /// One item alone has 3 points.
    pub single_red: bool,
    /// Items that are missing or too old.
    pub missing: u8,
    /// The age is not known: adult is assumed.
    pub age_assumed: bool,
}

/// Whether a source is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Live frames arrive.
    Up {
        /// Engine time of the last live frame.
        last_heard: EngineTime,
    },
    /// Nothing live for longer than it should take, or the broker said it is gone.
    Lost {
        /// Engine time of the last live frame; `None`: none ever came live.
        last_heard: Option<EngineTime>,
        /// Engine time of the loss.
        since: EngineTime,
    },
}

/// The newest value of a metric, its age and direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueState {
    /// Of what.
    pub metric: Metric,
    /// UCUM; never empty here unless the source gave none.
    pub unit: String,
    /// The value, or why there is none.
    pub reading: Reading,
    /// Outside the catalogue's plausible range: shown as such, never alerted on.
    pub implausible: bool,
    /// Monitor's clock.
    pub observed_at: Option<DeviceTime>,
    /// Gateway's clock.
    pub captured_at: GatewayTime,
    /// The time of measurement on the server's clock, with the half-width of the
    /// interval that holds the truth; `None` while an offset is unknown.
    pub measured_at: Option<(ServerTime, Span)>,
    /// Engine time at which it came live; drives staleness.
    pub heard_at: EngineTime,
    /// Older than it may be: never shown as current.
    pub stale: bool,
    /// The source's declared interval.
    pub interval: Span,
    /// Change per minute over the trend window, if there is enough data.
    pub slope_per_min: Option<f64>,
    /// Limits in force, for display.
    pub limits: Option<LimitsInForce>,
}

/// The limits that apply to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitsInForce {
    /// High-priority lower limit.
    pub crit_low: Option<f64>,
    /// Lower limit.
    pub warn_low: Option<f64>,
    /// Upper limit.
    pub warn_high: Option<f64>,
    /// High-priority upper limit.
    pub crit_high: Option<f64>,
}

/// Completeness of one stream of one epoch and leg; `produced` = `durable` +
/// `shed` + `missing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCompleteness {
    /// Life of the spool.
    pub epoch: Epoch,
    /// Stream.
    pub stream: Stream,
    /// First sequence of this leg.
    pub first: u64,
    /// Highest sequence known to exist.
    pub highest: u64,
    /// Different frames that the gateway handed to the network, by its last
    /// report.
    pub sent: Option<u64>,
    /// Frames received, duplicates and conflicts included.
    pub received: u64,
    /// Different frames in the journal, shed records included.
    pub durable: u64,
    /// Frames that will never come.
    pub shed: u64,
    /// Received again with the same content.
    pub duplicates: u64,
    /// Received again with other content.
    pub conflicts: u64,
    /// Neither received nor given up.
    pub missing: u64,
    /// What is not there, ascending, at most 16.
    pub gaps: Vec<Gap>,
    /// How many gaps lie behind those.
    pub more_gaps: u64,
}

/// A run of frames that the journal does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// Gateway's clock of the nearest frame before it, or of its own first
    /// where the gateway told that.
    pub from: Option<GatewayTime>,
    /// Gateway's clock of the nearest frame behind it.
    pub to: Option<GatewayTime>,
    /// Why; `None`: missing, and may still come.
    pub cause: Option<GapCause>,
}

/// What is known of the clocks on board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of their own, in any combination"
)]
pub struct ClockState {
    /// The gateway's clock differs from the server's by more than it may.
    pub gateway_wrong: bool,
    /// It jumped, or runs fast or slow, since the leg began.
    pub gateway_unsteady: bool,
    /// The monitor's clock differs from the gateway's by more than it may.
    pub monitor_wrong: bool,
    /// It jumped, or runs fast or slow.
    pub monitor_unsteady: bool,
}

/// A time of which viewers saw what no record holds (I8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    /// When the journal failed.
    pub since: ServerTime,
    /// When it was repaired.
    pub until: ServerTime,
    /// What failed.
    pub reason: String,
}

/// Where the vehicle is, and when it arrives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Travel {
    /// Newest position.
    pub position: Option<GeoPoint>,
    /// Engine time of that position.
    pub heard_at: Option<EngineTime>,
    /// Travelled track, oldest first, thinned to at most 256 points.
    pub track: Vec<GeoPoint>,
    /// Index of the planned leg under way.
    pub leg: Option<usize>,
    /// To the receiving hospital along the planned legs, metres.
    pub distance_m: Option<f64>,
    /// Estimated arrival.
    pub eta: Option<EngineTime>,
}

/// What an alert speaks of; the same subject and kind on the same source is the
/// same condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AlertKind {
    /// A value beyond its lower limit.
    LimitLow(Metric),
    /// A value beyond its upper limit.
    LimitHigh(Metric),
    /// A value that ought to be newer.
    Stale(Metric),
    /// A source that is not heard.
    LinkLost,
    /// One frame identity with two contents.
    Conflict(Stream),
    /// A record of this transfer could not be handled.
    EngineDegraded,
    /// The journal cannot be written: what is shown is not recorded (I8).
    NotRecorded,
    /// A condition that a rule book names.
    Rule(RuleSubject),
    /// A sensor, probe or lead that is off.
    SensorOff(Metric),
    /// A clock on board that is wrong or unsteady.
    ClockWrong,
    /// The gateway's spool will soon be full.
    SpoolFilling,
    /// The gateway or its monitor will soon be without power.
    BatteryLow,
    /// History that has not come for longer than it should take.
    HistoryIncomplete,
    /// An alert that nobody has acknowledged.
    NotAttended,
}

/// A condition by its name in the rule book.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleSubject {
    /// The rule's id, such as `sys_fall`.
    pub rule: String,
    /// What it is shown with.
    pub metric: Metric,
    /// Of the patient; else of the equipment.
    pub physiological: bool,
}

impl AlertKind {
    /// The quantity whose value raises it; `None`: none does.
    #[must_use]
    pub fn raised_by(&self) -> Option<&Metric> {
        match self {
            Self::LimitLow(metric) | Self::LimitHigh(metric) => Some(metric),
            Self::Rule(subject) if subject.physiological => Some(&subject.metric),
            Self::Rule(_)
            | Self::Stale(_)
            | Self::LinkLost
            | Self::Conflict(_)
            | Self::EngineDegraded
            | Self::NotRecorded
            | Self::SensorOff(_)
            | Self::ClockWrong
            | Self::SpoolFilling
            | Self::BatteryLow
            | Self::HistoryIncomplete
            | Self::NotAttended => None,
        }
    }

    /// Physiological (the patient) or technical (the equipment).
    #[must_use]
    pub fn is_physiological(&self) -> bool {
        match self {
            Self::LimitLow(_) | Self::LimitHigh(_) => true,
            Self::Rule(subject) => subject.physiological,
            Self::Stale(_)
            | Self::LinkLost
            | Self::Conflict(_)
            | Self::EngineDegraded
            | Self::NotRecorded
            | Self::SensorOff(_)
            | Self::ClockWrong
            | Self::SpoolFilling
            | Self::BatteryLow
            | Self::HistoryIncomplete
            | Self::NotAttended => false,
        }
    }
}

/// An alert condition that is present, or was and is latched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// From start to end the same; unique within the transfer.
    pub alert_id: u64,
    /// Which gateway's data.
    pub gateway: Option<GatewayId>,
    /// What.
    pub kind: AlertKind,
    /// How urgent, now.
    pub priority: Priority,
    /// Where it stands.
    pub phase: AlertPhase,
    /// When the condition began, engine time.
    pub since: EngineTime,
    /// The value that raised or last changed it.
    pub value: Option<Reading>,
    /// When that value came, engine time. Of an unknown condition it is the last
    /// value there was.
    pub value_at: Option<EngineTime>,
    /// The limit it broke.
    pub limit: Option<f64>,
    /// The ordinal of the step that last asked for attention: the first one, or
    /// the last that made it more urgent or present again.
    pub raised: u64,
    /// Who acknowledged it since.
    pub acknowledged: Option<Attention>,
    /// Its signals rest until then, engine time.
    pub paused_until: Option<EngineTime>,
    /// The newest remark.
    pub note: Option<AlertNote>,
    /// Found in history, over when it was found: until when it lasted. `since`
    /// is then the patient's time and not the engine's, `value` the furthest
    /// beyond the limit.
    pub until: Option<EngineTime>,
    /// How long it has been unattended.
    pub escalation: Escalation,
    /// The way of its last demand for attention.
    pub path: AlertPath,
}

impl AlertState {
    /// Found in history that came late (I11).
    #[must_use]
    pub fn is_retrospective(&self) -> bool {
        self.until.is_some()
    }

    /// Whether somebody in this role is to be given it.
    #[must_use]
    pub fn reaches(&self, role: ViewerRole, exercise: bool) -> bool {
        match role {
            ViewerRole::Wall | ViewerRole::Viewer | ViewerRole::Clinician => true,
            ViewerRole::OnCall => {
                let called = self.escalation > Escalation::None;
                !exercise && (called || self.kind == AlertKind::NotAttended)
            }
        }
    }
}

/// How far an alert that nobody sees to has been passed on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Escalation {
    /// Whoever watches is to see to it.
    #[default]
    None,
    /// Those on call as well.
    OnCall,
    /// They did not see to it either.
    Unattended,
}

/// When a demand for attention passed each place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertPath {
    /// The value that raised it; `None`: none did.
    pub value: Option<ValuePath>,
    /// Engine time of the demand.
    pub raised_at: EngineTime,
    /// Where it was shown first, once per role, in order of showing.
    pub shown: Vec<(ViewerRole, Attention)>,
}

/// The way of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePath {
    /// Monitor's clock.
    pub observed_at: Option<DeviceTime>,
    /// Gateway's clock.
    pub captured_at: GatewayTime,
    /// On the server's clock, and how uncertain that is.
    pub measured_at: Option<(ServerTime, Span)>,
    /// Engine time at which it came.
    pub received_at: EngineTime,
}

/// Who saw to something, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// As the server knows them.
    pub by: String,
    /// Engine time.
    pub at: EngineTime,
}

/// A remark on an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertNote {
    /// Who and when.
    pub from: Attention,
    /// What.
    pub text: String,
}

/// Where an alert condition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertPhase {
    /// Present.
    Active,
    /// Was present when the data stopped: unknown, not normal (I6).
    Unknown,
    /// No longer present, kept until somebody looks.
    Latched,
    /// Over.
    Ended,
}

/// One step in the life of an alert; never conflated, never dropped (I5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertTransition {
    /// Counts the transfer's transitions from 1: names this step for ever.
    pub ordinal: u64,
    /// Engine time of the step.
    pub at: EngineTime,
    /// The condition after the step.
    pub alert: AlertState,
}

/// What the engine made of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A frame seen for the first time.
    Accepted {
        /// Fills in the past; does not speak of now (I11).
        late: bool,
    },
    /// A frame with an identity and content seen before: nothing changed (I4).
    Duplicate,
    /// A frame with an identity seen before and other content: kept in the
    /// journal and alerted; its content is not shown (I4).
    Conflict,
    /// Not a frame; done.
    Applied,
    /// Asks for something that cannot be, such as joining itself; a frame: beyond
    /// a bound of the engine, and therefore in no receipt.
    Refused(Cow<'static, str>),
}

impl Verdict {
    /// Refused for this reason.
    #[must_use]
    pub const fn refused(reason: &'static str) -> Self {
        Self::Refused(Cow::Borrowed(reason))
    }
}

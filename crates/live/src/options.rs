//! Limits and timing of the live view, and what it tells about itself.

use enroute_model::ids::Position;
use enroute_model::registry::ViewerRole;
use enroute_model::time::Span;
use enroute_wire::limits::WATCH_TRANSFERS_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds and timing. Each queue's policy when full stands with its bound.
#[derive(Clone)]
pub struct Options {
    /// How often engine time moves when nothing arrives.
    pub tick: Duration,
    /// Engine time between two looks at what is durable of whom, for receipts: they are
    /// cumulative, so each look says all that came since the last one. Records and ticks
    /// look.
    pub receipts_every: Span,
    /// How often a subscription says that it lives.
    pub heartbeat: Duration,
    /// Requests waiting for the shard; callers wait when full.
    pub requests_max: usize,
    /// Subscriptions at a time; more are refused.
    pub viewers_max: usize,
    /// Transfers in memory, joined ones counted; records of further ones are not
    /// admitted ([`crate::Admission`]), but a clinician's action may still begin
    /// some.
    pub transfers_max: usize,
    /// Transfers with a record, in memory or asleep; new ids beyond are not admitted.
    pub known_max: usize,
    /// How long after its last record a closed transfer leaves memory.
    pub sleep_after: Span,
    /// Transfers that one subscription may name.
    pub named_max: usize,
    /// Alert transitions waiting for one viewer; when full its subscription
    /// ends and can be resumed (I5).
    pub alerts_queued_max: usize,
    /// Samples waiting for one viewer; when full the oldest go, counted (I5).
    pub samples_queued_max: usize,
    /// Bytes of samples waiting for one viewer; as above.
    pub sample_bytes_queued_max: usize,
    /// Viewers that read missed samples from the journal at a time; further ones
    /// wait, and get all but samples meanwhile.
    pub catching_up_max: usize,
    /// Histories read at a time; more are refused.
    pub histories_max: usize,
    /// Recordings played at a time; more are refused.
    pub playbacks_max: usize,
    /// Alert transitions missed before a resumption that are made up for; more
    /// give a new snapshot that says so.
    pub alerts_missed_max: usize,
    /// Actions waiting for their record to be handled; more are refused.
    pub acts_max: usize,
    /// Records of one transfer between two of its snapshots.
    pub snapshot_records: u64,
    /// Engine time between two snapshots of a transfer that has new records.
    pub snapshot_every: Span,
    /// Receives the time that frames of the live lane took, by stage.
    pub latency: Option<Arc<dyn Latency>>,
    /// Runs before each record is handled, inside the guard that poisons a
    /// record whose handling panics. For tests of that guard.
    pub before_record: Option<Probe>,
}

/// A hook for tests.
pub type Probe = Arc<dyn Fn(&enroute_model::record::Record) + Send + Sync>;

impl Default for Options {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(200),
            receipts_every: Span::from_millis(200),
            heartbeat: Duration::from_secs(1),
            requests_max: 1_024,
            viewers_max: 1_024,
            transfers_max: 10_000,
            known_max: 200_000,
            sleep_after: Span::from_secs(3_600),
            named_max: WATCH_TRANSFERS_MAX,
            alerts_queued_max: 1_024,
            samples_queued_max: 8_192,
            sample_bytes_queued_max: 16 << 20,
            catching_up_max: 128,
            histories_max: 64,
            playbacks_max: 16,
            alerts_missed_max: 10_000,
            acts_max: 1_024,
            snapshot_records: 500,
            snapshot_every: Span::from_secs(30),
            latency: None,
            before_record: None,
        }
    }
}

/// How far a frame of the live lane has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server received it: the time since its capture on board, on the server's
    /// clock as far as the gateway's offset is known. Not told of waveforms, which
    /// are captured from their first sample on.
    Received,
    /// The engine has handled it: the time since its reception.
    Handled,
    /// It was handed to a viewer: the time since its reception.
    Sent,
}

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertStage {
    /// The value that raised it was received: the time since its measurement, as
    /// far as the clocks on board are known.
    Received,
    /// It was raised: the time since that value was received; delays of limits
    /// are in it where no newer value came.
    Raised,
    /// It was handed to a viewer: the time since it was raised.
    Sent,
    /// A viewer drew it, the first of its role: the time since it was raised.
    Shown,
    /// Somebody acknowledged it: the time since it was raised.
    Acknowledged,
}

/// Takes latencies, such as into a histogram. Called on hot paths: must not wait.
pub trait Latency: Send + Sync {
    /// The frame of the record at `position` took this long to reach `stage`.
    fn record(&self, stage: Stage, position: Position, took: Span);
    /// An alert took this long to reach `stage`.
    fn alert(&self, stage: AlertStage, took: Span);
}

/// Counters, readable at any time.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) handled: AtomicU64,
    pub(crate) viewers: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) worded: AtomicU64,
    pub(crate) conflated: AtomicU64,
    pub(crate) overflowed: AtomicU64,
    pub(crate) alerts: AtomicU64,
    pub(crate) poisoned: AtomicU64,
    pub(crate) transfers: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) unrecorded: AtomicU64,
    pub(crate) for_deleted: AtomicU64,
    pub(crate) alerts_sent: [AtomicU64; 4],
}

impl Stats {
    /// Steps of alerts handed to viewers, by the role that they declared.
    #[must_use]
    pub fn alerts_sent(&self) -> [(ViewerRole, u64); 4] {
        ViewerRole::ALL.map(|role| (role, self.sent_to(role).load(Ordering::Relaxed)))
    }

    pub(crate) fn sent_to(&self, role: ViewerRole) -> &AtomicU64 {
        let [wall, viewer, clinician, on_call] = &self.alerts_sent;
        match role {
            ViewerRole::Wall => wall,
            ViewerRole::Viewer => viewer,
            ViewerRole::Clinician => clinician,
            ViewerRole::OnCall => on_call,
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident)*) => {
        impl Stats {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> u64 {
                self.$name.load(Ordering::Relaxed)
            })*
        }
    };
}

counters! {
    /// Position of the last record handled; the engine's lag is the journal's
    /// last position minus this.
    handled
    /// Subscriptions now.
    viewers
    /// Updates handed to viewers.
    sent
    /// Updates put into the contract's words, each once for all viewers who are told
    /// the same.
    worded
    /// Samples and values that newer ones replaced for slow viewers.
    conflated
    /// Subscriptions ended because alert transitions found no room.
    overflowed
    /// Alert transitions since the start.
    alerts
    /// Records marked as poisoned since the start.
    poisoned
    /// Transfers known, joined ones not counted.
    transfers
    /// Frames seen before, since the start.
    duplicates
    /// Frames whose identity was seen before with other content, since the start.
    conflicts
    /// Records handled since the start that no journal holds.
    unrecorded
    /// Frames since the start of transfers whose recording was deleted.
    for_deleted
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

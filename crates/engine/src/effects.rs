//! What the engine has to say: filled by it, owned and emptied by the caller.

use enroute_model::frame::Metric;
use enroute_model::ids::{GatewayId, StreamKey};
use enroute_model::state::AlertTransition;
use enroute_model::time::Span;

/// Effects of a record or of deadlines, in order. The caller clears it and
/// gives it again, so that nothing is allocated in the steady state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Steps of alerts, by ascending ordinal without holes (I5).
    pub alerts: Vec<AlertTransition>,
    /// Which parts of the state are no longer what they were.
    pub changed: Changed,
    /// How long after its demand for attention an alert was first shown to
    /// somebody of a role.
    pub shown: Vec<Span>,
    /// What the engine cannot do alone.
    pub requests: Vec<Request>,
}

/// Which parts of the state changed; read them from the engine's accessors.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of parts, each named")]
pub struct Changed {
    /// Values: new, stale, or with other limits. One may appear more than once.
    pub values: Vec<(GatewayId, Metric)>,
    /// Sources of which the link, activity, report, clocks or device alarms
    /// changed; each once.
    pub sources: Vec<GatewayId>,
    /// Sources of which a counter or a gap changed (nearly every frame: send
    /// it at a slower pace); each once.
    pub completeness: Vec<GatewayId>,
    /// What people entered, the assumed population, aliases, or exercise.
    pub info: bool,
    /// Opened or closed.
    pub phase: bool,
    /// Position, track, distance or arrival.
    pub travel: bool,
    /// The crew's log, or a note to the crew.
    pub crew_log: bool,
    /// The poisoned records.
    pub poisoned: bool,
}

/// Something for the owner of the engines to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The crew says that this transfer is a leg of another one: find it,
    /// journal `JoinInto`, and let that one absorb this one.
    Join {
        /// Whose crew.
        gateway: GatewayId,
        /// As typed.
        short_code: String,
    },
}

/// What the journal holds of one stream, for the gateway's receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReceipt {
    /// Which stream.
    pub key: StreamKey,
    /// First sequence of the leg.
    pub first: u64,
    /// Everything from `first` to here is durable; `first - 1`: nothing yet.
    pub through: u64,
    /// Durable above `through`, ascending, at most 64; what lies between is missing.
    pub above: Vec<(u64, u64)>,
}

impl Effects {
    /// Forgets all of it, keeps the memory.
    pub fn clear(&mut self) {
        self.alerts.clear();
        self.shown.clear();
        self.requests.clear();
        self.changed.clear();
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
            && self.shown.is_empty()
            && self.requests.is_empty()
            && self.changed.is_empty()
    }
}

impl Changed {
    /// Forgets all of it, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.sources.clear();
        self.completeness.clear();
        self.info = false;
        self.phase = false;
        self.travel = false;
        self.crew_log = false;
        self.poisoned = false;
    }

    /// Whether the state is what it was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lists =
            self.values.is_empty() && self.sources.is_empty() && self.completeness.is_empty();
        let flags = self.info || self.phase || self.travel || self.crew_log || self.poisoned;
        lists && !flags
    }

    pub(crate) fn value(&mut self, gateway: &GatewayId, metric: &Metric) {
        self.values.push((gateway.clone(), metric.clone()));
    }

    pub(crate) fn source(&mut self, gateway: &GatewayId) {
        if !self.sources.contains(gateway) {
            self.sources.push(gateway.clone());
        }
    }

    pub(crate) fn complete(&mut self, gateway: &GatewayId) {
        if !self.completeness.contains(gateway) {
            self.completeness.push(gateway.clone());
        }
    }
}

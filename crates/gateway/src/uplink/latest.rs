//! The newest of each kind of numerics: what goes live when not all of them can,
//! and first of all after an outage. Pure.

use crate::spool::{Spooled, StreamLife};
use enroute_model::frame::{Body, Metric};
use enroute_model::ids::Stream;
use enroute_model::time::Span;
use std::collections::BTreeMap;

/// Kinds remembered; beyond it, the one heard of longest ago is forgotten and
/// goes by history only.
const KINDS_MAX: usize = 64;

/// What makes one frame the successor of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Position,
    /// These quantities.
    Numerics(Vec<Metric>),
}

/// The newest of one kind.
#[derive(Debug)]
struct Newest {
    frame: Spooled,
    recorded_at: Span,
    /// Still to go live.
    due: bool,
}

/// The newest of each kind.
#[derive(Debug, Default)]
pub(super) struct Latest {
    newest: BTreeMap<Kind, Newest>,
}

impl Latest {
    /// A frame was recorded; `due`: it is not published at once.
    pub(super) fn record(&mut self, now: Span, frame: &Spooled, due: bool) {
        let Some(kind) = kind(frame) else { return };
        if self.newest.len() >= KINDS_MAX && !self.newest.contains_key(&kind) {
            let oldest = self.newest.iter().min_by_key(|(_, n)| n.recorded_at);
            let oldest = oldest.map(|(kind, _)| kind.clone());
            oldest.and_then(|kind| self.newest.remove(&kind));
        }
        let newest = Newest {
            frame: frame.clone(),
            recorded_at: now,
            due,
        };
        self.newest.insert(kind, newest);
    }

    /// All are to go live (again), if they are no older than `age`.
    pub(super) fn renew(&mut self, now: Span, age: Span) {
        for newest in self.newest.values_mut() {
            newest.due = now.0.saturating_sub(newest.recorded_at.0) <= age.0;
        }
    }

    pub(super) fn any_due(&self) -> bool {
        self.newest.values().any(|newest| newest.due)
    }

    /// What is to go live and has not gone.
    pub(super) fn due(&self) -> impl Iterator<Item = (StreamLife, u64)> {
        let due = self.newest.values().filter(|newest| newest.due);
        due.map(|newest| (newest.frame.life, newest.frame.sequence))
    }

    /// What is to go live, in the order of recording; not due any more.
    pub(super) fn take_due(&mut self) -> Vec<Spooled> {
        let mut due = Vec::new();
        for newest in self.newest.values_mut() {
            if std::mem::take(&mut newest.due) {
                due.push(newest.frame.clone());
            }
        }
        due.sort_by_key(|frame| (frame.life, frame.sequence));
        due
    }

    /// Forgets what a receipt covers.
    pub(super) fn retain(&mut self, open: impl Fn(&Spooled) -> bool) {
        self.newest.retain(|_, newest| open(&newest.frame));
    }
}

fn kind(frame: &Spooled) -> Option<Kind> {
    if frame.life.1 != Stream::Numerics {
        return None;
    }
    match enroute_wire::frame::decode(&frame.payload).ok()?.body {
        Body::Position(_) => Some(Kind::Position),
        Body::Numerics(numerics) => {
            let metrics = numerics.into_iter().map(|numeric| numeric.metric);
            Some(Kind::Numerics(metrics.collect()))
        }
        Body::Waveforms(_)
        | Body::DeviceAlarms(_)
        | Body::Crew(_)
        | Body::Link(_)
        | Body::Shed(_)
        | Body::Unknown => None,
    }
}

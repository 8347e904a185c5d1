//! The live lane: what goes at once, and what waits for its turn.

use super::{Core, Now, Output};
use crate::spool::Spooled;
use enroute_model::ids::{Lane, Stream};
use enroute_model::time::Span;
use enroute_wire::v1;

/// Live publishes under way; what comes beyond goes by history.
const LIVE_FLIGHTS_MAX: usize = 32;
/// While a live publish has waited so long beyond what the way takes, nothing is
/// put behind it but events.
const HOLD: Span = Span::from_millis(1_500);

impl Core {
    /// One publish of what was recorded together; what cannot go now goes by history.
    pub(super) fn on_recorded(&mut self, now: Now, frames: &[Spooled], out: &mut Vec<Output>) {
        let (flights, _) = self.sent.unacknowledged(Lane::Live);
        let open = self.link.connected && flights < LIVE_FLIGHTS_MAX;
        let held = self.held_at(now.monotonic);
        let waveforms = !held && self.ladder.carries_waveforms();
        let numerics = !held && self.ladder.numerics_interval() == Span::ZERO;
        let mut go = Vec::new();
        for frame in frames {
            self.note_chance(frame);
            let goes = open
                && match frame.life.1 {
                    Stream::Events => true,
                    Stream::Numerics => numerics,
                    Stream::Waveforms => waveforms,
                };
            self.latest.record(now.monotonic, frame, !goes);
            if goes {
                go.push(frame.clone());
            } else {
                self.changed();
            }
        }
        self.publish_live(now, go, out);
    }

    /// Live has its chance with a frame; of earlier lives of the spool all is history.
    fn note_chance(&mut self, frame: &Spooled) {
        if let Some(through) = &mut self.through {
            through.retain(|life, _| life.0 == frame.life.0);
            through.insert(frame.life, frame.sequence);
        }
    }

    /// The newest numerics that could not go when they were recorded.
    pub(super) fn summarize(&mut self, now: Now, out: &mut Vec<Output>) {
        let (flights, _) = self.sent.unacknowledged(Lane::Live);
        let waits = !self.link.connected
            || flights >= LIVE_FLIGHTS_MAX
            || now.monotonic < self.summary_at
            || self.held_at(now.monotonic)
            || !self.latest.any_due();
        if waits {
            return;
        }
        let interval = self.ladder.numerics_interval();
        self.summary_at = Span(now.monotonic.0.saturating_add(interval.0));
        let mut due = self.latest.take_due();
        self.changed();
        // History may have been quicker.
        due.retain(|frame| !self.sent.contains(frame.life, frame.sequence));
        self.publish_live(now, due, out);
    }

    /// Whether the oldest live publish has waited too long to put more behind it.
    pub(super) fn held_at(&self, now: Span) -> bool {
        let oldest = self.sent.oldest_unacknowledged(Lane::Live);
        oldest.is_some_and(|at| self.pace.queueing(Span(now.0.saturating_sub(at.0))) > HOLD)
    }

    /// One publish for each transfer: after the crew began a new one, what waited
    /// may still belong to the one before.
    fn publish_live(&mut self, now: Now, frames: Vec<Spooled>, out: &mut Vec<Output>) {
        let mut rest = frames;
        while let Some(transfer) = rest.first().map(|frame| frame.transfer.clone()) {
            let (these, others) = rest.into_iter().partition(|f| f.transfer == transfer);
            let these: Vec<Spooled> = these;
            rest = others;
            let numbers = these.iter().map(|f| (f.life, f.sequence)).collect();
            // Of waveforms alone it would be one byte in fifty.
            let stated = these.iter().any(|f| f.life.1 != Stream::Waveforms);
            let batch = v1::Batch {
                frame: these.into_iter().map(|f| f.payload).collect(),
                sent_at_us: if stated { now.wall.0 } else { 0 },
                ..v1::Batch::default()
            };
            self.publish(now, Lane::Live, transfer, &batch, numbers, out);
        }
    }

    /// Now comes first: the newest of all that is recorded, unless it is so old
    /// that it is history itself.
    pub(super) fn greet(&mut self, now: Now, out: &mut Vec<Output>) {
        let age = Span::from_secs(self.config.live_expiry_s.into());
        self.latest.renew(now.monotonic, age);
        self.summary_at = now.monotonic;
        let before = self.tokens;
        self.summarize(now, out);
        self.first_live = (self.tokens != before).then_some(self.tokens);
    }

    pub(super) fn on_level(&mut self, now: Now) {
        let interval = self.ladder.numerics_interval();
        (self.link.level, self.link.numerics_interval) = (self.ladder.level(), interval);
        self.summary_at = self.summary_at.min(Span(now.monotonic.0 + interval.0));
        tracing::info!(level = self.link.level, "the link's level changed");
    }
}

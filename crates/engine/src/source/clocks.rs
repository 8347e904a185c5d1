//! What is known of the clocks on board. For display alone: nothing here is ever
//! a deadline, and no alert depends on it (I7).
//!
//! ```text
//!  monitor's clock ── monitor offset ──► gateway's clock ── gateway offset ──► server's clock
//!                                            │
//!                              monotonic since its start: never steps
//! ```
//!
//! The gateway states both offsets when they change, and takes a while to notice
//! that its own clock was set. Until it states them anew, an estimate is carried
//! on by the monotonic clock that stands beside the wall clock in every frame.

use enroute_model::frame::{ClockOffsets, Header, Offset};
use enroute_model::ids::Epoch;
use enroute_model::state::ClockState;
use enroute_model::time::{EngineTime, ServerTime, Span};
use serde::{Deserialize, Serialize};

/// A clock that differs by more is wrong: people read times to the second, and
/// values come once a second, so more than two put a value beside a stranger.
const WRONG_OVER: Span = Span::from_secs(2);
/// A wall clock that moved against the monotonic one by more, from one frame to
/// the next, was set. Less may be two readings with something in between.
const STEP_OVER: Span = Span::from_millis(250);
/// Beyond that, what a clock may be steered by: 500 ppm is the most that NTP
/// corrects without a step (RFC 5905, clause 11.3).
const STEERED_PPM: i64 = 500;
/// A clock whose difference moves faster does not run true: an ordinary quartz
/// keeps within 100 ppm (9 s a day) over the temperatures of a vehicle.
const DRIFT_PPM: i64 = 100;
/// Two estimates of the same may differ by this beyond their uncertainties:
/// gateways state changes from 5 ms on.
const SLACK: Span = Span::from_millis(10);

/// The clocks of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Clocks {
    wall: Option<Wall>,
    monitor: Track,
    gateway: Track,
}

/// The gateway's wall clock against its monotonic one, by the newest frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Wall {
    epoch: Epoch,
    boot: u32,
    monotonic: Span,
    /// Wall clock minus monotonic.
    ahead: Span,
}

/// One difference of clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Track {
    /// The newest estimate, and `Wall::ahead` when it was stated.
    stated: Option<(Offset, Span)>,
    /// An early, certain estimate and when it came: drift shows against it.
    reference: Option<(Offset, EngineTime)>,
    /// It jumped, or ran fast or slow.
    unsteady: bool,
}

impl Track {
    fn state(&mut self, offset: Offset, ahead: Span, at: EngineTime) {
        self.stated = Some((offset, ahead));
        let Some((reference, since)) = self.reference else {
            self.reference = Some((offset, at));
            return;
        };
        let doubt = plus(reference.uncertainty, offset.uncertainty);
        let drift = at.since(since).scaled(DRIFT_PPM, 1_000_000);
        let moved = !within(
            minus(offset.offset, reference.offset),
            plus(plus(doubt, drift), SLACK),
        );
        self.unsteady |= moved;
        if moved || offset.uncertainty < reference.uncertainty.scaled(1, 2) {
            self.reference = Some((offset, at));
        }
    }

    fn is_wrong(offset: Option<Offset>) -> bool {
        offset.is_some_and(|o| !within(o.offset, plus(o.uncertainty, WRONG_OVER)))
    }
}

impl Clocks {
    /// Takes what a live frame says. Says whether viewers ought to know.
    pub(super) fn note(&mut self, header: &Header, at: EngineTime) -> bool {
        let before = (self.flags(), self.offsets());
        self.note_wall(header);
        let ahead = self.wall.map_or(Span::ZERO, |wall| wall.ahead);
        if let Some(stated) = header.clocks {
            if let Some(offset) = stated.monitor {
                self.monitor.state(offset, ahead, at);
            }
            if let Some(offset) = stated.gateway {
                self.gateway.state(offset, ahead, at);
            }
        }
        let after = (self.flags(), self.offsets());
        let moved = |a: Option<Offset>, b: Option<Offset>| match (a, b) {
            (Some(a), Some(b)) => {
                a.uncertainty != b.uncertainty || !within(minus(a.offset, b.offset), SLACK)
            }
            (None, None) => false,
            (Some(_), None) | (None, Some(_)) => true,
        };
        before.0 != after.0
            || moved(before.1.monitor, after.1.monitor)
            || moved(before.1.gateway, after.1.gateway)
    }

    fn note_wall(&mut self, header: &Header) {
        // A run of samples that began before the gateway did has no such time.
        if header.monotonic <= Span::ZERO {
            return;
        }
        let wall = Wall {
            epoch: header.epoch,
            boot: header.boot,
            monotonic: header.monotonic,
            ahead: Span(header.captured_at.0.saturating_sub(header.monotonic.0)),
        };
        match self.wall {
            Some(last) if (last.epoch, last.boot) == (wall.epoch, wall.boot) => {
                let passed = minus(wall.monotonic, last.monotonic);
                let steered = Span(passed.0.saturating_abs()).scaled(STEERED_PPM, 1_000_000);
                let moved = minus(wall.ahead, last.ahead);
                self.gateway.unsteady |= !within(moved, plus(STEP_OVER, steered));
            }
            // Its clock may have been set while it was off.
            Some(_) | None => {
                self.monitor.stated = None;
                self.gateway.stated = None;
            }
        }
        self.wall = Some(wall);
    }

    /// The estimates as they stand now.
    pub(super) fn offsets(&self) -> ClockOffsets {
        let ahead = self.wall.map_or(Span::ZERO, |wall| wall.ahead);
        let carried = |track: &Track, sign: i64| {
            let (offset, then) = track.stated?;
            let moved = Span(minus(ahead, then).0.saturating_mul(sign));
            Some(Offset {
                offset: plus(offset.offset, moved),
                ..offset
            })
        };
        ClockOffsets {
            monitor: carried(&self.monitor, -1),
            gateway: carried(&self.gateway, 1),
        }
    }

    /// When the content of a frame was measured, on the server's clock.
    pub(super) fn measured_at(&self, header: &Header) -> Option<(ServerTime, Span)> {
        let offsets = self.offsets();
        let gateway = offsets.gateway?;
        let (on_board, doubt) = match header.observed_at {
            Some(observed) => {
                let monitor = offsets.monitor?;
                (minus(Span(observed.0), monitor.offset), monitor.uncertainty)
            }
            None => (Span(header.captured_at.0), Span::ZERO),
        };
        let at = ServerTime(minus(on_board, gateway.offset).0);
        Some((at, plus(doubt, gateway.uncertainty)))
    }

    pub(super) fn flags(&self) -> ClockState {
        let offsets = self.offsets();
        ClockState {
            gateway_wrong: Track::is_wrong(offsets.gateway),
            gateway_unsteady: self.gateway.unsteady,
            monitor_wrong: Track::is_wrong(offsets.monitor),
            monitor_unsteady: self.monitor.unsteady,
        }
    }
}

fn plus(a: Span, b: Span) -> Span {
    Span(a.0.saturating_add(b.0))
}

fn minus(a: Span, b: Span) -> Span {
    Span(a.0.saturating_sub(b.0))
}

/// No further from zero than `bound`.
fn within(span: Span, bound: Span) -> bool {
    span.0.saturating_abs() <= bound.0
}

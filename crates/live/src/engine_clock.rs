//! Engine time from a [`Clock`]: anchored to UTC once, then monotonic.

use enroute_model::time::{Clock, EngineTime, ServerTime, Span};
use std::sync::Arc;

/// Gives engine time; clones agree with each other.
#[derive(Clone)]
pub struct EngineClock {
    clock: Arc<dyn Clock>,
    anchor: EngineTime,
    started: Span,
}

impl EngineClock {
    /// Engine time is the wall clock's now, or `not_before` if that is later,
    /// and runs with the monotonic clock from here on.
    #[must_use]
    pub fn anchored(clock: Arc<dyn Clock>, not_before: Option<EngineTime>) -> Self {
        let wall = EngineTime(clock.wall());
        let anchor = not_before.map_or(wall, |floor| floor.max(wall));
        let started = clock.monotonic();
        Self {
            clock,
            anchor,
            started,
        }
    }

    /// Engine time now.
    #[must_use]
    pub fn now(&self) -> EngineTime {
        let running = self.clock.monotonic().0.saturating_sub(self.started.0);
        self.anchor.plus(Span(running))
    }

    /// The server's wall clock now.
    #[must_use]
    pub fn wall(&self) -> ServerTime {
        ServerTime(self.clock.wall())
    }
}

//! The one place that reads the machine's clocks.

use enroute_model::time::{Clock, Span};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The machine's wall clock, and its monotonic clock since this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Monotonic time counts from here.
    #[expect(clippy::disallowed_methods, reason = "this is the clock adapter")]
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock adapter")]
    fn wall(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock adapter")]
    fn monotonic(&self) -> Span {
        Span(i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

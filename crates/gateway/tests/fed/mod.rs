//! A clock and a source that a test drives.

use enroute_gateway::Source;
use enroute_model::frame::{Body, Code, Emission, Metric, Numeric};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::time::{Clock, Span};
use std::sync::mpsc::Receiver;
use tokio::time::Instant;

/// Stands at a day and runs with the test.
pub(crate) struct TestClock(pub(crate) Instant);

impl Clock for TestClock {
    fn wall(&self) -> i64 {
        1_800_000_000_000_000 + self.monotonic().0
    }
    fn monotonic(&self) -> Span {
        Span(i64::try_from(Instant::now().duration_since(self.0).as_micros()).unwrap())
    }
}

/// Gives what the test sends it, at once.
pub(crate) struct Fed(pub(crate) Receiver<Emission>);

impl Source for Fed {
    fn next(&mut self) -> Option<Emission> {
        self.0.recv().ok()
    }
    fn is_exercise(&self) -> bool {
        true
    }
}

/// One heart rate.
pub(crate) fn emission(value: i64) -> Emission {
    Emission {
        due: Span(value),
        observed_at: None,
        body: Body::Numerics(vec![Numeric {
            metric: Metric {
                code: Code(147_842),
                label: String::new(),
            },
            unit: String::new(),
            reading: Reading::measured(Decimal::new(value, 0).unwrap()),
            interval: Span::from_secs(1),
        }]),
    }
}

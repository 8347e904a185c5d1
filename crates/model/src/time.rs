//! Four times that must never be mixed up, all signed microseconds since
//! 1970-01-01 UTC; any year is legal, published recordings are shifted by
//! centuries.

use serde::{Deserialize, Serialize};

macro_rules! time {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub struct $name(pub i64);

        impl $name {
            /// This time and `span` more; saturates.
            #[must_use]
            pub const fn plus(self, span: Span) -> Self {
                Self(self.0.saturating_add(span.0))
            }

            /// The span from `earlier` to this time, negative if it is later; saturates.
            #[must_use]
            pub const fn since(self, earlier: Self) -> Span {
                Span(self.0.saturating_sub(earlier.0))
            }
        }
    };
}

time! {
    /// The monitor's clock. Orders and labels a device's data; never drives a
    /// live timeout (I7).
    DeviceTime
}
time! {
    /// The gateway's wall clock.
    GatewayTime
}
time! {
    /// The server's wall clock.
    ServerTime
}
time! {
    /// Engine time: monotonic, anchored to UTC when the server starts, never
    /// decreasing in the order of the journal. Alone drives delays and deadlines.
    EngineTime
}

/// A signed length of time in microseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(pub i64);

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Whole seconds; saturates.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole milliseconds; saturates.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// This span `numerator / denominator` times; saturates. `denominator` 0 gives zero.
    #[must_use]
    #[inline]
    pub fn scaled(self, numerator: i64, denominator: i64) -> Self {
        // Nearly always, and without a division of 128 bits.
        let product = self.0.checked_mul(numerator);
        if let Some(scaled) = product.and_then(|product| product.checked_div(denominator)) {
            return Self(scaled);
        }
        let product = i128::from(self.0) * i128::from(numerator);
        let scaled = product.checked_div(i128::from(denominator)).unwrap_or(0);
        Self(i64::try_from(scaled).unwrap_or(if scaled < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Seconds as a float, for display and arithmetic with rates.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 285 years")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// Where an adapter gets the time from. Domain code never sees one: there, time
/// is an argument. The one implementation that reads the machine's clocks is in
/// the binary; tests bring their own.
pub trait Clock: Send + Sync {
    /// The wall clock, microseconds since 1970-01-01 UTC; may step.
    fn wall(&self) -> i64;
    /// Time since some fixed start; never steps, never decreases.
    fn monotonic(&self) -> Span;
}

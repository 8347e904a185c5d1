//! Small numbers: a seeded source of noise, and conversions that cannot wrap.

use enroute_model::time::Span;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a generator is for: one independent stream of the seed for each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Fleet = 1,
    Patient = 2,
    Rhythm = 3,
    Monitor = 4,
    Samples = 5,
    Radio = 6,
}

/// Noise that is the same for the same seed, transfer and part.
#[derive(Clone, Debug)]
pub(crate) struct Noise(ChaCha8Rng);

impl Noise {
    pub(crate) fn new(seed: u64, number: u32, part: Part) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(number) << 8 | part as u64);
        Self(rng)
    }

    /// Another stretch of the same stream for each leg of a scenario.
    pub(crate) fn skip_to_leg(&mut self, starts_s: u64) {
        self.0.set_word_pos(u128::from(starts_s) << 32);
    }

    /// Any 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Even over 0 ≤ x < 1.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// Even over low ≤ x < high.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True so many times in 1.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Nearly normal with mean 0 and deviation 1, never beyond 3.5: the sum of
    /// four even numbers. No `ln`, so that it is the same on every platform.
    pub(crate) fn normal(&mut self) -> f64 {
        let bits = self.0.next_u64();
        let sum: u64 = [0, 16, 32, 48]
            .map(|shift| (bits >> shift) & 0xffff)
            .iter()
            .sum();
        let sum = u32::try_from(sum).unwrap_or(0);
        (f64::from(sum) / 65_535.0 - 2.0) * 1.732_050_8
    }

    /// One of them; `None` of none.
    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(among.len()).ok().filter(|count| *count > 0)?;
        among.get(usize::try_from(self.bits() % count).ok()?)
    }
}

/// Rounded; clamped to what fits.
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
pub(crate) fn to_i32(value: f64) -> i32 {
    value.round() as i32
}

/// Rounded down; below 0 gives 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates"
)]
pub(crate) fn to_u64(value: f64) -> u64 {
    value.floor() as u64
}

/// Exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "sample numbers stay below 2^53")]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}

/// Seconds as a span; saturates.
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
pub(crate) fn span(seconds: f64) -> Span {
    Span((seconds * 1e6).round() as i64)
}

/// Value at `x` of the line through the points, which are in order of x; flat outside.
pub(crate) fn ramp(x: f64, points: &[(f64, f64)]) -> f64 {
    let mut before: Option<(f64, f64)> = None;
    for &(at, value) in points {
        if x < at {
            return before.map_or(value, |(x0, y0)| y0 + (value - y0) * (x - x0) / (at - x0));
        }
        before = Some((at, value));
    }
    before.map_or(0.0, |(_, value)| value)
}

/// Part of the way from `a` to `b`.
pub(crate) fn lerp(a: f64, b: f64, part: f64) -> f64 {
    a + (b - a) * part
}

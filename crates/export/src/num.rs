//! Counts and times in each other's terms, rounded and saturating.

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(crate) fn real(number: i64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounded; a float beyond i64 saturates"
)]
pub(crate) fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// How long `count` samples take.
pub(crate) fn us(count: usize, rate_hz: f64) -> i64 {
    span_us(i64::try_from(count).unwrap_or(i64::MAX), rate_hz)
}

/// How long `count` steps take.
pub(crate) fn span_us(count: i64, rate_hz: f64) -> i64 {
    whole(real(count) * 1e6 / rate_hz)
}

/// How many steps are nearest to a length of time.
pub(crate) fn steps(us: i64, rate_hz: f64) -> i64 {
    whole(real(us) * rate_hz / 1e6)
}

/// A count as a signed number.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A size as a signed number.
pub(crate) fn size(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A number that is not negative as an unsigned one; a negative one is 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A number that is not negative as a size; a negative one is 0.
pub(crate) fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

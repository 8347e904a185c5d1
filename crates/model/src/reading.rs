//! A measured quantity: a finite number with a quality, or the reason why there
//! is none.

use serde::{Deserialize, Serialize};

/// A decimal number as a monitor shows it: `mantissa / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    mantissa: i64,
    decimals: u8,
}

/// Most decimal places of a value.
pub const DECIMALS_MAX: u8 = 9;
/// Largest magnitude of a mantissa: every integer up to it is exact in an `f64`.
pub const MANTISSA_MAX: i64 = 1 << 53;

/// Of ten, all exact: looked up, because each value is asked for several times.
const POWERS: [f64; DECIMALS_MAX as usize + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

impl Decimal {
    /// `mantissa / 10^decimals`, or `None` beyond [`MANTISSA_MAX`] or [`DECIMALS_MAX`].
    #[must_use]
    pub fn new(mantissa: i64, decimals: u8) -> Option<Self> {
        let fits =
            mantissa.unsigned_abs() <= MANTISSA_MAX.unsigned_abs() && decimals <= DECIMALS_MAX;
        fits.then_some(Self { mantissa, decimals })
    }

    /// `value` rounded half away from zero to `decimals` places, or `None` if
    /// it is not finite or too large.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked before"
    )]
    #[expect(clippy::cast_precision_loss, reason = "MANTISSA_MAX is exact")]
    pub fn from_f64(value: f64, decimals: u8) -> Option<Self> {
        let power = POWERS.get(usize::from(decimals))?;
        let scaled = (value * power).round();
        if !scaled.is_finite() || scaled.abs() > MANTISSA_MAX as f64 {
            return None;
        }
        Self::new(scaled as i64, decimals)
    }

    /// Digits before the division.
    #[must_use]
    pub fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// Decimal places.
    #[must_use]
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// The nearest `f64`: the same that parsing the written number gives, so
    /// that it compares with limits as it reads. Always finite.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "|mantissa| <= 2^53 is exact")]
    pub fn value(self) -> f64 {
        let power = POWERS.get(usize::from(self.decimals)).unwrap_or(&1e9);
        self.mantissa as f64 / power
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.*}", usize::from(self.decimals), self.value())
    }
}

/// How good a value is. Only [`Validity::Measured`] may raise a physiological alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Validity {
    /// Valid.
    Measured,
    /// Of doubtful quality, by the source's own word.
    Questionable,
    /// Taken while the sensor calibrates.
    Calibrating,
    /// From the monitor's test or demonstration mode.
    Test,
}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NoValue {
    /// The source gave none and no reason.
    NotAvailable,
    /// Sensor, probe or lead off.
    SensorOff,
    /// Measured and found unusable by the source.
    Invalid,
    /// Above what the sensor can measure.
    Overflow,
    /// Below what the sensor can measure.
    Underflow,
    /// Marked as missing in a recording.
    Missing,
}

/// A number with its quality, or the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reading {
    /// There is a value.
    Value {
        /// In the unit of the quantity.
        value: Decimal,
        /// Its quality.
        validity: Validity,
    },
    /// There is none.
    None(NoValue),
}

impl Reading {
    /// A valid value.
    #[must_use]
    pub fn measured(value: Decimal) -> Self {
        Self::Value {
            value,
            validity: Validity::Measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_compares_as_it_reads() {
        for (mantissa, decimals, text) in [
            (366, 1, "36.6"),
            (-5, 2, "-0.05"),
            (122, 2, "1.22"),
            (7, 0, "7"),
        ] {
            let decimal = Decimal::new(mantissa, decimals).unwrap();
            assert_eq!(
                decimal.value().to_bits(),
                text.parse::<f64>().unwrap().to_bits()
            );
            assert_eq!(decimal.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_finite_is_no_decimal() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(Decimal::from_f64(bad, 1), None);
        }
        assert_eq!(Decimal::new(0, 10), None);
        assert_eq!(Decimal::new(i64::MIN, 0), None);
    }
}

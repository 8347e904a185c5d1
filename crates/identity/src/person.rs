//! A person, as a hospital knows one.

use enroute_model::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Characters of a family or given name.
pub const NAME_CHARS_MAX: usize = 100;
/// Characters of a record number.
pub const NUMBER_CHARS_MAX: usize = 64;

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Why something is not taken. Says which field, and never what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Too long, or with characters that are none to read.
    #[error("{field}: give at most {most} characters, without control characters")]
    Text {
        /// Which field.
        field: &'static str,
        /// So many are taken.
        most: usize,
    },
    /// No day of the calendar.
    #[error("birth_date: give a day of the calendar as YYYY-MM-DD, or nothing")]
    Date,
    /// A day that has not come yet.
    #[error("birth_date: it lies in the future")]
    Unborn,
}

/// Who somebody is. What is not known is empty.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    /// Family name.
    pub family_name: String,
    /// Given names.
    pub given_name: String,
    /// Day of birth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<BirthDate>,
    /// By which the receiving hospital knows this person.
    pub record_number: String,
}

impl Person {
    /// Checks every field, and takes blanks away around them.
    ///
    /// # Errors
    /// Which field is wrong.
    pub fn checked(self, now: ServerTime) -> Result<Self, Invalid> {
        let birth_date = self.birth_date;
        if birth_date.is_some_and(|date| date.is_after(now)) {
            return Err(Invalid::Unborn);
        }
        Ok(Self {
            family_name: text("family_name", &self.family_name, NAME_CHARS_MAX)?,
            given_name: text("given_name", &self.given_name, NAME_CHARS_MAX)?,
            birth_date,
            record_number: text("record_number", &self.record_number, NUMBER_CHARS_MAX)?,
        })
    }
}

/// A name must not come into a log by accident.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(…)")
    }
}

/// A line that people wrote.
pub(crate) fn text(field: &'static str, text: &str, most: usize) -> Result<String, Invalid> {
    let text = text.trim();
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Invalid::Text { field, most });
    }
    Ok(text.to_owned())
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BirthDate {
    year: u16,
    month: u8,
    day: u8,
}

impl BirthDate {
    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// When it is no such day.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.splitn(3, '-');
        let mut number = |digits: usize| -> Option<u16> {
            let part = parts.next()?;
            let is_one = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
            is_one.then(|| part.parse().ok()).flatten()
        };
        let mut date = || -> Option<Self> {
            let (year, month, day) = (number(4)?, number(2)?, number(2)?);
            let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
            let is_day = (1..=days_of(year, month)?).contains(&day);
            is_day.then_some(Self { year, month, day })
        };
        date().ok_or(Invalid::Date)
    }

    /// Whether nobody who is here can have been born on it, wherever on earth.
    fn is_after(self, now: ServerTime) -> bool {
        self.days() > now.0.div_euclid(DAY_US).saturating_add(1)
    }

    /// Since 1970-01-01: years that end with February, so that the leap day is the
    /// last of its year.
    fn days(self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, month) = match month {
            1 | 2 => (year - 1, month + 9),
            _ => (year, month - 3),
        };
        let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        365 * year + leap + (153 * month + 2) / 5 + i64::from(self.day) - 1 - 719_468
    }
}

/// `None`: there is no such month.
fn days_of(year: u16, month: u8) -> Option<u8> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if is_leap => Some(29),
        2 => Some(28),
        _ => None,
    }
}

impl TryFrom<String> for BirthDate {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<BirthDate> for String {
    fn from(date: BirthDate) -> Self {
        date.to_string()
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate(…)")
    }
}

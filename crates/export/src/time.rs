//! Times as text.

use enroute_wfdb::Date;

const DAY_US: i64 = 86_400_000_000;

/// `2026-03-01T14:30:05.250000Z`; beyond the years 1 to 9999 the number of
/// microseconds since 1970.
#[must_use]
pub fn rfc3339(us: i64) -> String {
    let Some(date) = Date::from_days_since_1970(us.div_euclid(DAY_US)) else {
        return us.to_string();
    };
    let (year, month, day) = date.parts();
    let (hours, minutes, seconds, micros) = of_day(us);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{micros:06}Z")
}

/// Hours, minutes, seconds and microseconds of the day.
pub(crate) fn of_day(us: i64) -> (i64, i64, i64, i64) {
    let in_day = us.rem_euclid(DAY_US);
    let seconds = in_day / 1_000_000;
    (
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        in_day % 1_000_000,
    )
}

/// The day, if it lies in the years 1 to 9999.
pub(crate) fn date(us: i64) -> Option<(u16, u16, u16)> {
    Some(Date::from_days_since_1970(us.div_euclid(DAY_US))?.parts())
}

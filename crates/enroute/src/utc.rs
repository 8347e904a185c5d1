//! Points in time as people read them: RFC 3339 in UTC, and ages.

/// Microseconds in a day.
const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01 to a date of the proleptic Gregorian calendar (by eras
/// of 400 years, each beginning on 1 March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `2026-03-01T14:30:05.250Z`.
pub(crate) fn rfc3339(us: i64) -> String {
    let (year, month, day) = civil(us.div_euclid(DAY_US));
    let millis = us.rem_euclid(DAY_US) / 1_000;
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// `14:30:05`, the time of day in UTC.
pub(crate) fn time_of_day(us: i64) -> String {
    let seconds = us.rem_euclid(DAY_US) / 1_000_000;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Reads `2026-03-01T14:30Z` with or without seconds and their fraction.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let hour: i64 = time.next()?.parse().ok()?;
    let minute: i64 = time.next()?.parse().ok()?;
    let second = time.next().map_or(Some(0), seconds_us)?;
    let legal = (0..=9_999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day);
    let on = legal.then(|| days(year, month, day))?;
    if civil(on) != (year, month, day) {
        return None;
    }
    Some(on * DAY_US + (hour * 3_600 + minute * 60) * 1_000_000 + second)
}

fn seconds_us(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: i64 = whole.parse().ok().filter(|s| (0..60).contains(s))?;
    if fraction.is_empty() || fraction.len() > 6 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(whole * 1_000_000 + fraction)
}

/// A length of time in at most five characters: `3s`, `4m10`, `2h05`, `3d04h`.
pub(crate) fn span(us: i64) -> String {
    let seconds = us.max(0) / 1_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if seconds < 60 {
        format!("{seconds}s")
    } else if minutes < 60 {
        format!("{minutes}m{:02}", seconds % 60)
    } else if hours < 24 {
        format!("{hours}h{:02}", minutes % 60)
    } else {
        format!("{days}d{:02}h", hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for us in [
            0,
            -1_000,
            1_772_375_405_250_000,
            -62_135_596_800_000_000,
            951_782_400_000_000,
            253_402_300_799_999_000,
        ] {
            assert_eq!(parse(&rfc3339(us)), Some(us), "{}", rfc3339(us));
        }
        assert_eq!(rfc3339(1_772_375_405_250_000), "2026-03-01T14:30:05.250Z");
        assert_eq!(parse("2026-03-01T14:30Z"), Some(1_772_375_400_000_000));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "2026-03-01",
            "2026-02-30T10:00Z",
            "2026-13-01T10:00Z",
            "2026-03-01T24:00Z",
            "2026-03-01T10:00",
            "2026-03-01T10:00:60Z",
            "2026-03-01T10:00:01.Z",
            "2026-03-01T10:00:01.1234567Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_read_short() {
        for (seconds, text) in [
            (3, "3s"),
            (250, "4m10"),
            (7_500, "2h05"),
            (273_600, "3d04h"),
            (-5, "0s"),
        ] {
            assert_eq!(span(seconds * 1_000_000), text);
        }
    }
}

//! What the equipment on board says of itself: a sensor that is off, a spool that
//! fills, a battery that runs down. Each condition ends later than it begins, so
//! that nothing is told twice a minute.

use enroute_model::frame::Priority;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// A sensor that says for so long that it is off is told: a probe is put back
/// within seconds when a patient is moved.
pub const SENSOR_OFF_AFTER: Span = Span::from_secs(10);

/// Of the spool, percent that no receipt covers: from where it is told
/// (`buffer_half`), and from where the end is near.
const SPOOL_HALF: u64 = 50;
const SPOOL_NEARLY_FULL: u64 = 90;
/// Percent that it must fall below each before that is over.
const SPOOL_BACK: u64 = 5;

/// Battery, percent: low (some 30 minutes of an ordinary two-hour battery), and
/// nearly empty. The tables speak of minutes left, which no gateway reports.
const BATTERY_LOW: u32 = 25;
const BATTERY_EMPTY: u32 = 10;
/// Percent that it must rise above each before that is over.
const BATTERY_BACK: u32 = 3;

/// Vital signs that one sensor gives, by the catalogue's ids, the one that it is
/// named by first. What is in no row has a sensor of its own.
const SENSORS: [&[&str]; 4] = [
    &["hr", "rr_imp", "st_i", "st_ii", "st_v", "pvc_rate"],
    &["spo2", "pr", "pi"],
    &["abp_sys", "abp_dia", "abp_mean", "abp_pr"],
    &["etco2", "fico2", "rr_co2"],
];

/// The vital sign by which the sensor of another is named, such as `spo2` for
/// `pi`: one probe that falls off is one alert.
#[must_use]
pub fn sensor_of(id: &str) -> &str {
    let row = SENSORS.iter().find(|row| row.contains(&id));
    row.and_then(|row| row.first()).copied().unwrap_or(id)
}

/// A sensor that is off, by the state of its readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorCondition {
    /// When it was first said to be off.
    pub since: EngineTime,
    told: bool,
}

impl SensorCondition {
    /// A reading says that it is off.
    #[must_use]
    pub fn new(now: EngineTime) -> Self {
        Self {
            since: now,
            told: false,
        }
    }

    /// Whether viewers know.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// When it is to be told.
    #[must_use]
    pub fn next_timeout(&self) -> Option<EngineTime> {
        (!self.told).then(|| self.since.plus(SENSOR_OFF_AFTER))
    }

    /// Says whether it is told just now.
    pub fn handle_timeout(&mut self, now: EngineTime) -> bool {
        let due = self.next_timeout().is_some_and(|due| due <= now);
        self.told |= due;
        due
    }
}

/// How urgent it is that so many bytes of a spool are covered by no receipt.
#[must_use]
pub fn spool_filling(before: Option<Priority>, held: u64, most: u64) -> Option<Priority> {
    let percent = held.saturating_mul(100).checked_div(most).unwrap_or(0);
    let over = |stage: Priority, limit: u64| {
        let on = before.is_some_and(|before| before >= stage);
        percent >= limit.saturating_sub(if on { SPOOL_BACK } else { 0 })
    };
    if over(Priority::Medium, SPOOL_NEARLY_FULL) {
        Some(Priority::Medium)
    } else {
        over(Priority::Low, SPOOL_HALF).then_some(Priority::Low)
    }
}

/// How urgent it is that a battery holds so much; `None`: it is on mains.
#[must_use]
pub fn battery_low(before: Option<Priority>, percent: Option<u32>) -> Option<Priority> {
    let percent = percent?;
    let below = |stage: Priority, limit: u32| {
        let on = before.is_some_and(|before| before >= stage);
        percent <= limit.saturating_add(if on { BATTERY_BACK } else { 0 })
    };
    if below(Priority::High, BATTERY_EMPTY) {
        Some(Priority::High)
    } else {
        below(Priority::Medium, BATTERY_LOW).then_some(Priority::Medium)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{High, Low, Medium};
    use enroute_model::catalogue::catalogue;

    #[test]
    fn every_sensor_is_of_the_catalogue() {
        for id in SENSORS.iter().flat_map(|row| row.iter()) {
            assert!(catalogue().vital_by_id(id).is_some(), "{id}");
        }
        assert_eq!(
            (sensor_of("pi"), sensor_of("hr"), sensor_of("temp1")),
            ("spo2", "hr", "temp1")
        );
    }

    #[test]
    fn a_sensor_is_told_once_and_not_at_once() {
        let mut sensor = SensorCondition::new(EngineTime(0));
        assert!(!sensor.handle_timeout(EngineTime(9_999_999)));
        assert!(sensor.handle_timeout(EngineTime(10_000_000)) && sensor.is_told());
        assert!(!sensor.handle_timeout(EngineTime(20_000_000)));
        assert_eq!(sensor.next_timeout(), None);
    }

    #[test]
    fn a_spool_fills_and_empties_in_two_stages() {
        let mut stage = None;
        let mut told = Vec::new();
        for held in [49, 50, 46, 44, 90, 86, 84, 46, 44] {
            stage = spool_filling(stage, held, 100);
            told.push(stage);
        }
        let (low, medium) = (Some(Low), Some(Medium));
        let wanted = [None, low, low, None, medium, medium, low, low, None];
        assert_eq!(told, wanted);
        assert_eq!(spool_filling(None, 5, 0), None);
        assert_eq!(spool_filling(None, u64::MAX, 7), Some(Medium));
    }

    #[test]
    fn a_battery_runs_down_in_two_stages() {
        let mut stage = None;
        let mut told = Vec::new();
        for percent in [26, 25, 28, 10, 13, 14, 29] {
            stage = battery_low(stage, Some(percent));
            told.push(stage);
        }
        let (medium, high) = (Some(Medium), Some(High));
        assert_eq!(told, [None, medium, medium, high, high, medium, None]);
        assert_eq!(battery_low(high, None), None);
    }
}

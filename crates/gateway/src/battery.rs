//! How full the battery of the box on board is, for its link reports. The alert is
//! the server's.
//!
//! Linux tells it in a directory for each supply (`/sys/class/power_supply`): its
//! `type`, and of a battery `status`, `capacity` in percent, and `scope`. What
//! cannot be read is not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// On mains.
const MAINS: u32 = u32::MAX;

/// A battery that a source plays. Clones show the same.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicU32>);

impl Default for Gauge {
    /// On mains.
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(MAINS)))
    }
}

impl Gauge {
    /// Percent; `None`: on mains.
    pub fn set(&self, percent: Option<u32>) {
        let percent = percent.map_or(MAINS, |percent| percent.min(100));
        self.0.store(percent, Ordering::Relaxed);
    }

    /// What was set last.
    #[must_use]
    pub fn percent(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|percent| *percent != MAINS)
    }
}

/// Where it is read.
#[derive(Clone, Debug)]
pub(crate) enum Battery {
    /// The box's own.
    Own(PathBuf),
    /// The source's.
    Played(Gauge),
}

impl Battery {
    /// Percent; `None` on mains, and where there is none.
    pub(crate) fn percent(&self) -> Option<u32> {
        match self {
            Self::Own(dir) => own(dir),
            Self::Played(gauge) => gauge.percent(),
        }
    }
}

/// The mean of the batteries that the box runs on, if one is being discharged.
fn own(dir: &Path) -> Option<u32> {
    let supplies = fs::read_dir(dir).ok()?;
    let (mut sum, mut count, mut discharging) = (0u32, 0u32, false);
    for supply in supplies.flatten() {
        let read = |name: &str| {
            let text = fs::read_to_string(supply.path().join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        // A supply of scope Device is one of a mouse or a probe.
        let ours = read("scope").is_none_or(|scope| scope != "Device");
        if !ours || read("type").as_deref() != Some("Battery") {
            continue;
        }
        let Some(percent) = read("capacity").and_then(|text| text.parse::<u32>().ok()) else {
            continue;
        };
        sum = sum.saturating_add(percent.min(100));
        count = count.saturating_add(1);
        discharging |= read("status").as_deref() == Some("Discharging");
    }
    sum.checked_div(count).filter(|_| discharging)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(dir: &Path, name: &str, files: &[(&str, &str)]) {
        let dir = dir.join(name);
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            fs::write(dir.join(name), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn a_battery_that_is_discharged_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert_eq!(own(&dir.join("none")), None);
        assert_eq!(own(dir), None);
        supply(dir, "AC", &[("type", "Mains"), ("online", "0")]);
        let mouse = [
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
            ("capacity", "3"),
        ];
        supply(dir, "hidpp_battery_0", &mouse);
        assert_eq!(own(dir), None);
        let one = [
            ("type", "Battery"),
            ("status", "Discharging"),
            ("capacity", "40"),
        ];
        supply(dir, "BAT0", &one);
        assert_eq!(own(dir), Some(40));
        let two = [("type", "Battery"), ("status", "Full"), ("capacity", "100")];
        supply(dir, "BAT1", &two);
        assert_eq!(own(dir), Some(70));
        supply(dir, "BAT0", &[("status", "Charging")]);
        assert_eq!(own(dir), None, "on mains");
        supply(dir, "BAT0", &[("status", "Discharging"), ("capacity", "?")]);
        assert_eq!(own(dir), None, "nobody knows how full the other one is");
    }

    #[test]
    fn a_played_battery_shows_what_was_set() {
        let gauge = Gauge::default();
        let battery = Battery::Played(gauge.clone());
        assert_eq!(battery.percent(), None);
        gauge.set(Some(140));
        assert_eq!(battery.percent(), Some(100));
        gauge.set(None);
        assert_eq!(battery.percent(), None);
    }
}

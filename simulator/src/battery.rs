//! The battery of a simulated gateway: it runs down from the start on.

use enroute_model::time::Span;

/// An ordinary one lasts so long when it is full.
const LASTS: Span = Span::from_secs(4 * 3_600);

/// A battery that nobody charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Battery {
    /// Percent at the start.
    percent: u32,
}

impl Battery {
    /// One that holds so much at the start.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        let percent = percent.min(100);
        Self { percent }
    }

    /// As it left the station: 70 to 100 %.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let more = u32::try_from(seed % 31).unwrap_or(0);
        Self::new(70 + more)
    }

    /// Percent after this time.
    #[must_use]
    pub fn percent_after(&self, since: Span) -> u32 {
        let used = since.0.max(0).saturating_mul(100) / LASTS.0;
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        self.percent.saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_down_and_never_below_nothing() {
        let battery = Battery::new(100);
        let after = |hours: i64| battery.percent_after(Span::from_secs(hours * 3_600));
        assert_eq!([0, 1, 2, 4, 9].map(after), [100, 75, 50, 0, 0]);
        assert_eq!(battery.percent_after(Span(i64::MIN)), 100);
        assert_eq!(battery.percent_after(Span(i64::MAX)), 0);
        assert_eq!(Battery::of_seed(0), Battery::new(70));
        assert_eq!(Battery::of_seed(30), Battery::new(130));
    }
}

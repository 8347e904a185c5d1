//! How often somebody may make us ask the issuer: forged tokens name any key they like.

use enroute_model::time::Span;

/// Asks at once, after a rest.
const ASKS_MAX: i64 = 5;
/// One more each minute.
const EACH: i64 = 60_000_000;

/// What is left of them.
pub(super) struct Budget {
    left: i64,
    /// When the last whole one came back.
    since: Span,
}

impl Budget {
    pub(super) fn new(now: Span) -> Self {
        Self {
            left: ASKS_MAX,
            since: now,
        }
    }

    /// Whether there is one to take.
    pub(super) fn take(&mut self, now: Span) -> bool {
        let back = now.0.saturating_sub(self.since.0).max(0) / EACH;
        self.since = Span(self.since.0.saturating_add(back.saturating_mul(EACH)));
        self.left = self.left.saturating_add(back).min(ASKS_MAX);
        let is_there = self.left > 0;
        self.left -= i64::from(is_there);
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_asked_for_five_times_and_then_once_a_minute() {
        let mut budget = Budget::new(Span(7));
        let mut taken = |seconds: i64, times: usize| {
            let now = Span(7 + seconds * 1_000_000);
            (0..times).filter(|_| budget.take(now)).count()
        };
        assert_eq!(taken(0, 1_000), 5);
        assert_eq!(taken(59, 1_000), 0);
        assert_eq!(taken(60, 1_000), 1);
        assert_eq!(taken(185, 1_000), 2);
        assert_eq!(taken(100_000, 1_000), 5);
    }
}

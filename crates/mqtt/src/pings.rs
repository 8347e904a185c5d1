//! When to ask the other side whether it is there: pure, told the time.

use std::time::Duration;
use tokio::time::Instant;

/// Pings go out at one pace, and each is answered before the next is due: so a peer
/// that says nothing, or reads nothing, is left after twice the keep-alive.
#[derive(Debug)]
pub(crate) struct Pings {
    every: Duration,
    next: Instant,
    unanswered: bool,
}

impl Pings {
    /// The first is due one keep-alive from now.
    pub(crate) fn new(now: Instant, every: Duration) -> Self {
        Self {
            every,
            next: now + every,
            unanswered: false,
        }
    }

    /// When [`Pings::due`] is to be called.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// One is to go out. False: the last one was not answered.
    #[must_use]
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        self.next = now + self.every;
        !std::mem::replace(&mut self.unanswered, true)
    }

    /// The answer came.
    pub(crate) fn answered(&mut self) {
        self.unanswered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_answered_is_followed_by_another_and_one_that_is_not_is_the_last() {
        let start = Instant::now();
        let every = Duration::from_secs(5);
        let mut pings = Pings::new(start, every);
        for number in 1..=3 {
            let at = start + every * number;
            assert_eq!(pings.next(), at);
            assert!(pings.due(at), "ping {number}");
            pings.answered();
        }
        assert!(pings.due(start + every * 4));
        assert!(!pings.due(start + every * 5));
    }
}

//! How much history may be on its way to the broker. Pure.
//!
//! A window on unacknowledged bytes that follows delay, after LEDBAT (RFC 6817):
//! the least round trip of a publish is the *base delay*, what a round trip takes
//! beyond that is *queueing delay*, and the window grows while that is below
//! [`TARGET`] and shrinks while it is above. So history fills the link, stands
//! back as soon as anything else fills it, and never builds a queue that a live
//! frame would have to wait in.
//!
//! Where this differs from the RFC: the round trip is measured instead of one
//! way, since only PUBACKs come back; a publish counts with its own time on the
//! link, since a live frame behind it waits for all of it; and once a minute
//! history pauses for a round trip, so that its own queue is never taken for
//! the base delay.

use enroute_model::time::Span;

/// Queueing delay to aim for.
const TARGET: Span = Span::from_millis(100);
/// A live publish may take so long before history stands back for its sake alone;
/// its own time on a thin link is in that.
const LIVE_WAITS: Span = Span::from_millis(400);
/// Bytes of a history publish: at least so many, or the envelope costs more than
/// what is in it …
const PUBLISH_MIN: i64 = 384;
/// … and at most so many, where compression gains nothing more.
const PUBLISH_MAX: i64 = 32 * 1024;
/// Publishes in a full window; also the share by which it grows in a round trip.
const PARTS: i64 = 4;
/// The least window (RFC 6817: `MIN_CWND` is 2).
const WINDOW_MIN: i64 = 2 * PUBLISH_MIN;
/// The base delay is the least of so long, and of as long before.
const BASE_FOR: Span = Span::from_secs(60);

/// A publish that the broker answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// From publish to answer.
    pub(super) round_trip: Span,
    /// Its payload.
    pub(super) bytes: usize,
    /// No history was under way when it was sent.
    pub(super) alone: bool,
}

/// The least round trips of this minute and the one before.
#[derive(Debug)]
struct Base {
    began: Span,
    least: Option<Span>,
    before: Option<Span>,
    /// One of this minute was measured without history under way.
    alone: bool,
}

impl Base {
    fn new(now: Span) -> Self {
        Self {
            began: now,
            least: None,
            before: None,
            alone: false,
        }
    }

    fn observe(&mut self, now: Span, answered: Answered) {
        let least = self.least.unwrap_or(answered.round_trip);
        self.least = Some(least.min(answered.round_trip));
        self.alone |= answered.alone;
        if now.0.saturating_sub(self.began.0) >= BASE_FOR.0 {
            *self = Self {
                before: self.least,
                ..Self::new(now)
            };
        }
    }

    fn delay(&self) -> Option<Span> {
        self.least.into_iter().chain(self.before).min()
    }
}

/// The window.
#[derive(Debug)]
pub(super) struct Pace {
    window: i64,
    window_max: i64,
    /// No queue was seen on this connection: the window doubles in a round trip.
    starting: bool,
    base: Base,
}

impl Pace {
    pub(super) fn new(now: Span, bytes_max: usize) -> Self {
        let window_max = i64::try_from(bytes_max).unwrap_or(i64::MAX).max(WINDOW_MIN);
        Self {
            window: WINDOW_MIN,
            starting: true,
            window_max,
            base: Base::new(now),
        }
    }

    /// A new connection: perhaps over another link.
    pub(super) fn restart(&mut self, now: Span) {
        self.window = WINDOW_MIN;
        self.starting = true;
        self.base = Base::new(now);
    }

    /// What a round trip took beyond the least one.
    pub(super) fn queueing(&self, round_trip: Span) -> Span {
        let base = self.base.delay().unwrap_or(round_trip);
        Span(round_trip.0.saturating_sub(base.0).max(0))
    }

    /// A live publish was answered: it can only say that history is too much.
    pub(super) fn live_answered(&mut self, now: Span, answered: Answered) {
        self.base.observe(now, answered);
        if self.queueing(answered.round_trip) > LIVE_WAITS {
            self.change(self.share(answered).min(0));
        }
    }

    /// A history publish was answered; `under_way`: bytes of history before that.
    pub(super) fn history_answered(&mut self, now: Span, answered: Answered, under_way: usize) {
        self.base.observe(now, answered);
        let mut share = self.share(answered);
        self.starting &= self.queueing(answered.round_trip).0 < TARGET.0 / 2;
        if self.starting {
            share = share.saturating_mul(PARTS);
        }
        // A window that is not used says nothing of what fits.
        let used = i64::try_from(under_way).unwrap_or(i64::MAX) >= self.window / 2;
        self.change(if used { share } else { share.min(0) });
    }

    /// RFC 6817, clause 2.4.2, with a gain of one publish in each round trip.
    fn share(&self, answered: Answered) -> i64 {
        let queueing = self.queueing(answered.round_trip);
        let off = TARGET.0.saturating_sub(queueing.0).max(-2 * TARGET.0);
        let bytes = i64::try_from(answered.bytes).unwrap_or(i64::MAX);
        Span(bytes.min(self.window)).scaled(off, TARGET.0 * PARTS).0
    }

    fn change(&mut self, by: i64) {
        let window = self.window.saturating_add(by);
        self.window = window.clamp(WINDOW_MIN, self.window_max);
    }

    /// Bytes that the next history publish should have.
    pub(super) fn publish_bytes(&self) -> usize {
        let bytes = (self.window / PARTS).clamp(PUBLISH_MIN, PUBLISH_MAX);
        usize::try_from(bytes).unwrap_or(0)
    }

    /// Whether one more fits, with so many bytes under way.
    pub(super) fn has_room(&self, under_way: usize) -> bool {
        if under_way == 0 {
            return true;
        }
        let with = under_way.saturating_add(self.publish_bytes());
        self.base.alone && i64::try_from(with).is_ok_and(|with| with <= self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(millis: i64, bytes: usize) -> Answered {
        Answered {
            round_trip: Span::from_millis(millis),
            bytes,
            alone: false,
        }
    }

    /// With a base delay of 50 ms.
    fn measured() -> Pace {
        let mut pace = Pace::new(Span::ZERO, 1 << 20);
        let alone = Answered {
            alone: true,
            ..answered(50, 100)
        };
        pace.live_answered(Span::ZERO, alone);
        pace.window = 4_096;
        pace.starting = false;
        pace
    }

    #[test]
    fn the_window_grows_below_the_target_and_shrinks_above() {
        let mut pace = measured();
        let first = pace.window;
        pace.history_answered(Span::ZERO, answered(50, 1_024), 4_096);
        assert_eq!(pace.window, first + 256, "a quarter of what arrived");
        let grown = pace.window;
        pace.history_answered(Span::ZERO, answered(150, 1_024), 4_096);
        assert_eq!(pace.window, grown, "on target");
        pace.history_answered(Span::ZERO, answered(250, 1_024), 4_096);
        assert_eq!(pace.window, grown - 256);
        for _ in 0..100 {
            pace.live_answered(Span::ZERO, answered(2_000, 1_024));
        }
        assert_eq!(pace.window, WINDOW_MIN);
        assert_eq!(pace.publish_bytes(), 384);
    }

    #[test]
    fn a_new_connection_starts_thin_and_quickly() {
        let mut pace = measured();
        pace.restart(Span::ZERO);
        assert_eq!(pace.window, WINDOW_MIN);
        let window = |pace: &Pace| usize::try_from(pace.window).unwrap();
        pace.history_answered(Span::ZERO, answered(50, window(&pace)), window(&pace));
        assert_eq!(pace.window, 2 * WINDOW_MIN);
        pace.history_answered(Span::ZERO, answered(110, 100), window(&pace));
        pace.history_answered(Span::ZERO, answered(50, 400), window(&pace));
        assert_eq!(pace.window, 2 * WINDOW_MIN + 10 + 100);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut pace = measured();
        let first = pace.window;
        pace.history_answered(Span::ZERO, answered(50, 1_024), 1_024);
        pace.live_answered(Span::ZERO, answered(50, 1_024));
        assert_eq!(pace.window, first);
    }

    #[test]
    fn once_a_minute_history_lets_the_link_run_empty() {
        let mut pace = measured();
        assert!(pace.has_room(1_000));
        pace.history_answered(Span::from_secs(60), answered(90, 1_024), 4_096);
        assert!(!pace.has_room(1_000), "not before a publish went alone");
        assert!(pace.has_room(0));
        let alone = Answered {
            alone: true,
            ..answered(80, 400)
        };
        pace.history_answered(Span::from_secs(61), alone, 400);
        assert!(pace.has_room(1_000));
        assert_eq!(pace.queueing(Span::from_millis(130)), Span::from_millis(80));
        // Another minute, and the link's longer way is believed.
        pace.history_answered(Span::from_secs(121), answered(85, 400), 4_096);
        assert_eq!(pace.queueing(Span::from_millis(130)), Span::from_millis(50));
    }
}

//! Technical conditions: a source that is not heard, a value that ought to be
//! newer. Driven by engine time alone (I7).

use enroute_model::catalogue::VitalSign;
use enroute_model::frame::Priority;
use enroute_model::time::{EngineTime, Span};
use serde::{Deserialize, Serialize};

/// A link is lost after this silence at the least (`comm_lost`).
pub const LINK_LOST_AFTER: Span = Span::from_secs(15);
/// A lost link becomes urgent after this silence at the least (`comm_lost_long`).
pub const LINK_LOST_LONG_AFTER: Span = Span::from_secs(120);
/// Staleness of a quantity that is not in the catalogue and declares no interval.
pub const STALE_AFTER_DEFAULT: Span = Span::from_secs(60);

/// After which silence a value is stale: the catalogue's time, but never less
/// than 2.5 times the declared interval. `interval` zero: none was declared.
#[must_use]
pub fn stale_after(vital: Option<&VitalSign>, interval: Span) -> Span {
    let expected = interval.max(Span::ZERO).scaled(5, 2);
    match vital {
        Some(vital) => vital.stale_after.max(expected),
        None if expected == Span::ZERO => STALE_AFTER_DEFAULT,
        None => expected,
    }
}

/// Whether one source is heard, and how urgent it is that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCondition {
    last_heard: Option<EngineTime>,
    /// Silence counts from here: last heard, or first expected.
    silent_from: EngineTime,
    /// Shortest interval at which something ought to come.
    expected: Span,
    lost: Option<Loss>,
}

/// A loss of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When it was noticed.
    pub since: EngineTime,
    /// Medium at first, high when it lasts.
    pub priority: Priority,
}

impl LinkCondition {
    /// A source that ought to be heard from `now` on.
    #[must_use]
    pub fn new(now: EngineTime) -> Self {
        Self {
            last_heard: None,
            silent_from: now,
            expected: Span::ZERO,
            lost: None,
        }
    }

    /// Something live came. Says whether the link was lost.
    pub fn heard(&mut self, now: EngineTime) -> bool {
        self.last_heard = Some(now);
        self.silent_from = now;
        self.lost.take().is_some()
    }

    /// The shortest interval at which the source means to send anything.
    pub fn expect(&mut self, interval: Span) {
        self.expected = interval;
    }

    /// The broker says that the connection ended. Says whether that is news.
    pub fn offline(&mut self, now: EngineTime) -> bool {
        let news = self.lost.is_none();
        self.lost.get_or_insert(Loss {
            since: now,
            priority: Priority::Medium,
        });
        news
    }

    /// Silence counts from `now`: the source was not watched before.
    pub fn watch_from(&mut self, now: EngineTime) {
        self.silent_from = now;
    }

    /// When something live came last.
    #[must_use]
    pub fn last_heard(&self) -> Option<EngineTime> {
        self.last_heard
    }

    /// From when silence counts.
    #[must_use]
    pub fn silent_from(&self) -> EngineTime {
        self.silent_from
    }

    /// The loss, while there is one.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.lost
    }

    /// When silence has its next consequence.
    #[must_use]
    pub fn next_timeout(&self) -> Option<EngineTime> {
        let first = LINK_LOST_AFTER.max(self.expected.scaled(2, 1));
        let second = LINK_LOST_LONG_AFTER.max(first.scaled(2, 1));
        match self.lost {
            None => Some(self.silent_from.plus(first)),
            Some(loss) if loss.priority < Priority::High => Some(self.silent_from.plus(second)),
            Some(_) => None,
        }
    }

    /// Takes the step that is due, if one is. Says whether one was.
    pub fn handle_timeout(&mut self, now: EngineTime) -> bool {
        if self.next_timeout().is_none_or(|due| due > now) {
            return false;
        }
        self.lost = Some(match self.lost {
            None => Loss {
                since: now,
                priority: Priority::Medium,
            },
            Some(loss) => Loss {
                priority: Priority::High,
                ..loss
            },
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::catalogue::catalogue;

    const fn s(seconds: i64) -> EngineTime {
        EngineTime(seconds * 1_000_000)
    }

    #[test]
    fn staleness_follows_the_slower_of_catalogue_and_interval() {
        let spo2 = catalogue().vital_by_id("spo2");
        assert_eq!(stale_after(spo2, Span::from_secs(1)), Span::from_secs(10));
        assert_eq!(stale_after(spo2, Span::from_secs(60)), Span::from_secs(150));
        assert_eq!(stale_after(None, Span::from_secs(4)), Span::from_secs(10));
        assert_eq!(stale_after(None, Span::ZERO), Span::from_secs(60));
        assert_eq!(stale_after(None, Span(i64::MIN)), Span::from_secs(60));
    }

    #[test]
    fn a_silent_link_is_lost_in_two_stages() {
        let mut link = LinkCondition::new(s(0));
        assert!(!link.heard(s(10)));
        assert_eq!(link.next_timeout(), Some(s(25)));
        assert!(!link.handle_timeout(s(24)) && link.handle_timeout(s(25)));
        assert_eq!(
            link.loss().map(|l| (l.since, l.priority)),
            Some((s(25), Priority::Medium))
        );
        assert_eq!(link.next_timeout(), Some(s(130)));
        assert!(link.handle_timeout(s(130)));
        assert_eq!(
            link.loss().map(|l| (l.since, l.priority)),
            Some((s(25), Priority::High))
        );
        assert_eq!(link.next_timeout(), None);
        assert!(link.heard(s(131)) && link.loss().is_none());
    }

    #[test]
    fn a_slow_source_is_given_its_time() {
        let mut link = LinkCondition::new(s(0));
        link.expect(Span::from_secs(60));
        assert_eq!(link.next_timeout(), Some(s(120)));
        assert!(link.handle_timeout(s(120)));
        assert_eq!(link.next_timeout(), Some(s(240)));
    }

    #[test]
    fn the_brokers_word_counts_at_once() {
        let mut link = LinkCondition::new(s(0));
        assert!(link.offline(s(3)) && !link.offline(s(4)));
        assert_eq!(link.next_timeout(), Some(s(120)));
    }
}

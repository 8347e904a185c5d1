//! What goes live when the link cannot carry everything: the degradation ladder.
//! Pure.
//!
//! | level | live |
//! | --- | --- |
//! | 0 | everything |
//! | 1 | no waveforms |
//! | 2 | the newest of each kind of numerics every 5 s |
//! | 3 | the newest of each kind of numerics every 30 s |
//!
//! Events always go. A step down follows live publishes that were answered late,
//! and only those sent since the last step count. Nothing at all is answered in a
//! tunnel, so nothing is concluded from one. A step up is a try after a time of calm; if
//! it fails soon, the next one takes twice the calm.

use enroute_model::time::Span;

/// Queueing beyond this is late. Above what history may cause on the thinnest
/// link (`pace`: two of its least publishes, 0.8 s at 9.6 kbit/s).
const LATE: Span = Span::from_secs(1);
/// Beyond this one publish is enough for a step.
const VERY_LATE: Span = Span::from_secs(3);
/// Nothing was answered for so long: a tunnel, unless it comes again and again.
const SILENCE: Span = Span::from_secs(5);
/// A late publish counts so much more than one in time …
const LATE_SCORE: u32 = 2;
/// … and this takes a step down: three late ones in a row, or every other one.
const STEP_SCORE: u32 = 6;
/// Calm before the first try of a step up.
const CALM_FIRST: Span = Span::from_secs(10);
/// Calm before a try after many that failed.
const CALM_MAX: Span = Span::from_secs(640);
/// A try that lived so long did not fail.
const SURE: Span = Span::from_secs(60);
/// The last step.
const LEVEL_MAX: u32 = 3;

/// The ladder.
#[derive(Debug)]
pub(super) struct Ladder {
    level: u32,
    score: u32,
    /// The last step, or the last connection.
    stepped_at: Span,
    /// When what had been sent before that was answered.
    settled_at: Span,
    /// Of any publish.
    answered_at: Span,
    /// The last late answer was put down to a tunnel.
    excused: bool,
    /// Nothing was late since.
    calm_since: Span,
    /// How much calm a try of level 0, 1, 2 takes.
    calm: [Span; 3],
    /// The last step was one up, then.
    tried_at: Option<Span>,
}

impl Ladder {
    pub(super) fn new() -> Self {
        Self {
            level: 0,
            score: 0,
            stepped_at: Span::ZERO,
            settled_at: Span::ZERO,
            answered_at: Span::ZERO,
            excused: false,
            calm_since: Span::ZERO,
            calm: [CALM_FIRST; 3],
            tried_at: None,
        }
    }

    pub(super) fn level(&self) -> u32 {
        self.level
    }

    pub(super) fn carries_waveforms(&self) -> bool {
        self.level == 0
    }

    /// How often the newest numerics go; zero: each goes.
    pub(super) fn numerics_interval(&self) -> Span {
        match self.level {
            0 | 1 => Span::ZERO,
            2 => Span::from_secs(5),
            _ => Span::from_secs(30),
        }
    }

    /// So little goes live that history waits while any of it is under way.
    pub(super) fn yields(&self) -> bool {
        self.level >= 2
    }

    /// A new connection, perhaps over another link: earlier tries say nothing.
    pub(super) fn restart(&mut self, now: Span) {
        *self = Self {
            level: self.level,
            stepped_at: now,
            settled_at: now,
            calm_since: now,
            ..Self::new()
        };
    }

    /// A live publish of `sent_at` was answered and had queued so long. Says
    /// whether the level changed. `behind_history`: some was under way before it.
    pub(super) fn observe(
        &mut self,
        now: Span,
        sent_at: Span,
        queueing: Span,
        behind_history: bool,
    ) -> bool {
        let answered_at = std::mem::replace(&mut self.answered_at, now);
        let silence = now.0.saturating_sub(answered_at.max(sent_at).0);
        let tunnel = silence >= SILENCE.0 && !self.excused;
        self.excused |= tunnel;
        if sent_at < self.stepped_at || tunnel {
            self.settled_at = now;
        }
        // What was sent behind what the step took away says nothing of the step.
        if sent_at < self.settled_at {
            return false;
        }
        if queueing < LATE {
            self.excused = false;
            self.score = self.score.saturating_sub(1);
            return self.rise(now);
        }
        // A single publish of history fills the thinnest link for longer than that;
        // less live would not change it.
        if behind_history && self.yields() {
            return false;
        }
        self.calm_since = now;
        self.score = if queueing < VERY_LATE {
            self.score + LATE_SCORE
        } else {
            STEP_SCORE
        };
        self.score >= STEP_SCORE && self.fall(now)
    }

    fn rise(&mut self, now: Span) -> bool {
        let since = |at: Span| now.0.saturating_sub(at.0);
        if self.tried_at.is_some_and(|at| since(at) >= SURE.0) {
            self.tried_at = None;
            self.set_calm(self.level, CALM_FIRST);
        }
        let Some(above) = self.level.checked_sub(1) else {
            return false;
        };
        if since(self.calm_since) < self.calm(above).0 {
            return false;
        }
        self.tried_at = Some(now);
        self.step_to(above, now);
        true
    }

    fn fall(&mut self, now: Span) -> bool {
        if self.tried_at.take().is_some() {
            let calm = self.calm(self.level).0.saturating_mul(2);
            self.set_calm(self.level, Span(calm.min(CALM_MAX.0)));
        }
        let changes = self.level < LEVEL_MAX;
        self.step_to((self.level + 1).min(LEVEL_MAX), now);
        changes
    }

    fn calm(&self, level: u32) -> Span {
        let slot = usize::try_from(level).ok().and_then(|i| self.calm.get(i));
        slot.copied().unwrap_or(CALM_FIRST)
    }

    fn set_calm(&mut self, level: u32, calm: Span) {
        let slot = usize::try_from(level).ok();
        if let Some(slot) = slot.and_then(|i| self.calm.get_mut(i)) {
            *slot = calm;
        }
    }

    fn step_to(&mut self, level: u32, now: Span) {
        self.level = level;
        self.score = 0;
        self.stepped_at = now;
        self.settled_at = now;
        self.calm_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A publish each second, answered at once, that had queued so long; gives the
    /// levels, one digit a second.
    fn levels(
        ladder: &mut Ladder,
        from: i64,
        queueing_ms: impl IntoIterator<Item = i64>,
    ) -> String {
        let mut text = String::new();
        for (second, ms) in (from..).zip(queueing_ms) {
            let at = Span::from_secs(second);
            ladder.observe(at, at, Span::from_millis(ms), false);
            text += &ladder.level().to_string();
        }
        text
    }

    #[test]
    fn steps_down_are_quick_and_one_at_a_time() {
        let mut ladder = Ladder::new();
        let late = levels(&mut ladder, 0, [1_500; 12]);
        assert_eq!(late, "001112223333");
        assert_eq!(levels(&mut Ladder::new(), 0, [4_000; 4]), "1233");
    }

    #[test]
    fn a_late_one_now_and_then_is_no_reason() {
        let mut ladder = Ladder::new();
        let now_and_then = [1_500, 100, 100].into_iter().cycle().take(30);
        assert_eq!(levels(&mut ladder, 0, now_and_then), "0".repeat(30));
        let every_other = [1_500, 100].into_iter().cycle().take(10);
        assert_eq!(levels(&mut ladder, 30, every_other), "0000000011");
    }

    #[test]
    fn what_was_sent_before_a_step_does_not_count_against_it() {
        let mut ladder = Ladder::new();
        let at = Span::from_secs;
        assert!(ladder.observe(at(10), at(6), Span::from_secs(4), false));
        assert!(!ladder.observe(at(12), at(9), Span::from_secs(9), false));
        assert!(
            !ladder.observe(at(13), at(11), Span::from_secs(9), false),
            "behind it"
        );
        assert_eq!(ladder.level(), 1);
        assert!(ladder.observe(at(16), at(12), Span::from_secs(4), false));
    }

    #[test]
    fn behind_history_little_live_is_not_made_less() {
        let mut ladder = Ladder::new();
        let late = |ladder: &mut Ladder, second, behind_history| {
            let at = Span::from_secs(second);
            ladder.observe(at, at, Span::from_secs(4), behind_history);
            ladder.level()
        };
        let levels: Vec<u32> = (0..5).map(|s| late(&mut ladder, s, true)).collect();
        assert_eq!(levels, [1, 2, 2, 2, 2]);
        assert_eq!(late(&mut ladder, 5, false), 3);
    }

    #[test]
    fn a_tunnel_is_excused_and_a_link_that_is_always_silent_is_not() {
        let mut ladder = Ladder::new();
        let at = Span::from_secs;
        // Sent before, at the start of and in the tunnel, answered after it.
        for (sent, now) in [(1, 1), (2, 12), (5, 12), (12, 12), (13, 13)] {
            ladder.observe(at(now), at(sent), at(now - sent), false);
            assert_eq!(ladder.level(), 0, "sent at {sent}");
        }
        for (sent, now, level) in [(14, 20, 0), (15, 26, 0), (20, 32, 1)] {
            ladder.observe(at(now), at(sent), at(now - sent), false);
            assert_eq!(ladder.level(), level, "sent at {sent}");
        }
    }

    #[test]
    fn steps_up_come_one_by_one_and_failed_tries_make_it_cautious() {
        let mut ladder = Ladder::new();
        assert_eq!(levels(&mut ladder, 0, [4_000; 3]), "123");
        let up = levels(&mut ladder, 3, [0; 32]);
        assert_eq!(
            up,
            format!(
                "{}{}{}{}",
                "3".repeat(9),
                "2".repeat(10),
                "1".repeat(10),
                "000"
            )
        );
        // Whenever it is at 0 it is too much: the time between tries doubles.
        let mut tries = Vec::new();
        for second in 35..2_000 {
            let at = Span::from_secs(second);
            let queueing = if ladder.level() == 0 { 4_000 } else { 0 };
            if ladder.observe(at, at, Span::from_millis(queueing), false) && ladder.level() == 0 {
                tries.push(second);
            }
        }
        let waits: Vec<i64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits, [41, 81, 161, 321, 641, 641]);
        // Another connection, perhaps another link.
        ladder.restart(Span::from_secs(2_000));
        let level = ladder.level();
        levels(&mut ladder, 2_000, [0; 11]);
        assert_eq!((level, ladder.level()), (1, 0));
    }
}

//! The life of a rule's alert against a naive model, however time is cut.

use super::*;
use enroute_model::frame::Priority;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Said {
    Present,
    Absent,
    Gap,
    Stopped,
    Looked,
}

impl Said {
    fn truth(self) -> Option<Truth> {
        match self {
            Self::Present => Some(Truth::Present),
            Self::Absent => Some(Truth::Absent),
            Self::Gap => Some(Truth::Unknown { stopped: false }),
            Self::Stopped => Some(Truth::Unknown { stopped: true }),
            Self::Looked => None,
        }
    }
}

fn said() -> impl Strategy<Value = Vec<(i64, Said)>> {
    let what = prop_oneof![
        6 => Just(Said::Present),
        5 => Just(Said::Absent),
        2 => Just(Said::Gap),
        1 => Just(Said::Stopped),
        1 => Just(Said::Looked),
    ];
    prop::collection::vec((1..6i64, what), 1..60)
}

/// Second by second, with all that was said kept and looked through again.
struct Naive {
    timing: Timing,
    past: Vec<(i64, Said)>,
    phase: Option<AlertPhase>,
    latches: bool,
}

impl Naive {
    /// For how long it has held, or not held, without a break: the last other
    /// known answer and the last stop end it, a gap does not.
    fn lasted(&self, present: bool, now: i64) -> Option<i64> {
        let mut since = None;
        for (at, said) in self.past.iter().rev() {
            match (said, present) {
                (Said::Present, true) | (Said::Absent, false) => since = Some(*at),
                (Said::Present, false) | (Said::Absent, true) | (Said::Stopped, _) => break,
                (Said::Gap | Said::Looked, _) => {}
            }
        }
        since.map(|since| now - since)
    }

    fn second(&mut self, now: i64) -> Option<AlertPhase> {
        let known = self
            .past
            .iter()
            .rev()
            .find(|(_, said)| !matches!(said, Said::Looked));
        let before = self.phase;
        match known.map(|(_, said)| *said) {
            Some(Said::Gap | Said::Stopped | Said::Looked)
                if self.phase == Some(AlertPhase::Active) =>
            {
                self.phase = Some(AlertPhase::Unknown);
            }
            None | Some(Said::Gap | Said::Stopped | Said::Looked) => {}
            Some(Said::Present) => {
                let up = matches!(self.phase, Some(AlertPhase::Active | AlertPhase::Unknown));
                let long = self
                    .lasted(true, now)
                    .is_some_and(|s| Span::from_secs(s) >= self.timing.on_delay);
                if up {
                    self.phase = Some(AlertPhase::Active);
                } else if long {
                    self.phase = Some(AlertPhase::Active);
                    self.latches = self.timing.latching;
                }
            }
            Some(Said::Absent) => {
                let up = matches!(self.phase, Some(AlertPhase::Active | AlertPhase::Unknown));
                let long = self
                    .lasted(false, now)
                    .is_some_and(|s| Span::from_secs(s) >= self.timing.off_delay);
                if up && long {
                    self.phase = self.latches.then_some(AlertPhase::Latched);
                    return Some(self.phase.unwrap_or(AlertPhase::Ended));
                }
            }
        }
        self.phase.filter(|_| self.phase != before)
    }

    fn looked(&mut self) {
        if self.phase == Some(AlertPhase::Latched) {
            self.phase = None;
        }
        self.latches = false;
    }
}

fn naive(timing: Timing, course: &[(i64, Said)]) -> Vec<(i64, AlertPhase)> {
    let mut naive = Naive {
        timing,
        past: Vec::new(),
        phase: None,
        latches: false,
    };
    let (mut told, mut now) = (Vec::new(), 0);
    for (wait, said) in course {
        for second in now + 1..=now + wait {
            told.extend(naive.second(second).map(|phase| (second, phase)));
        }
        now += wait;
        if matches!(said, Said::Looked) {
            naive.looked();
        } else {
            naive.past.push((now, *said));
            told.extend(naive.second(now).map(|phase| (now, phase)));
        }
    }
    told
}

/// With deadlines fired in time, and asked again with the same answer wherever
/// `ticks` says so.
fn real(timing: Timing, course: &[(i64, Said)], ticks: &[bool]) -> Vec<(i64, AlertPhase)> {
    let (mut machine, mut told, mut now) = (Machine::default(), Vec::new(), 0);
    let mut last = None;
    for (wait, said) in course {
        for second in now + 1..=now + wait {
            let due = machine
                .next_timeout(timing)
                .is_some_and(|due| due <= s(second));
            let tick = ticks
                .get(usize::try_from(second).unwrap() % ticks.len())
                .copied();
            if (due || tick == Some(true))
                && let Some(truth) = last
            {
                told.extend(
                    machine
                        .input(timing, truth, s(second))
                        .map(|phase| (second, phase)),
                );
            }
        }
        now += wait;
        match said.truth() {
            Some(truth) => {
                last = Some(truth);
                told.extend(
                    machine
                        .input(timing, truth, s(now))
                        .map(|phase| (now, phase)),
                );
            }
            None => machine.looked_at(),
        }
    }
    told
}

proptest! {
    #[test]
    fn as_the_naive_model_says_however_time_is_cut(
        course in said(),
        on in 0..12i64,
        off in 0..12i64,
        latching: bool,
        ticks in prop::collection::vec(any::<bool>(), 1..8),
    ) {
        let timing = Timing {
            priority: Priority::Medium,
            on_delay: Span::from_secs(on),
            off_delay: Span::from_secs(off),
            latching,
        };
        let expected = naive(timing, &course);
        prop_assert_eq!(&real(timing, &course, &[false]), &expected);
        prop_assert_eq!(&real(timing, &course, &ticks), &expected);
    }

    #[test]
    fn a_value_that_wavers_within_the_hysteresis_raises_once(
        values in prop::collection::vec(0..100u32, 30..200),
    ) {
        // Between 90, beyond which it is raised, and 92, where it is over.
        let rules = one("level = { of = [\"spo2\"], below = 90, hysteresis = 2 }");
        let mut bed = Bed::new(&rules);
        bed.word("spo2=89", s(0));
        bed.ask(s(0));
        for (second, value) in (1..).zip(values) {
            bed.until(s(second));
            bed.word(&format!("spo2={}", 89.0 + f64::from(value) * 0.029), s(second));
            bed.ask(s(second));
        }
        prop_assert_eq!(bed.told.lines().count(), 1, "{}", bed.told);
    }

    #[test]
    fn no_alert_without_a_breach_and_none_is_missed(
        values in prop::collection::vec((1..4i64, prop::option::weighted(0.9, 85..95i32)), 1..80),
        on in 0..8i64,
    ) {
        let rules = timed(&format!("on_delay_s = {on}"), "level = { of = [\"spo2\"], below = 90 }");
        let mut bed = Bed::new(&rules);
        let (mut now, mut since, mut raised) = (0, None, false);
        for (wait, value) in values {
            now += wait;
            bed.until(s(now));
            let word = value.map_or("spo2=-".to_owned(), |value| format!("spo2={value}"));
            bed.word(&word, s(now));
            let before = bed.told.len();
            bed.ask(s(now));
            if let Some(value) = value {
                since = if value < 90 { since.or(Some(now)) } else { None };
                // What became due at this very moment was told by its deadline.
                let due = since.is_some_and(|since| now - since >= on);
                prop_assert!(!due || bed.told.contains("Active"), "missed at {now}: {}", bed.told);
                raised = due;
            }
            let told = bed.told[before..].to_owned();
            prop_assert!(!told.contains("Active") || raised, "at {now}: {told}");
        }
    }
}

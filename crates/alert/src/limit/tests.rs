//! Timelines of one limit condition, and properties against a naive model.

use super::*;
use crate::book::RuleBook;
use enroute_model::catalogue::catalogue;
use proptest::prelude::*;
use std::fmt::Write;

fn rule(id: &str) -> &'static LimitRule {
    let code = catalogue().vital_by_id(id).unwrap().code;
    let adult = RuleBook::built_in().population(None);
    Box::leak(Box::new(**adult.rule(code).unwrap()))
}

/// The same limits, which end only after so many seconds inside.
fn slow_to_end(id: &str, seconds: i64) -> &'static LimitRule {
    let (known, off_delay) = (rule(id), Span::from_secs(seconds));
    let mut terms = *known.terms();
    terms.warn.off_delay = off_delay;
    terms.crit.off_delay = off_delay;
    Box::leak(Box::new(LimitRule::new(known.code, None, terms)))
}

fn s(seconds: i64) -> EngineTime {
    EngineTime(seconds * 1_000_000)
}

/// A trace is words: a number is the value of the next second, `xN` repeats the
/// last word N times in all, `-` is a second without a usable value, `~` one in
/// which the data counts as stopped, `.` one in which nothing comes.
fn run(rule: &LimitRule, trace: &str) -> Vec<(i64, Step)> {
    let (mut condition, mut steps, mut now) = (LimitCondition::default(), Vec::new(), 0);
    let mut words: Vec<&str> = Vec::new();
    for word in trace.split_whitespace() {
        match word.strip_prefix('x') {
            Some(times) => {
                let last = *words.last().unwrap();
                let times: usize = times.parse().unwrap();
                words.extend(std::iter::repeat_n(last, times - 1));
            }
            None => words.push(word),
        }
    }
    for word in words {
        while let Some(due) = condition.next_timeout(rule).filter(|due| *due <= s(now)) {
            condition.handle_timeout(rule, due, |step| steps.push((due.0 / 1_000_000, step)));
            assert_ne!(
                condition.next_timeout(rule),
                Some(due),
                "a deadline that stays"
            );
        }
        let tell = |step| steps.push((now, step));
        match word {
            "-" => condition.no_value(rule, false, tell),
            "~" => condition.no_value(rule, true, tell),
            "." => {}
            number => condition.value(rule, number.parse().unwrap(), s(now), tell),
        }
        now += 1;
    }
    steps
}

fn check(id: &str, trace: &str, expected: &str) {
    check_rule(rule(id), trace, expected);
}

fn check_rule(rule: &LimitRule, trace: &str, expected: &str) {
    let mut told = String::new();
    for (at, step) in run(rule, trace) {
        let (side, limit) = (step.side, step.limit);
        let since = step.since.0 / 1_000_000;
        let (phase, priority) = (step.phase, step.priority);
        writeln!(
            told,
            "{at} s: {side:?} {limit} {phase:?} {priority:?} since {since}"
        )
        .unwrap();
    }
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{trace}");
}

#[test]
fn raised_only_after_the_delay() {
    check("spo2", "97 89 x14 91", "");
    check("spo2", "97 89 x16", "16 s: Low 90 Active Medium since 1");
    check("spo2", "97 89 . x20", "16 s: Low 90 Active Medium since 1");
}

#[test]
fn a_value_at_the_limit_is_within() {
    check("spo2", "90 x60", "");
    check("hr", "120 x60", "");
    check("gcs", "9", "0 s: Low 13 Active Medium since 0");
    check("gcs", "8", "0 s: Low 9 Active High since 0");
    check("apnea_time", "20", "");
    check("apnea_time", "21", "0 s: High 20 Active High since 0");
}

#[test]
fn ends_only_beyond_the_hysteresis() {
    check(
        "spo2",
        "89 x16 90 x30 89 x30 91",
        "15 s: Low 90 Active Medium since 0
         76 s: Low 90 Ended Medium since 0",
    );
}

#[test]
fn ends_after_the_off_delay() {
    let spo2 = slow_to_end("spo2", 10);
    check_rule(
        spo2,
        "89 x16 97 x9 89 x5 97 x20",
        "15 s: Low 90 Active Medium since 0
         40 s: Low 90 Ended Medium since 0",
    );
    // Nothing needs to come for it to end, but silence does not count.
    check_rule(
        spo2,
        "89 x16 97 . x20",
        "15 s: Low 90 Active Medium since 0
         26 s: Low 90 Ended Medium since 0",
    );
    check_rule(
        spo2,
        "89 x16 97 x5 ~ x20 97 x20",
        "15 s: Low 90 Active Medium since 0
         21 s: Low 90 Unknown Medium since 0
         41 s: Low 90 Active Medium since 0
         51 s: Low 90 Ended Medium since 0",
    );
}

#[test]
fn a_higher_level_ends_by_its_own_off_delay() {
    check_rule(
        slow_to_end("abp_sys", 5),
        "75 x6 85 x10 95 x10",
        "5 s: Low 80 Active High since 0
         11 s: Low 90 Active Medium since 0
         21 s: Low 90 Ended Medium since 0",
    );
}

#[test]
fn a_higher_level_is_a_new_step_of_the_same_condition() {
    check(
        "abp_sys",
        "85 x12 75 x8 85 x5 95",
        "10 s: Low 90 Active Medium since 0
         17 s: Low 80 Active High since 0
         20 s: Low 90 Active Medium since 0
         25 s: Low 90 Ended Medium since 0",
    );
}

#[test]
fn crit_at_once_falls_back_to_warn_without_a_gap() {
    check(
        "abp_sys",
        "75 x6 85 x10 95",
        "5 s: Low 80 Active High since 0
         6 s: Low 90 Active Medium since 0
         16 s: Low 90 Ended Medium since 0",
    );
}

#[test]
fn what_latched_stays_and_keeps_its_urgency() {
    check(
        "hr",
        "35 x8 47 x20 80 x20 45 x12 80",
        "5 s: Low 40 Active High since 0
         8 s: Low 50 Active High since 0
         28 s: Low 50 Latched High since 0
         58 s: Low 50 Active High since 48
         60 s: Low 50 Latched High since 48",
    );
}

#[test]
fn silence_makes_unknown_and_never_clears() {
    check(
        "spo2",
        "80 x12 - - ~ . x600 88",
        "10 s: Low 85 Active High since 0
         12 s: Low 85 Unknown High since 0
         615 s: Low 90 Active Medium since 0",
    );
    check(
        "spo2",
        "80 x12 ~ 97",
        "10 s: Low 85 Active High since 0
         12 s: Low 85 Unknown High since 0
         13 s: Low 85 Ended High since 0",
    );
}

#[test]
fn single_missing_values_do_not_start_the_delay_anew() {
    check(
        "spo2",
        "89 x8 - 89 x8",
        "15 s: Low 90 Active Medium since 0",
    );
    check(
        "spo2",
        "89 x8 - x20 89",
        "28 s: Low 90 Active Medium since 0",
    );
    check("spo2", "89 x8 ~ x20 89 x5", "");
}

#[test]
fn a_cuff_reading_is_one_event() {
    check(
        "nibp_sys",
        "85 85 85 75 120",
        "0 s: Low 90 Active Medium since 0
         3 s: Low 80 Active High since 0
         4 s: Low 80 Ended High since 0",
    );
}

#[derive(Clone, Debug)]
enum Action {
    Value(i32),
    Nothing(bool),
    Wait(i64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let value = prop_oneof![30..60i32, 44..56i32, 110..160i32];
    let action = prop_oneof![
        8 => value.prop_map(Action::Value),
        1 => any::<bool>().prop_map(Action::Nothing),
        2 => (1..9i64).prop_map(Action::Wait),
    ];
    prop::collection::vec(action, 0..120)
}

proptest! {
    /// Every raise or escalation speaks of a breach of that very limit that was
    /// present, without a usable value inside it, for the whole delay.
    #[test]
    fn no_alert_without_a_sustained_breach(actions in actions(), id in prop::sample::select(vec!["hr", "pr", "abp_sys"])) {
        let rule = rule(id);
        let (mut condition, mut now) = (LimitCondition::default(), 0);
        let mut seen: Vec<(EngineTime, f64)> = Vec::new();
        let mut raised = Vec::new();
        for action in actions {
            now += 1;
            match action {
                Action::Value(value) => {
                    seen.push((s(now), f64::from(value)));
                    condition.value(rule, f64::from(value), s(now), |x| raised.push((s(now), x)));
                }
                Action::Nothing(stopped) => condition.no_value(rule, stopped, |_| {}),
                Action::Wait(seconds) => {
                    now += seconds;
                    while let Some(due) = condition.next_timeout(rule).filter(|d| *d <= s(now)) {
                        condition.handle_timeout(rule, due, |x| raised.push((due, x)));
                    }
                }
            }
            while let Some(due) = condition.next_timeout(rule).filter(|d| *d <= s(now)) {
                condition.handle_timeout(rule, due, |x| raised.push((due, x)));
            }
        }
        for (at, step) in raised.into_iter().filter(|(_, x)| x.phase == AlertPhase::Active) {
            let levels = if step.side == Side::Low { &rule.low } else { &rule.high };
            let beyond = |v: f64, limit: f64| if step.side == Side::Low { v < limit } else { v > limit };
            let level = [levels.warn, levels.crit].into_iter().flatten()
                .find(|l| l.limit.to_bits() == step.limit.to_bits()).unwrap();
            // The newest value is at least inside the hysteresis of what is shown.
            let last = seen.iter().rfind(|(t, _)| *t <= at).unwrap();
            prop_assert!(beyond(last.1, level.clears_at), "{step:?} at {at:?} with {last:?}");
            // Somewhere before, a run of breaches lasted for its delay.
            let outer = levels.warn.or(levels.crit).unwrap();
            prop_assert!(seen.iter().any(|(t, v)| beyond(*v, outer.limit) && *t <= at));
            prop_assert!(step.since <= at);
        }
    }

    /// A breach that lasts for its delay, with a usable value each second, is
    /// shown from then on at that level's urgency or above.
    #[test]
    fn no_sustained_breach_is_missed(before in actions(), depth in 0..20i32, length in 10..40i64) {
        let rule = rule("abp_sys");
        let (mut condition, mut now) = (LimitCondition::default(), 0);
        let mut last = None;
        for action in before {
            now += 1;
            match action {
                Action::Value(v) => condition.value(rule, f64::from(v), s(now), |x| last = Some(x)),
                Action::Nothing(stopped) => condition.no_value(rule, stopped, |x| last = Some(x)),
                Action::Wait(seconds) => now += seconds,
            }
        }
        let start = now;
        for _ in 0..=length {
            now += 1;
            let value = f64::from(89 - depth);
            condition.value(rule, value, s(now), |x| if x.side == Side::Low { last = Some(x) });
        }
        let step = last.unwrap();
        prop_assert_eq!(step.phase, AlertPhase::Active);
        let wanted = if depth >= 10 { Priority::High } else { Priority::Medium };
        prop_assert!(step.priority >= wanted, "{:?} from {} to {}", step, start, now);
    }

    /// Values that stay between the limit and the end of its hysteresis cause
    /// no step at all.
    #[test]
    fn no_flapping_inside_the_hysteresis(values in prop::collection::vec(890..910i32, 1..100)) {
        let rule = rule("spo2");
        let mut condition = LimitCondition::default();
        let mut steps = 0;
        for now in 0..20 {
            condition.value(rule, 89.0, s(now), |_| steps += 1);
        }
        prop_assert_eq!(steps, 1);
        for (now, value) in (20..).zip(values) {
            condition.value(rule, f64::from(value) / 10.0, s(now), |_| steps += 1);
        }
        prop_assert_eq!(steps, 1);
    }

    /// With a value each second, what is shown follows from the whole history by
    /// two sentences: a level is raised when every value of its delay was beyond
    /// its limit (or the other way round: warn with crit), and stays while every
    /// value since then is short of the end of its hysteresis. With an off-delay:
    /// while not all values of an off-delay are inside.
    #[test]
    fn agrees_with_the_definition(
        runs in prop::collection::vec((74..98i32, 1..13usize), 0..20),
        off in prop_oneof![2 => Just(0), 1 => 1..8usize],
    ) {
        let rule = slow_to_end("abp_sys", i64::try_from(off).unwrap());
        let (warn, crit) = (rule.low.warn.unwrap(), rule.low.crit.unwrap());
        let values: Vec<f64> = runs.iter().flat_map(|(v, n)| std::iter::repeat_n(f64::from(*v), *n)).collect();
        let raised = |level: Level, u: usize| {
            let delay = usize::try_from(level.manner.on_delay.0 / 1_000_000).unwrap();
            u >= delay && values[u - delay..u].iter().all(|v| *v < level.limit)
        };
        let on = |level: Level, t: usize| (0..=t).any(|u| {
            let by_crit = level == warn && raised(crit, u);
            let inside = |v: &f64| *v >= level.clears_at;
            let ended = |at: usize| match off {
                0 => inside(&values[at]),
                _ => at >= u + off && values[at - off..at].iter().all(inside),
            };
            (raised(level, u) || by_crit) && !(u..=t).any(ended)
        });
        let (mut condition, mut shown) = (LimitCondition::default(), None);
        for (t, value) in values.iter().enumerate() {
            let now = s(i64::try_from(t).unwrap());
            let mut note = |step: Step| shown = (step.phase == AlertPhase::Active).then_some(step.limit);
            while let Some(due) = condition.next_timeout(rule).filter(|due| *due <= now) {
                condition.handle_timeout(rule, due, &mut note);
            }
            condition.value(rule, *value, now, &mut note);
            let wanted = if on(crit, t) { Some(crit.limit) } else { on(warn, t).then_some(warn.limit) };
            prop_assert_eq!(shown, wanted, "second {} of {:?}", t, values);
        }
    }

    /// However finely time is cut, the steps are the same.
    #[test]
    fn ticks_do_not_matter(actions in actions()) {
        let rule = rule("hr");
        let run = |ticks: bool| {
            let (mut condition, mut now, mut steps) = (LimitCondition::default(), 0, Vec::new());
            for action in &actions {
                let to = now + if let Action::Wait(seconds) = action { *seconds } else { 1 };
                let cuts: Vec<i64> = if ticks { (now..=to).collect() } else { vec![to] };
                for cut in cuts {
                    while let Some(due) = condition.next_timeout(rule).filter(|d| *d <= s(cut)) {
                        condition.handle_timeout(rule, due, |x| steps.push((due, x)));
                    }
                }
                now = to;
                match action {
                    Action::Value(v) => condition.value(rule, f64::from(*v), s(now), |x| steps.push((s(now), x))),
                    Action::Nothing(stopped) => condition.no_value(rule, *stopped, |x| steps.push((s(now), x))),
                    Action::Wait(_) => {}
                }
            }
            (steps, condition)
        };
        prop_assert_eq!(run(false), run(true));
    }
}

#[test]
fn what_ends_for_another_reason_ends_whole() {
    let (rule, mut condition, mut steps) = (rule("hr"), LimitCondition::default(), Vec::new());
    for now in 0..10 {
        condition.value(rule, 30.0, s(now), |x| steps.push(x));
    }
    condition.value(rule, 80.0, s(10), |x| steps.push(x));
    condition.end(rule, |x| steps.push(x));
    assert_eq!(steps.last().map(|x| x.phase), Some(AlertPhase::Ended));
    assert!(condition.is_normal() && condition.next_timeout(rule).is_none());
}

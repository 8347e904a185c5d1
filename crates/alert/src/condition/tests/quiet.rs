//! Rules that are asked only when something of theirs changed, against the same
//! rules asked each time.

use super::*;
use crate::book::RuleBook;
use crate::condition::quiet::Quiet;
use proptest::prelude::*;

/// Every kind of clause that the built-in book does not have, or has only with one
/// value.
const MORE: &str = r#"
[[condition]]
id = "sustained"
metric = "icp_mean"
priority = "medium"
when.sustained = { of = ["icp_mean", "hr"], above = 90, lasts_s = 60, percent = 80 }

[[condition]]
id = "rises"
metric = "hr"
priority = "low"
on_delay_s = 5
latching = true
when.change = { of = ["hr", "pr"], rises = 15, within_s = 60, baseline_s = 20, hysteresis = 5 }

[[condition]]
id = "difference"
metric = "hr"
priority = "medium"
off_delay_s = 3
doubts = ["pr"]
when.difference = { of = ["hr", "pr"], above = 10, hysteresis = 3 }

[[condition]]
id = "again"
metric = "spo2"
priority = "medium"
when.repeated = { of = ["spo2", "pr"], below = 90, hysteresis = 1, lasts_s = 4, times = 2, within_s = 60 }

[[condition]]
id = "swings"
metric = "hr"
priority = "medium"
when.swing = { of = ["rr_co2"], from = ["rr_imp"], falls = 12, within_s = 40 }

[[condition]]
id = "slopes"
metric = "spo2"
priority = "medium"
when.slope = { of = ["spo2", "pr"], falls_per_min = 4, over_s = 60, hysteresis = 1 }

[[condition]]
id = "some"
metric = "hr"
priority = "high"
on_delay_s = 2
[condition.when.at_least]
count = 2
within_s = 15
of = [
    { level = { of = ["hr"], above = 95, hysteresis = 3 } },
    { level = { of = ["spo2", "pr"], below = 91 } },
    { gone = { of = "icp_mean", below = 3 } },
    { not = { usable = ["pr", "spo2"] } },
]

[[condition]]
id = "some_now"
metric = "hr"
priority = "low"
when.at_least = { count = 2, of = [{ level = { of = ["temp1"], above = 90 } }, { level = { of = ["temp2"], above = 90 } }] }

[[condition]]
id = "made_of_others"
metric = "hr"
priority = "low"
when.any = [
    { raised = "difference" },
    { all = [{ unless_raised = "some" }, { marked = "a" }, { measuring = { of = "pr", before_s = 5, after_s = 3 } }] },
]
"#;

#[derive(Clone, Debug)]
enum Deed {
    /// So many seconds of values that waver a little around these, `None`: not
    /// usable. A channel that is not named says nothing.
    Values(i64, Vec<(usize, Option<i32>)>),
    /// The interval from now on.
    Interval(i64),
    Silence(i64),
    Stopped(usize),
    Heard(bool),
    Mark(&'static str),
    Usual(usize, Option<i32>),
    Doubt(usize, bool),
    Looked(usize),
    Ended(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let value = || prop_oneof![1 => Just(None), 9 => prop_oneof![0..6i32, 84..100i32, 80..125i32].prop_map(Some)];
    let values = prop::collection::vec((0..40usize, value()), 0..12);
    let mark = prop::sample::select(vec!["a", "cuff_on_probe_arm", "co2_line_fault"]);
    let deed = prop_oneof![
        12 => (prop_oneof![4 => 1..6i64, 3 => 6..90i64, 1 => 300..900i64], values)
            .prop_map(|(seconds, values)| Deed::Values(seconds, values)),
        1 => prop::sample::select(vec![1, 2, 30]).prop_map(Deed::Interval),
        2 => prop_oneof![1..40i64, 100..1_000i64].prop_map(Deed::Silence),
        1 => (0..40usize).prop_map(Deed::Stopped),
        1 => any::<bool>().prop_map(Deed::Heard),
        1 => mark.prop_map(Deed::Mark),
        1 => (0..40usize, prop::option::of(80..120i32)).prop_map(|(of, value)| Deed::Usual(of, value)),
        1 => (0..40usize, any::<bool>()).prop_map(|(of, doubt)| Deed::Doubt(of, doubt)),
        1 => (0..30usize).prop_map(Deed::Looked),
        1 => (0..30usize).prop_map(Deed::Ended),
    ];
    prop::collection::vec(deed, 1..25)
}

/// The same conditions twice, of which one asks every rule each time.
struct Pair {
    rules: Rules,
    lazy: Conditions,
    thorough: Conditions,
    marks: Vec<String>,
    silent: bool,
    /// Rules that were not asked.
    spared: u32,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let mut lazy = Conditions::default();
        lazy.adopt(None, &rules, |_| {});
        Self {
            thorough: lazy.clone(),
            lazy,
            rules,
            marks: Vec::new(),
            silent: false,
            spared: 0,
        }
    }

    fn both(&mut self, act: impl Fn(&Rules, &mut Conditions)) {
        act(&self.rules, &mut self.lazy);
        act(&self.rules, &mut self.thorough);
    }

    fn ask(&mut self, now: EngineTime) {
        self.spared += self.lazy.quiet.count_for_test();
        self.thorough.quiet = Quiet::default();
        let asked = |conditions: &mut Conditions| {
            let mut told = Vec::new();
            let changed = conditions.ask(
                &self.rules,
                (&self.marks, self.silent),
                now,
                |rule, step| told.push((rule.id.clone(), step)),
            );
            (told, changed)
        };
        let (lazy, thorough) = (asked(&mut self.lazy), asked(&mut self.thorough));
        assert_eq!(lazy, thorough, "at {now:?}");
        assert_eq!(self.lazy.next_timeout(), self.thorough.next_timeout());
        assert_eq!(self.lazy.channels, self.thorough.channels);
        assert_eq!(self.lazy.windows, self.thorough.windows);
        assert_eq!(self.lazy.rules, self.thorough.rules, "at {now:?}");
    }

    fn until(&mut self, now: EngineTime) {
        while let Some(due) = self.lazy.next_timeout().filter(|due| *due <= now) {
            self.ask(due);
        }
    }
}

fn play(rules: &Rules, deeds: &[Deed]) -> u32 {
    let mut pair = Pair::new(rules.clone());
    let channels = pair.rules.channels().len();
    let (mut now, mut interval) = (0, Span::from_secs(1));
    for deed in deeds {
        match deed {
            Deed::Values(seconds, values) => {
                for second in 0..*seconds {
                    now += 1;
                    pair.until(s(now));
                    for (of, value) in values {
                        // Up and down by less than most bounds are apart.
                        let moved = |value: i32| {
                            f64::from(value)
                                + [0.0, 0.5, -0.5][usize::try_from(second % 3).unwrap()]
                        };
                        let value = value.map(moved);
                        pair.both(|rules, conditions| {
                            conditions.note(rules, of % channels, value, interval, s(now));
                        });
                    }
                    pair.ask(s(now));
                }
            }
            Deed::Interval(seconds) => interval = Span::from_secs(*seconds),
            Deed::Silence(seconds) => {
                now += seconds;
                pair.until(s(now));
            }
            Deed::Stopped(of) => pair.both(|_, conditions| conditions.stopped(of % channels)),
            Deed::Heard(heard) => {
                pair.silent = !heard;
                if !heard {
                    pair.both(|_, conditions| conditions.all_stopped());
                }
                pair.ask(s(now));
            }
            Deed::Mark(word) => {
                let known = pair.marks.iter().position(|mark| mark == word);
                match known {
                    Some(place) => drop(pair.marks.remove(place)),
                    None => pair.marks.push((*word).to_owned()),
                }
            }
            Deed::Usual(of, value) => pair.both(|_, conditions| {
                conditions.set_baseline(of % channels, value.map(f64::from));
            }),
            Deed::Doubt(of, doubt) => {
                pair.both(|_, conditions| conditions.set_doubted(of % channels, *doubt));
            }
            Deed::Looked(rule) => pair.both(|rules, conditions| {
                let rule = &rules.rules()[rule % rules.rules().len()];
                conditions.looked_at(&rule.id);
            }),
            Deed::Ended(rule) => pair.both(|rules, conditions| {
                let rule = &rules.rules()[rule % rules.rules().len()];
                conditions.end_one(&rule.id);
            }),
        }
    }
    pair.spared
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_not_asked_would_have_said_the_same(deeds in deeds()) {
        for age in [None, Some(AgeBand::Child), Some(AgeBand::Neonate)] {
            play(&RuleBook::built_in().conditions(age), &deeds);
        }
        play(&Rules::of(&rows(MORE), None).unwrap(), &deeds);
    }
}

#[test]
fn most_rules_of_a_calm_patient_are_not_asked() {
    let rules = RuleBook::built_in().conditions(None);
    let values = [
        ("hr", 82),
        ("spo2", 97),
        ("abp_sys", 120),
        ("abp_dia", 72),
        ("pr", 82),
    ];
    let values = values.map(|(id, value)| (channel(&rules, id), Some(value)));
    let spared = play(&rules, &[Deed::Values(1_000, values.to_vec())]);
    let asked = 1_000 * u32::try_from(rules.rules().len()).unwrap() - spared;
    // Each at first, and some while their windows fill.
    assert!(asked < 3_000, "{asked} of {}", asked + spared);
}

//! What is not measured raises nothing, and is filled in nowhere: missing,
//! questionable, calibrating, test and implausible values, and gaps, in every
//! mixture (validity).

use super::*;
use enroute_alert::book::RuleBook;
use enroute_alert::score::{Item, Kind, SaturationScale};
use proptest::prelude::*;

/// A patient whom no limit and no rule of an adult concerns, and for each value
/// one that would be an emergency if it were believed.
const VALUES: [(&str, i64, i64); 12] = [
    ("hr", 75, 20),
    ("pr", 75, 20),
    ("spo2", 98, 60),
    ("rr_co2", 15, 2),
    ("rr_imp", 15, 2),
    ("abp_sys", 120, 50),
    ("abp_dia", 75, 20),
    ("abp_mean", 90, 30),
    ("nibp_sys", 120, 50),
    ("temp1", 37, 30),
    ("etco2", 38, 10),
    ("icp_mean", 10, 60),
];

/// How a value comes in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    Measured,
    /// Not in this frame.
    Not,
    /// In it, without a value: sensor off, or none.
    Without(&'static str),
    /// An emergency, with this mark.
    Marked(&'static str),
    /// What no patient has.
    Implausible,
}

fn comes() -> impl Strategy<Value = Comes> {
    prop_oneof![
        6 => Just(Comes::Measured),
        2 => Just(Comes::Not),
        2 => prop::sample::select(vec!["-", "_"]).prop_map(Comes::Without),
        2 => prop::sample::select(vec!["?", "c", "t"]).prop_map(Comes::Marked),
        1 => Just(Comes::Implausible),
    ]
}

/// Seconds without anything, how often the frame comes, what is in it.
type Stretch = (i64, i64, Vec<Comes>);

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let gap = prop_oneof![6 => Just(0i64), 2 => 1..20i64, 1 => 20..400i64];
    let stretch = (gap, 1..40i64, prop::collection::vec(comes(), VALUES.len()));
    prop::collection::vec(stretch, 1..12)
}

fn words(stretch: &[Comes]) -> Vec<String> {
    let values = VALUES.iter().zip(stretch);
    values
        .filter_map(|((id, usual, emergency), comes)| match comes {
            Comes::Measured => Some(format!("{id}={usual}")),
            Comes::Not => None,
            Comes::Without(sign) => Some(format!("{id}={sign}")),
            Comes::Marked(mark) => Some(format!("{id}={emergency}{mark}")),
            Comes::Implausible => Some(format!("{id}=5000")),
        })
        .collect()
}

fn play(stretches: &[Stretch]) -> (Engine, Vec<AlertTransition>, EngineTime) {
    let mut engine = Engine::new(transfer("tx"));
    let (mut sender, mut effects, mut now) = (Sender::default(), Effects::default(), 0);
    for (gap, times, values) in stretches {
        now += gap;
        let words = words(values);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for _ in 0..*times {
            now += 1;
            let record = sender.frame(s(now), "amb", Lane::Live, numerics(&words));
            engine.handle(&record, &mut effects);
        }
    }
    engine.handle_timeout(s(now), &mut effects);
    (engine, effects.alerts, s(now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No mixture of what is not measured raises anything about the patient.
    #[test]
    fn what_is_not_measured_raises_nothing(stretches in stretches()) {
        let (_, alerts, _) = play(&stretches);
        for step in alerts {
            prop_assert!(!step.alert.kind.is_physiological(), "{:?}", step);
        }
    }

    /// What viewers see is what came last, as it came; a score is the one of the
    /// values that are usable now, and every other item is missing from it.
    #[test]
    fn nothing_is_filled_in(stretches in stretches()) {
        // Scores are computed every five seconds.
        let mut stretches = stretches;
        if let Some((_, times, _)) = stretches.last_mut() {
            *times += 6;
        }
        let (engine, _, now) = play(&stretches);
        let source = engine.source(&gateway("amb")).unwrap();
        let mut last: BTreeMap<&str, (Reading, EngineTime)> = BTreeMap::new();
        let mut at = 0;
        for (gap, times, values) in &stretches {
            at += gap + times;
            let Body::Numerics(numerics) = numerics(
                &words(values).iter().map(String::as_str).collect::<Vec<_>>(),
            ) else { unreachable!() };
            for numeric in numerics {
                let id = VALUES.iter().find(|(id, ..)| metric(id) == numeric.metric).unwrap().0;
                last.insert(id, (numeric.reading, s(at)));
            }
        }
        for (id, (reading, heard_at)) in &last {
            let shown = source.values.iter().find(|value| value.metric == metric(id)).unwrap();
            prop_assert_eq!((shown.reading, shown.heard_at), (*reading, *heard_at), "{}", id);
        }
        // What has just gone stale is in the score until its next computation.
        let stale_at = |id: &str, heard_at: EngineTime| {
            heard_at.plus(catalogue().vital_by_id(id).unwrap().stale_after)
        };
        let just = last.iter().any(|(id, (_, heard_at))| {
            let since = now.since(stale_at(id, *heard_at));
            (Span::ZERO..Span::from_secs(6)).contains(&since)
        });
        prop_assume!(!just);
        let usable = |ids: &[&str]| ids.iter().find_map(|id| {
            let (reading, heard_at) = last.get(id)?;
            let vital = catalogue().vital_by_id(id)?;
            let fresh = now < stale_at(id, *heard_at);
            match reading {
                Reading::Value { value, validity: Validity::Measured } => {
                    let plausible = (vital.plausible_min..=vital.plausible_max).contains(&value.value());
                    Some(value.value()).filter(|_| fresh && plausible)
                }
                Reading::Value { .. } | Reading::None(_) => None,
            }
        });
        let known = |item: Item| match item {
            Item::Respiration => usable(&["rr_co2", "rr_imp"]),
            Item::Saturation => usable(&["spo2"]),
            Item::Systolic => usable(&["abp_sys", "nibp_sys"]),
            Item::Pulse => usable(&["hr", "pr"]),
            Item::Temperature => usable(&["temp1"]),
            Item::Oxygen
            | Item::MeanPressure
            | Item::Consciousness
            | Item::ComaScale
            | Item::Age => None,
        };
        let book = RuleBook::built_in();
        let table = book.scores().table(Kind::News2(SaturationScale::One));
        let wanted = table.score(known);
        let code = metric("news2").code;
        let found = source.scores.iter().find(|score| score.code == code);
        if table.items().filter(|item| known(*item).is_some()).count() < 2 {
            prop_assert_eq!(found, None);
        } else {
            let found = found.unwrap();
            let range = (found.low, found.high, found.missing, found.single_red);
            let naive = (wanted.points.low, wanted.points.high, wanted.missing, wanted.single_red);
            prop_assert_eq!(range, naive);
        }
    }
}

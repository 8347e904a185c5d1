//! The ledger against sets of numbers.

use super::*;
use enroute_model::ids::Epoch;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const WHERE: (Epoch, Stream, u64) = (Epoch(1), Stream::Numerics, 1);
const CAUSES: [GapCause; 3] = [GapCause::SpoolFull, GapCause::Restored, GapCause::Damaged];

#[derive(Clone, Debug)]
enum Action {
    Frame(u64, u32),
    Shed(u64, u64, usize),
    Report(u64, Option<u64>),
    Lost(bool),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        18 => (1..40u64, 0..2u32).prop_map(|(n, d)| Action::Frame(n, d)),
        2 => (1..40u64, 0..5u64, 0..3usize).prop_map(|(n, l, c)| Action::Shed(n, n + l, c)),
        1 => (1..60u64, prop::option::of(0..60u64)).prop_map(|(n, s)| Action::Report(n, s)),
        1 => any::<bool>().prop_map(Action::Lost),
    ];
    prop::collection::vec(action, 0..100)
}

/// When frame `n` was captured: not in the order of the numbers, for clocks step.
fn captured(n: u64) -> GatewayTime {
    GatewayTime(i64::try_from(n * 37 % 50).unwrap())
}

fn shed(first: u64, last: u64, cause: GapCause) -> Shed {
    Shed {
        first,
        last,
        first_captured_at: captured(first),
        cause: Some(cause),
    }
}

/// What is known of each number: nothing clever.
#[derive(Default)]
struct Naive {
    frames: BTreeMap<u64, u32>,
    shed: BTreeMap<u64, GapCause>,
    /// Numbers with which a statement began, as long as nothing better is known.
    told: BTreeSet<u64>,
    highest: u64,
    sent: Option<u64>,
    duplicates: u64,
    conflicts: u64,
    lost: bool,
}

impl Naive {
    /// Why `n` is not there; `None`: it is.
    #[expect(clippy::option_option, reason = "there, missing, or gone for a reason")]
    fn absent(&self, n: u64) -> Option<Option<GapCause>> {
        if self.frames.contains_key(&n) {
            return None;
        }
        let lost = self.lost.then_some(GapCause::SpoolLost);
        Some(self.shed.get(&n).copied().or(lost))
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for n in 1..=self.highest {
            let Some(cause) = self.absent(n) else {
                continue;
            };
            match gaps.last_mut() {
                Some(gap) if gap.last + 1 == n && gap.cause == cause => gap.last = n,
                Some(_) | None => {
                    let before = self.frames.range(..n).next_back();
                    let behind = self.frames.range(n..).next();
                    let told = self.told.contains(&n).then(|| captured(n));
                    gaps.push(Gap {
                        first: n,
                        last: n,
                        from: before.map(|(n, _)| captured(*n)).or(told),
                        to: behind.map(|(n, _)| captured(*n)),
                        cause,
                    });
                }
            }
        }
        gaps
    }
}

fn play(actions: &[Action]) -> (Ledger, Naive) {
    let (mut ledger, mut naive) = (Ledger::default(), Naive::default());
    for action in actions {
        match *action {
            Action::Frame(n, digest) => {
                naive.highest = naive.highest.max(n);
                let wanted = match naive.frames.get(&n) {
                    None => {
                        naive.frames.insert(n, digest);
                        Taken::New
                    }
                    Some(kept) if *kept == digest || naive.shed.contains_key(&n) => {
                        naive.duplicates += 1;
                        Taken::Duplicate
                    }
                    Some(_) => {
                        naive.conflicts += 1;
                        Taken::Conflict
                    }
                };
                assert_eq!(ledger.take(n, captured(n), digest), wanted);
            }
            Action::Shed(first, last, cause) => {
                naive.highest = naive.highest.max(last);
                if !naive.shed.contains_key(&first) {
                    naive.told.insert(first);
                }
                for n in first..=last {
                    naive.shed.entry(n).or_insert(CAUSES[cause]);
                }
                ledger.give_up(&shed(first, last, CAUSES[cause]), first, last);
            }
            Action::Report(produced, sent) => {
                naive.highest = naive.highest.max(produced);
                naive.sent = naive.sent.max(sent);
                ledger.reported(produced, sent);
            }
            Action::Lost(lost) => naive.lost = lost,
        }
    }
    (ledger, naive)
}

/// Runs of one cause that touch count as one, as the naive model has them.
fn united(gaps: Vec<Gap>) -> Vec<Gap> {
    let mut united: Vec<Gap> = Vec::new();
    for gap in gaps {
        match united.last_mut() {
            Some(last) if last.last + 1 == gap.first && last.cause == gap.cause => {
                last.last = gap.last;
            }
            Some(_) | None => united.push(gap),
        }
    }
    united
}

proptest! {
    #[test]
    fn counts_like_a_set_of_numbers(actions in actions()) {
        let (ledger, naive) = play(&actions);
        let counted = ledger.completeness(WHERE, naive.lost);
        let absent = |cause: fn(&Option<GapCause>) -> bool| {
            let causes = (1..=naive.highest).filter_map(|n| naive.absent(n));
            causes.filter(cause).count() as u64
        };
        let durable = naive.frames.len() as u64;
        prop_assert_eq!(
            (counted.durable, counted.shed, counted.missing),
            (durable, absent(Option::is_some), absent(Option::is_none))
        );
        prop_assert_eq!(counted.durable + counted.shed + counted.missing, naive.highest);
        prop_assert_eq!(
            (counted.duplicates, counted.conflicts, counted.highest),
            (naive.duplicates, naive.conflicts, naive.highest)
        );
        prop_assert_eq!(counted.received, durable + naive.duplicates + naive.conflicts);
        prop_assert_eq!(counted.sent, naive.sent.map(|sent| sent.min(naive.highest)));
    }

    /// Each gap has its cause, and the times of the frames around it.
    #[test]
    fn gaps_have_intervals_and_causes(actions in actions()) {
        let (ledger, naive) = play(&actions);
        let why = naive.lost.then_some(GapCause::SpoolLost);
        let gaps: Vec<Gap> = ledger.gaps(1, why).collect();
        prop_assert_eq!(united(gaps.clone()), naive.gaps());
        let counted = ledger.completeness(WHERE, naive.lost);
        let shown = gaps.len().min(GAPS_SHOWN_MAX);
        prop_assert_eq!(&counted.gaps[..], &gaps[..shown]);
        prop_assert_eq!(counted.more_gaps, (gaps.len() - shown) as u64);
    }

    /// What was received or given up is receipted; what is believed lost is not.
    #[test]
    fn receipts_know_nothing_of_beliefs(actions in actions()) {
        let (ledger, naive) = play(&actions);
        let r = ledger.receipt(&GatewayId::new("g").unwrap(), WHERE);
        let above = r.above.iter().flat_map(|(a, b)| *a..=*b);
        let listed: Vec<u64> = (r.first..=r.through).chain(above).collect();
        let covered: BTreeSet<u64> = naive.frames.keys().chain(naive.shed.keys()).copied().collect();
        prop_assert_eq!(listed, covered.into_iter().collect::<Vec<_>>());
    }

    /// Two parts of one ledger come together as if it had been one.
    #[test]
    fn a_join_adds_up(actions in actions(), second in actions()) {
        let (mut ledger, mut naive) = play(&actions);
        let (other, others) = play(&second);
        let received = |ledger: &Ledger| ledger.completeness(WHERE, false).received;
        let came = received(&ledger) + received(&other);
        ledger.merge(&other);
        prop_assert_eq!(received(&ledger), came);
        for (n, digest) in &others.frames {
            naive.frames.entry(*n).or_insert(*digest);
        }
        for (n, cause) in &others.shed {
            naive.shed.entry(*n).or_insert(*cause);
        }
        naive.highest = naive.highest.max(others.highest);
        let counted = ledger.completeness(WHERE, false);
        naive.lost = false;
        prop_assert_eq!(counted.durable, naive.frames.len() as u64);
        prop_assert_eq!(counted.durable + counted.shed + counted.missing, naive.highest);
        let numbers = |gaps: Vec<Gap>| gaps.iter().map(|g| (g.first, g.last, g.cause)).collect::<Vec<_>>();
        prop_assert_eq!(numbers(united(ledger.gaps(1, None).collect())), numbers(naive.gaps()));
        for (n, digest) in naive.frames {
            prop_assert_eq!(ledger.take(n, captured(n), digest), Taken::Duplicate);
        }
    }
}

#[test]
fn content_is_remembered_for_the_newest_only() {
    let mut ledger = Ledger::default();
    ledger.reported(1_000_000, None);
    for n in 1..=1025 {
        assert_eq!(ledger.take(n, captured(n), 7), Taken::New);
    }
    assert_eq!(ledger.take(2, captured(2), 8), Taken::Conflict);
    assert_eq!(ledger.take(1, captured(1), 8), Taken::Duplicate);
}

#[test]
fn a_stream_of_gaps_is_refused_and_not_receipted() {
    let mut ledger = Ledger::default();
    let mut take = |n| ledger.take(n, GatewayTime(0), 0);
    for n in 1..=4_096 {
        assert_eq!(take(n * 2), Taken::New);
    }
    assert_eq!(take(9_000), Taken::Full);
    assert_eq!(take(3), Taken::New, "it closes a gap");
    assert_eq!(take(9_000), Taken::New, "and makes room");
    assert_eq!(take(u64::MAX), Taken::Full);
}

#[test]
fn the_ends_of_the_number_line_are_safe() {
    let mut ledger = Ledger::default();
    for n in [u64::MAX, 1, u64::MAX - 1] {
        assert_eq!(ledger.take(n, GatewayTime(0), 0), Taken::New);
    }
    ledger.give_up(&shed(2, u64::MAX, GapCause::Damaged), 2, u64::MAX);
    let counted = ledger.completeness(WHERE, true);
    assert_eq!((counted.durable, counted.missing), (3, 0));
    assert_eq!(counted.shed, u64::MAX - 3);
}

#[test]
fn a_shed_record_and_the_frame_in_whose_place_it_stands_do_not_contradict() {
    let mut frame_first = Ledger::default();
    assert_eq!(frame_first.take(3, GatewayTime(0), 7), Taken::New);
    assert_eq!(
        frame_first.take_shed(3, GatewayTime(0), 8),
        Taken::Duplicate
    );
    let mut record_first = Ledger::default();
    assert_eq!(record_first.take_shed(3, GatewayTime(0), 8), Taken::New);
    record_first.give_up(&shed(1, 3, GapCause::SpoolFull), 1, 3);
    assert_eq!(record_first.take(3, GatewayTime(0), 7), Taken::Duplicate);
    assert_eq!(record_first.take(4, GatewayTime(0), 7), Taken::New);
    assert_eq!(record_first.take(4, GatewayTime(0), 8), Taken::Conflict);
}

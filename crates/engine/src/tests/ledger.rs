//! Completeness over the lives of a spool: what reports add, when a spool counts
//! as lost, and that receipts know nothing of it.

use super::*;
use enroute_model::frame::StreamReport;
use enroute_model::ids::Lane::{History, Live};
use enroute_model::reading::Reading;
use enroute_model::state::{Gap, StreamCompleteness};
use proptest::prelude::*;

const OLD: u64 = 1;
const NEW: u64 = 2;

/// An engine that hears one gateway, at one record a second.
struct Bench {
    engine: Engine,
    sender: Sender,
    now: i64,
}

impl Bench {
    fn new() -> Self {
        Self {
            engine: Engine::new(transfer("tx")),
            sender: Sender::default(),
            now: 0,
        }
    }

    fn put(&mut self, lane: Lane, epoch: u64, sequence: u64, body: Body) {
        self.now += 1;
        let at = s(self.now);
        let mut record = self.sender.frame(at, "amb", lane, body);
        if let Entry::Frame { frame, .. } = &mut record.entry {
            frame.header.epoch = Epoch(epoch);
            frame.header.sequence = sequence;
            frame.header.captured_at = captured(sequence);
        }
        self.engine.handle(&record, &mut Effects::default());
    }

    fn numerics(&mut self, lane: Lane, epoch: u64, sequences: impl IntoIterator<Item = u64>) {
        for sequence in sequences {
            self.put(lane, epoch, sequence, numerics(&["hr=80"]));
        }
    }

    /// `named`: life, last number and first of the leg, in numerics.
    fn report(&mut self, lane: Lane, epoch: u64, sequence: u64, named: &[(u64, u64, Option<u64>)]) {
        let streams = named
            .iter()
            .map(|(epoch, produced, leg_first)| StreamReport {
                epoch: Epoch(*epoch),
                stream: Stream::Numerics,
                produced: *produced,
                sent: Some(produced / 2),
                leg_first: *leg_first,
            });
        let report = LinkReport {
            streams: streams.collect(),
            ..LinkReport::default()
        };
        self.put(lane, epoch, sequence, Body::Link(report));
    }

    fn numerics_of(&self, epoch: u64) -> StreamCompleteness {
        let all = self.engine.completeness(&gateway("amb"));
        let wanted =
            |c: &StreamCompleteness| c.epoch == Epoch(epoch) && c.stream == Stream::Numerics;
        all.into_iter().find(wanted).unwrap()
    }

    /// Durable, given up, missing.
    fn counts(&self, epoch: u64) -> (u64, u64, u64) {
        let counted = self.numerics_of(epoch);
        (counted.durable, counted.shed, counted.missing)
    }
}

fn captured(sequence: u64) -> GatewayTime {
    GatewayTime(i64::try_from(sequence).unwrap() * 1_000)
}

fn gap(first: u64, last: u64, to: Option<u64>, cause: Option<GapCause>) -> Gap {
    Gap {
        first,
        last,
        from: Some(captured(first - 1)),
        to: to.map(captured),
        cause,
    }
}

#[test]
fn of_two_lives_first_heard_at_one_moment_the_later_is_the_newer() {
    let mut bench = Bench::new();
    bench.put(Live, NEW, 1, numerics(&["hr=80"]));
    // The server's clock was set back: engine time stands. Numbers of lives are random.
    bench.now -= 1;
    bench.put(Live, OLD, 1, numerics(&["hr=90"]));
    let shown = super::timelines::value(&bench.engine, "amb", "hr").reading;
    assert!(
        matches!(shown, Reading::Value { value, .. } if value.mantissa() == 900),
        "{shown:?}"
    );
}

#[test]
fn what_was_produced_and_never_came_is_missing() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1, 2, 5]);
    bench.report(Live, OLD, 1, &[(OLD, 9, Some(1))]);
    let counted = bench.numerics_of(OLD);
    assert_eq!(
        (counted.highest, counted.missing, counted.sent),
        (9, 6, Some(4))
    );
    assert_eq!(
        counted.gaps,
        [gap(3, 4, Some(5), None), gap(6, 9, None, None)]
    );
    // An older report that comes late takes nothing back.
    bench.report(History, OLD, 2, &[(OLD, 7, Some(1))]);
    assert_eq!(bench.numerics_of(OLD).highest, 9);
    // And one that comes late may know more.
    bench.report(History, OLD, 3, &[(OLD, 12, Some(1))]);
    assert_eq!(bench.counts(OLD), (3, 0, 9));
}

#[test]
fn another_transfers_frames_are_not_missed_here() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1, 2]);
    bench.report(Live, OLD, 1, &[(OLD, 60, Some(51))]);
    assert_eq!(bench.counts(OLD), (2, 0, 0));
    let legs = bench.engine.completeness(&gateway("amb"));
    let second = legs.iter().find(|leg| leg.first == 51).unwrap();
    assert_eq!((second.durable, second.missing), (0, 10));
    // A gateway that has lost it learns that nothing of it is here.
    let mut receipts = bench.engine.receipts(&gateway("amb")).into_iter();
    let told = receipts.find(|receipt| receipt.first == 51).unwrap();
    assert_eq!((told.through, told.above.len()), (50, 0));
    // Nothing was produced for a leg that has just begun, or is not of this transfer.
    bench.report(Live, OLD, 2, &[(OLD, 60, Some(61)), (7, 500, None)]);
    assert_eq!(bench.engine.completeness(&gateway("amb")).len(), legs.len());
}

#[test]
fn a_spool_that_is_no_longer_named_is_lost() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1, 2, 5]);
    bench.report(Live, OLD, 1, &[(OLD, 9, Some(1))]);
    let receipts = bench.engine.receipts(&gateway("amb"));
    bench.report(Live, NEW, 1, &[(NEW, 0, Some(1)), (OLD, 9, Some(1))]);
    assert_eq!(bench.counts(OLD), (3, 0, 6), "still held");
    bench.report(Live, NEW, 2, &[(NEW, 0, Some(1))]);
    assert_eq!(bench.counts(OLD), (3, 6, 0));
    let lost = Some(GapCause::SpoolLost);
    let gaps = [gap(3, 4, Some(5), lost), gap(6, 9, None, lost)];
    assert_eq!(bench.numerics_of(OLD).gaps, gaps);
    let numerics = |all: Vec<crate::StreamReceipt>| {
        let mut all = all.into_iter();
        all.find(|r| r.key.epoch == Epoch(OLD) && r.key.stream == Stream::Numerics)
    };
    let after = bench.engine.receipts(&gateway("amb"));
    assert_eq!(
        numerics(after),
        numerics(receipts),
        "a belief is no receipt"
    );
    // What waited in the broker comes after all.
    bench.numerics(History, OLD, [3]);
    assert_eq!(bench.counts(OLD), (4, 5, 0));
}

#[test]
fn a_conclusion_is_withdrawn_when_the_spool_is_back() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1, 4]);
    bench.report(Live, NEW, 1, &[(NEW, 0, Some(1))]);
    assert_eq!(bench.counts(OLD), (2, 2, 0));
    bench.report(Live, NEW, 2, &[(NEW, 0, Some(1)), (OLD, 4, Some(1))]);
    assert_eq!(bench.counts(OLD), (2, 0, 2), "named again");
    bench.report(Live, NEW, 3, &[(NEW, 0, Some(1))]);
    assert_eq!(bench.counts(OLD), (2, 2, 0));
    bench.numerics(Live, OLD, [5]);
    assert_eq!(bench.counts(OLD), (3, 0, 2), "it speaks");
}

#[test]
fn only_a_newer_and_whole_word_condemns() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1, 4]);
    bench.numerics(Live, NEW, [1, 3]);
    bench.report(History, NEW, 1, &[(NEW, 3, Some(1))]);
    assert_eq!(bench.counts(OLD), (2, 0, 2), "late");
    bench.report(Live, OLD, 1, &[(OLD, 4, Some(1))]);
    assert_eq!(bench.counts(NEW), (2, 0, 1), "of the earlier life");
    bench.report(Live, NEW, 2, &[]);
    assert_eq!(bench.counts(OLD), (2, 0, 2), "it does not even name itself");
    let many: Vec<_> = (0..96).map(|n| (NEW + n, 3, Some(1))).collect();
    bench.report(Live, NEW, 3, &many);
    assert_eq!(bench.counts(OLD), (2, 0, 2), "the list may have been cut");
    bench.report(Live, NEW, 4, &[(NEW, 3, Some(1))]);
    assert_eq!(bench.counts(OLD), (2, 2, 0));
}

#[test]
fn causes_of_shed_frames_are_kept() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1]);
    for (first, last, cause) in [
        (2, 4, None),
        (6, 8, Some(GapCause::Damaged)),
        (9, 10, Some(GapCause::Restored)),
    ] {
        let shed = Shed {
            first,
            last,
            first_captured_at: captured(first),
            cause,
        };
        let mut record = bench
            .sender
            .frame(s(bench.now), "amb", History, Body::Shed(shed));
        if let Entry::Frame { frame, .. } = &mut record.entry {
            frame.header.stream = Stream::Numerics;
            frame.header.sequence = last;
            frame.header.captured_at = captured(last);
        }
        bench.engine.handle(&record, &mut Effects::default());
    }
    assert_eq!(bench.counts(OLD), (4, 5, 1));
    let wanted = [
        gap(2, 3, Some(4), Some(GapCause::SpoolFull)),
        gap(5, 5, Some(8), None),
        Gap {
            from: Some(captured(4)),
            ..gap(6, 7, Some(8), Some(GapCause::Damaged))
        },
        gap(9, 9, Some(10), Some(GapCause::Restored)),
    ];
    assert_eq!(bench.numerics_of(OLD).gaps, wanted);
}

#[test]
fn refused_publishes_add_up_over_restarts_of_the_server() {
    let mut bench = Bench::new();
    bench.numerics(Live, OLD, [1]);
    let mut count = |publishes| {
        let gateway = gateway("amb");
        let record = bench
            .sender
            .entry(s(9), Entry::Rejected { gateway, publishes });
        bench.engine.handle(&record, &mut Effects::default());
        bench.engine.state().sources[0].rejected_publishes
    };
    assert_eq!([1, 2, 4, 1, 1, 2].map(&mut count), [1, 2, 4, 5, 6, 7]);
}

#[derive(Clone, Debug)]
enum Action {
    Frame(bool, u64, u64),
    /// Lane, life that reports, lives that it names, what it made in each.
    Report(bool, u64, [bool; 3], [u64; 3]),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let lane = || prop::bool::weighted(0.7);
    let action = prop_oneof![
        3 => (lane(), 0..3u64, 1..30u64).prop_map(|(l, e, n)| Action::Frame(l, e, n)),
        1 => (lane(), 0..3u64, any::<[bool; 3]>(), [0..40u64, 0..40u64, 0..40u64])
            .prop_map(|(l, e, named, made)| Action::Report(l, e, named, made)),
    ];
    prop::collection::vec(action, 1..80)
}

/// The contract, said plainly.
#[derive(Default)]
struct Naive {
    frames: [std::collections::BTreeSet<u64>; 3],
    highest: [u64; 3],
    /// Anything was heard of it: nothing is concluded of a life unheard of.
    known: [bool; 3],
    lost: [bool; 3],
    /// Lives in the order in which they were first heard live.
    heard: Vec<u64>,
    /// Place in that order and number of the newest live report.
    newest: Option<(usize, u64)>,
}

impl Naive {
    fn hear(&mut self, epoch: u64) -> usize {
        self.lost[index(epoch)] = false;
        let known = self.heard.iter().position(|heard| *heard == epoch);
        known.unwrap_or_else(|| {
            self.heard.push(epoch);
            self.heard.len() - 1
        })
    }

    fn report(
        &mut self,
        live: bool,
        (epoch, number): (u64, u64),
        named: [bool; 3],
        made: [u64; 3],
    ) {
        let place = live.then(|| self.hear(epoch));
        self.known[index(epoch)] = true;
        for other in 0..3 {
            if named[other] || other == index(epoch) {
                self.highest[other] = self.highest[other].max(made[other]);
                self.known[other] |= made[other] > 0;
            }
        }
        let Some(place) = place.filter(|place| self.newest <= Some((*place, number))) else {
            return;
        };
        self.newest = Some((place, number));
        for other in 0..3u64 {
            let heard = self.heard.iter().position(|heard| *heard == other);
            if other != epoch && heard.is_none_or(|heard| heard < place) {
                self.lost[index(other)] = self.known[index(other)] && !named[index(other)];
            }
        }
    }
}

fn index(epoch: u64) -> usize {
    usize::try_from(epoch).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever comes in whatever order: everything produced is durable, given
    /// up or missing, and lost is what the newest word no longer names. A
    /// restart at any moment changes none of it.
    #[test]
    fn everything_produced_is_accounted_for(actions in actions()) {
        let (mut bench, mut naive) = (Bench::new(), Naive::default());
        let mut reports = [0; 3];
        for action in actions {
            match action {
                Action::Frame(live, epoch, number) => {
                    naive.known[index(epoch)] = true;
                    let new = naive.frames[index(epoch)].insert(number);
                    naive.highest[index(epoch)] = naive.highest[index(epoch)].max(number);
                    if live && new {
                        naive.hear(epoch);
                    }
                    bench.numerics(if live { Live } else { History }, epoch, [number]);
                }
                Action::Report(live, epoch, named, made) => {
                    reports[index(epoch)] += 1;
                    let number = reports[index(epoch)];
                    naive.report(live, (epoch, number), named, made);
                    let named: Vec<_> = (0..3u64)
                        .filter(|other| named[index(*other)] || *other == epoch)
                        .map(|other| (other, made[index(other)], Some(1)))
                        .collect();
                    bench.report(if live { Live } else { History }, epoch, number, &named);
                }
            }
            bench.engine = Engine::restore(&bench.engine.snapshot()).unwrap();
            for counted in bench.engine.completeness(&gateway("amb")) {
                if counted.stream != Stream::Numerics {
                    continue;
                }
                let epoch = index(counted.epoch.0);
                let durable = naive.frames[epoch].len() as u64;
                let rest = naive.highest[epoch] - durable;
                let (shed, missing) = if naive.lost[epoch] { (rest, 0) } else { (0, rest) };
                prop_assert_eq!(
                    (counted.highest, counted.durable, counted.shed, counted.missing),
                    (naive.highest[epoch], durable, shed, missing)
                );
            }
            let shown = bench.engine.completeness(&gateway("amb")).iter()
                .filter(|counted| counted.stream == Stream::Numerics).count();
            prop_assert_eq!(shown, naive.highest.iter().filter(|highest| **highest > 0).count());
        }
    }
}

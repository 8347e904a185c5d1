//! The spool and a naive server, through full disks, crashes, clean restarts, late
//! receipts and restored servers: in the end each number that was given out is at
//! the server, with its bytes or with the reason why it is not.

use super::*;
use enroute_model::frame::{GapCause, Numeric};
use enroute_model::reading::{Decimal, Reading};
use enroute_model::time::ServerTime;
use proptest::prelude::*;
use std::collections::BTreeSet;

const BOUND: u64 = 150_000;
type Identity = (StreamLife, u64);

#[derive(Clone, Copy, Debug)]
enum Action {
    /// So many events, numerics and waveforms.
    Append(u8, u8, u8),
    /// History sends at most so many batches; the server takes them.
    Send(u8),
    Receipt,
    /// A receipt of long ago.
    Late(prop::sample::Index),
    NewLeg,
    Close,
    Crash,
    /// The server goes back to what it had; with the same journal or another.
    Restore(prop::sample::Index, bool),
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (0..6_u8, 0..6_u8, 0..40_u8).prop_map(|(e, n, w)| Action::Append(e, n, w)),
        4 => (1..12_u8).prop_map(Action::Send),
        4 => Just(Action::Receipt),
        1 => index().prop_map(Action::Late),
        1 => Just(Action::NewLeg),
        1 => Just(Action::Close),
        1 => Just(Action::Crash),
        2 => (index(), any::<bool>()).prop_map(|(i, same)| Action::Restore(i, same)),
    ]
}

pub(super) fn numerics(value: i64) -> Draft {
    draft(Body::Numerics(vec![Numeric {
        metric: Metric {
            code: Code(147_842),
            label: String::new(),
        },
        unit: String::new(),
        reading: Reading::measured(Decimal::new(value, 0).unwrap()),
        interval: Span::from_secs(1),
    }]))
}

/// What the server holds: frames, and the first numbers of legs.
#[derive(Clone, Debug, Default)]
struct Durable {
    frames: BTreeMap<Identity, Bytes>,
    legs: BTreeSet<Identity>,
}

struct World {
    dir: tempfile::TempDir,
    spool: Option<Spool>,
    produced: BTreeMap<Identity, (Bytes, TransferId)>,
    server: Durable,
    /// What the server held at the end of each of its steps.
    past: Vec<Durable>,
    journal: u64,
    receipts: Vec<Word>,
    time: i64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Some(Spool::open(&config(dir.path(), BOUND), None).unwrap());
        Self {
            dir,
            spool,
            produced: BTreeMap::new(),
            server: Durable::default(),
            past: vec![Durable::default()],
            journal: 1,
            receipts: Vec::new(),
            time: 0,
        }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    fn step(&mut self, action: Action) {
        self.time += 1;
        match action {
            Action::Append(events, numbers, waves) => self.append(events, numbers, waves),
            Action::Send(batches) => self.send(batches.into()),
            Action::Receipt => self.receipt(),
            Action::Late(index) => {
                if !self.receipts.is_empty() {
                    let word = index.get(&self.receipts).clone();
                    self.hear(&word);
                }
            }
            Action::NewLeg => self.spool().start_leg(None).unwrap(),
            Action::Close => {
                self.spool().close().unwrap();
                self.reopen();
            }
            Action::Crash => self.reopen(),
            Action::Restore(index, same) => {
                let back = index.index(self.past.len());
                self.past.truncate(back + 1);
                self.server = self.past[back].clone();
                self.journal += u64::from(!same);
            }
        }
        let (bytes, max) = self.spool().bytes();
        assert!(bytes <= max, "{bytes} of {max} bytes");
    }

    fn reopen(&mut self) {
        self.spool = None;
        let config = config(self.dir.path(), BOUND);
        self.spool = Some(Spool::open(&config, None).unwrap());
    }

    fn append(&mut self, events: u8, numbers: u8, waves: u8) {
        let seed = i32::try_from(self.produced.len()).unwrap();
        let mut drafts = vec![];
        drafts.extend((0..events).map(|n| note(&format!("{seed} {n}"))));
        drafts.extend((0..numbers).map(|n| numerics(n.into())));
        drafts.extend((0..waves).map(|n| waveform(seed + i32::from(n))));
        let before = self.spool().shed.clone();
        let done = self.spool().append(&drafts).unwrap();
        assert_eq!(done.refused, Vec::<String>::new());
        let new: BTreeSet<Identity> = { done.frames.iter() }
            .map(|f| (f.life, f.sequence))
            .collect();
        for frame in done.frames {
            let all = (frame.payload, frame.transfer);
            self.produced.insert((frame.life, frame.sequence), all);
        }
        if self.spool().shed != before {
            self.check_order(&before, &new);
        }
    }

    /// What was shed went only when nothing less dear was left on board.
    fn check_order(&mut self, before: &BTreeMap<Identity, ShedRecord>, new: &BTreeSet<Identity>) {
        let spool = self.spool();
        let mut left: Vec<(Stream, bool)> = Vec::new();
        for (life, entry) in &spool.lives {
            for row in spool.log.scan(life.1, life.0, 1..=u64::MAX) {
                let number = row.unwrap().0;
                if !new.contains(&(*life, number)) {
                    left.push((life.1, entry.freed.contains(number)));
                }
            }
        }
        let fresh = { spool.shed.iter() }.filter(|(key, record)| before.get(key) != Some(record));
        let went: BTreeSet<Stream> = fresh.map(|(key, _)| key.0.1).collect();
        let freed = left.iter().filter(|(_, freed)| *freed).count();
        assert_eq!(
            freed, 0,
            "something freed was kept while something else was shed"
        );
        for stream in went {
            let cheaper = match stream {
                Stream::Waveforms => vec![],
                Stream::Numerics => vec![Stream::Waveforms],
                Stream::Events => vec![Stream::Waveforms, Stream::Numerics],
            };
            let kept = left.iter().find(|(stream, _)| cheaper.contains(stream));
            assert_eq!(kept, None, "kept while {stream:?} were shed");
        }
    }

    fn send(&mut self, batches: usize) {
        let mut sent: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
        for _ in 0..batches {
            let wanted = Wanted {
                sent: sent.clone().into(),
                ..everything()
            };
            let Some(picked) = self.spool().pick(&wanted).unwrap() else {
                break;
            };
            for (number, payload) in picked.frames {
                sent.entry(picked.life).or_default().insert(number, number);
                self.take(picked.life, number, payload, &picked.transfer);
            }
        }
        self.past.push(self.server.clone());
    }

    fn take(&mut self, life: StreamLife, number: u64, payload: Bytes, transfer: &TransferId) {
        let frame = wire::decode(&payload).unwrap();
        assert_eq!((frame.header.epoch, frame.header.stream), life);
        assert_eq!(frame.header.sequence, number);
        if !matches!(frame.body, Body::Shed(_)) {
            let (bytes, of) = &self.produced[&(life, number)];
            assert_eq!((bytes, of), (&payload, transfer), "identity and bytes stay");
        }
        self.server.legs.insert((life, frame.header.leg_first));
        let known = self.server.frames.entry((life, number)).or_insert(payload);
        // A shed record may come after what it gives up.
        let known = wire::decode(known).unwrap();
        assert!(known == frame || matches!(frame.body, Body::Shed(_)));
    }

    fn receipt(&mut self) {
        let covered = covered(&self.server);
        let part = |(life, first): &Identity| {
            let durable = covered.get(life).cloned().unwrap_or_default();
            let next = self.server.legs.range((*life, first + 1)..).next();
            let end = next
                .filter(|leg| leg.0 == *life)
                .map_or(u64::MAX, |leg| leg.1 - 1);
            Part {
                life: *life,
                first: *first,
                durable: life::within(&durable, *first, end),
                told_through: u64::MAX,
            }
        };
        let parts: Vec<Part> = self.server.legs.iter().map(part).collect();
        if parts.is_empty() {
            return;
        }
        let word = Word {
            journal: self.journal,
            answers: GatewayTime(self.time),
            sent_at: ServerTime(self.time),
            parts,
        };
        self.receipts.push(word.clone());
        self.hear(&word);
    }

    fn hear(&mut self, word: &Word) {
        let now = GatewayTime(self.time);
        self.spool().hear(word, now).unwrap();
    }

    /// The server takes and confirms until nothing is left to send.
    fn settle(&mut self) {
        for _ in 0..6 {
            self.time += 1;
            self.receipt();
            self.send(usize::MAX);
        }
        self.time += 1;
        self.receipt();
        assert_eq!(self.spool().unconfirmed(), 0);
    }

    fn check(&mut self) {
        let covered = covered(&self.server);
        let causes = causes(&self.server);
        for (id, (bytes, _)) in &self.produced {
            let leg = self.server.legs.range(..=*id).next_back();
            let header = wire::decode_header(bytes).unwrap();
            // A leg of which nothing is left on board or at the server is a part of
            // the server's lost past.
            let known = leg.is_some_and(|leg| *leg == (id.0, header.leg_first));
            if !known {
                continue;
            }
            assert!(
                covered[&id.0].contains(id.1),
                "{id:?} is a hole without a cause"
            );
            if self.server.frames.get(id) != Some(bytes) {
                assert_ne!(
                    causes.get(id),
                    Some(&GapCause::Damaged),
                    "no disk was damaged"
                );
            }
        }
    }
}

fn covered(server: &Durable) -> BTreeMap<StreamLife, RangeSet> {
    let mut covered: BTreeMap<StreamLife, RangeSet> = BTreeMap::new();
    for ((life, number), payload) in &server.frames {
        let first = match wire::decode(payload).unwrap().body {
            Body::Shed(shed) => shed.first,
            _ => *number,
        };
        covered.entry(*life).or_default().insert(first, *number);
    }
    covered
}

fn causes(server: &Durable) -> BTreeMap<Identity, GapCause> {
    let shed = server.frames.iter().filter_map(|((life, _), payload)| {
        match wire::decode(payload).unwrap().body {
            Body::Shed(shed) => Some((*life, shed)),
            _ => None,
        }
    });
    shed.flat_map(|(life, shed)| {
        (shed.first..=shed.last).map(move |n| ((life, n), shed.cause.unwrap()))
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn in_the_end_each_number_is_there_or_its_absence_has_a_cause(
        actions in prop::collection::vec(action(), 1..30)
    ) {
        let mut world = World::new();
        for action in actions {
            world.step(action);
        }
        world.settle();
        world.check();
    }
}

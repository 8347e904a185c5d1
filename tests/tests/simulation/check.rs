//! What must be true once everything is healed, beside what was checked at every
//! step on the way.

use crate::gateway::{COUNT, RACING};
use crate::model::{Held, Line, Promise, Sign, Who, Word, number_of, stream_number};
use crate::server;
use crate::world::World;
use enroute_journal::Journal;
use enroute_model::ids::TransferId;
use enroute_model::reading::Reading;
use enroute_model::state::{SourceState, StreamCompleteness, TransferState};
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Silence after which a link is lost.
const LINK_LOST_AFTER: i64 = 15_000_000;
/// The same of a source of which nothing but reports ever came live: two of them.
const LOST_AFTER_REPORTS: i64 = 20_000_000;

impl World {
    pub(crate) fn check(&mut self) {
        let may_shed = self.gateways.iter().map(|it| {
            // What was durable once is on board no more only where room was needed.
            let forgot = self.server.journals > 1 && it.is_small();
            let full = (it.shed > 0 || (it.is_small() && it.spool_failed))
                .then_some(v1::GapCause::SpoolFull);
            let restored = forgot.then_some(v1::GapCause::Restored);
            full.into_iter().chain(restored).collect()
        });
        self.model.nothing_is_lost(&may_shed.collect::<Vec<_>>());
        self.what_was_not_written_is_declared();
        self.the_least_went_first();
        self.counters_are_right();
        let stored = self.stored_alerts();
        self.viewers_saw(&stored);
        self.acts_are_kept(&stored);
        for (number, it) in self.gateways.iter().enumerate() {
            for (transfer, steps) in &stored {
                self.alerts_speak_of_now(number, transfer, steps);
            }
            let alone = it.transfers.iter().filter(|it| !self.touched.contains(it));
            for transfer in alone {
                if let Some(steps) = stored.get(transfer.as_str()) {
                    let who = (number, transfer.to_string());
                    self.silence_is_told_on_time(&who, steps);
                }
            }
        }
        self.crash_server();
        self.journal_holds_it_all();
    }

    /// The engine's counters are the model's (completeness ledger).
    fn counters_are_right(&mut self) {
        let mut counted: BTreeMap<(Line, u64), Vec<StreamCompleteness>> = BTreeMap::new();
        for state in self.states().into_values() {
            for source in &state.sources {
                let number = number_of(source.gateway.as_str());
                self.shows_the_newest(number, &state, source);
                for leg in source.completeness.iter().filter(|it| it.received > 0) {
                    let line = (number, leg.epoch.0, stream_number(leg.stream));
                    let parts = counted.entry((line, leg.first)).or_default();
                    parts.push(leg.clone());
                }
            }
        }
        for ((line, first), parts) in &counted {
            match parts.as_slice() {
                [leg] => self.is_counted(line.0, leg),
                parts => self.is_counted_in_parts(*line, *first, parts),
            }
        }
        let held = self.model.journal.frames.iter();
        let legs = held.flat_map(|(line, held)| held.values().map(move |it| (line, it.leg_first)));
        let legs: BTreeSet<_> = legs.collect();
        let counted: BTreeSet<_> = counted.keys().copied().collect();
        let legs: BTreeSet<_> = legs
            .into_iter()
            .map(|(line, first)| (*line, first))
            .collect();
        assert_eq!(counted, legs, "every stream of every leg is counted");
    }

    /// What the transfers have become, joined ones as one.
    fn states(&mut self) -> BTreeMap<TransferId, Arc<TransferState>> {
        let carried = self.gateways.iter().flat_map(|it| it.transfers.clone());
        let carried: BTreeSet<TransferId> = carried.collect();
        let live = &mut self.server.on.as_mut().unwrap().live;
        let states = carried.iter().filter_map(|it| live.state(it.as_str()).ok());
        states.map(|it| (it.transfer.clone(), it)).collect()
    }

    /// What came live of a gateway, under any of these transfers.
    fn words<'a>(
        &self,
        number: usize,
        transfers: impl Iterator<Item = &'a TransferId>,
    ) -> Vec<Word> {
        let words = transfers.filter_map(|transfer| {
            let who = (number, transfer.to_string());
            self.model.journal.live.get(&who)
        });
        words.flatten().copied().collect()
    }

    fn shows_the_newest(&self, number: usize, state: &TransferState, source: &SourceState) {
        let mut newest = 0;
        for value in source.values.iter().filter(|v| v.metric.label == COUNT) {
            if let Reading::Value { value, .. } = value.reading {
                newest = value.mantissa();
            }
        }
        let members = std::iter::once(&state.transfer).chain(&state.aliases);
        let words = self.words(number, members);
        let heard = words.iter().map(|word| word.count).max().unwrap_or(0);
        let who = (&state.transfer, number);
        assert_eq!(newest, heard, "{who:?} shows another value than the newest");
    }

    /// Of a leg that was joined to another transfer, by a server that then lost that.
    fn is_counted_in_parts(&self, line: Line, first: u64, parts: &[StreamCompleteness]) {
        assert!(
            self.server.journals > 1,
            "{line:?} {first} is counted twice"
        );
        let held = self.model.journal.frames[&line].values();
        let held = held.filter(|held| held.leg_first == first);
        let copies: u64 = held.map(|held| held.copies).sum();
        let received: u64 = parts.iter().map(|part| part.received).sum();
        assert_eq!(received, copies, "{line:?}");
    }

    fn is_counted(&self, number: usize, counted: &StreamCompleteness) {
        let line: Line = (number, counted.epoch.0, stream_number(counted.stream));
        let held = self.model.journal.frames.get(&line);
        let held = held.into_iter().flatten();
        let held: BTreeMap<u64, &Held> = held
            .filter(|(_, held)| held.leg_first == counted.first)
            .map(|(sequence, held)| (*sequence, held))
            .collect();
        let durable = u64::try_from(held.len()).unwrap();
        let copies = held.values().map(|held| held.copies).sum();
        let counts = (counted.durable, counted.received, counted.duplicates);
        assert_eq!(counts, (durable, copies, copies - durable), "{line:?}");
        let last = held.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let told = self.model.journal.reported.get(&(line, counted.first));
        let highest = told.map_or(last, |told| last.max(*told));
        let gone = (counted.first..=highest).filter(|it| !held.contains_key(it));
        let gone = u64::try_from(gone.count()).unwrap();
        assert_eq!(counted.shed + counted.missing, gone, "{line:?}");
        let open = self.model.disk_lost.contains(&line);
        assert!(open || counted.missing == 0, "{line:?}: missing");
        assert_eq!(counted.conflicts, 0, "{line:?}");
    }

    /// Alert transitions by transfer, in order, as they are stored.
    fn stored_alerts(&self) -> BTreeMap<String, Vec<Vec<u8>>> {
        let reader = self.server.on.as_ref().unwrap().journal.reader();
        let mut stored = BTreeMap::new();
        for (transfer, _) in reader.transfers().unwrap() {
            let mut steps = Vec::new();
            for row in reader.derived(&transfer, 0) {
                let (ordinal, bytes) = row.unwrap();
                steps.push(bytes.to_vec());
                assert_eq!(
                    ordinal,
                    u64::try_from(steps.len()).unwrap(),
                    "ordinals are dense"
                );
            }
            stored.insert(transfer.to_string(), steps);
        }
        stored
    }

    /// Each transition from a viewer's first subscription on, once, whatever
    /// happened to the server and the viewer (I5).
    fn viewers_saw(&mut self, stored: &BTreeMap<String, Vec<Vec<u8>>>) {
        for number in 0..self.viewers.len() {
            // One that was behind is sent away first, and comes back with its token.
            (0..4).for_each(|_| self.view(number));
            let viewer = &self.viewers[number];
            if viewer.deliveries == 0 {
                continue;
            }
            for (transfer, steps) in stored {
                let own = viewer.transfer.as_ref();
                if own.is_some_and(|own| own.as_str() != transfer) {
                    // Its own may have gone with a journal that was replaced.
                    if viewer.journal == self.server.journals {
                        self.is_a_suffix(viewer.alerts.get(transfer), steps, transfer);
                    }
                    continue;
                }
                let before = viewer.before.get(transfer).copied().unwrap_or(0);
                let wanted = (1..).zip(steps).skip(usize::try_from(before).unwrap());
                let wanted: BTreeMap<u64, Vec<u8>> = wanted
                    .map(|(ordinal, step)| (ordinal, step.clone()))
                    .collect();
                let mut seen = viewer.alerts.get(transfer).cloned().unwrap_or_default();
                if viewer.transfer.is_none() {
                    // A board may be given again what it had at the same moment.
                    seen.retain(|ordinal, _| *ordinal > before);
                }
                assert_eq!(
                    seen.keys().collect::<Vec<_>>(),
                    wanted.keys().collect::<Vec<_>>(),
                    "viewer {number} of {transfer}"
                );
                assert!(seen == wanted, "viewer {number} saw another transition");
            }
        }
    }

    /// Of another transfer a viewer is told from where its own was joined to it.
    fn is_a_suffix(
        &self,
        seen: Option<&BTreeMap<u64, Vec<u8>>>,
        steps: &[Vec<u8>],
        transfer: &str,
    ) {
        let Some(seen) = seen else { return };
        let touched = TransferId::new(transfer).is_ok_and(|it| self.touched.contains(&it));
        assert!(touched, "told of {transfer}, which is not its own");
        let skip = steps.len() - seen.len();
        let last: BTreeMap<u64, Vec<u8>> = (1..).zip(steps.iter().cloned()).skip(skip).collect();
        assert!(
            *seen == last,
            "a transition of {transfer} after its join is missing"
        );
    }

    /// A limit's alert is raised only while the newest live value breaks it: the
    /// past never rings (I11).
    fn alerts_speak_of_now(&self, number: usize, transfer: &str, steps: &[Vec<u8>]) {
        let transfer = TransferId::new(transfer).unwrap();
        // What is joined speaks for the other, too.
        let touched = self.touched.contains(&transfer);
        let others = self.touched.iter().filter(|_| touched);
        let words = self.words(number, std::iter::once(&transfer).chain(others));
        for step in steps {
            let step = v1::AlertTransition::decode(step.as_slice()).unwrap();
            let alert = step.alert.unwrap();
            let high = alert.kind() == v1::AlertKind::LimitHigh;
            let rings = alert.raised_ordinal == step.ordinal;
            let other = alert.gateway != self.gateways[number].id.as_str();
            if other || !high || !rings || alert.phase() != v1::AlertPhase::Active {
                continue;
            }
            // Deadlines at a record's own time fire before it.
            let newest = |until: i64| {
                let heard = words.iter().filter(|word| word.at <= until);
                heard.max_by_key(|word| word.count).map(|word| word.rate)
            };
            let now = [newest(step.at_us), newest(step.at_us - 1)];
            assert!(
                now.contains(&Some(RACING)),
                "alert {} rings for the past",
                step.ordinal
            );
        }
    }

    /// A link is lost when the broker says so, or so long after the last live
    /// frame, by engine time: no other clock has a say (I7), nobody is forgotten (I6).
    fn silence_is_told_on_time(&self, who: &Who, steps: &[Vec<u8>]) {
        let Some(signs) = self.model.journal.signs.get(who) else {
            return;
        };
        let mut wanted = Vec::new();
        let (mut heard, mut lost, mut promised) = (signs[0].0, false, Promise::None);
        for (at, sign) in signs.iter().copied().chain([(i64::MAX, Sign::Other)]) {
            let after = match promised {
                Promise::Report => LOST_AFTER_REPORTS,
                Promise::Soon | Promise::None => LINK_LOST_AFTER,
            };
            if !lost && at > heard.saturating_add(after) - 1 {
                lost = true;
                wanted.push(heard + after);
            }
            match sign {
                Sign::Live(promise) => {
                    (heard, lost) = (at, false);
                    promised = match (promised, promise) {
                        (Promise::Soon, _) | (_, Promise::None) => promised,
                        (Promise::Report | Promise::None, newer) => newer,
                    };
                }
                Sign::Offline if !lost => {
                    lost = true;
                    wanted.push(at);
                }
                // Nobody is expected from there on.
                Sign::End => break,
                Sign::Offline | Sign::Other => {}
            }
        }
        let end = self.server.on.as_ref().unwrap().live.clock().now().0;
        wanted.retain(|at| *at + 1_000_000 < end);
        let mut told = Vec::new();
        for step in steps {
            let step = v1::AlertTransition::decode(step.as_slice()).unwrap();
            let alert = step.alert.unwrap();
            let link = alert.kind() == v1::AlertKind::LinkLost;
            if link && alert.phase() == v1::AlertPhase::Active && alert.since_us == step.at_us {
                told.push(step.at_us);
            }
        }
        told.retain(|at| *at + 1_000_000 < end);
        assert_eq!(told, wanted, "when the link of {who:?} was lost");
    }

    /// Read again from the disk: the same records, and the same alerts from them
    /// when they are run again (I1).
    fn journal_holds_it_all(&self) {
        let dir = self.server.dir.join("journal");
        let (journal, tail) = Journal::open(&dir, server::options(&Arc::default())).unwrap();
        drop(tail);
        let reader = journal.reader();
        assert_eq!(reader.last_position().0, self.model.journal.records);
        let mut copies: BTreeMap<(Line, u64), u64> = BTreeMap::new();
        for (transfer, _) in reader.transfers().unwrap() {
            self.scan(&journal, &transfer, &mut copies);
        }
        for (line, held) in &self.model.journal.frames {
            for (sequence, held) in held {
                assert_eq!(copies.remove(&(*line, *sequence)), Some(held.copies));
            }
        }
        assert!(copies.is_empty());
        let rerun = enroute_live::rerun(&journal).unwrap();
        assert_eq!(rerun.differences, [], "a re-run differs");
        assert_eq!(rerun.records, self.model.journal.records);
        drop(reader);
        journal.close().unwrap();
    }

    fn scan(
        &self,
        journal: &Journal,
        transfer: &TransferId,
        copies: &mut BTreeMap<(Line, u64), u64>,
    ) {
        let (all, first) = (
            enroute_journal::Classes::All,
            enroute_model::ids::Position(0),
        );
        for stored in journal.reader().scan(transfer, all, first) {
            let record = v1::Record::decode(stored.unwrap().payload).unwrap();
            let Some(v1::record::Entry::Frame(received)) = record.entry else {
                continue;
            };
            let header = v1::Frame::decode(received.frame).unwrap().header.unwrap();
            let gateway = crate::model::number_of(&received.gateway);
            let line = (gateway, header.epoch, header.stream);
            *copies.entry((line, header.sequence)).or_default() += 1;
        }
        assert!(self.model.journal.records > 0);
    }
}

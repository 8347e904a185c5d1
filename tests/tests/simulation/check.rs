//! What must be true once everything is healed, beside what was checked at every
//! step on the way.

use crate::gateway::{COUNT, RACING};
use crate::model::{Held, Line, Sign, Who, stream_number};
use crate::server;
use crate::world::World;
use enroute_journal::Journal;
use enroute_model::ids::TransferId;
use enroute_model::reading::Reading;
use enroute_model::state::{SourceState, StreamCompleteness};
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Silence after which a link is lost.
const LINK_LOST_AFTER: i64 = 15_000_000;

impl World {
    pub(crate) fn check(&mut self) {
        let may_shed = self.gateways.iter().map(|it| {
            // What was durable once is on board no more only where room was needed.
            let forgot = self.server.journals > 1 && it.is_small();
            let full = (it.shed > 0).then_some(v1::GapCause::SpoolFull);
            let restored = forgot.then_some(v1::GapCause::Restored);
            full.into_iter().chain(restored).collect()
        });
        self.model.nothing_is_lost(&may_shed.collect::<Vec<_>>());
        self.the_least_went_first();
        self.counters_are_right();
        let stored = self.stored_alerts();
        self.viewers_saw(&stored);
        self.acts_are_kept(&stored);
        for (number, it) in self.gateways.iter().enumerate() {
            for transfer in &it.transfers {
                if let Some(steps) = stored.get(transfer.as_str()) {
                    let who = (number, transfer.to_string());
                    self.alerts_speak_of_now(&who, steps);
                    self.silence_is_told_on_time(&who, steps);
                }
            }
        }
        self.crash_server();
        self.journal_holds_it_all();
    }

    /// The engine's counters are the model's (completeness ledger).
    fn counters_are_right(&mut self) {
        let mut lines = 0;
        for number in 0..self.gateways.len() {
            for transfer in self.gateways[number].transfers.clone() {
                let live = &mut self.server.on.as_mut().unwrap().live;
                let Ok(state) = live.state(transfer.as_str()) else {
                    continue;
                };
                for source in &state.sources {
                    assert_eq!(source.gateway, self.gateways[number].id);
                    let who = (number, transfer.to_string());
                    self.shows_the_newest(&who, source);
                    let counted = source.completeness.iter().filter(|it| it.received > 0);
                    for counted in counted {
                        self.is_counted(number, counted);
                        lines += 1;
                    }
                }
            }
        }
        let held = self.model.journal.frames.iter();
        let legs = held.flat_map(|(line, held)| held.values().map(move |it| (line, it.leg_first)));
        let legs: BTreeSet<_> = legs.collect();
        assert_eq!(lines, legs.len(), "every stream of every leg is counted");
    }

    fn shows_the_newest(&self, who: &Who, source: &SourceState) {
        let mut newest = 0;
        for value in source.values.iter().filter(|v| v.metric.label == COUNT) {
            if let Reading::Value { value, .. } = value.reading {
                newest = value.mantissa();
            }
        }
        let words = self
            .model
            .journal
            .live
            .get(who)
            .map_or(&[][..], Vec::as_slice);
        let heard = words.iter().map(|word| word.count).max().unwrap_or(0);
        assert_eq!(newest, heard, "{who:?} shows another value than the newest");
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
                if viewer
                    .transfer
                    .as_ref()
                    .is_some_and(|own| own.as_str() != transfer)
                {
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

    /// A limit's alert is raised only while the newest live value breaks it: the
    /// past never rings (I11).
    fn alerts_speak_of_now(&self, who: &Who, steps: &[Vec<u8>]) {
        let words = self
            .model
            .journal
            .live
            .get(who)
            .map_or(&[][..], Vec::as_slice);
        for step in steps {
            let step = v1::AlertTransition::decode(step.as_slice()).unwrap();
            let alert = step.alert.unwrap();
            let high = alert.kind() == v1::AlertKind::LimitHigh;
            let rings = alert.raised_ordinal == step.ordinal;
            if !high || !rings || alert.phase() != v1::AlertPhase::Active {
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
        let (mut heard, mut lost) = (signs[0].0, false);
        for (at, sign) in signs.iter().copied().chain([(i64::MAX, Sign::Other)]) {
            if !lost && at > heard.saturating_add(LINK_LOST_AFTER) - 1 {
                lost = true;
                wanted.push(heard + LINK_LOST_AFTER);
            }
            match sign {
                Sign::Live => (heard, lost) = (at, false),
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

//! What must be true, kept by small code of its own: it knows what the sources
//! produced and reads what the system says and stores with the protobuf decoder
//! alone. It never asks the system for a verdict.

use crate::spool_disk::is_damaged;
use bytes::Bytes;
use enroute_journal::{Append, Stored};
use enroute_model::ids::{Epoch, Stream};
use enroute_model::ranges::RangeSet;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};

/// Gateway, epoch, stream as the contract numbers it.
pub(crate) type Line = (usize, u64, i32);

/// A frame that is on a gateway's disk.
pub(crate) struct Produced {
    pub(crate) gateway: usize,
    pub(crate) epoch: u64,
    pub(crate) stream: Stream,
    pub(crate) sequence: u64,
    pub(crate) bytes: Bytes,
}

/// A frame that is in the journal, once or more.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) copies: u64,
    pub(crate) leg_first: u64,
}

/// What a live frame said of its source, when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) at: i64,
    pub(crate) count: i64,
    pub(crate) rate: i64,
}

/// How soon a live frame lets the next one of its kind be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    Soon,
    Report,
    None,
}

/// What matters of one gateway's presence, in the journal's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Something came live: whether it promises more of its kind every second, or a
    /// report after ten.
    Live(Promise),
    /// Something came by history, or once more.
    Other,
    /// The broker says that it is gone.
    Offline,
    /// The crew ended the transfer.
    End,
}

/// A gateway and the transfer that it speaks for.
pub(crate) type Who = (usize, String);

/// What a gateway says that it gave up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenUp {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) cause: v1::GapCause,
    /// The gateway's clock.
    pub(crate) captured_at: i64,
}

/// What the journal holds.
#[derive(Clone, Default)]
pub(crate) struct Recorded {
    pub(crate) frames: BTreeMap<Line, BTreeMap<u64, Held>>,
    /// What shed records give up.
    pub(crate) shed: BTreeMap<Line, Vec<GivenUp>>,
    /// Live numerics.
    pub(crate) live: BTreeMap<Who, Vec<Word>>,
    pub(crate) signs: BTreeMap<Who, Vec<(i64, Sign)>>,
    /// The highest number that a report of a leg names.
    pub(crate) reported: BTreeMap<(Line, u64), u64>,
    /// What clinicians did, by the id that they gave it: how often.
    pub(crate) actions: BTreeMap<String, u64>,
    pub(crate) records: u64,
    pub(crate) last_at: i64,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) produced: BTreeMap<Line, BTreeMap<u64, Bytes>>,
    /// Which frame was produced after which.
    pub(crate) order: BTreeMap<(Line, u64), u64>,
    pub(crate) journal: Recorded,
    /// What journals held that were replaced by older copies of themselves.
    past: Vec<Recorded>,
    /// Handed to the live view while the journal could not be written.
    unrecorded: BTreeSet<(Line, u64)>,
    /// Refused for want of room.
    refused: BTreeSet<(Line, u64)>,
    /// Left small spools in a publish at least once.
    left: BTreeSet<(Line, u64)>,
    /// Lives of spools whose disk was lost.
    pub(crate) disk_lost: BTreeSet<Line>,
    pub(crate) receipts: u64,
}

impl Model {
    pub(crate) fn produced(&mut self, frame: Produced) {
        let line = (frame.gateway, frame.epoch, stream_number(frame.stream));
        let order = u64::try_from(self.order.len()).unwrap();
        self.order.insert((line, frame.sequence), order);
        let before = self
            .produced
            .entry(line)
            .or_default()
            .insert(frame.sequence, frame.bytes);
        assert!(
            before.is_none(),
            "{line:?} numbers {} twice",
            frame.sequence
        );
    }

    /// These are durable now.
    pub(crate) fn committed(&mut self, records: &[Stored]) {
        for stored in records {
            let journal = &mut self.journal;
            let position = journal.records + 1;
            assert_eq!(stored.position.0, position, "positions are dense");
            assert!(
                stored.at.0 >= journal.last_at,
                "engine time goes back in the journal"
            );
            (journal.records, journal.last_at) = (position, stored.at.0);
            let record = v1::Record::decode(stored.payload.clone()).unwrap();
            match record.entry.unwrap() {
                v1::record::Entry::Frame(received) => self.frame(stored, &received),
                v1::record::Entry::Presence(presence) => {
                    // Of a source of which no frame came yet nothing is known.
                    let who = (number_of(&presence.gateway), stored.transfer.to_string());
                    let signs = journal.signs.get_mut(&who);
                    if let Some(signs) = signs.filter(|_| !presence.online) {
                        signs.push((stored.at.0, Sign::Offline));
                    }
                }
                v1::record::Entry::Registry(entry) => {
                    *journal.actions.entry(entry.action_id).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    /// These went to the live view, and no receipt may cover them (I8).
    pub(crate) fn unrecorded(&mut self, records: &[Append]) {
        for append in records {
            let record = v1::Record::decode(append.payload.clone()).unwrap();
            if let Some(v1::record::Entry::Frame(received)) = record.entry {
                let header = v1::Frame::decode(received.frame).unwrap().header.unwrap();
                let line = (number_of(&received.gateway), header.epoch, header.stream);
                self.unrecorded.insert((line, header.sequence));
            }
        }
    }

    fn frame(&mut self, stored: &Stored, received: &v1::ReceivedFrame) {
        let (at, gateway) = (stored.at.0, number_of(&received.gateway));
        let who = (gateway, stored.transfer.to_string());
        let frame = v1::Frame::decode(received.frame.clone()).unwrap();
        let header = frame.header.unwrap();
        let line = (gateway, header.epoch, header.stream);
        let journal = &mut self.journal;
        // What came before by history is a duplicate, and changes nothing (I4).
        let held = journal.frames.get(&line);
        let new = !held.is_some_and(|held| held.contains_key(&header.sequence));
        let live = new && received.lane() == v1::Lane::Live;
        let promise = match &frame.body {
            Some(v1::frame::Body::Numerics(_) | v1::frame::Body::Waveforms(_)) => Promise::Soon,
            Some(v1::frame::Body::LinkReport(_)) => Promise::Report,
            _ => Promise::None,
        };
        let sign = if live {
            Sign::Live(promise)
        } else {
            Sign::Other
        };
        let signs = journal.signs.entry(who.clone()).or_default();
        signs.push((at, sign));
        match frame.body.unwrap() {
            v1::frame::Body::Shed(shed) => {
                journal.shed.entry(line).or_default().push(GivenUp {
                    first: shed.first,
                    last: shed.last,
                    cause: shed.cause(),
                    captured_at: header.captured_at_us,
                });
            }
            v1::frame::Body::Numerics(numerics) if live => {
                let (rate, count) = (numerics.value[0], numerics.value[1]);
                let words = journal.live.entry(who).or_default();
                words.push(Word { at, count, rate });
            }
            v1::frame::Body::CrewEvent(event) if new && is_end(&event) => {
                signs.push((at, Sign::End));
            }
            v1::frame::Body::LinkReport(report) => {
                for told in report.stream {
                    let line = (gateway, told.epoch, told.stream);
                    let highest = journal.reported.entry((line, told.leg_first)).or_default();
                    *highest = told.produced.max(*highest);
                }
            }
            _ => {}
        }
        let held = journal.frames.entry(line).or_default();
        let held = held.entry(header.sequence).or_insert_with(|| Held {
            bytes: received.frame.clone(),
            copies: 0,
            leg_first: header.leg_first,
        });
        held.copies += 1;
        // A shed record may have the number of a frame that came after all.
        let given_up = journal.is_shed(line, header.sequence);
        let held = &journal.frames[&line][&header.sequence];
        assert!(
            held.bytes == received.frame || given_up,
            "{line:?} {}: two contents",
            header.sequence
        );
    }

    /// The server goes on with what the journal once was.
    pub(crate) fn restored(&mut self, copy: Recorded) {
        let before = std::mem::replace(&mut self.journal, copy);
        self.past.push(before);
    }

    fn must_be_accounted(&self, line: Line, (first, last): (u64, u64), why: &str) {
        let past = self.past.iter().filter(|_| why == FREED);
        let journals: Vec<&Recorded> = past.chain([&self.journal]).collect();
        let Some(produced) = self.produced.get(&line).filter(|_| first <= last) else {
            return;
        };
        for (sequence, _) in produced.range(first..=last) {
            assert!(
                journals.iter().any(|it| it.is_accounted(line, *sequence)),
                "{why}: {line:?} {sequence} not durable"
            );
        }
    }

    /// The gateway is about to free these (I3). A receipt of a journal that was
    /// replaced since may still be on its way.
    pub(crate) fn freed<'a>(
        &self,
        gateway: usize,
        ranges: impl Iterator<Item = ((Epoch, Stream), &'a RangeSet)>,
    ) {
        for ((epoch, stream), set) in ranges {
            let line = (gateway, epoch.0, stream_number(stream));
            for range in set.iter() {
                self.must_be_accounted(line, range, FREED);
            }
        }
    }

    /// A small spool's frames leave in a publish.
    pub(crate) fn leave(&mut self, gateway: usize, payload: &Bytes) {
        for frame in frames_of(payload) {
            let header = v1::Frame::decode(frame).unwrap().header.unwrap();
            let line = (gateway, header.epoch, header.stream);
            self.left.insert((line, header.sequence));
        }
    }

    pub(crate) fn has_left(&self, line: Line, sequence: u64) -> bool {
        self.left.contains(&(line, sequence))
    }

    /// The server has no room for these.
    pub(crate) fn refused(&mut self, topic: &str, payload: &Bytes) {
        let levels: Vec<&str> = topic.split('/').collect();
        let ["enroute", "v1", "gw", gateway, "tx", _, _] = levels[..] else {
            return;
        };
        for frame in frames_of(payload) {
            let header = v1::Frame::decode(frame).unwrap().header.unwrap();
            let line = (number_of(gateway), header.epoch, header.stream);
            self.refused.insert((line, header.sequence));
        }
    }

    /// A PUBACK leaves the server (I2).
    pub(crate) fn acknowledged(&self, topic: &str, payload: &Bytes) {
        let levels: Vec<&str> = topic.split('/').collect();
        let ["enroute", "v1", "gw", gateway, "tx", _, _] = levels[..] else {
            return;
        };
        for frame in frames_of(payload) {
            let header = v1::Frame::decode(frame).unwrap().header.unwrap();
            let line = (number_of(gateway), header.epoch, header.stream);
            let held = self.journal.frames.get(&line);
            let held = held.is_some_and(|held| held.contains_key(&header.sequence));
            let it = (line, header.sequence);
            assert!(
                held || self.unrecorded.contains(&it) || self.refused.contains(&it),
                "PUBACK before the commit: {line:?} {}",
                header.sequence
            );
        }
    }

    /// A receipt leaves the server (I2).
    pub(crate) fn receipted(&mut self, topic: &str, payload: &Bytes) {
        let levels: Vec<&str> = topic.split('/').collect();
        let ["enroute", "v1", "gw", gateway, "receipt"] = levels[..] else {
            return;
        };
        let receipt = v1::Receipt::decode(payload.clone()).unwrap();
        self.receipts += 1;
        for stream in receipt.stream {
            let line = (number_of(gateway), stream.epoch, stream.stream);
            self.must_be_accounted(line, (stream.first, stream.through), "receipted");
            for range in stream.above {
                self.must_be_accounted(line, (range.first, range.last), "receipted above");
            }
        }
    }

    /// Frames that are neither durable nor given up, nor went with a disk.
    pub(crate) fn open_frames(&self) -> impl Iterator<Item = (Line, u64)> + '_ {
        let lines = self.produced.iter();
        let lines = lines.filter(|(line, _)| !self.disk_lost.contains(line));
        let all = lines.flat_map(|(line, frames)| frames.keys().map(|sequence| (*line, *sequence)));
        all.filter(|(line, sequence)| !self.journal.is_accounted(*line, *sequence))
    }

    /// What the frames produced became: all there with equal content, or given up
    /// by a spool for a cause that it had, or lost with one; and nothing else (I4).
    pub(crate) fn nothing_is_lost(&self, may_shed: &[Vec<v1::GapCause>]) {
        if let Some((line, sequence)) = self.open_frames().next() {
            panic!("{line:?} {sequence}: lost");
        }
        for (line, produced) in &self.produced {
            for (sequence, bytes) in produced {
                let held = self.journal.frames.get(line);
                match held.and_then(|held| held.get(sequence)) {
                    // A shed record bears the number of the last frame that it replaces.
                    Some(held) if held.bytes == bytes => {}
                    _ if is_damaged(bytes) => {}
                    _ if let Some(it) = self.journal.given_up(*line, *sequence) => {
                        let needed = may_shed[line.0].contains(&it.cause);
                        assert!(needed, "{line:?} {sequence}: shed without need: {it:?}");
                    }
                    Some(_) => panic!("{line:?} {sequence}: another content"),
                    None => {}
                }
            }
        }
    }
}

const FREED: &str = "freed";

impl Recorded {
    /// Whether a frame is durable, or a durable record says why it never will be.
    pub(crate) fn is_accounted(&self, line: Line, sequence: u64) -> bool {
        let held = self.frames.get(&line);
        held.is_some_and(|held| held.contains_key(&sequence)) || self.is_shed(line, sequence)
    }

    fn is_shed(&self, line: Line, sequence: u64) -> bool {
        self.given_up(line, sequence).is_some()
    }

    pub(crate) fn given_up(&self, line: Line, sequence: u64) -> Option<&GivenUp> {
        let mut shed = self.shed.get(&line)?.iter();
        shed.find(|it| (it.first..=it.last).contains(&sequence))
    }
}

/// The frames of a publish.
fn frames_of(payload: &Bytes) -> Vec<Bytes> {
    let batch = v1::Batch::decode(payload.clone()).unwrap();
    if batch.compressed.is_empty() {
        batch.frame
    } else {
        enroute_wire::batch::open(&batch.compressed).unwrap()
    }
}

fn is_end(event: &v1::CrewEvent) -> bool {
    matches!(event.event, Some(v1::crew_event::Event::End(_)))
}

pub(crate) fn number_of(gateway: &str) -> usize {
    gateway.strip_prefix("gw-").unwrap().parse().unwrap()
}

pub(crate) fn stream_number(stream: Stream) -> i32 {
    match stream {
        Stream::Events => v1::Stream::Events.into(),
        Stream::Numerics => v1::Stream::Numerics.into(),
        Stream::Waveforms => v1::Stream::Waveforms.into(),
    }
}

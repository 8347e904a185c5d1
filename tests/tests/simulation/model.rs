//! What must be true, kept by small code of its own: it knows what the sources
//! produced and reads what the system says and stores with the protobuf decoder
//! alone. It never asks the system for a verdict.

use bytes::Bytes;
use enroute_journal::Stored;
use enroute_model::ids::{Epoch, Stream};
use enroute_model::ranges::RangeSet;
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;

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

/// What matters of one gateway's presence, in the journal's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Something came live.
    Live,
    /// Something came by history, or once more.
    Other,
    /// The broker says that it is gone.
    Offline,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) produced: BTreeMap<Line, BTreeMap<u64, Bytes>>,
    pub(crate) journal: BTreeMap<Line, BTreeMap<u64, Held>>,
    /// Ranges that shed records in the journal give up.
    pub(crate) shed: BTreeMap<Line, Vec<(u64, u64)>>,
    /// Live numerics by gateway.
    pub(crate) live: BTreeMap<usize, Vec<Word>>,
    pub(crate) signs: BTreeMap<usize, Vec<(i64, Sign)>>,
    pub(crate) records: u64,
    last_at: i64,
    pub(crate) receipts: u64,
}

impl Model {
    pub(crate) fn produced(&mut self, frame: Produced) {
        let line = (frame.gateway, frame.epoch, stream_number(frame.stream));
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
            assert_eq!(stored.position.0, self.records + 1, "positions are dense");
            assert!(
                stored.at.0 >= self.last_at,
                "engine time goes back in the journal"
            );
            self.records += 1;
            self.last_at = stored.at.0;
            let record = v1::Record::decode(stored.payload.clone()).unwrap();
            match record.entry.unwrap() {
                v1::record::Entry::Frame(received) => self.frame(stored.at.0, &received),
                v1::record::Entry::Presence(presence) => {
                    // Of a source of which no frame came yet nothing is known.
                    let signs = self.signs.get_mut(&number_of(&presence.gateway));
                    if let Some(signs) = signs.filter(|_| !presence.online) {
                        signs.push((stored.at.0, Sign::Offline));
                    }
                }
                _ => {}
            }
        }
    }

    fn frame(&mut self, at: i64, received: &v1::ReceivedFrame) {
        let gateway = number_of(&received.gateway);
        let frame = v1::Frame::decode(received.frame.clone()).unwrap();
        let header = frame.header.unwrap();
        let line = (gateway, header.epoch, header.stream);
        // What came before by history is a duplicate, and changes nothing (I4).
        let held = self.journal.get(&line);
        let new = !held.is_some_and(|held| held.contains_key(&header.sequence));
        let live = new && received.lane() == v1::Lane::Live;
        let sign = if live { Sign::Live } else { Sign::Other };
        self.signs.entry(gateway).or_default().push((at, sign));
        match frame.body.unwrap() {
            v1::frame::Body::Shed(shed) => {
                self.shed
                    .entry(line)
                    .or_default()
                    .push((shed.first, shed.last));
            }
            v1::frame::Body::Numerics(numerics) if live => {
                let (rate, count) = (numerics.value[0], numerics.value[1]);
                self.live
                    .entry(gateway)
                    .or_default()
                    .push(Word { at, count, rate });
            }
            _ => {}
        }
        let held = self.journal.entry(line).or_default();
        let held = held.entry(header.sequence).or_insert_with(|| Held {
            bytes: received.frame.clone(),
            copies: 0,
            leg_first: header.leg_first,
        });
        held.copies += 1;
        assert_eq!(
            held.bytes, received.frame,
            "{line:?} {}: two contents",
            header.sequence
        );
    }

    /// Whether a frame is durable, or a durable record says why it never will be.
    pub(crate) fn is_accounted(&self, line: Line, sequence: u64) -> bool {
        let held = self
            .journal
            .get(&line)
            .is_some_and(|held| held.contains_key(&sequence));
        held || self.is_shed(line, sequence)
    }

    pub(crate) fn is_shed(&self, line: Line, sequence: u64) -> bool {
        let shed = self.shed.get(&line).map_or(&[][..], Vec::as_slice);
        shed.iter()
            .any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    fn must_be_accounted(&self, line: Line, (first, last): (u64, u64), why: &str) {
        let Some(produced) = self.produced.get(&line) else {
            return;
        };
        if first > last {
            return;
        }
        for (sequence, _) in produced.range(first..=last) {
            assert!(
                self.is_accounted(line, *sequence),
                "{why}: {line:?} {sequence} not durable"
            );
        }
    }

    /// The gateway is about to free these (I3).
    pub(crate) fn freed<'a>(
        &self,
        gateway: usize,
        ranges: impl Iterator<Item = ((Epoch, Stream), &'a RangeSet)>,
    ) {
        for ((epoch, stream), set) in ranges {
            let line = (gateway, epoch.0, stream_number(stream));
            for range in set.iter() {
                self.must_be_accounted(line, range, "freed");
            }
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
            let held = self.journal.get(&line);
            let held = held.is_some_and(|held| held.contains_key(&header.sequence));
            assert!(
                held,
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

    /// What the frames produced became: all there with equal content, or given up
    /// by a spool that was full; and nothing else (I4).
    pub(crate) fn nothing_is_lost(&self, may_shed: &[bool]) {
        for (line, produced) in &self.produced {
            for (sequence, bytes) in produced {
                match self.journal.get(line).and_then(|held| held.get(sequence)) {
                    // A shed record bears the number of the last frame that it replaces.
                    Some(held) if held.bytes == bytes => {}
                    _ if self.is_shed(*line, *sequence) => {
                        assert!(may_shed[line.0], "{line:?} {sequence}: shed without need");
                    }
                    Some(_) => panic!("{line:?} {sequence}: another content"),
                    None => panic!("{line:?} {sequence}: lost"),
                }
            }
        }
        for (line, held) in &self.journal {
            for sequence in held.keys() {
                let known = self
                    .produced
                    .get(line)
                    .is_some_and(|p| p.contains_key(sequence));
                assert!(known, "{line:?} {sequence}: nobody produced it");
            }
        }
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

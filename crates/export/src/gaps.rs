//! What is missing: the numbers that a stream should have and has not, with the
//! times around them and the cause, in the words of the completeness ledger.

use crate::item::{Taken, label};
use enroute_model::frame::Body;
use enroute_wire::v1;
use std::collections::BTreeMap;

/// Gaps that are listed; more are counted.
const GAPS_MAX: usize = 16_384;

/// A run of frames that the recording does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose.
    pub gateway: String,
    /// Life of its spool.
    pub epoch: u64,
    /// Of which stream.
    pub stream: v1::Stream,
    /// First and last number.
    pub numbers: (u64, u64),
    /// Label of the frame before, microseconds UTC on board.
    pub from_us: Option<i64>,
    /// Label of the frame behind.
    pub to_us: Option<i64>,
    /// Why; unspecified: not known, it may still come.
    pub cause: v1::GapCause,
}

/// Finds gaps in frames that come in the order of their numbers.
#[derive(Debug, Default)]
pub struct Gaps {
    streams: BTreeMap<(u32, i32), Last>,
    /// In the order in which they were found.
    pub listed: Vec<Missing>,
    /// How many more there are.
    pub more: u64,
}

#[derive(Debug)]
struct Last {
    gateway: String,
    epoch: u64,
    sequence: u64,
    at: i64,
}

impl Gaps {
    /// Takes the next frame.
    pub(crate) fn frame(&mut self, taken: &Taken<'_>) {
        let header = &taken.frame.header;
        let stream = enroute_wire::frame::stream_to(header.stream);
        let (gateway, at) = (taken.raw.gateway.clone(), label(header));
        let key = (taken.source, i32::from(stream));
        let last = self.streams.get(&key);
        // What comes before the leg's first number was another transfer's.
        let expected = last.map_or(0, |last| last.sequence).saturating_add(1);
        let expected = expected.max(header.leg_first);
        let from_us = last.map(|last| last.at);
        if header.sequence < expected {
            let whose = (gateway.as_str(), header.epoch.0, stream);
            // A shed record is captured when it is made, behind what it stands for.
            if let Body::Shed(shed) = &taken.frame.body {
                let cause = enroute_wire::cause_to(shed.cause);
                self.given_up(whose, (shed.first, shed.last), cause);
            } else {
                self.filled(whose, header.sequence);
            }
            return;
        }
        let (through, cause) = match &taken.frame.body {
            Body::Shed(shed) => (shed.last, enroute_wire::cause_to(shed.cause)),
            Body::Numerics(_)
            | Body::Waveforms(_)
            | Body::DeviceAlarms(_)
            | Body::Position(_)
            | Body::Crew(_)
            | Body::Link(_)
            | Body::Unknown => (header.sequence.saturating_sub(1), v1::GapCause::Unspecified),
        };
        let mut missing = Missing {
            gateway: gateway.clone(),
            epoch: header.epoch.0,
            stream,
            numbers: (expected, through),
            from_us,
            to_us: Some(at),
            cause,
        };
        // A shed record may begin behind a gap of another cause.
        if let Body::Shed(shed) = &taken.frame.body {
            let given_up = shed.first.max(expected);
            let mut before = missing.clone();
            before.numbers = (expected, given_up.saturating_sub(1));
            before.cause = v1::GapCause::Unspecified;
            self.list(before);
            missing.numbers.0 = given_up;
        }
        self.list(missing);
        let last = Last {
            gateway,
            epoch: header.epoch.0,
            sequence: header.sequence,
            at,
        };
        self.streams.insert(key, last);
    }

    /// Takes the server's account: what is missing at the end of a stream, and
    /// which causes it concluded.
    pub(crate) fn finish(&mut self, state: &v1::TransferState) {
        for source in &state.source {
            for counted in &source.completeness {
                self.tail(&source.gateway, counted);
            }
        }
        for missing in &mut self.listed {
            if missing.cause == v1::GapCause::Unspecified {
                missing.cause = concluded(state, missing);
            }
        }
    }

    fn tail(&mut self, gateway: &str, counted: &v1::StreamCompleteness) {
        let stream = counted.stream();
        let last = self.streams.iter().find(|((_, kind), last)| {
            *kind == i32::from(stream) && last.epoch == counted.epoch && last.gateway == gateway
        });
        let last = last.map(|(_, last)| last);
        let behind = last_sequence(last).saturating_add(1);
        self.list(Missing {
            gateway: gateway.to_owned(),
            epoch: counted.epoch,
            stream,
            numbers: (behind.max(counted.first), counted.highest),
            from_us: last.map(|last| last.at),
            to_us: None,
            cause: v1::GapCause::Unspecified,
        });
    }

    /// A frame that comes behind a later one of its stream is no gap any more.
    fn filled(&mut self, key: (&str, u64, v1::Stream), number: u64) {
        let holds = |gap: &Missing| {
            (gap.gateway.as_str(), gap.epoch, gap.stream) == key
                && (gap.numbers.0..=gap.numbers.1).contains(&number)
        };
        if let Some(index) = self.listed.iter().position(holds) {
            let mut before = self.listed.remove(index);
            let mut behind = before.clone();
            before.numbers.1 = number.saturating_sub(1);
            behind.numbers.0 = number.saturating_add(1);
            self.list(before);
            self.list(behind);
        }
    }

    /// What is listed of these numbers has a cause.
    fn given_up(
        &mut self,
        key: (&str, u64, v1::Stream),
        (first, last): (u64, u64),
        cause: v1::GapCause,
    ) {
        for gap in std::mem::take(&mut self.listed) {
            let (from, to) = gap.numbers;
            let same = (gap.gateway.as_str(), gap.epoch, gap.stream) == key;
            if !same || last < from || to < first {
                self.list(gap);
                continue;
            }
            let part = |numbers, cause| Missing {
                numbers,
                cause,
                ..gap.clone()
            };
            let (before, behind) = (first.saturating_sub(1), last.saturating_add(1));
            self.list(part((from, before.min(to)), gap.cause));
            self.list(part((first.max(from), last.min(to)), cause));
            self.list(part((behind.max(from), to), gap.cause));
        }
    }

    fn list(&mut self, missing: Missing) {
        if missing.numbers.0 > missing.numbers.1 {
            return;
        }
        if self.listed.len() < GAPS_MAX {
            self.listed.push(missing);
        } else {
            self.more += 1;
        }
    }
}

fn last_sequence(last: Option<&Last>) -> u64 {
    last.map_or(0, |last| last.sequence)
}

/// The cause that the ledger has for it.
fn concluded(state: &v1::TransferState, missing: &Missing) -> v1::GapCause {
    let sources = state.source.iter();
    let mut streams = sources
        .filter(|source| source.gateway == missing.gateway)
        .flat_map(|source| &source.completeness)
        .filter(|s| s.epoch == missing.epoch && s.stream() == missing.stream);
    let gap = streams.find_map(|stream| {
        let (first, last) = missing.numbers;
        let over = |gap: &&v1::Gap| gap.first <= last && first <= gap.last;
        stream.gap.iter().find(over)
    });
    gap.map_or(v1::GapCause::Unspecified, v1::Gap::cause)
}

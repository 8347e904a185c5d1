//! A receipt, as far as the spool is concerned.

use super::StreamLife;
use enroute_model::ids::{Epoch, Stream};
use enroute_model::ranges::RangeSet;
use enroute_model::time::{GatewayTime, ServerTime};
use enroute_wire::limits::{RECEIPT_RANGES_MAX, RECEIPT_STREAMS_MAX};
use enroute_wire::v1;

/// What the server says is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// Its journal.
    pub(super) journal: u64,
    /// Our clock when the newest batch left that it answers.
    pub(super) answers: GatewayTime,
    /// The server's clock when it was sent.
    pub(super) sent_at: ServerTime,
    pub(super) parts: Vec<Part>,
}

/// One leg of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) life: StreamLife,
    /// The leg's first number.
    pub(super) first: u64,
    pub(super) durable: RangeSet,
    /// A number up to here is durable, or the server does not have it; above, the
    /// receipt had no room to say.
    pub(super) told_through: u64,
}

impl Word {
    /// Reads a receipt; parts of streams that this version does not know are left out.
    #[must_use]
    pub fn of(receipt: &v1::Receipt) -> Self {
        let parts = receipt.stream.iter().take(RECEIPT_STREAMS_MAX);
        Self {
            journal: receipt.journal,
            answers: GatewayTime(receipt.echo_sent_at_us),
            sent_at: ServerTime(receipt.receipt_sent_at_us),
            parts: parts.filter_map(part).collect(),
        }
    }

    /// What is durable, by stream and life.
    pub fn durable(&self) -> impl Iterator<Item = (StreamLife, &RangeSet)> {
        self.parts.iter().map(|part| (part.life, &part.durable))
    }
}

fn part(part: &v1::StreamReceipt) -> Option<Part> {
    let stream = match part.stream() {
        v1::Stream::Events => Stream::Events,
        v1::Stream::Numerics => Stream::Numerics,
        v1::Stream::Waveforms => Stream::Waveforms,
        v1::Stream::Unspecified => return None,
    };
    let first = part.first.max(1);
    let mut durable = RangeSet::default();
    durable.insert(first, part.through);
    let above = part.above.iter().take(RECEIPT_RANGES_MAX);
    let mut last = None;
    for range in above {
        last = Some(range.last);
        durable.insert(range.first.max(1), range.last);
    }
    Some(Part {
        life: (Epoch(part.epoch), stream),
        first,
        durable,
        told_through: last
            .filter(|_| part.above.len() >= RECEIPT_RANGES_MAX)
            .unwrap_or(u64::MAX),
    })
}

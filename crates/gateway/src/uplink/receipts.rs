//! Reading receipts and commands. Pure.

use crate::spool::StreamLife;
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::ranges::RangeSet;
use enroute_wire::limits::{RECEIPT_RANGES_MAX, RECEIPT_STREAMS_MAX};
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;

/// What is durable at the server, by stream and life.
pub type Durable = BTreeMap<StreamLife, RangeSet>;

/// All that a receipt says is durable.
pub(crate) fn durable(receipt: &v1::Receipt) -> Durable {
    let mut durable = Durable::new();
    for part in receipt.stream.iter().take(RECEIPT_STREAMS_MAX) {
        if let Some((life, set)) = durable_part(part) {
            let all = durable.entry(life).or_default();
            for (from, to) in set.iter() {
                all.insert(from, to);
            }
        }
    }
    durable
}

fn durable_part(part: &v1::StreamReceipt) -> Option<(StreamLife, RangeSet)> {
    let stream = match part.stream() {
        v1::Stream::Events => Stream::Events,
        v1::Stream::Numerics => Stream::Numerics,
        v1::Stream::Waveforms => Stream::Waveforms,
        v1::Stream::Unspecified => return None,
    };
    let mut durable = RangeSet::default();
    durable.insert(part.first.max(1), part.through);
    for range in part.above.iter().take(RECEIPT_RANGES_MAX) {
        durable.insert(range.first.max(1), range.last);
    }
    Some(((Epoch(part.epoch), stream), durable))
}

/// The transfer to publish under, and the one that it replaces.
pub(crate) fn use_transfer(payload: &[u8]) -> Option<(TransferId, TransferId)> {
    // An empty payload clears the retained command.
    if payload.is_empty() {
        return None;
    }
    let command = match v1::Command::decode(payload) {
        Ok(command) => command.command,
        Err(error) => {
            tracing::warn!(%error, "a command cannot be read");
            return None;
        }
    };
    let Some(v1::command::Command::UseTransfer(command)) = command else {
        tracing::warn!("a command that this version does not know");
        return None;
    };
    let ids = (
        TransferId::new(&command.instead_of),
        TransferId::new(&command.transfer),
    );
    let (Ok(instead_of), Ok(transfer)) = ids else {
        tracing::warn!("a command names something that is not a transfer id");
        return None;
    };
    Some((instead_of, transfer))
}

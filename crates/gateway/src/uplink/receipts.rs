//! Reading commands. Pure.

use enroute_model::ids::TransferId;
use enroute_wire::{Message, v1};

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

//! How many publishes of a gateway were refused, so that the recording says so.

use crate::recent::Recent;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_wire::topics::Topic;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Gateways whose refused publishes are counted one by one; those heard of longest
/// ago are forgotten and begin again.
const GATEWAYS_MAX: usize = 16_384;
/// Transfers of one gateway that are told apart; a further one drops the oldest.
const TRANSFERS_MAX: usize = 4;

/// Counts per gateway and transfer. A pair counts from its first readable publish:
/// rubbish under invented names must not fill a table, nor begin a transfer.
#[derive(Debug)]
pub(crate) struct Rejections(Mutex<Counts>);

impl Default for Rejections {
    fn default() -> Self {
        Self(Mutex::new(Counts::new(GATEWAYS_MAX)))
    }
}

/// Newest transfer first.
type Counts = Recent<GatewayId, VecDeque<(TransferId, u64)>>;

/// A count that is worth a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) gateway: GatewayId,
    pub(crate) transfer: TransferId,
    pub(crate) publishes: u64,
}

impl Rejections {
    /// A publish of this gateway for this transfer could be read.
    pub(crate) fn read(&self, gateway: &GatewayId, transfer: &TransferId) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counts.get(gateway) {
            if known.iter().all(|(id, _)| id != transfer) {
                known.truncate(TRANSFERS_MAX - 1);
                known.push_front((transfer.clone(), 0));
            }
        } else {
            counts.put(gateway.clone(), [(transfer.clone(), 0)].into());
        }
    }

    /// A publish was refused. A record is due at the 1st, 2nd, 4th, 8th … of a
    /// gateway and transfer: whoever can publish rubbish must not be able to
    /// fill the journal with the news of it.
    pub(crate) fn refused(&self, topic: &str) -> Option<Rejection> {
        let Ok(Topic::Frames {
            gateway, transfer, ..
        }) = Topic::parse(topic)
        else {
            return None;
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counts.get(&gateway)?;
        let (_, publishes) = known.iter_mut().find(|(id, _)| *id == transfer)?;
        *publishes = publishes.saturating_add(1);
        let publishes = *publishes;
        publishes.is_power_of_two().then_some(Rejection {
            gateway,
            transfer,
            publishes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "enroute/v1/gw/gw-1/tx/tx-1/history";

    fn ids() -> (GatewayId, TransferId) {
        (
            GatewayId::new("gw-1").unwrap(),
            TransferId::new("tx-1").unwrap(),
        )
    }

    #[test]
    fn told_at_powers_of_two_of_what_is_known() {
        let rejections = Rejections::default();
        let (gateway, transfer) = ids();
        assert_eq!(rejections.refused(TOPIC), None, "nothing good came yet");
        rejections.read(&gateway, &transfer);
        let told: Vec<u64> = (0..20)
            .filter_map(|_| rejections.refused(TOPIC))
            .map(|rejection| rejection.publishes)
            .collect();
        assert_eq!(told, [1, 2, 4, 8, 16]);
        for other in [
            "enroute/v1/gw/gw-1/tx/tx-2/live",
            "enroute/v1/gw/gw-2/tx/tx-1/live",
            "enroute/v1/gw/gw-1/status",
            "rubbish",
        ] {
            assert_eq!(rejections.refused(other), None, "{other}");
        }
    }

    #[test]
    fn a_gateway_has_few_transfers() {
        let rejections = Rejections::default();
        let (gateway, first) = ids();
        rejections.read(&gateway, &first);
        for number in 2..=5 {
            let transfer = TransferId::new(&format!("tx-{number}")).unwrap();
            rejections.read(&gateway, &transfer);
            rejections.read(&gateway, &transfer);
        }
        assert_eq!(rejections.refused(TOPIC), None, "the oldest made room");
        let second = "enroute/v1/gw/gw-1/tx/tx-2/live";
        assert_eq!(rejections.refused(second).map(|r| r.publishes), Some(1));
    }
}

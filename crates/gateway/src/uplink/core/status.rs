//! What the broker keeps of us: a birth message while we are there, and a last will.

use super::{Announced, Core, Output};
use enroute_model::ids::Lane;
use enroute_model::time::{GatewayTime, Span};
use enroute_mqtt::Publish;
use enroute_wire::topics::Topic;
use enroute_wire::{Message, v1};

impl Core {
    /// The retained birth message, when the transfer in it has changed.
    pub(super) fn announce(&mut self, now: Span, out: &mut Vec<Output>) {
        let known =
            matches!(&self.announced, Announced::Transfer { id, .. } if *id == self.transfer);
        if !self.link.connected || known {
            return;
        }
        let id = self.transfer.clone();
        let message = v1::GatewayStatus {
            online: true,
            transfer: id.as_ref().map(ToString::to_string).unwrap_or_default(),
            software: concat!("enroute ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at_us: self.started_at.0,
            exercise: self.exercise,
        };
        let token = self.publish_status(&message, out);
        self.announced = Announced::Transfer { id, token, at: now };
    }

    pub(super) fn publish_status(
        &mut self,
        message: &v1::GatewayStatus,
        out: &mut Vec<Output>,
    ) -> u64 {
        let topic = Topic::Status(self.gateway.clone()).to_string();
        let token = self.token();
        let publish = Publish {
            retain: true,
            ..Publish::new(topic, message.encode_to_vec(), token)
        };
        out.push(Output::Publish {
            lane: Lane::Live,
            publish,
            frames: 0,
        });
        token
    }
}

/// What the broker publishes when we vanish, and we when we leave.
pub(in crate::uplink) fn offline(exercise: bool, started_at: GatewayTime) -> v1::GatewayStatus {
    v1::GatewayStatus {
        online: false,
        transfer: String::new(),
        software: String::new(),
        started_at_us: started_at.0,
        exercise,
    }
}

//! The history lane: what is neither covered by a receipt nor on its way.

use super::{Core, Now, Output};
use crate::spool::{Picked, StreamLife, Wanted};
use bytes::Bytes;
use enroute_model::ids::Lane;
use enroute_wire::v1;
use std::collections::BTreeMap;

/// History publishes under way.
const HISTORY_FLIGHTS_MAX: usize = 32;
/// Bytes of frames before compression in one history publish.
const HISTORY_BATCH_BYTES: usize = 256 * 1024;
/// Frames in one history publish.
const HISTORY_BATCH_FRAMES: usize = 1_024;

impl Core {
    fn may_fill(&self, now: Now) -> bool {
        let (flights, bytes) = self.sent.unacknowledged(Lane::History);
        let live_waits = self.sent.oldest_unacknowledged(Lane::Live).is_some();
        self.history_up
            && self.link.connected
            && self.first_live.is_none()
            && !self.picking
            && !self.exhausted
            && !self.full
            && flights < HISTORY_FLIGHTS_MAX
            && self.pace.has_room(bytes)
            && !self.held_at(now.monotonic)
            && !(live_waits && self.ladder.yields())
            && self.sent.unconfirmed_bytes(Lane::History) < self.config.unconfirmed_bytes_max.max(1)
    }

    /// Asks for the next publish of history.
    pub(super) fn fill(&mut self, now: Now, out: &mut Vec<Output>) {
        if !self.may_fill(now) {
            return;
        }
        self.picking = true;
        self.outdated = false;
        let bytes = self.pace.publish_bytes().saturating_mul(self.packing) / 1_000;
        out.push(Output::Pick(Wanted {
            order: self.config.history_order,
            sent: self.sent.numbers(),
            through: self.through_for_history(),
            bytes_max: bytes.min(HISTORY_BATCH_BYTES),
            frames_max: HISTORY_BATCH_FRAMES,
        }));
    }

    /// Numerics that wait for the next summary are live's, and with them what is
    /// behind them in their life of the spool; another life has numbers of its own.
    fn through_for_history(&self) -> Option<BTreeMap<StreamLife, u64>> {
        let mut through = self.through.clone()?;
        for (life, number) in self.latest.due() {
            if let Some(last) = through.get_mut(&life) {
                *last = (*last).min(number.saturating_sub(1));
            }
        }
        Some(through)
    }

    pub(super) fn on_picked(&mut self, now: Now, picked: Option<Picked>, out: &mut Vec<Output>) {
        self.picking = false;
        let Some(picked) = picked else {
            self.exhausted = !self.outdated;
            return;
        };
        let Picked {
            life,
            transfer,
            frames,
        } = picked;
        let (numbers, mut payloads): (Vec<_>, Vec<_>) = frames
            .into_iter()
            .map(|(number, payload)| ((life, number), payload))
            .unzip();
        let compressed = self.pack(&mut payloads);
        let count = payloads.len();
        let mut batch = v1::Batch {
            sent_at_us: now.wall.0,
            ..v1::Batch::default()
        };
        match compressed {
            Some(compressed) => batch.compressed = compressed,
            None => batch.frame = payloads,
        }
        // What did not fit is picked again.
        let numbers = numbers.into_iter().take(count).collect();
        self.publish(now, Lane::History, transfer, &batch, numbers, out);
    }

    /// Compresses as many of these frames as make one publish of the pace.
    fn pack(&mut self, payloads: &mut Vec<Bytes>) -> Option<Bytes> {
        let target = self.pace.publish_bytes();
        loop {
            let bytes: usize = payloads.iter().map(Bytes::len).sum();
            let compressed = enroute_wire::batch::compress(payloads.clone())?;
            self.packing = (bytes * 1_000 / compressed.len().max(1)).clamp(500, 20_000);
            if compressed.len() <= target.saturating_mul(3) / 2 || payloads.len() == 1 {
                return Some(compressed);
            }
            let fits = payloads.len() * target / compressed.len();
            payloads.truncate(fits.clamp(1, payloads.len() - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::spool::Spooled;
    use enroute_model::frame::{Body, Code, Frame, GeoPoint, Header, Metric, Numeric};
    use enroute_model::ids::{Epoch, GatewayId, Stream, TransferId};
    use enroute_model::reading::{NoValue, Reading};
    use enroute_model::time::{GatewayTime, Span};

    fn spooled(epoch: u64, sequence: u64, body: Body) -> Spooled {
        let (epoch, stream) = (Epoch(epoch), Stream::Numerics);
        let header = Header {
            epoch,
            stream,
            sequence,
            leg_first: 1,
            captured_at: GatewayTime(0),
            observed_at: None,
            boot: 1,
            monotonic: Span::ZERO,
            clocks: None,
            exercise: true,
        };
        Spooled {
            life: (epoch, stream),
            sequence,
            transfer: TransferId::new("tx").unwrap(),
            payload: enroute_wire::frame::encode(&Frame { header, body }).into(),
        }
    }

    fn place() -> Body {
        Body::Position(GeoPoint {
            latitude_e7: 1,
            longitude_e7: 2,
            altitude_m: None,
            speed_cm_s: None,
            course_cdeg: None,
        })
    }

    fn numerics() -> Body {
        Body::Numerics(vec![Numeric {
            metric: Metric {
                code: Code(0),
                label: "n".to_owned(),
            },
            unit: String::new(),
            reading: Reading::None(NoValue::NotAvailable),
            interval: Span::from_secs(1),
        }])
    }

    /// What waits to go live is of its own life: its number says nothing of another's.
    #[test]
    fn what_waits_of_an_earlier_life_holds_no_history_back() {
        let config = Config::new(GatewayId::new("gw").unwrap());
        let before = [(Epoch(1), Stream::Waveforms), (Epoch(1), Stream::Numerics)];
        let before = before.map(|life| (life, 3)).into();
        let mut core = Core::new(&config, true, GatewayTime(0), before);
        let now = Now {
            monotonic: Span::ZERO,
            wall: GatewayTime(0),
        };
        let mut out = Vec::new();
        core.on_recorded(now, &[spooled(1, 4, place())], &mut out);
        assert_eq!(
            core.through_for_history().unwrap()[&(Epoch(1), Stream::Numerics)],
            3
        );
        // The spool is opened anew, and its numbers begin again.
        for sequence in 1..=9 {
            core.on_recorded(now, &[spooled(2, sequence, numerics())], &mut out);
        }
        let through = core.through_for_history().unwrap();
        let wanted = [((Epoch(2), Stream::Numerics), 8)].into();
        assert_eq!(through, wanted);
    }
}

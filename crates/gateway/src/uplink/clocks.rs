//! How far our clock is from the server's, from the times in receipts. Pure.
//!
//! Each receipt completes an exchange of four times (RFC 5905, clause 8). The
//! one with the shortest round trip of the last few is believed: what delays an
//! exchange is queues, and those only ever add (clause 10, clock filter).

use enroute_model::frame::Offset;
use enroute_model::time::{GatewayTime, ServerTime, Span};
use std::collections::VecDeque;

/// Exchanges remembered.
const EXCHANGES: usize = 16;
/// A change of less than this is not worth a statement.
const CHANGE_MIN: Span = Span::from_millis(5);

/// The four times of an exchange.
#[expect(clippy::struct_field_names, reason = "four times of one exchange")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// A batch left us …
    pub(crate) sent_at: GatewayTime,
    /// … the server had it …
    pub(crate) received_at: ServerTime,
    /// … its receipt left …
    pub(crate) receipt_sent_at: ServerTime,
    /// … and we had that.
    pub(crate) arrived_at: GatewayTime,
}

/// The filter.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    exchanges: VecDeque<(Span, Offset)>,
    stated: Option<Offset>,
}

impl ServerClock {
    /// Takes an exchange; gives the estimate (our clock minus the server's) if
    /// it changed enough to be stated.
    pub(crate) fn observe(&mut self, exchange: Exchange) -> Option<Offset> {
        let total = exchange.arrived_at.since(exchange.sent_at);
        let at_server = exchange.receipt_sent_at.since(exchange.received_at);
        let round_trip = Span(total.0.saturating_sub(at_server.0));
        // A clock that stepped in between, or a receipt that answers nothing.
        if exchange.sent_at.0 == 0 || round_trip < Span::ZERO || at_server < Span::ZERO {
            return None;
        }
        let there = i128::from(exchange.sent_at.0) - i128::from(exchange.received_at.0);
        let back = i128::from(exchange.arrived_at.0) - i128::from(exchange.receipt_sent_at.0);
        let offset = Offset {
            offset: Span(i64::try_from(i128::midpoint(there, back)).ok()?),
            uncertainty: Span(round_trip.0 / 2),
        };
        // A clock that stepped makes all earlier exchanges worthless.
        let apart =
            |o: &Offset| Span((offset.offset.0.saturating_sub(o.offset.0)).saturating_abs());
        let stepped = |o: &Offset| {
            apart(o).0
                > o.uncertainty
                    .0
                    .saturating_add(offset.uncertainty.0)
                    .saturating_add(CHANGE_MIN.0)
        };
        if self.exchanges.iter().any(|(_, o)| stepped(o)) {
            self.exchanges.clear();
        }
        if self.exchanges.len() == EXCHANGES {
            self.exchanges.pop_front();
        }
        self.exchanges.push_back((round_trip, offset));
        let (_, best) = self
            .exchanges
            .iter()
            .min_by_key(|(round_trip, _)| *round_trip)?;
        let best = *best;
        let news = self.stated.is_none_or(|stated| {
            let change = Span(
                best.offset
                    .0
                    .saturating_sub(stated.offset.0)
                    .saturating_abs(),
            );
            change >= CHANGE_MIN || best.uncertainty.0 < stated.uncertainty.0 / 2
        });
        news.then(|| *self.stated.insert(best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our clock is `ahead` of the server's; the ways take so long.
    fn exchange(at: i64, ahead: i64, there: i64, back: i64) -> Exchange {
        Exchange {
            sent_at: GatewayTime(at + ahead),
            received_at: ServerTime(at + there),
            receipt_sent_at: ServerTime(at + there + 1_000),
            arrived_at: GatewayTime(at + there + 1_000 + back + ahead),
        }
    }

    #[test]
    fn the_shortest_round_trip_is_believed() {
        let mut clock = ServerClock::default();
        let first = clock
            .observe(exchange(1_000_000, 90_000, 400_000, 20_000))
            .unwrap();
        assert_eq!(
            (first.offset, first.uncertainty),
            (Span(-100_000), Span(210_000))
        );
        let better = clock
            .observe(exchange(2_000_000, 90_000, 20_000, 20_000))
            .unwrap();
        assert_eq!(
            (better.offset, better.uncertainty),
            (Span(90_000), Span(20_000))
        );
        assert_eq!(
            clock.observe(exchange(3_000_000, 90_000, 300_000, 20_000)),
            None
        );
    }

    #[test]
    fn the_true_offset_lies_within_the_uncertainty() {
        for (there, back) in [(0, 0), (1, 900_000), (700_000, 3), (50_000, 60_000)] {
            let mut clock = ServerClock::default();
            let offset = clock
                .observe(exchange(5_000_000, -3_600_000_000, there, back))
                .unwrap();
            let error = (offset.offset.0 + 3_600_000_000).abs();
            assert!(error <= offset.uncertainty.0 + 1, "{there} {back}: {error}");
        }
    }

    #[test]
    fn a_step_of_a_clock_is_noticed_at_once() {
        let mut clock = ServerClock::default();
        clock
            .observe(exchange(1_000_000, 0, 10_000, 10_000))
            .unwrap();
        let after = clock
            .observe(exchange(2_000_000, 60_000_000, 50_000, 50_000))
            .unwrap();
        assert_eq!(after.offset, Span(60_000_000));
    }

    #[test]
    fn rubbish_is_ignored() {
        let mut clock = ServerClock::default();
        assert_eq!(
            clock.observe(exchange(-5, 5, 0, 0)),
            None,
            "answers nothing"
        );
        assert_eq!(
            clock.observe(exchange(9, 0, -90_000, 0)),
            None,
            "negative round trip"
        );
        let extreme = Exchange {
            sent_at: GatewayTime(i64::MIN),
            received_at: ServerTime(i64::MAX),
            receipt_sent_at: ServerTime(i64::MIN),
            arrived_at: GatewayTime(i64::MAX),
        };
        assert_eq!(clock.observe(extreme), None);
    }
}

//! What a gateway tells.

use super::{Page, Write, answer, bytes, flag, number, of_span, seconds, stream_word, things};
use axum::Router;
use axum::routing::get;
use enroute_gateway::Monitor;
use enroute_gateway::stats::ROUND_TRIP_BOUNDS_US;
use enroute_model::frame::{GapCause, Offset};
use enroute_model::ids::{Lane, Stream};
use enroute_model::time::Span;
use std::fmt;

/// The pages beside the crew's.
pub(crate) fn pages(monitor: Monitor) -> Router {
    let metrics = get(move || async move { answer(Scrape(monitor)) });
    Router::new().route("/metrics", metrics)
}

#[derive(Debug)]
struct Scrape(Monitor);

impl Write for Scrape {
    fn write(&self, page: &mut Page) -> fmt::Result {
        page.gauges(
            things("build_info", "The running version; always 1"),
            &[([("version", env!("CARGO_PKG_VERSION"))], 1.0)],
        )?;
        self.frames(page)?;
        self.link(page)?;
        self.spool(page)
    }
}

impl Scrape {
    fn frames(&self, page: &mut Page) -> fmt::Result {
        let stats = self.0.stats();
        let produced = Stream::ALL.map(|stream| {
            let labels = [("stream", stream_word(stream))];
            (labels, stats.produced(stream))
        });
        page.counters(
            things(
                "gateway_frames_produced",
                "Frames written to the spool, shed records included",
            ),
            &produced,
        )?;
        page.counters(
            things(
                "gateway_frames_published",
                "Frames handed to the broker, repeated ones included",
            ),
            &[
                ([("lane", "live")], stats.published_live.get()),
                ([("lane", "history")], stats.published_history.get()),
            ],
        )?;
        page.counter(
            things("gateway_publishes", "Publishes on both lanes"),
            stats.publishes.get(),
        )?;
        page.counter(
            bytes(
                "gateway_published",
                "Payload of the publishes on both lanes",
            ),
            stats.published_bytes.get(),
        )?;
        page.counter(
            things(
                "gateway_frames_freed",
                "Frames that a receipt of the server covered",
            ),
            stats.freed.get(),
        )?;
        let shed = [
            ("spool_full", GapCause::SpoolFull),
            ("restored", GapCause::Restored),
            ("damaged", GapCause::Damaged),
        ];
        page.counters(
            things(
                "gateway_frames_shed",
                "Frames given up on board, by cause: no room, lost by a restored server, not given back by the disk",
            ),
            &shed.map(|(word, cause)| ([("cause", word)], stats.shed(cause))),
        )?;
        page.counter(
            things(
                "gateway_emissions_refused",
                "What the source gave and no frame may hold",
            ),
            stats.refused.get(),
        )?;
        page.counter(
            things(
                "gateway_emissions_after_end",
                "Batches of the source dropped because the crew had ended the transfer",
            ),
            stats.dropped_after_end.get(),
        )
    }

    fn link(&self, page: &mut Page) -> fmt::Result {
        let (stats, now) = (self.0.stats(), self.0.readings());
        page.gauge(
            things("gateway_connected", "1 while the live connection stands"),
            flag(now.connected),
        )?;
        page.gauge(
            things(
                "gateway_receiving",
                "1 while the hospital confirms what is sent",
            ),
            flag(now.receiving),
        )?;
        page.gauge(
            things(
                "gateway_refused",
                "1 while the server says that it has no room for the transfer",
            ),
            flag(now.full),
        )?;
        page.counter(
            things("gateway_connections", "Connections made, both lanes"),
            stats.connections.get(),
        )?;
        page.counter(
            things("gateway_receipts", "Receipts that came and could be read"),
            stats.receipts.get(),
        )?;
        let age = now.receipt_age.map(|age| ([], of_span(age)));
        page.gauges(
            seconds(
                "gateway_receipt_age",
                "Since the last receipt that covered something new; absent without a connection",
            ),
            age.as_slice(),
        )?;
        page.gauge(
            things(
                "gateway_degradation_level",
                "What goes live: 0 everything, 1 no waveforms, 2 and 3 the newest numerics every 5 s and 30 s",
            ),
            f64::from(now.level),
        )?;
        let lanes = [("live", Lane::Live), ("history", Lane::History)];
        page.buckets(
            seconds(
                "gateway_puback_duration",
                "From a publish to the broker's PUBACK",
            ),
            &ROUND_TRIP_BOUNDS_US,
            &lanes.map(|(word, lane)| ([("lane", word)], stats.round_trips(lane).buckets())),
        )?;
        self.clocks(page)
    }

    fn clocks(&self, page: &mut Page) -> fmt::Result {
        let clocks = self.0.readings().clocks;
        let known = [("monitor", clocks.monitor), ("gateway", clocks.gateway)];
        let known = known.map(|(word, offset)| Some(([("clock", word)], offset?)));
        let known: Vec<_> = known.into_iter().flatten().collect();
        let each = |of: fn(&Offset) -> Span| {
            let values = known
                .iter()
                .map(|(label, offset)| (*label, of_span(of(offset))));
            values.collect::<Vec<_>>()
        };
        page.gauges(
            seconds(
                "gateway_clock_offset",
                "The monitor's clock minus the gateway's, the gateway's minus the server's; absent while unknown",
            ),
            &each(|offset| offset.offset),
        )?;
        page.gauges(
            seconds(
                "gateway_clock_uncertainty",
                "How far from the estimate the true offset may be, either way",
            ),
            &each(|offset| offset.uncertainty),
        )
    }

    fn spool(&self, page: &mut Page) -> fmt::Result {
        let now = self.0.readings();
        page.gauge(
            things("gateway_transfer_under_way", "1 while a transfer goes on"),
            flag(now.under_way),
        )?;
        page.gauge(
            things(
                "gateway_spool_failed",
                "1 when the spool has failed: nothing more is recorded",
            ),
            flag(now.failed),
        )?;
        page.gauge(
            things(
                "gateway_frames_unconfirmed",
                "Frames on board that no receipt covers",
            ),
            number(now.unconfirmed),
        )?;
        page.gauge(
            bytes("gateway_spool", "Size of the spool"),
            number(now.spool_bytes),
        )?;
        page.gauge(
            bytes(
                "gateway_spool_max",
                "Size at which the spool gives up frames",
            ),
            number(now.spool_bytes_max),
        )
    }
}

//! What a gateway tells.

use super::{Page, Write, answer, bytes, flag, number, of_span, seconds, stream_word, things};
use axum::Router;
use axum::routing::get;
use enroute_gateway::Monitor;
use enroute_model::ids::Stream;
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
        page.counter(
            things("gateway_frames_shed", "Frames given up for want of space"),
            stats.shed.get(),
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

//! What the engines hold, summed over transfers, and what waits for viewers.

use super::{Page, bytes, number, stream_word, things};
use enroute_live::Totals;
use enroute_model::frame::Priority;
use enroute_model::ids::Stream;
use std::fmt;

/// What the engines hold; nothing of it survives by its counters, all by the journal.
pub(super) fn write(page: &mut Page, all: &Totals) -> fmt::Result {
    page.gauges(
        things(
            "transfers",
            "Transfers: open and closed ones in memory, asleep ones on disk only",
        ),
        &[
            ([("state", "open")], number(all.open)),
            ([("state", "closed")], number(all.closed)),
            ([("state", "asleep")], number(all.asleep)),
        ],
    )?;
    page.gauge(
        things(
            "transfers_max",
            "Transfers that may be in memory, joined ones counted",
        ),
        number(all.max),
    )?;
    page.gauges(
        things(
            "transfers_incomplete",
            "Transfers that lack frames: missing (may still come) or shed (given up on board)",
        ),
        &[
            ([("why", "missing")], number(all.with_missing)),
            ([("why", "shed")], number(all.with_shed)),
        ],
    )?;
    page.gauge(
        things(
            "transfers_degraded",
            "Transfers with a record that could not be handled",
        ),
        number(all.degraded),
    )?;
    let mut frames = Vec::new();
    for stream in Stream::ALL {
        let sums = all.streams.get(&stream).copied().unwrap_or_default();
        for (word, n) in [
            ("durable", sums.durable),
            ("missing", sums.missing),
            ("shed", sums.shed),
        ] {
            frames.push((
                [("stream", stream_word(stream)), ("state", word)],
                number(n),
            ));
        }
    }
    page.gauges(
        things(
            "ledger_frames",
            "Different frames of all transfers in memory: durable, missing, or given up on board",
        ),
        &frames,
    )?;
    let mut shed = [
        ("spool_full", 0u64),
        ("restored", 0),
        ("damaged", 0),
        ("spool_lost", 0),
        ("unlisted", 0),
    ];
    for sums in all.streams.values() {
        let by = sums.shed_by;
        let more = [
            by.spool_full,
            by.restored,
            by.damaged,
            by.spool_lost,
            by.unlisted,
        ];
        for ((_, sum), more) in shed.iter_mut().zip(more) {
            *sum = sum.saturating_add(more);
        }
    }
    page.gauges(
        things(
            "ledger_shed_frames",
            "Frames that will never come, by cause; unlisted are those in gaps beyond the 16 that a ledger lists",
        ),
        &shed.map(|(cause, n)| ([("cause", cause)], number(n))),
    )?;
    let alerts = all.alerts.iter().map(|((kind, priority), n)| {
        let labels = [("kind", *kind), ("priority", priority_word(*priority))];
        (labels, number(*n))
    });
    page.gauges(
        things("alerts_open", "Open alerts of open transfers"),
        &alerts.collect::<Vec<_>>(),
    )?;
    viewers(page, all)
}

/// What waits for viewers.
fn viewers(page: &mut Page, all: &Totals) -> fmt::Result {
    let viewers = all.viewers;
    let label = |queue: &'static str| [("queue", queue)];
    page.gauges(
        things("viewer_queue_depth", "What waits for all viewers together"),
        &[
            (label("alerts"), number(viewers.alerts)),
            (label("samples"), number(viewers.samples)),
        ],
    )?;
    page.gauges(
        things(
            "viewer_queue_depth_most",
            "What waits for the viewer that is most behind",
        ),
        &[
            (label("alerts"), number(viewers.alerts_most)),
            (label("samples"), number(viewers.samples_most)),
        ],
    )?;
    page.gauge(
        bytes("viewer_queue", "Samples that wait for all viewers together"),
        number(viewers.sample_bytes),
    )
}

fn priority_word(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "low",
        Priority::Medium => "medium",
        Priority::High => "high",
    }
}

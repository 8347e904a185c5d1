//! What the gate of the port for viewers tells.

use super::{Page, number, things};
use enroute_feed::{GlassCounts, RateCounts};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(super) fn write(page: &mut Page, glass: &GlassCounts, rates: &RateCounts) -> fmt::Result {
    page.counter(
        things(
            "glass_broken",
            "Times that somebody opened a transfer that is not theirs, in an emergency",
        ),
        of(&glass.broken),
    )?;
    page.gauge(
        things(
            "glass_open",
            "Transfers that are open by a broken glass, to each who broke it",
        ),
        number(of(&glass.open)),
    )?;
    page.counter(
        things(
            "calls_too_many",
            "Calls that were refused because their caller made too many",
        ),
        of(&rates.calls),
    )?;
    page.counter(
        things(
            "streams_too_many",
            "Streams that were refused because their token had too many open",
        ),
        of(&rates.streams),
    )?;
    page.counter(
        things("tokens_wrong", "Tokens that were shown and are none here"),
        of(&rates.wrong),
    )?;
    page.counter(
        things(
            "tokens_wrong_slowed",
            "Those of them that were answered late, because their address showed too many",
        ),
        of(&rates.slowed),
    )
}

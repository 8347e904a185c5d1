//! What came in and what was refused, in words: the page `/ingest` of the server's
//! port, and a line in the log when something was refused in the last minute.
//!
//! Not here: the refusing, the counting and the quarantine, which are ingest's. No
//! payload is shown: it may hold what only the hospital may see (I10).

use crate::utc::rfc3339;
use enroute_ingest::{Quarantine, Quarantined, Stats};
use enroute_model::ids::{Lane, Stream};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Refused publishes named on the page; the directory has more of them.
const SHOWN_MAX: usize = 20;
/// Characters of a refused topic on the page.
const TOPIC_CHARS_MAX: usize = 128;
/// How often the log may speak of refusals.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// The page.
pub(crate) fn page(stats: &Stats, quarantine: &Quarantine, directory: &Path) -> String {
    let mut text = String::new();
    // A string takes whatever is written to it.
    if write(&mut text, stats, &quarantine.recent(), directory).is_err() {
        tracing::debug!("the page of ingest is cut short");
    }
    text
}

fn write(
    text: &mut String,
    stats: &Stats,
    bad: &[Quarantined],
    directory: &Path,
) -> std::fmt::Result {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    writeln!(
        text,
        "lanes subscribed         {} of 2, connections lost or not made {}\n\
         publishes                {}, {} bytes; not yet acknowledged {}\n\
         durable, acknowledged    {}\n\
         acknowledged unrecorded  {}\n\
         status messages          {}\n\
         receipts, commands sent  {}, {}",
        of(&stats.subscribed),
        of(&stats.disconnects),
        of(&stats.publishes),
        of(&stats.bytes),
        of(&stats.in_flight),
        of(&stats.commits),
        of(&stats.unrecorded),
        of(&stats.statuses),
        of(&stats.receipts),
        of(&stats.commands),
    )?;
    writeln!(text, "\nframes durable, repetitions included:")?;
    for (word, stream) in [
        ("events", Stream::Events),
        ("numerics", Stream::Numerics),
        ("waveforms", Stream::Waveforms),
    ] {
        let lane = |lane| stats.frames(stream, lane);
        let (live, history) = (lane(Lane::Live), lane(Lane::History));
        writeln!(text, "  {word} {live} live, {history} history")?;
    }
    let refused = stats.refused();
    writeln!(
        text,
        "\nrefused publishes since the start, by reason: {}",
        refused.values().sum::<u64>()
    )?;
    for (word, count) in &refused {
        writeln!(text, "  {word} {count}")?;
    }
    writeln!(
        text,
        "\nThey are kept in {}; {} of them were not, the disk being too slow or full.",
        directory.display(),
        of(&stats.quarantine_dropped)
    )?;
    for bad in bad.iter().rev().take(SHOWN_MAX) {
        let topic: String = bad.topic.chars().take(TOPIC_CHARS_MAX).collect();
        writeln!(
            text,
            "  {} {} bytes, {}: {}",
            rfc3339(bad.received_at.0),
            bad.payload.len(),
            topic.escape_debug(),
            bad.reason.to_string().escape_debug()
        )?;
    }
    Ok(())
}

/// Logs what was refused, at most once a minute, for ever.
pub(crate) async fn log_refusals(stats: Arc<Stats>) {
    let mut before = BTreeMap::new();
    let mut minutes = tokio::time::interval(LOG_EVERY);
    loop {
        minutes.tick().await;
        let refused = stats.refused();
        if refused != before {
            tracing::warn!(
                ?refused,
                "publishes were refused; the page /ingest has more"
            );
        }
        before = refused;
    }
}

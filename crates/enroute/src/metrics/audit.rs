//! What the audit log tells about itself.

use super::{Page, number, seconds, things};
use enroute_audit::Counts;
use std::fmt;
use std::sync::atomic::Ordering;

pub(super) fn write(page: &mut Page, counts: &Counts, now_us: i64) -> fmt::Result {
    page.counter(
        things("audit_records", "Records of the audit log that are on disk"),
        counts.records.load(Ordering::Relaxed),
    )?;
    page.counter(
        things(
            "audit_lost",
            "Records of the audit log that had no room while it could not be written",
        ),
        counts.lost.load(Ordering::Relaxed),
    )?;
    let since = counts
        .failing()
        .map(|(since, _)| now_us.saturating_sub(since));
    let since = since.and_then(|us| u64::try_from(us).ok());
    page.gauge(
        seconds(
            "audit_not_written",
            "For how long the audit log cannot be written; exports, backups and deletions wait; 0 while it can",
        ),
        // At least something, however new it is.
        since.map_or(0.0, |us| number(us.max(1)) / 1e6),
    )
}

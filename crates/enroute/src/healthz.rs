//! `/healthz`, for the probe that decides whether to start the server anew: only
//! what a new start would mend is no health. While nothing can be recorded the
//! live view goes on, and a new start would lose it.

use crate::utc::rfc3339;
use axum::http::StatusCode;
use enroute_live::Health;

/// The answer; `issuer_lost_us`: since when the issuer of tokens cannot be reached;
/// `not_audited`: since when the audit log cannot be written, and why.
pub(crate) fn answer(
    health: &Health,
    issuer_lost_us: Option<i64>,
    not_audited: Option<(i64, String)>,
) -> (StatusCode, String) {
    let (status, mut text) = of_view(health);
    if let Some(since) = issuer_lost_us {
        let line = format!("issuer of tokens not reached since {}\n", rfc3339(since));
        text.push_str(&line);
    }
    if let Some((since, reason)) = not_audited {
        let since = rfc3339(since);
        let line = format!("audit log not written since {since}: {reason}; exports, backups");
        text.push_str(&line);
        text.push_str(" and deletions wait\n");
    }
    (status, text)
}

fn of_view(health: &Health) -> (StatusCode, String) {
    match health {
        Health::Running => (StatusCode::OK, "ok\n".to_owned()),
        Health::NotRecorded(told) => (
            StatusCode::OK,
            format!(
                "not recorded since {}: {}\n",
                rfc3339(told.since.0),
                told.reason
            ),
        ),
        Health::Ended { reason } => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

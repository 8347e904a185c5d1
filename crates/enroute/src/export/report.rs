//! What is missing from an export and why, for machines and for people, in the
//! words of the completeness ledger.

use crate::utc;
use crate::watch::{account, json, words};
use anyhow::Result;
use enroute_export::{Missing, Written, rfc3339};
use enroute_wire::v1;
use serde_json::{Value, json};

/// Frames that the server says it has.
pub(crate) fn frames(state: &v1::TransferState) -> u64 {
    let streams = state.source.iter().flat_map(|source| &source.completeness);
    streams.fold(0, |sum, stream| sum.saturating_add(stream.durable))
}

/// The export in a few words.
pub(crate) fn said(written: &Written) -> String {
    let gaps = written.gaps.listed.len();
    let files = match written.files.len() {
        0 => String::new(),
        1 => ", 1 recording".to_owned(),
        count => format!(", {count} recordings"),
    };
    format!(
        "{} frames, {} steps of alerts{files}, {gaps} gaps",
        written.frames, written.alerts
    )
}

/// The small files beside the data.
pub(crate) fn files(
    state: &v1::TransferState,
    written: &Written,
    format: &str,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut json = serde_json::to_vec_pretty(&machine(state, written, format))?;
    json.push(b'\n');
    let mut files = vec![
        ("gaps.json".to_owned(), json),
        (
            "gaps.txt".to_owned(),
            human(state, written, format).into_bytes(),
        ),
    ];
    if !written.files.is_empty() {
        let mut names = written.files.join("\n");
        names.push('\n');
        files.push(("RECORDS".to_owned(), names.into_bytes()));
    }
    Ok(files)
}

fn machine(state: &v1::TransferState, written: &Written, format: &str) -> Value {
    let missing = |missing: &Missing| {
        json!({
            "gateway": missing.gateway,
            "epoch": format!("{:016x}", missing.epoch),
            "stream": words::stream(missing.stream),
            "first": missing.numbers.0,
            "last": missing.numbers.1,
            "from": missing.from_us.map(rfc3339),
            "to": missing.to_us.map(rfc3339),
            "cause": cause(missing.cause),
        })
    };
    let source = |source: &v1::Source| {
        json!({
            "gateway": source.gateway,
            "rejected_publishes": source.rejected_publishes,
            "completeness": source.completeness.iter().map(json::stream).collect::<Vec<_>>(),
        })
    };
    json!({
        "transfer": state.transfer,
        "short_code": state.short_code,
        "format": format,
        "exercise": state.exercise,
        "closed": state.closed,
        "frames": written.frames,
        "alert_steps": written.alerts,
        "files": written.files,
        "notes": written.notes,
        "gaps": written.gaps.listed.iter().map(missing).collect::<Vec<_>>(),
        "more_gaps": written.gaps.more,
        "unrecorded": state.unrecorded.iter().map(json::unrecorded).collect::<Vec<_>>(),
        "poisoned": state.poisoned.len(),
        "sources": state.source.iter().map(source).collect::<Vec<_>>(),
    })
}

/// The ledger's word; nothing for what may still come.
fn cause(cause: v1::GapCause) -> Option<String> {
    Some(cause)
        .filter(|cause| *cause != v1::GapCause::Unspecified)
        .map(|cause| json::word(cause.as_str_name()))
}

fn human(state: &v1::TransferState, written: &Written, format: &str) -> String {
    let mut lines = vec![format!(
        "Transfer {} ({}) as {format}: {}",
        state.transfer,
        words::short_code(&state.short_code),
        said(written)
    )];
    if state.exercise {
        lines.push("EXERCISE: simulated, or a recording published again".to_owned());
    }
    if !state.closed {
        lines.push("The transfer was open when this was made: more may have come since".to_owned());
    }
    lines.push(String::new());
    lines.push("What is missing (times by the clocks on board, UTC)".to_owned());
    lines.extend(written.gaps.listed.iter().map(gap_line));
    if written.gaps.listed.is_empty() {
        lines.push("  nothing".to_owned());
    }
    if written.gaps.more > 0 {
        lines.push(format!("  and {} more gaps", written.gaps.more));
    }
    for time in &state.unrecorded {
        lines.push(format!(
            "  the server could not record from {} to {}: {}",
            utc::rfc3339(time.since_us),
            utc::rfc3339(time.until_us),
            words::printable(&time.reason)
        ));
    }
    if !state.poisoned.is_empty() {
        let count = state.poisoned.len();
        lines.push(format!(
            "  {count} records could not be handled and are left out"
        ));
    }
    if !written.notes.is_empty() {
        lines.push(String::new());
        lines.push("What could not be written as it was".to_owned());
        lines.extend(written.notes.iter().map(|note| format!("  {note}")));
    }
    for source in &state.source {
        lines.push(String::new());
        lines.push(format!("Account of {}", words::printable(&source.gateway)));
        let account = account::lines(source);
        lines.extend(account.iter().map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn gap_line(missing: &Missing) -> String {
    let (first, last) = missing.numbers;
    let gap = v1::Gap {
        first,
        last,
        from_us: missing.from_us,
        to_us: missing.to_us,
        cause: missing.cause.into(),
    };
    format!(
        "  {} of {}: {} frames, {first} to {last}, {}: {}",
        words::stream(missing.stream),
        words::printable(&missing.gateway),
        account::frames(&gap),
        account::interval(&gap, rfc3339),
        account::cause(missing.cause)
    )
}

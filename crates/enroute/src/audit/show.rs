//! `enroute audit show`.

use crate::args::WantedRecords;
use crate::clock::SystemClock;
use crate::{out, utc};
use anyhow::{Result, anyhow};
use enroute_audit::{Entry, Outcome, Record};
use enroute_model::time::Clock;
use std::path::Path;

/// Prints the records of a log that are wanted.
pub(super) fn run(dir: &Path, wanted: &WantedRecords) -> Result<()> {
    let since = wanted.since.as_deref().map(since).transpose()?;
    let mut printed = Ok(());
    enroute_audit::records(dir, |record| {
        if printed.is_ok() && is_wanted(&record, wanted, since) {
            printed = print(&record, wanted.json);
        }
    })?;
    printed
}

/// A time, or how long ago.
fn since(text: &str) -> Result<i64> {
    if let Some(at) = utc::parse(text) {
        return Ok(at);
    }
    let ago = crate::args::duration(text)
        .map_err(|_| anyhow!("--since {text}: give a time as 2026-03-01T14:30Z, or 30m, 24h"))?;
    let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Ok(SystemClock::new().wall().saturating_sub(ago))
}

fn is_wanted(record: &Record, wanted: &WantedRecords, since: Option<i64>) -> bool {
    let entry = &record.entry;
    let has = |wanted: &Option<String>, texts: &[&str]| {
        wanted.as_ref().is_none_or(|part| {
            let part = part.to_lowercase();
            { texts.iter() }.any(|text| text.to_lowercase().contains(&part))
        })
    };
    let of = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let (who, token, peer) = (&entry.who, of(&entry.who.token), of(&entry.who.peer));
    let is_of = wanted
        .transfer
        .as_ref()
        .is_none_or(|id| entry.transfer.as_ref() == Some(id));
    is_of
        && has(&wanted.who, &[&who.name, &who.role, &token, &peer])
        && has(&wanted.action, &[&entry.action, &entry.detail])
        && since.is_none_or(|since| record.time_us >= since)
        && (!wanted.refused || entry.outcome == Outcome::Refused)
        && (!wanted.break_glass || is_glass(entry))
}

/// Whether glass was broken, should have been, or was the way to it.
fn is_glass(entry: &Entry) -> bool {
    entry.who.glass.is_some() || entry.action.ends_with("Glass")
}

fn print(record: &Record, json: bool) -> Result<()> {
    if json {
        out::line(serde_json::to_string(record)?)?;
        return Ok(());
    }
    let (entry, who) = (&record.entry, &record.entry.who);
    let more = [
        ("token", &who.token),
        ("as", &who.peer),
        ("from", &who.from),
        ("broken glass", &who.glass),
    ];
    let more = more
        .into_iter()
        .filter_map(|(word, text)| Some(format!("{word} {}", text.as_ref()?)));
    let more: Vec<String> = std::iter::once(who.role.clone()).chain(more).collect();
    let name = if who.name.is_empty() { "-" } else { &who.name };
    let line = format!(
        "{:>7}  {}  {:7}  {:24}  {:20}  {name} ({})  {}",
        record.seq,
        utc::rfc3339(record.time_us),
        entry.outcome.as_str(),
        entry.action,
        entry.transfer.as_deref().unwrap_or("-"),
        more.join(", "),
        entry.detail,
    );
    // Names are claims: nothing in them steers a terminal.
    let is_plain = |c: char| !c.is_control();
    let plain: String = line
        .chars()
        .map(|c| if is_plain(c) { c } else { '?' })
        .collect();
    out::line(plain.trim_end())?;
    Ok(())
}

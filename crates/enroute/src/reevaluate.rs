//! `enroute reevaluate`: a journal through the engine again, alert by alert.

use crate::alerts::{Difference as Other, Episode, differences, episodes};
use crate::args::ReevaluateArgs;
use crate::clock::SystemClock;
use crate::log::{self, Screen};
use crate::recordings::with_journal;
use crate::watch::{json, words};
use crate::{out, rules, utc};
use anyhow::{Context, Result};
use enroute_alert::book::RuleBook;
use enroute_live::{Difference, Rerun, Trial};
use enroute_model::time::{Clock, Span};
use enroute_wire::{Message, v1};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// A check found a difference.
pub(crate) const DIFFERS: u8 = 3;

/// The journal's place in a data directory.
pub(crate) fn journal_dir(data: &Path) -> PathBuf {
    data.join("journal")
}

/// Runs the command.
pub(crate) async fn run(args: ReevaluateArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let clock = SystemClock::new();
    if let Some(transfer) = args.transfer {
        let book = args.profile.as_deref().map(rules::load).transpose()?;
        let book = book.map(Arc::new);
        let trial = move || trial(&args.data, &transfer, book.as_ref());
        let trial = tokio::task::spawn_blocking(trial).await??;
        return one(&trial, clock.monotonic(), args.json);
    }
    let rerun = tokio::task::spawn_blocking(move || rerun(&args.data)).await??;
    for difference in &rerun.differences {
        for line in difference_lines(difference) {
            out::line(line)?;
        }
    }
    let same = rerun.differences.is_empty();
    out::line(format!(
        "{} records of {} transfers handled again; {} stored alert transitions, {}",
        rerun.records,
        rerun.transfers,
        rerun.stored,
        if same {
            "all the same, byte for byte".to_owned()
        } else {
            format!("{} differ", rerun.differences.len())
        }
    ))?;
    Ok(ExitCode::from(if same { 0 } else { DIFFERS }))
}

fn trial(data: &Path, transfer: &str, book: Option<&Arc<RuleBook>>) -> Result<Trial> {
    let mut found = None;
    with_journal(data, |journal| {
        Ok(enroute_live::trials(
            journal,
            Some(transfer),
            book,
            |trial| {
                found = Some(trial);
            },
        )?)
    })?;
    found.with_context(|| format!("no transfer {transfer:?} in this directory"))
}

/// Tells the differences of one transfer, alert by alert.
fn one(trial: &Trial, took: Span, as_json: bool) -> Result<ExitCode> {
    let (was, is) = (episodes(&trial.stored), episodes(&trial.derived));
    let found = differences(&was, &is);
    for difference in found.iter().copied() {
        out::line(if as_json {
            object(difference).to_string()
        } else {
            line(difference)
        })?;
    }
    let long = trial.to.since(trial.from);
    let ratio = long.as_secs_f64() / took.as_secs_f64().max(1e-6);
    if as_json {
        let told = json!({
            "type": "summary",
            "transfer": trial.transfer,
            "records": trial.records,
            "alerts_then": was.len(),
            "alerts_now": is.len(),
            "differences": found.len(),
            "recorded_s": long.as_secs_f64(),
            "took_s": took.as_secs_f64(),
            "times_real_time": ratio,
        });
        out::line(told.to_string())?;
    } else {
        out::line(format!(
            "{}: {} records, {} alerts then, {} now, {} differ; {} in {:.2} s: {ratio:.0} times \
             real time",
            trial.transfer,
            trial.records,
            was.len(),
            is.len(),
            found.len(),
            utc::span(long.0),
            took.as_secs_f64(),
        ))?;
    }
    Ok(ExitCode::from(if found.is_empty() { 0 } else { DIFFERS }))
}

fn priority(episode: &Episode) -> String {
    let known = v1::Priority::try_from(episode.priority).unwrap_or_default();
    json::word(known.as_str_name())
}

fn told(episode: &Episode) -> String {
    let ended = episode.ended_at_us.map_or_else(
        || "open at the end".to_owned(),
        |at| format!("for {}", utc::span(at.saturating_sub(episode.raised_at_us))),
    );
    format!(
        "{} {:6} {} {ended}",
        utc::rfc3339(episode.raised_at_us),
        priority(episode),
        words::alert(&episode.first)
    )
}

fn line(difference: Other) -> String {
    match difference {
        Other::Added(new) => format!("added    {}", told(new)),
        Other::Removed(old) => format!("removed  {}", told(old)),
        Other::Changed(old, new) => {
            let later = new.raised_at_us.saturating_sub(old.raised_at_us);
            let when = match later {
                0 => String::new(),
                later if later > 0 => format!(", {} later", utc::span(later)),
                later => format!(", {} earlier", utc::span(later.saturating_neg())),
            };
            format!("changed  {}\n      to {}{when}", told(old), told(new))
        }
    }
}

fn object(difference: Other) -> Value {
    let alert = |episode: &Episode| {
        json!({
            "raised_at": utc::rfc3339(episode.raised_at_us),
            "ended_at": episode.ended_at_us.map(utc::rfc3339),
            "highest_priority": priority(episode),
            "alert": json::alert(&episode.first),
        })
    };
    match difference {
        Other::Added(new) => json!({ "type": "added", "now": alert(new) }),
        Other::Removed(old) => json!({ "type": "removed", "then": alert(old) }),
        Other::Changed(old, new) => json!({
            "type": "changed",
            "then": alert(old),
            "now": alert(new),
            "later_s": Span(new.raised_at_us.saturating_sub(old.raised_at_us)).as_secs_f64(),
        }),
    }
}

fn rerun(data: &Path) -> Result<Rerun> {
    with_journal(data, |journal| Ok(enroute_live::rerun(journal)?))
}

fn difference_lines(difference: &Difference) -> [String; 3] {
    [
        format!(
            "transfer {} transition {}:",
            difference.transfer, difference.ordinal
        ),
        format!("  stored {}", transition(difference.stored.as_deref())),
        format!("  now    {}", transition(difference.derived.as_deref())),
    ]
}

fn transition(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "nothing".to_owned();
    };
    let Ok(step) = v1::AlertTransition::decode(bytes) else {
        return format!("{} bytes that are no alert transition", bytes.len());
    };
    let Some(alert) = step.alert else {
        return format!("no alert at {}", utc::rfc3339(step.at_us));
    };
    format!(
        "{} alert {} {} {}: {}",
        utc::rfc3339(step.at_us),
        alert.alert_id,
        json::word(alert.priority().as_str_name()),
        json::word(alert.phase().as_str_name()),
        words::alert(&alert)
    )
}

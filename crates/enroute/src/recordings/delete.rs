//! `enroute recordings delete`, and what is remembered of what was deleted.

use super::{read, size, with_journal};
use crate::args::Recorded;
use crate::clock::SystemClock;
use crate::watch::words;
use crate::{audit, client, out, replay, utc};
use anyhow::{Context, Result, anyhow};
use enroute_model::time::{Clock, ServerTime};
use enroute_wire::v1;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Deletes one, once it is sure that it is meant.
pub(super) async fn run(
    recorded: Recorded,
    transfer: String,
    yes: bool,
    actor: String,
) -> Result<ExitCode> {
    let (data, server, json) = (
        recorded.data.clone(),
        recorded.server.clone(),
        recorded.json,
    );
    let (found, _) = read(recorded, transfer).await?;
    let found = found.first().context("the server names no recording")?;
    if !yes && !confirmed(found)? {
        out::line("nothing was deleted")?;
        return Ok(ExitCode::FAILURE);
    }
    let transfer = found.transfer.clone();
    let deleted = if let Some(data) = data {
        let now = ServerTime(SystemClock::new().wall());
        let deleting = tokio::task::spawn_blocking(move || {
            with_journal(&data, |journal| {
                audit::local(&data, "recordings delete", Some(&transfer), "")?;
                Ok(enroute_live::delete(journal, &transfer, &actor, now)?)
            })
        });
        deleting.await??
    } else {
        let asked = v1::DeleteRecordingRequest { transfer, actor };
        let done = replay::connect(&server)
            .await?
            .delete_recording(asked)
            .await;
        let done = done.map_err(|status| anyhow!("{}", client::reason(&status)))?;
        let deleted = done.into_inner().deleted;
        deleted.context("the server does not say what it deleted")?
    };
    if json {
        out::line(object(&deleted).to_string())?;
    } else {
        out::line(format!("deleted: {}", line(&deleted)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks at the terminal.
fn confirmed(recording: &v1::Recording) -> Result<bool> {
    out::line(format!(
        "{} ({}), {} to {}, {}, {} records: all of it goes for good.",
        words::short_code(&recording.short_code),
        recording.transfer,
        utc::rfc3339(recording.starts_at_us),
        utc::rfc3339(recording.ends_at_us),
        size(recording.bytes),
        recording.records,
    ))?;
    out::line("Type yes to delete it:")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Prints what was deleted, the last first.
pub(super) async fn list(recorded: Recorded) -> Result<()> {
    let deleted = if let Some(data) = recorded.data {
        let read = move || {
            with_journal(&data, |journal| {
                Ok(enroute_live::deleted_recordings(journal)?)
            })
        };
        tokio::task::spawn_blocking(read).await??
    } else {
        let asked = v1::ListRecordingsRequest {
            deleted: true,
            ..Default::default()
        };
        let mut client = replay::connect(&recorded.server).await?;
        let listed = client.list_recordings(asked).await;
        let listed = listed.map_err(|status| anyhow!("{}", client::reason(&status)))?;
        listed.into_inner().deleted
    };
    for one in &deleted {
        out::line(if recorded.json {
            object(one).to_string()
        } else {
            line(one)
        })?;
    }
    if !recorded.json {
        out::line(format!("{} deleted recordings", deleted.len()))?;
    }
    Ok(())
}

fn line(deleted: &v1::DeletedRecording) -> String {
    let why = match deleted.reason() {
        v1::DeletionReason::Age => "by age".to_owned(),
        v1::DeletionReason::Size => "for want of room".to_owned(),
        v1::DeletionReason::Person | v1::DeletionReason::Unspecified => {
            match deleted.actor.as_str() {
                "" => "by nobody who said so".to_owned(),
                actor => format!("by {}", words::printable(actor)),
            }
        }
    };
    format!(
        "{}  {} to {}, {}, {} records, deleted {} {why}  {}",
        words::short_code(&deleted.short_code),
        utc::rfc3339(deleted.starts_at_us),
        utc::rfc3339(deleted.ends_at_us),
        size(deleted.bytes),
        deleted.records,
        utc::rfc3339(deleted.deleted_at_us),
        deleted.transfer,
    )
}

fn object(deleted: &v1::DeletedRecording) -> Value {
    json!({
        "transfer": deleted.transfer,
        "short_code": deleted.short_code,
        "aliases": deleted.alias,
        "starts_at": utc::rfc3339(deleted.starts_at_us),
        "ends_at": utc::rfc3339(deleted.ends_at_us),
        "records": deleted.records,
        "bytes": deleted.bytes,
        "deleted_at": utc::rfc3339(deleted.deleted_at_us),
        "reason": crate::watch::json::word(deleted.reason().as_str_name()),
        "actor": deleted.actor,
    })
}

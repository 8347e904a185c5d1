//! `enroute recordings verify`: every record read, its checksum, its content, its
//! place. A damaged record is named and loses only itself.

use super::length_us;
use crate::{out, utc};
use anyhow::{Result, bail};
use enroute_journal::{Classes, Journal, ReadError, Reader};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use enroute_wire::v1;
use enroute_wire::{Message, record};
use serde_json::json;

/// Damage that is told in full; the rest is counted.
const TOLD_MAX: usize = 20;

/// What was found under one id.
#[derive(Default)]
struct Found {
    records: u64,
    steps: u64,
    damaged: u64,
    told: Vec<String>,
}

impl Found {
    fn damage(&mut self, what: String) {
        self.damaged = self.damaged.saturating_add(1);
        if self.told.len() < TOLD_MAX {
            self.told.push(what);
        }
    }
}

/// Checks all transfers, or one; false: something is damaged.
pub(super) fn run(journal: &Journal, one: Option<&str>, as_json: bool) -> Result<bool> {
    let reader = journal.reader();
    let mut ids: Vec<TransferId> = reader.transfers()?.into_iter().map(|(id, _)| id).collect();
    if let Some(one) = one {
        ids.retain(|id| id.as_str() == one);
        if ids.is_empty() {
            bail!("no records of {one:?} in this directory");
        }
    }
    let recordings = enroute_live::recordings(journal)?;
    let (mut records, mut damaged) = (0u64, 0u64);
    for id in &ids {
        let found = check(&reader, id)?;
        records = records.saturating_add(found.records);
        damaged = damaged.saturating_add(found.damaged);
        let recording = recordings.iter().find(|one| one.transfer == id.as_str());
        tell(id, &found, recording, as_json)?;
    }
    if !as_json {
        let word = match damaged {
            0 => "none is damaged".to_owned(),
            n => format!("{n} are damaged; no other is lost by it"),
        };
        out::line(format!(
            "{records} records of {} transfers: {word}",
            ids.len()
        ))?;
    }
    Ok(damaged == 0)
}

fn check(reader: &Reader, id: &TransferId) -> Result<Found> {
    let mut found = Found::default();
    let (mut last, mut last_at) = (Position(0), EngineTime(i64::MIN));
    for stored in reader.scan(id, Classes::All, Position(0)) {
        found.records = found.records.saturating_add(1);
        let stored = match stored {
            Ok(stored) => stored,
            Err(ReadError::Record {
                position,
                through,
                what,
            }) => {
                // Not even how many there were is known of a part of a file.
                found.records = found.records.saturating_sub(u64::from(through > position));
                found.damage(lost((last, last_at), (position, through), &what));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let position = stored.position;
        if position <= last || stored.at < last_at {
            found.damage(format!("record {}: out of order", position.0));
        }
        (last, last_at) = (position, stored.at);
        if let Err(why) = record::decode(&stored.payload) {
            found.damage(format!("record {}: does not decode: {why}", position.0));
        }
    }
    check_steps(reader, id, &mut found)?;
    Ok(found)
}

/// Which records cannot be read, behind which one that can.
fn lost(
    (last, last_at): (Position, EngineTime),
    (first, through): (Position, Position),
    what: &str,
) -> String {
    if first == through {
        return format!("record {}: {what}", first.0);
    }
    let behind = match last {
        Position(0) => "from the start".to_owned(),
        _ => format!("behind {}", utc::rfc3339(last_at.0)),
    };
    format!(
        "a part of a file, {behind}: what there was of records {} to {}: {what}",
        first.0, through.0
    )
}

/// Alert transitions are numbered from 1 without a hole.
fn check_steps(reader: &Reader, id: &TransferId, found: &mut Found) -> Result<()> {
    let mut due = 1u64;
    for row in reader.derived(id, 0) {
        found.steps = found.steps.saturating_add(1);
        let (ordinal, bytes) = match row {
            Ok(row) => row,
            Err(ReadError::Record { position, what, .. }) => {
                found.damage(format!("alert transition {}: {what}", position.0));
                due = position.0.saturating_add(1);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if ordinal != due {
            found.damage(format!(
                "alert transitions {due} to {} are not there",
                ordinal.saturating_sub(1)
            ));
        }
        if v1::AlertTransition::decode(bytes).is_err() {
            found.damage(format!("alert transition {ordinal}: does not decode"));
        }
        due = ordinal.saturating_add(1);
    }
    Ok(())
}

fn tell(
    id: &TransferId,
    found: &Found,
    recording: Option<&v1::Recording>,
    as_json: bool,
) -> Result<()> {
    if as_json {
        let missing = recording
            .map(|one| json!({ "shed": one.shed, "missing": one.missing, "gaps": one.gaps }));
        let line = json!({
            "transfer": id.as_str(),
            "records": found.records,
            "alert_transitions": found.steps,
            "damaged": found.damaged,
            "damage": found.told,
            "not_received": missing,
        });
        out::line(line.to_string())?;
        return Ok(());
    }
    let not_here = match recording {
        Some(one) => format!(
            ", {} long; {} frames missing, {} given up, {} gaps",
            utc::span(length_us(one)),
            one.missing,
            one.shed,
            one.gaps
        ),
        None => ", part of another transfer".to_owned(),
    };
    out::line(format!(
        "{id}: {} records, {} alert transitions{not_here}",
        found.records, found.steps
    ))?;
    for what in &found.told {
        out::line(format!("  DAMAGED {what}"))?;
    }
    let told = u64::try_from(found.told.len()).unwrap_or(u64::MAX);
    if found.damaged > told {
        out::line(format!("  and {} more", found.damaged - told))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use enroute_journal::{Append, Class, Options};
    use enroute_model::ids::GatewayId;
    use enroute_model::time::ServerTime;

    #[tokio::test]
    async fn damage_is_named_and_loses_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, tail) = Journal::open(dir.path(), Options::default()).unwrap();
        drop(tail);
        let id = TransferId::new("tx-1").unwrap();
        let gateway = GatewayId::new("gw-1").unwrap();
        let append = |payload| Append {
            class: Class::Vitals,
            transfer: id.clone(),
            at: EngineTime(1),
            received_at: ServerTime(1),
            payload,
        };
        let records = vec![
            append(record::of_presence(&gateway, true)),
            append(Bytes::from_static(b"not a record")),
            append(record::of_presence(&gateway, false)),
        ];
        journal.appender().append(records).await.unwrap();
        let step = v1::AlertTransition::default().encode_to_vec();
        for ordinal in [1, 2, 5] {
            journal.side().put_derived(&id, ordinal, &step).unwrap();
        }
        let found = check(&journal.reader(), &id).unwrap();
        assert_eq!((found.records, found.steps, found.damaged), (3, 3, 2));
        let [record, steps] = found.told.as_slice() else {
            panic!("{:?}", found.told);
        };
        assert!(record.starts_with("record 2: does not decode"), "{record}");
        assert_eq!(steps, "alert transitions 3 to 4 are not there");
    }
}

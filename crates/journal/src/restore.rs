//! A new journal out of a copy.

use crate::backup::{BackupError, Counts, Head};
use crate::check::{Check, Part, rows};
use crate::error::OpenError;
use crate::keys;
use crate::store::{self, LARGE_TABLE_BYTES, SMALL_TABLE_BYTES};
use crate::tables::Tables;
use crate::vault;
use enroute_model::ids::Position;
use enroute_seal::Ring;
use fjall::{Keyspace, PersistMode};
use std::io::Read;
use std::path::Path;

/// Makes a journal in `dir`, which must not exist or be empty, of the copy in
/// `from`; `told` hears of the progress. The new journal has the same positions and
/// an **incarnation of its own**: what the old one called durable behind the copy
/// is not here, so that gateways must send again what they still hold, and viewers'
/// tokens must not be believed.
///
/// What is in `dir` after an error is no journal; give it a name of its own first.
///
/// # Errors
/// When the copy is not whole or the journal cannot be written.
pub fn restore(
    from: &mut impl Read,
    dir: &Path,
    mut told: impl FnMut(Counts),
) -> Result<(Head, Counts), BackupError> {
    let mut check = Check::default();
    let Part::Head(head) = check.part(from)? else {
        return Err(BackupError::NoBackup);
    };
    let tables = Tables::open(dir, head.slice_us).map_err(|error| opening(&error))?;
    let mut space = None;
    let mut data_keys = Vec::new();
    while !check.has_ended() {
        match check.part(from)? {
            Part::Head(_) | Part::End => {}
            Part::Space(name) if name == vault::FILE => space = Some(Space::DataKeys),
            Part::Space(name) => space = Some(Space::Stored(keyspace(&tables, &name)?)),
            Part::Rows(body) => match &space {
                Some(Space::Stored(space)) => put(&tables, space, &body)?,
                Some(Space::DataKeys) => {
                    let slots = rows(&body).flatten().map(|(_, slot)| slot.to_vec());
                    data_keys.extend(slots);
                }
                None => {
                    let what = "rows come before the name of their keyspace";
                    return Err(BackupError::Write(what.to_owned()));
                }
            },
        }
        told(check.counts());
    }
    let whole = check.end(from)?;
    let mut batch = tables.batch();
    if !data_keys.is_empty() {
        let last = Ring::restore(&dir.join(vault::FILE), &data_keys);
        let last = last.map_err(|error| BackupError::Write(error.to_string()))?;
        batch.insert(&tables.meta, vault::SEALED_KEY, vault::note(last));
    }
    if head.position > Position(0) {
        tables.last_into(&mut batch, head.position, head.at);
    }
    let done = batch.durability(Some(PersistMode::SyncAll)).commit();
    let done = done.and_then(|()| tables.db.persist(PersistMode::SyncAll));
    done.map_err(|error| BackupError::Write(store::describe(&error)))?;
    Ok(whole)
}

/// What the next rows belong to.
enum Space {
    Stored(Keyspace),
    DataKeys,
}

fn keyspace(tables: &Tables, name: &str) -> Result<Keyspace, BackupError> {
    let bytes = match keys::parse_slice_name(name) {
        Some(_) => LARGE_TABLE_BYTES,
        None => SMALL_TABLE_BYTES,
    };
    let space = store::keyspace(&tables.db, name, bytes);
    space.map_err(|error| BackupError::Write(store::describe(&error)))
}

/// One block's rows at once. Not synced: nobody is told of them before the end.
fn put(tables: &Tables, space: &Keyspace, body: &[u8]) -> Result<(), BackupError> {
    let mut batch = tables.batch();
    for (key, value) in rows(body).flatten() {
        batch.insert(space, key, value);
    }
    let done = batch.commit();
    done.map_err(|error| BackupError::Write(store::describe(&error)))
}

fn opening(error: &OpenError) -> BackupError {
    BackupError::Write(error.to_string())
}

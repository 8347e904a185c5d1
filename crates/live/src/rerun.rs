//! The whole journal through fresh engines, without snapshots, and the alerts
//! that come out held against those that were stored when they were raised (I1).

use crate::core::{Core, CoreError, Store};
use crate::engines::Step;
use bytes::Bytes;
use enroute_journal::{Journal, ReadError};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::EngineTime;
use enroute_wire::{Message, v1};
use std::collections::BTreeMap;

/// What a re-run found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rerun {
    /// Records handled.
    pub records: u64,
    /// Transfers, joined ones too.
    pub transfers: u64,
    /// Alert transitions that were stored.
    pub stored: u64,
    /// Where the stored and the new ones differ, by transfer and ordinal.
    pub differences: Vec<Difference>,
}

/// One alert transition that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub transfer: TransferId,
    /// Which.
    pub ordinal: u64,
    /// As it was stored, an encoded `AlertTransition`; `None`: it was not.
    pub stored: Option<Bytes>,
    /// As it came out now; `None`: it did not.
    pub derived: Option<Bytes>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// What is stored could not be read.
    #[error("failed to read the journal: {0}")]
    Read(#[from] ReadError),
    /// A record that broke the engine only now could not be marked.
    #[error("failed to run the journal again: {0}")]
    Journal(#[from] enroute_journal::Failure),
}

impl From<CoreError> for RerunError {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Read(error) => Self::Read(error),
            CoreError::Journal(error) => Self::Journal(error),
        }
    }
}

type Transitions = BTreeMap<(TransferId, u64), Bytes>;

/// Runs every record of `journal` again and compares. Blocks; nothing else may
/// append meanwhile. Nothing is written, except the mark of a record that was
/// handled then and breaks the engine now.
///
/// # Errors
/// When the journal cannot be read.
pub fn rerun(journal: &Journal) -> Result<Rerun, RerunError> {
    let store = Store::of(journal);
    let transfers = store.reader.transfers()?;
    let mut stored = Transitions::new();
    let mut until = EngineTime(i64::MIN);
    for (transfer, _) in &transfers {
        for row in store.reader.derived(transfer, 0) {
            let (ordinal, bytes) = row?;
            if let Ok(step) = v1::AlertTransition::decode(bytes.as_ref()) {
                until = until.max(EngineTime(step.at_us));
            }
            stored.insert((transfer.clone(), ordinal), bytes);
        }
    }
    let starts: Vec<_> = transfers
        .iter()
        .map(|(transfer, _)| (transfer.clone(), Position(0)))
        .collect();
    let mut core = Core::open(store.clone(), None)?;
    let mut derived = Transitions::new();
    let mut records = 0;
    let mut steps = Vec::new();
    for record in store.reader.merge(&starts) {
        let record = match record {
            Ok(record) => record,
            // As in a restart: as good as one that was never there.
            Err(ReadError::Record { .. }) => continue,
            Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error.into()),
        };
        core.take(&record, &mut steps)?;
        collect(&mut steps, &mut derived);
        records += 1;
    }
    // Deadlines that a tick fired behind the last record.
    core.tick(until, &mut steps)?;
    collect(&mut steps, &mut derived);
    Ok(Rerun {
        records,
        transfers: u64::try_from(transfers.len()).unwrap_or(u64::MAX),
        stored: u64::try_from(stored.len()).unwrap_or(u64::MAX),
        differences: differences(&stored, &derived),
    })
}

fn collect(steps: &mut Vec<Step>, derived: &mut Transitions) {
    for step in steps.drain(..) {
        if let Step::Effects { transfer, effects } = step {
            for alert in &effects.alerts {
                let bytes = enroute_wire::state::transition_to(&transfer, alert).encode_to_vec();
                // A rebuilt engine says again what it said before.
                derived
                    .entry((transfer.clone(), alert.ordinal))
                    .or_insert_with(|| bytes.into());
            }
        }
    }
}

fn differences(stored: &Transitions, derived: &Transitions) -> Vec<Difference> {
    let mut differences = Vec::new();
    let keys: std::collections::BTreeSet<_> = stored.keys().chain(derived.keys()).collect();
    for key in keys {
        let (was, is) = (stored.get(key), derived.get(key));
        if was != is {
            differences.push(Difference {
                transfer: key.0.clone(),
                ordinal: key.1,
                stored: was.cloned(),
                derived: is.cloned(),
            });
        }
    }
    differences
}

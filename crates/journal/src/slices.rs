//! The journal's keyspaces: two per slice of engine time, chained on read.

use crate::error::OpenError;
use crate::keys;
use crate::record::Class;
use crate::store::{self, LARGE_TABLE_BYTES, refused};
use enroute_model::time::EngineTime;
use fjall::{Database, Keyspace};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

/// Bytes of a block of waveforms. What is around the samples hardly differs from record to
/// record, and takes 60 bytes of each in such blocks, 68 in those of 4 KiB and 55 in those
/// of 16; but a restart holds one in memory for each transfer that it reads.
const WAVEFORM_BLOCK_BYTES: u32 = 8 << 10;

/// The keyspaces of one slice, as far as there are any.
#[derive(Clone, Default)]
pub(crate) struct Slice {
    number: i64,
    pub(crate) vitals: Option<Keyspace>,
    pub(crate) waveforms: Option<Keyspace>,
}

impl Slice {
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.number == other.number
    }

    fn numbered(number: i64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    fn of(&mut self, class: Class) -> &mut Option<Keyspace> {
        match class {
            Class::Vitals => &mut self.vitals,
            Class::Waveforms => &mut self.waveforms,
        }
    }
}

/// All slices by number. Engine time never decreases over positions, so all
/// positions of a slice lie below those of the next.
pub(crate) struct Slices {
    db: Database,
    width_us: i64,
    map: RwLock<BTreeMap<i64, Slice>>,
}

impl Slices {
    pub(crate) fn open(db: &Database, dir: &Path, width_us: i64) -> Result<Self, OpenError> {
        let mut map: BTreeMap<i64, Slice> = BTreeMap::new();
        for name in db.list_keyspace_names() {
            let Some((class, number)) = keys::parse_slice_name(&name) else {
                continue;
            };
            let space = open(db, class, number).map_err(|error| refused(dir, &error))?;
            let slice = map.entry(number).or_insert_with(|| Slice::numbered(number));
            *slice.of(class) = Some(space);
        }
        Ok(Self {
            db: db.clone(),
            width_us: width_us.max(1),
            map: RwLock::new(map),
        })
    }

    /// The number of the slice for records at `at`.
    pub(crate) fn number(&self, at: EngineTime) -> i64 {
        at.0.div_euclid(self.width_us)
    }

    /// The keyspace for records of `class` at `at`; creates it.
    pub(crate) fn space(&self, class: Class, at: EngineTime) -> fjall::Result<Keyspace> {
        let number = self.number(at);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let slice = map.entry(number).or_insert_with(|| Slice::numbered(number));
        let slot = slice.of(class);
        if let Some(space) = slot {
            return Ok(space.clone());
        }
        let space = open(&self.db, class, number)?;
        *slot = Some(space.clone());
        Ok(space)
    }

    /// Takes out the keyspaces of slices before that of `at` that hold nothing; no
    /// commit goes there any more. The one that was made last stays all the same (in
    /// a restored store it may be of any slice): the store would give its number to the
    /// next one after a start, and might then take that for the deleted one.
    pub(crate) fn drop_empty(&self, at: EngineTime) -> fjall::Result<()> {
        let current = self.number(at);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let all = map
            .values()
            .flat_map(|slice| [&slice.vitals, &slice.waveforms]);
        let newest = all.flatten().map(Keyspace::id).max();
        let empty =
            |space: &mut Keyspace| Some(space.id()) != newest && space.first_key_value().is_none();
        for slice in map.range_mut(..current).map(|(_, slice)| slice) {
            for slot in [&mut slice.vitals, &mut slice.waveforms] {
                if let Some(space) = slot.take_if(empty) {
                    self.db.delete_keyspace(space)?;
                }
            }
        }
        map.retain(|_, slice| slice.vitals.is_some() || slice.waveforms.is_some());
        Ok(())
    }

    /// The keyspace of a class in a slice, if there is one.
    pub(crate) fn get(&self, (number, class): (i64, Class)) -> Option<Keyspace> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&number)?.clone().of(class).take()
    }

    /// The numbers of all slices.
    pub(crate) fn numbers(&self) -> Vec<i64> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.keys().copied().collect()
    }

    /// All slices, oldest first.
    pub(crate) fn list(&self) -> Vec<Slice> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().cloned().collect()
    }
}

/// Opens or creates a keyspace of a slice.
fn open(db: &Database, class: Class, number: i64) -> fjall::Result<Keyspace> {
    let block_bytes = match class {
        Class::Vitals => store::BLOCK_BYTES,
        Class::Waveforms => WAVEFORM_BLOCK_BYTES,
    };
    let name = keys::slice_name(class, number);
    store::keyspace_of_blocks(db, &name, LARGE_TABLE_BYTES, block_bytes)
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices").finish_non_exhaustive()
    }
}

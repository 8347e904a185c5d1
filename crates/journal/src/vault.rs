//! What of a store is sealed, and with which data key.
//!
//! Each value that may tell something of a patient is sealed with the data key of its
//! transfer (of its slice, in a log), bound to its keyspace, its key and its head. In
//! clear remain keys (ids, positions, numbers), heads (times), and what follows from
//! them: how many records there are and how long.
//!
//! ```text
//!  a key is made: synced in `data-keys` ─► a batch with what it sealed and, in `meta`,
//!                                          `sealed`: the highest number in use
//! ```
//!
//! So no durable value lacks its key, and a key that no batch came to use is forgotten
//! when the store is opened. Who seals holds the vault from then until the commit; who
//! destroys keys, or copies the store, waits for them.

use crate::error::{Failure, OpenError, ReadError};
use crate::head::{self, CLEAR, Form, Value};
use crate::pack::Packer;
use crate::steps;
use crate::store::shared;
use bytes::Bytes;
use enroute_model::ids::Position;
use enroute_model::time::{EngineTime, ServerTime};
use enroute_seal::{Keys, Ring};
use fjall::{Keyspace, OwnedWriteBatch};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Name of the file of data keys, beside the store's own files.
pub(crate) const FILE: &str = "data-keys";
/// Meta: the highest number of a data key in use; u32.
pub(crate) const SEALED_KEY: &str = "sealed";
/// Whose data key seals what belongs to nobody alone: no id is empty.
pub(crate) const OWN: &str = "";

/// Where a value lies, and so what it is bound to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) space: &'static str,
    pub(crate) key: &'a [u8],
}

impl Place<'_> {
    fn bound(&self, covered: &[u8]) -> Vec<u8> {
        let mut bound = covered.to_vec();
        bound.extend_from_slice(self.space.as_bytes());
        // No name has it, so that no two places are the same bytes.
        bound.push(0);
        bound.extend_from_slice(self.key);
        bound
    }
}

/// Seals and opens the values of one store.
pub(crate) struct Vault {
    /// `None`: nothing is sealed.
    ring: Option<Ring>,
    packer: Packer,
    /// The highest number that a commit noted.
    noted: AtomicU32,
    using: RwLock<()>,
}

/// The right to seal, until it is dropped.
pub(crate) struct Sealing<'a> {
    vault: &'a Vault,
    _using: Using<'a>,
}

/// Kept for what ends with it.
enum Using<'a> {
    Shared(#[expect(dead_code, reason = "only held")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "only held")] RwLockWriteGuard<'a, ()>),
}

impl Vault {
    /// Opens the data keys of the store in `dir`.
    pub(crate) fn open(
        dir: &Path,
        keys: Option<&Arc<Keys>>,
        meta: &Keyspace,
    ) -> Result<Self, OpenError> {
        let noted = noted(meta).map_err(|what| OpenError::Damaged {
            dir: dir.to_path_buf(),
            what: format!("its note of data keys: {what}"),
        })?;
        Ok(Self {
            ring: Ring::open(&dir.join(FILE), keys, noted)?,
            packer: Packer::default(),
            noted: AtomicU32::new(noted),
            using: RwLock::default(),
        })
    }

    /// To be held until what is sealed is committed.
    pub(crate) fn sealing(&self) -> Sealing<'_> {
        let using = self.using.read().unwrap_or_else(PoisonError::into_inner);
        Sealing {
            vault: self,
            _using: Using::Shared(using),
        }
    }

    /// Waits until nobody else seals; nobody does until it is dropped.
    pub(crate) fn alone(&self) -> Sealing<'_> {
        let using = self.using.write().unwrap_or_else(PoisonError::into_inner);
        Sealing {
            vault: self,
            _using: Using::Alone(using),
        }
    }

    /// The data keys, if there are any.
    pub(crate) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// Takes a value apart, opens and checks it; the error says what does not fit.
    fn open_value(&self, place: Place<'_>, value: &Bytes) -> Result<Value, String> {
        let whole = head::whole(value)?;
        let (at, received_at) = (whole.at, whole.received_at);
        let payload = if whole.key == CLEAR {
            whole.payload
        } else {
            let id = whole.key;
            let key = self.ring.as_ref().and_then(|ring| ring.key(id));
            let key = key.ok_or_else(|| {
                format!("it is sealed with data key {id}, which was destroyed or is damaged")
            })?;
            let plain = key.open(&place.bound(whole.covered), &whole.payload);
            let plain = plain.map_err(|error| error.to_string())?;
            let payload = self.packer.unpack(plain);
            payload.ok_or("what was sealed is no payload")?.into()
        };
        let payload = match whole.form {
            Form::Plain => payload,
            Form::Steps => {
                let unpacked = steps::unpack(&payload);
                unpacked.ok_or("its packed steps are damaged")?.into()
            }
        };
        Ok(Value {
            at,
            received_at,
            payload,
        })
    }

    /// The same for a reader; `position` is for the report.
    pub(crate) fn opened(
        &self,
        place: Place<'_>,
        position: Position,
        value: fjall::Slice,
    ) -> Result<Value, ReadError> {
        let opened = self.open_value(place, &shared(value));
        opened.map_err(|what| ReadError::Record {
            position,
            through: position,
            what: what.into(),
        })
    }
}

impl Sealing<'_> {
    /// Makes the keys of these names at once, where they have none.
    pub(crate) fn ensure<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
        let ring = self.vault.ring.as_ref();
        let made = ring.map_or(Ok(()), |ring| ring.ensure(names));
        made.map_err(|error| Failure::new(&error))
    }

    /// [`Sealing::ensure`], each name as often as it comes.
    pub(crate) fn ensure_all<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        if self.vault.ring.is_none() {
            return Ok(());
        }
        self.ensure(&mut names.collect::<BTreeSet<_>>().into_iter())
    }

    /// A stored value with `payload`, sealed with the key of `name`.
    pub(crate) fn seal(
        &self,
        name: &str,
        place: Place<'_>,
        times: (EngineTime, ServerTime),
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.seal_as(name, place, times, (Form::Plain, payload))
    }

    /// [`Sealing::seal`] for a payload of that form.
    pub(crate) fn seal_as(
        &self,
        name: &str,
        place: Place<'_>,
        times: (EngineTime, ServerTime),
        (form, payload): (Form, &[u8]),
    ) -> Result<Vec<u8>, Failure> {
        let Some(ring) = &self.vault.ring else {
            return Ok(head::seal_as(form, times, payload));
        };
        let mut key = ring.newest(name);
        if key.is_none() {
            self.ensure(std::iter::once(name))?;
            key = ring.newest(name);
        }
        let (id, key) = key.ok_or_else(|| Failure::new(&"a data key is damaged"))?;
        let covered = head::begin(form, id, times);
        let mut sealed = Vec::new();
        let packed = self.vault.packer.pack(payload);
        key.seal(&place.bound(&covered), &packed, &mut sealed)
            .map_err(|error| Failure::new(&error))?;
        let crc = head::checksum(&covered, &sealed);
        Ok([covered.as_slice(), &crc, &sealed].concat())
    }

    /// [`Sealing::seal`] for values without times.
    pub(crate) fn seal_plain(
        &self,
        name: &str,
        place: Place<'_>,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.seal(name, place, (EngineTime(0), ServerTime(0)), payload)
    }

    /// Commits what was sealed by `commit`, with the note of the keys in use.
    pub(crate) fn commit(
        &self,
        mut batch: OwnedWriteBatch,
        meta: &Keyspace,
        commit: impl FnOnce(OwnedWriteBatch) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let last = self.vault.ring.as_ref().map_or(0, Ring::last);
        let noted = &self.vault.noted;
        if last > noted.load(Ordering::Acquire) {
            batch.insert(meta, SEALED_KEY, note(last));
        }
        commit(batch)?;
        noted.fetch_max(last, Ordering::AcqRel);
        Ok(())
    }

    /// What was sealed with these keys is never opened again.
    pub(crate) fn destroy(&self, ids: &[u32]) -> Result<(), Failure> {
        let ring = self.vault.ring.as_ref();
        let destroyed = ring.map_or(Ok(()), |ring| ring.destroy(ids));
        destroyed.map_err(|error| Failure::new(&error))
    }

    /// What was sealed for this name is never opened again.
    pub(crate) fn shred(&self, name: &str) -> Result<(), Failure> {
        let ring = self.vault.ring.as_ref();
        self.destroy(&ring.map_or(Vec::new(), |ring| ring.all(name)))
    }

    /// Another key for each name from now on.
    pub(crate) fn renew(&self, names: &[&str]) -> Result<(), Failure> {
        let ring = self.vault.ring.as_ref();
        let renewed = ring.map_or(Ok(()), |ring| ring.renew(names));
        renewed.map_err(|error| Failure::new(&error))
    }
}

/// Value of [`SEALED_KEY`].
pub(crate) fn note(last: u32) -> Vec<u8> {
    head::seal_plain(&last.to_be_bytes())
}

fn noted(meta: &Keyspace) -> Result<u32, String> {
    let value = meta.get(SEALED_KEY).map_err(|error| error.to_string())?;
    let Some(value) = value else { return Ok(0) };
    let payload = head::open(&shared(value))?.payload;
    let number = payload.as_ref().try_into().map_err(|_| "it is no number")?;
    Ok(u32::from_be_bytes(number))
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

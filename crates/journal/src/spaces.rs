//! Everything of an open store that the journal's handles share, so that all of
//! it can be let go at once: a store that failed is opened again only when
//! nobody has it any more.

use crate::creation;
use crate::deletion::Gone;
use crate::error::OpenError;
use crate::slices::Slices;
use crate::tables::Tables;
use crate::vault::Vault;
use enroute_seal::Keys;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Scans remembered before the ended ones are first forgotten.
const SCANS_MIN: usize = 64;

/// What a reader holds of the store; taken away when the store is let go.
pub(crate) type Lease<T> = Mutex<Option<T>>;

/// A lease that can be taken back, of whatever.
trait Revoke: Send + Sync + std::fmt::Debug {
    fn revoke(&self);
}

impl<T: Send + std::fmt::Debug> Revoke for Lease<T> {
    fn revoke(&self) {
        drop(self.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The keyspaces of one opening of the store, and who reads them.
#[derive(Debug)]
pub(crate) struct Spaces {
    pub(crate) tables: Tables,
    pub(crate) slices: Slices,
    pub(crate) gone: Gone,
    pub(crate) vault: Arc<Vault>,
    leases: Mutex<Leases>,
}

#[derive(Debug, Default)]
struct Leases {
    given: Vec<Weak<dyn Revoke>>,
    /// Length at which the ended ones are forgotten.
    tidy_at: usize,
}

impl Spaces {
    pub(crate) fn open(
        dir: &Path,
        slice_us: u64,
        keys: Option<&Arc<Keys>>,
    ) -> Result<Self, OpenError> {
        let (tables, slices, gone, vault) = creation::finished(dir, || {
            let tables = Tables::open(dir, slice_us)?;
            let width_us = i64::try_from(tables.slice_us).unwrap_or(i64::MAX);
            let slices = Slices::open(&tables.db, dir, width_us)?;
            let vault = Vault::open(dir, keys, &tables.meta)?;
            let gone = Gone::open(&tables, &vault, dir)?;
            Ok((tables, slices, gone, vault))
        })?;
        let spaces = Self {
            tables,
            slices,
            gone,
            vault: Arc::new(vault),
            leases: Mutex::default(),
        };
        spaces.finish_shredding()?;
        Ok(spaces)
    }

    /// Lends `rows` to a reader.
    pub(crate) fn lend<T>(&self, rows: T) -> Arc<Lease<T>>
    where
        T: Send + std::fmt::Debug + 'static,
    {
        let lease = Arc::new(Mutex::new(Some(rows)));
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.given.len() >= leases.tidy_at.max(SCANS_MIN) {
            leases.given.retain(|lease| lease.strong_count() > 0);
            leases.tidy_at = leases.given.len().saturating_mul(2);
        }
        let given: Arc<dyn Revoke> = lease.clone();
        leases.given.push(Arc::downgrade(&given));
        lease
    }

    /// Takes back what scans hold: a reader that stands still must not keep the
    /// store. Waits for a row that is being read.
    pub(crate) fn revoke(&self) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        for lease in leases.given.drain(..).filter_map(|lease| lease.upgrade()) {
            lease.revoke();
        }
    }
}

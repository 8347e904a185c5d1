//! What is known of a journal as a whole: which transfers exist, since which
//! position, and their short codes; the rule books that records may name.

use crate::books;
use enroute_alert::book::Books;
use enroute_journal::{ReadError, Reader};
use enroute_model::ids::{Position, ShortCode, TransferId};
use std::collections::{BTreeMap, BTreeSet};

/// Every transfer that has a record, joined ones included.
#[derive(Clone, Default)]
pub(crate) struct Directory {
    first: BTreeMap<TransferId, Position>,
    codes: BTreeMap<ShortCode, Vec<TransferId>>,
    pub(crate) books: Books,
    /// Transfers that were deleted; see `deletion.rs`.
    pub(crate) deleted: BTreeSet<TransferId>,
}

impl Directory {
    /// That of a journal.
    pub(crate) fn of(reader: &Reader) -> Result<Self, ReadError> {
        let mut directory = Self {
            books: books::stored(reader)?,
            deleted: reader
                .deleted()?
                .into_iter()
                .map(|one| one.transfer)
                .collect(),
            ..Self::default()
        };
        for (transfer, first) in reader.transfers()? {
            directory.add(&transfer, first);
        }
        Ok(directory)
    }

    /// A transfer's first record lies at `position`; later ones change nothing.
    pub(crate) fn add(&mut self, transfer: &TransferId, position: Position) {
        if self.first.contains_key(transfer) {
            return;
        }
        self.first.insert(transfer.clone(), position);
        let code = self.codes.entry(ShortCode::of(transfer)).or_default();
        code.push(transfer.clone());
    }

    /// All of them.
    pub(crate) fn transfers(&self) -> impl ExactSizeIterator<Item = &TransferId> {
        self.first.keys()
    }

    /// Where a transfer's first record lies or lay.
    pub(crate) fn first_of(&self, transfer: &TransferId) -> Position {
        self.first.get(transfer).copied().unwrap_or_default()
    }

    /// Whether the transfer had a record before `position`.
    pub(crate) fn knows(&self, transfer: &TransferId, position: Position) -> bool {
        self.first
            .get(transfer)
            .is_some_and(|first| *first < position)
    }

    /// The only transfer with this short code that had a record before
    /// `position`. Joined transfers count as what they were: whether they are
    /// joined may differ between a run and its re-run.
    pub(crate) fn by_code(
        &self,
        typed: &str,
        position: Position,
    ) -> Result<TransferId, &'static str> {
        let code = ShortCode::parse(typed).ok_or("not a short code")?;
        let mut known = self
            .with_code(&code)
            .iter()
            .filter(|transfer| self.knows(transfer, position));
        match (known.next(), known.next()) {
            (Some(transfer), None) => Ok(transfer.clone()),
            (None, _) => Err("no transfer has this short code"),
            (Some(_), Some(_)) => Err("several transfers have this short code"),
        }
    }

    pub(crate) fn with_code(&self, code: &ShortCode) -> &[TransferId] {
        self.codes.get(code).map_or(&[], Vec::as_slice)
    }
}

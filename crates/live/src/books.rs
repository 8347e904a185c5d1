//! Rule books: what the journal holds of them, and which transfers are to get the
//! record of the one in use.
//!
//! Which book applies to a transfer is a record under its id, so that a restart
//! and a re-run find the same. The shard writes one when a transfer is open and
//! goes by another book than the one in use: when it first appears, when it opens
//! again, and after a change of the book. The book itself is stored before.

use crate::shard::Shard;
use enroute_alert::book::{BookFile, Books, RuleBook};
use enroute_journal::{Append, Class, Failure, ReadError, Reader, TrySubmitError};
use enroute_model::ids::{BookHash, TransferId};
use enroute_model::state::Phase;
use enroute_model::time::ServerTime;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Records appended at a time.
const AT_ONCE: usize = 64;

/// The book in use, and who is to be told.
#[derive(Default)]
pub(crate) struct InUse {
    book: Option<BookHash>,
    /// Open transfers that go by another one.
    due: BTreeSet<TransferId>,
    /// Those whose record is in the journal's queue.
    asked: BTreeSet<TransferId>,
}

/// Every book of a journal that is one to this version.
pub(crate) fn stored(reader: &Reader) -> Result<Books, ReadError> {
    let books = Books::default();
    learn(reader, &books)?;
    Ok(books)
}

/// Adds them to `books`.
pub(crate) fn learn(reader: &Reader, books: &Books) -> Result<(), ReadError> {
    for row in reader.books() {
        let (hash, bytes) = match row {
            Ok(row) => row,
            Err(ReadError::Record { what, .. }) => {
                tracing::error!(%what, "a stored rule book is damaged");
                continue;
            }
            Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => return Err(error),
        };
        let files = BookFile::unpack(&bytes).unwrap_or_default();
        match RuleBook::parse(files) {
            Ok(book) if book.hash() == hash => books.put(Arc::new(book)),
            Ok(_) => tracing::error!(%hash, "a stored rule book is not the one it should be"),
            Err(problems) => {
                let problem = problems.first().map(ToString::to_string);
                tracing::error!(%hash, problem, "a stored rule book is none to this version");
            }
        }
    }
    Ok(())
}

impl Shard {
    /// From here on open transfers go by this book.
    pub(crate) fn use_book(&mut self, book: Arc<RuleBook>) -> Result<(), Failure> {
        let hash = book.hash();
        let bytes = BookFile::pack(book.files());
        self.core.store.side.put_book(hash, &bytes)?;
        self.core.engines.directory.books.put(book);
        self.in_use.book = Some(hash);
        self.every_book_is_due();
        self.tell_books();
        Ok(())
    }

    /// Looks at every transfer: the book is new, or the engines are.
    pub(crate) fn every_book_is_due(&mut self) {
        self.in_use.asked.clear();
        self.in_use.due.clear();
        let transfers: Vec<_> = self.core.engines.slots.keys().cloned().collect();
        for transfer in transfers {
            self.note_book(&transfer);
        }
    }

    /// A record of the transfer was handled: perhaps its first one, or the one
    /// that names the book.
    pub(crate) fn note_book(&mut self, transfer: &TransferId) {
        let Some(book) = self.in_use.book else { return };
        let Some(slot) = self.core.engines.slots.get(transfer) else {
            return;
        };
        let engine = &slot.engine;
        let same = engine.rule_book() == book;
        if same || engine.phase() != Phase::Open || slot.is_broken() {
            // Nothing is to be allocated for what is so nearly always.
            if !self.in_use.asked.is_empty() || !self.in_use.due.is_empty() {
                self.in_use.asked.remove(transfer);
                self.in_use.due.remove(transfer);
            }
        } else if !self.in_use.asked.contains(transfer) {
            self.in_use.due.insert(transfer.clone());
        }
    }

    /// Appends the records that are due, as far as there is room.
    pub(crate) fn tell_books(&mut self) {
        let Some(book) = self.in_use.book else { return };
        while !self.in_use.due.is_empty() {
            let some: Vec<_> = self.in_use.due.iter().take(AT_ONCE).cloned().collect();
            let payload = enroute_wire::record::of_rule_book(book);
            let records = some.iter().map(|transfer| Append {
                class: Class::Vitals,
                transfer: transfer.clone(),
                at: self.core.now,
                received_at: ServerTime(self.clock.wall()),
                payload: payload.clone(),
            });
            match self.appender.try_submit(records.collect()) {
                // What comes of it is seen when the record is.
                Ok(pending) => drop(pending),
                Err(TrySubmitError::Full(_)) => return,
                Err(error) => {
                    tracing::warn!(%error, "the rule book in use is not noted");
                    return;
                }
            }
            for transfer in some {
                self.in_use.due.remove(&transfer);
                self.in_use.asked.insert(transfer);
            }
        }
    }
}

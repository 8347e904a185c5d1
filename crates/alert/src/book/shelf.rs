//! The books that are known here, by hash.

use super::RuleBook;
use enroute_model::ids::BookHash;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Known books; clones share them. As a book goes by the hash of its text, what a
/// hash means never changes: an engine may look it up at any time.
#[derive(Clone, Debug)]
pub struct Books(Arc<RwLock<BTreeMap<BookHash, Arc<RuleBook>>>>);

impl Default for Books {
    /// The built-in one.
    fn default() -> Self {
        let book = RuleBook::built_in();
        Self(Arc::new(RwLock::new(BTreeMap::from([(book.hash(), book)]))))
    }
}

impl Books {
    /// Adds a book.
    pub fn put(&self, book: Arc<RuleBook>) {
        let mut books = self.0.write().unwrap_or_else(PoisonError::into_inner);
        books.insert(book.hash(), book);
    }

    /// Of all of them, in their order.
    pub fn hashes(&self) -> impl Iterator<Item = BookHash> + use<> {
        let books = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let hashes: Vec<_> = books.keys().copied().collect();
        hashes.into_iter()
    }

    /// The book with this hash.
    #[must_use]
    pub fn get(&self, hash: BookHash) -> Option<Arc<RuleBook>> {
        let books = self.0.read().unwrap_or_else(PoisonError::into_inner);
        books.get(&hash).cloned()
    }
}

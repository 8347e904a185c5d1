//! Something that many viewers are given, put into the contract's words once.

use crate::options::{Stats, add};
use bytes::Bytes;
use std::ops::Deref;
use std::sync::OnceLock;

/// What is given, and its words from the moment in which the first viewer was told of
/// it: whoever is told the same takes those.
#[derive(Debug)]
pub struct Worded<T> {
    what: T,
    words: OnceLock<Bytes>,
}

impl<T> Worded<T> {
    /// Without words so far.
    pub fn new(what: T) -> Self {
        let words = OnceLock::new();
        Self { what, words }
    }

    /// Its words, made by `word` if nobody has been told yet; counted then.
    pub fn words(&self, stats: &Stats, word: impl FnOnce(&T) -> Bytes) -> Bytes {
        let words = self.words.get_or_init(|| {
            add(&stats.worded, 1);
            word(&self.what)
        });
        words.clone()
    }
}

impl<T> Deref for Worded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

/// By what it is.
impl<T: PartialEq> PartialEq for Worded<T> {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_later_is_given_the_same_words() {
        let stats = Stats::default();
        let worded = Worded::new(7);
        let words = worded.words(&stats, |what| Bytes::from(what.to_string()));
        let again = worded.words(&stats, |_| Bytes::from("others"));
        assert_eq!((&*words, words.as_ptr()), (&b"7"[..], again.as_ptr()));
        assert_eq!(stats.worded(), 1);
    }
}

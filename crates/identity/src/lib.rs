//! Who the patients are, apart from everything else that is known of them: name, birth
//! date and record number, the legal basis and the consent, per transfer.
//!
//! ```text
//!  [`Change`] ─► [`Entry`] (pure: what is taken and what is refused)
//!                   └─ [`Store`]: one sealed file per transfer, a data key for each
//! ```
//!
//! Nothing of it is in a frame, a topic, the journal, a log, a metric or a URL (I10);
//! the transfer's id is all that ties the two together. The store lies in a directory
//! of its own, under keys of its own, so another disk and other people can have it.
//!
//! Not here: who may see it (`access` and `feed`), where keys come from
//! ([`enroute_seal::Source`]), and any clock.
//!
//! # What is lost when
//!
//! | what happens | what is lost |
//! | --- | --- |
//! | a power cut in the midst of a change | that change; the entry is as it was before |
//! | a file is damaged | that transfer's entry, and it is told which |
//! | both copies of a slot in `data-keys` are damaged | the entry that it sealed |
//! | `data-keys`, or the key above it, is lost | all; the store refuses to open, and changes nothing |
//! | an entry is forgotten | its data key first, so that no copy of its file opens |
//!
//! # Limits
//!
//! | what | bound | when reached |
//! | --- | --- | --- |
//! | entries | [`ENTRIES_MAX`], some 150 bytes of memory each | refused with words |
//! | a name, a record number, a remark | [`NAME_CHARS_MAX`], [`NUMBER_CHARS_MAX`], [`REMARK_CHARS_MAX`] characters | refused with words |
//! | what was said of basis and consent | [`STATEMENTS_MAX`] per transfer | the oldest goes |
//!
//! Start with [`Entry`], then [`Store`].

mod entry;
mod error;
mod file;
mod person;
mod store;

pub use entry::{Basis, Change, Consent, Entry, REMARK_CHARS_MAX, STATEMENTS_MAX, Says, Statement};
pub use error::{EntryError, StoreError};
pub use person::{BirthDate, Invalid, NAME_CHARS_MAX, NUMBER_CHARS_MAX, Person};
pub use store::{ENTRIES_MAX, Store};

#[cfg(test)]
mod tests;

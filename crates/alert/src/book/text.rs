//! A book as text: its files, its hash, and as one piece of bytes for the journal.

use enroute_model::ids::BookHash;
use sha2::{Digest, Sha256};

/// One file of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// Bytes that are no book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no rule book")]
pub struct NotABook;

impl BookFile {
    /// The files as one piece of bytes: of each its name and its length on one
    /// line, then its text. Hashes and the journal are about these bytes, so
    /// their form never changes.
    #[must_use]
    pub fn pack(files: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Self { name, text } in files {
            bytes.extend_from_slice(format!("{name}\t{}\n", text.len()).as_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// What [`BookFile::pack`] wrote.
    ///
    /// # Errors
    /// When it did not.
    pub fn unpack(bytes: &[u8]) -> Result<Vec<Self>, NotABook> {
        let mut rest = std::str::from_utf8(bytes).map_err(|_| NotABook)?;
        let mut files = Vec::new();
        while !rest.is_empty() {
            let (head, behind) = rest.split_once('\n').ok_or(NotABook)?;
            let (name, length) = head.split_once('\t').ok_or(NotABook)?;
            let length: usize = length.parse().map_err(|_| NotABook)?;
            let (text, behind) = behind.split_at_checked(length).ok_or(NotABook)?;
            files.push(Self {
                name: name.to_owned(),
                text: text.to_owned(),
            });
            rest = behind;
        }
        Ok(files)
    }
}

/// Of files in the order of their names.
pub(super) fn hash(files: &[BookFile]) -> BookHash {
    BookHash(Sha256::digest(BookFile::pack(files)).into())
}

/// The files in `crates/alert/rules`.
pub(super) fn built_in() -> Vec<BookFile> {
    [
        (
            "adolescent.toml",
            include_str!("../../rules/adolescent.toml"),
        ),
        ("adult.toml", include_str!("../../rules/adult.toml")),
        ("book.toml", include_str!("../../rules/book.toml")),
        ("child.toml", include_str!("../../rules/child.toml")),
        (
            "conditions.toml",
            include_str!("../../rules/conditions.toml"),
        ),
        ("infant.toml", include_str!("../../rules/infant.toml")),
        ("neonate.toml", include_str!("../../rules/neonate.toml")),
        ("overlays.toml", include_str!("../../rules/overlays.toml")),
        ("scores.toml", include_str!("../../rules/scores.toml")),
    ]
    .into_iter()
    .map(|(name, text)| BookFile {
        name: name.to_owned(),
        text: text.to_owned(),
    })
    .collect()
}

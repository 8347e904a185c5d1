//! Reading a copy of a journal: block by block, held against its checksums, its
//! numbers and its counts. The format is in `backup.rs`.

use crate::backup::{
    BLOCK_HEAD_BYTES, BODY_BYTES_MAX, BackupError, Counts, END, HEAD, Head, MAGIC, META, ROWS,
    SPACE, SPACE_BYTES_MAX, checksum, take,
};
use crate::keys;
use std::io::Read;

/// What a block of a copy says.
#[derive(Debug)]
pub(crate) enum Part {
    Head(Head),
    Space(String),
    /// Already known to be whole.
    Rows(Vec<u8>),
    End,
}

/// Reads a copy block by block and holds it against its checksums and counts.
#[derive(Debug, Default)]
pub struct Check {
    number: u64,
    head: Head,
    counts: Counts,
    is_records: bool,
    ended: bool,
}

impl Check {
    /// Reads whatever whole blocks are in `chunk`, such as one of [`crate::Backup`].
    ///
    /// # Errors
    /// When it is not what should come next.
    pub fn chunk(&mut self, mut chunk: &[u8]) -> Result<(), BackupError> {
        while !chunk.is_empty() {
            self.part(&mut chunk)?;
        }
        Ok(())
    }

    /// Reads a whole copy; `told` hears of the progress.
    ///
    /// # Errors
    /// When it is not whole, or cannot be read.
    pub fn all(
        mut self,
        from: &mut impl Read,
        mut told: impl FnMut(Counts),
    ) -> Result<(Head, Counts), BackupError> {
        while !self.ended {
            self.part(from)?;
            told(self.counts);
        }
        self.end(from)
    }

    /// What it holds, once it was whole.
    ///
    /// # Errors
    /// When its end has not come.
    pub fn whole(&self) -> Result<(Head, Counts), BackupError> {
        if self.ended {
            return Ok((self.head, self.counts));
        }
        let blocks = self.number;
        Err(BackupError::Truncated { blocks })
    }

    /// What was read so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing may come behind the end.
    pub(crate) fn end(&self, from: &mut impl Read) -> Result<(Head, Counts), BackupError> {
        if from.read(&mut [0])? != 0 {
            return Err(self.damaged("something follows its end"));
        }
        self.whole()
    }

    fn damaged(&self, what: &'static str) -> BackupError {
        let block = self.number;
        BackupError::Damaged { block, what }
    }

    /// The next block.
    pub(crate) fn part(&mut self, from: &mut impl Read) -> Result<Part, BackupError> {
        if self.ended {
            return Err(self.damaged("something follows its end"));
        }
        if self.number == 0 {
            let mut magic = [0; MAGIC.len()];
            match from.read_exact(&mut magic) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(BackupError::NoBackup);
                }
                read => read?,
            }
            if magic != *MAGIC {
                return Err(BackupError::NoBackup);
            }
        }
        let (kind, body) = self.block(from)?;
        let part = match kind {
            HEAD if self.number == 0 => {
                self.head = Head::of(&body)?;
                Part::Head(self.head)
            }
            SPACE | ROWS | END if self.number == 0 => return Err(self.damaged("it has no head")),
            SPACE => {
                let name = String::from_utf8(body);
                let name = name.map_err(|_| self.damaged("a name is no text"))?;
                // The store takes no other, and what is in `meta` is never copied.
                if !(1..=SPACE_BYTES_MAX).contains(&name.len()) || name == META {
                    return Err(self.damaged("a name is of no keyspace"));
                }
                self.is_records = keys::parse_slice_name(&name).is_some();
                Part::Space(name)
            }
            ROWS => {
                for row in rows(&body) {
                    let (key, value) = row.ok_or_else(|| self.damaged("a row is cut off"))?;
                    if key.is_empty() {
                        return Err(self.damaged("a row has no key"));
                    }
                    self.counts.add(self.is_records, value);
                }
                Part::Rows(body)
            }
            END => {
                let counts = [self.counts.rows, self.counts.records, self.counts.bytes];
                if body != counts.map(u64::to_be_bytes).concat() {
                    return Err(self.damaged("its counts do not agree with what it holds"));
                }
                self.ended = true;
                Part::End
            }
            _ => return Err(self.damaged("a block is of no known kind")),
        };
        self.number = self.number.saturating_add(1);
        Ok(part)
    }

    fn block(&self, from: &mut impl Read) -> Result<(u8, Vec<u8>), BackupError> {
        let mut head = [0; BLOCK_HEAD_BYTES];
        from.read_exact(&mut head)
            .map_err(|error| self.cut(error))?;
        let (covered, crc) = head.split_at(BLOCK_HEAD_BYTES - 4);
        let mut rest = covered;
        let short = |()| self.damaged("a head is cut off");
        let [kind] = take(&mut rest).map_err(short)?;
        let number = u64::from_be_bytes(take(&mut rest).map_err(short)?);
        let length = u32::from_be_bytes(take(&mut rest).map_err(short)?);
        if length > BODY_BYTES_MAX {
            return Err(self.damaged("a length is not possible"));
        }
        // Allocates what is there, not what a damaged length says.
        let mut body = Vec::new();
        from.take(u64::from(length)).read_to_end(&mut body)?;
        if u32::try_from(body.len()).ok() != Some(length) {
            return Err(BackupError::Truncated {
                blocks: self.number,
            });
        }
        if checksum(covered, &body).to_be_bytes() != crc {
            return Err(self.damaged("the checksum does not fit"));
        }
        if number != self.number {
            return Err(self.damaged("another block stands here"));
        }
        Ok((kind, body))
    }

    fn cut(&self, error: std::io::Error) -> BackupError {
        if error.kind() == std::io::ErrorKind::UnexpectedEof {
            return BackupError::Truncated {
                blocks: self.number,
            };
        }
        error.into()
    }
}

/// The rows of a block; `None` for one that is cut off.
pub(crate) fn rows(mut body: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let mut row = || {
            let key = usize::from(u16::from_be_bytes(take(&mut body).ok()?));
            let value = u32::from_be_bytes(take(&mut body).ok()?);
            let (key, behind) = body.split_at_checked(key)?;
            let (value, behind) = behind.split_at_checked(usize::try_from(value).ok()?)?;
            body = behind;
            Some((key, value))
        };
        let row = row();
        if row.is_none() {
            body = &[];
        }
        Some(row)
    })
}

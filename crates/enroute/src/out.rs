//! Standard output, for what a command is asked to print. A closed pipe ends the
//! command quietly, as with any other tool in a pipeline.

use std::io::{self, Write};

/// Prints a line.
///
/// # Errors
/// When standard output cannot be written; see [`is_closed_pipe`].
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Whether the reader of our output has gone, as `head` does.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

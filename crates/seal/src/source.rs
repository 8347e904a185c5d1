//! Where the key-encryption keys come from.

use crate::keys::{Keys, KeysError, TEXT_BYTES_MAX};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a command may take: a key service over a slow line, and no longer than a
/// start may hang.
const COMMAND_WAIT: Duration = Duration::from_secs(30);

/// `[encryption]`: either a file of keys, or a command that prints them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A file for its owner alone.
    #[serde(default)]
    pub keys: Option<PathBuf>,
    /// A program with its arguments; no shell is between.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

impl Source {
    /// The keys, read or asked for now. Blocks.
    ///
    /// # Errors
    /// Says what to do; never what was read.
    pub fn load(&self) -> Result<Keys, KeysError> {
        match (&self.keys, &self.command) {
            (Some(file), None) => of_file(file),
            (None, Some(command)) => match command.split_first() {
                Some((program, arguments)) => of_command(program, arguments),
                None => Err(KeysError::Source),
            },
            (Some(_), Some(_)) | (None, None) => Err(KeysError::Source),
        }
    }

    /// Keys of a file.
    #[must_use]
    pub fn file(file: &Path) -> Self {
        Self {
            keys: Some(file.to_owned()),
            command: None,
        }
    }
}

fn of_file(path: &Path) -> Result<Keys, KeysError> {
    let unreadable = |error| KeysError::Unreadable {
        file: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(KeysError::Open {
            file: path.to_owned(),
        });
    }
    let text = read(file).map_err(unreadable)?;
    parsed(&text, || path.display().to_string())
}

fn of_command(program: &str, arguments: &[String]) -> Result<Keys, KeysError> {
    let failed = |what: String| KeysError::Command {
        command: program.to_owned(),
        what,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("it does not start: {error}")))?;
    let text = answer(&mut child).map_err(|error| {
        // It may be gone already; that is as good.
        child.kill().ok();
        child.wait().ok();
        failed(error.to_string())
    })?;
    let ended = child.wait().map_err(|error| failed(error.to_string()))?;
    if !ended.success() {
        return Err(failed(format!("it ended with {ended}")));
    }
    parsed(&text, || format!("what {program:?} printed"))
}

/// All that a command prints, if it ends in time.
fn answer(child: &mut Child) -> io::Result<Zeroizing<Vec<u8>>> {
    let printed = child.stdout.take();
    let printed = printed.ok_or_else(|| io::Error::other("nothing can be read of it"))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || {
            // Nobody waits any more when it took too long.
            sender.send(read(printed)).ok();
        })?;
    receiver.recv_timeout(COMMAND_WAIT).unwrap_or_else(|_| {
        let seconds = COMMAND_WAIT.as_secs();
        Err(io::Error::other(format!("it took more than {seconds} s")))
    })
}

fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    // Never grows: a buffer that moves would leave its bytes behind.
    let mut text = Zeroizing::new(Vec::with_capacity(TEXT_BYTES_MAX.saturating_add(1)));
    from.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(io::Error::other("it is longer than any list of keys"));
    }
    Ok(text)
}

fn parsed(text: &[u8], from: impl Fn() -> String) -> Result<Keys, KeysError> {
    let wrong = |what: String| KeysError::Content { from: from(), what };
    let text = std::str::from_utf8(text).map_err(|_| wrong("it is no text".to_owned()))?;
    Keys::parse(text).map_err(wrong)
}

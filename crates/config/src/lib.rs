//! Configuration files: read, checked in full, and explained when wrong. An error
//! names the file, the line and what to do; nothing is opened before.
//!
//! Not here: what is made of it, and the files that it names, which their own rooms read.
//! A file has at most 1 MiB. Start with [`load`].

pub mod access;
pub mod address;
mod filter;
pub mod gateway;
pub mod identity;
pub mod server;

use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes: what is larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Characters of a line, or of what is wrong with it, that are shown.
const SHOWN_CHARS_MAX: usize = 400;

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub struct ConfigError {
    file: PathBuf,
    /// Line and column from 1, and the text of the line.
    place: Option<(usize, usize, String)>,
    message: String,
    help: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match &self.place {
            Some((line, column, text)) => {
                writeln!(f, ":{line}:{column}: {}", self.message)?;
                let number = line.to_string();
                let indent = " ".repeat(number.len());
                writeln!(f, " {number} | {text}")?;
                let caret = " ".repeat(column.saturating_sub(1));
                write!(f, " {indent} | {caret}^")?;
            }
            None => write!(f, ": {}", self.message)?,
        }
        write!(f, "\n what to do: {}", self.help)
    }
}

impl std::error::Error for ConfigError {}

/// Something that a check found, before the file is known.
pub struct Wrong {
    /// Bytes of the text that it speaks of.
    pub at: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Wrong {
    /// A finding at a place of the file.
    pub fn at(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at: Some(at),
            message: message.into(),
            help: help.into(),
        }
    }

    /// A finding about something that is not in the file.
    pub fn absent(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A configuration that can be checked beyond its shape.
pub trait Checked: DeserializeOwned {
    /// What the file is called among the examples.
    const EXAMPLE: &'static str;

    /// Finds what the shape alone does not show.
    ///
    /// # Errors
    /// The first finding.
    fn check(&self) -> Result<(), Wrong>;
}

/// Reads and checks a file.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn load<C: Checked>(file: &Path) -> Result<C, ConfigError> {
    let unreadable = |message: String| ConfigError {
        file: file.to_owned(),
        place: None,
        message,
        help: format!(
            "name a readable TOML file; {} is a commented one",
            C::EXAMPLE
        ),
    };
    let size = std::fs::metadata(file)
        .map_err(|error| unreadable(format!("cannot be read: {error}")))?
        .len();
    if size > FILE_BYTES_MAX {
        return Err(unreadable(format!(
            "is {size} bytes long, a configuration has at most {FILE_BYTES_MAX}"
        )));
    }
    let bytes =
        std::fs::read(file).map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8 text".into()))?;
    parse(file, &text)
}

/// Parses and checks the text of `file`.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse<C: Checked>(file: &Path, text: &str) -> Result<C, ConfigError> {
    let explain = |wrong: Wrong| ConfigError {
        file: file.to_owned(),
        place: wrong.at.map(|at| place(text, at.start)),
        // A terminal must not obey what stands in a file.
        message: shown(&wrong.message),
        help: wrong.help,
    };
    let config: C = toml::from_str(text).map_err(|error| {
        explain(Wrong {
            at: error.span(),
            message: error.message().trim().to_owned(),
            help: format!("correct the line; {} is a commented example", C::EXAMPLE),
        })
    })?;
    config.check().map_err(explain)?;
    Ok(config)
}

/// Line and column (from 1, in characters) of a byte, and the line's text.
fn place(text: &str, at: usize) -> (usize, usize, String) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    let text = text.get(start..).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    (line, column, shown(first))
}

/// Words on one line, of bounded length.
fn shown(words: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    words.chars().take(SHOWN_CHARS_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests;

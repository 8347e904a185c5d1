//! Configuration files: read, checked in full, and explained when wrong. An error
//! names the file, the line and what to do; nothing is opened before.

pub(crate) mod access;
pub(crate) mod gateway;
pub(crate) mod identity;
pub(crate) mod server;

use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes: what is larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub(crate) struct ConfigError {
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
pub(crate) struct Wrong {
    /// Bytes of the text that it speaks of.
    pub(crate) at: Option<Range<usize>>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) help: String,
}

impl Wrong {
    /// A finding at a place of the file.
    pub(crate) fn at(
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            at: Some(at),
            message: message.into(),
            help: help.into(),
        }
    }

    /// A finding about something that is not in the file.
    pub(crate) fn absent(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A configuration that can be checked beyond its shape.
pub(crate) trait Checked: DeserializeOwned {
    /// What the file is called among the examples.
    const EXAMPLE: &'static str;

    /// Finds what the shape alone does not show.
    fn check(&self) -> Result<(), Wrong>;
}

/// Reads and checks a file.
pub(crate) fn load<C: Checked>(file: &Path) -> Result<C, ConfigError> {
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
pub(crate) fn parse<C: Checked>(file: &Path, text: &str) -> Result<C, ConfigError> {
    let explain = |wrong: Wrong| ConfigError {
        file: file.to_owned(),
        place: wrong.at.map(|at| place(text, at.start)),
        message: wrong.message,
        help: wrong.help,
    };
    let config: C = toml::from_str(text).map_err(|error| {
        explain(Wrong {
            at: error.span(),
            message: error.message().trim().replace('\n', " "),
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
    let shown = text.lines().next().unwrap_or_default().chars().take(120);
    let shown = shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    (line, column, shown)
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;

//! Rule books as files: read, checked, shown, written; `enroute rules`. The server's
//! part, which takes changes while it runs, is [`keeper`].

pub(crate) mod keeper;
mod show;

use crate::args::{Age, RulesAction, RulesArgs};
use crate::{log, out};
use anyhow::{Context, Result, bail};
use enroute_alert::book::{BookFile, FILE_BYTES_MAX, FILES_MAX, Problem, RuleBook};
use enroute_model::registry::AgeBand;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The book is not in order.
const WRONG: u8 = 2;

/// Why a book is not taken.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Vec<Problem>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rule book is not in order:")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n {problem}"))
    }
}

impl std::error::Error for Refused {}

/// Reads and checks a book: the `.toml` files of a directory, or one file.
///
/// # Errors
/// Everything that is wrong with it, by file and line.
pub(crate) fn load(path: &Path) -> Result<RuleBook, Refused> {
    RuleBook::parse(read(path)?).map_err(Refused)
}

fn read(path: &Path) -> Result<Vec<BookFile>, Refused> {
    let paths = if path.is_dir() {
        files_of(path).map_err(|error| refused(path, &error.to_string()))?
    } else {
        vec![path.to_owned()]
    };
    if paths.len() > FILES_MAX {
        let reason = format!("has more than {FILES_MAX} .toml files");
        return Err(refused(path, &reason));
    }
    paths.iter().map(|path| read_file(path)).collect()
}

/// The `.toml` files of a directory, by name.
fn files_of(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
        let is_book = path.extension() == Some(OsStr::new("toml"));
        if is_book && !path.file_name().is_some_and(hidden) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> Result<BookFile, Refused> {
    let size = std::fs::metadata(path).map(|about| about.len());
    let size = size.map_err(|error| refused(path, &format!("cannot be read: {error}")))?;
    // What is too large is not read, and refused with its size.
    if usize::try_from(size).is_ok_and(|size| size > FILE_BYTES_MAX) {
        let reason =
            format!("has {size} bytes; a file of a rule book has at most {FILE_BYTES_MAX}");
        return Err(refused(path, &reason));
    }
    let text = std::fs::read(path)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()))
        .map_err(|reason| refused(path, &reason))?;
    Ok(BookFile {
        name: name_of(path),
        text,
    })
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn refused(path: &Path, reason: &str) -> Refused {
    Refused(vec![Problem {
        file: path.display().to_string(),
        line: None,
        reason: reason.to_owned(),
    }])
}

/// Runs the command.
pub(crate) fn run(args: RulesArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), log::Screen::Free)?;
    match args.action {
        RulesAction::Check { dir } => return check(&dir),
        RulesAction::Show {
            population,
            conditions,
            dir,
        } => {
            let book = match dir.as_deref().map(load) {
                None => RuleBook::built_in(),
                Some(Ok(book)) => book.into(),
                Some(Err(refused)) => return say(&refused),
            };
            let band = population.map(band);
            out::line(show::table(&book, band, &conditions).trim_end())?;
        }
        RulesAction::Export { dir } => export(&dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(dir: &Path) -> Result<ExitCode> {
    let book = match load(dir) {
        Ok(book) => book,
        Err(refused) => return say(&refused),
    };
    out::line(format!("{}: in order", show::title(&book)))?;
    Ok(ExitCode::SUCCESS)
}

fn say(refused: &Refused) -> Result<ExitCode> {
    for problem in &refused.0 {
        out::line(problem.to_string())?;
    }
    Ok(ExitCode::from(WRONG))
}

fn export(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    let book = RuleBook::built_in();
    let there = book
        .files()
        .iter()
        .find(|file| dir.join(&file.name).exists());
    if let Some(file) = there {
        bail!(
            "{} exists; nothing was written",
            dir.join(&file.name).display()
        );
    }
    for file in book.files() {
        let path = dir.join(&file.name);
        std::fs::write(&path, &file.text)
            .with_context(|| format!("failed to write {}", path.display()))?;
        out::line(path.display().to_string())?;
    }
    Ok(())
}

/// As the model has it.
fn band(age: Age) -> AgeBand {
    match age {
        Age::Neonate => AgeBand::Neonate,
        Age::Infant => AgeBand::Infant,
        Age::Child => AgeBand::Child,
        Age::Adolescent => AgeBand::Adolescent,
        Age::Adult => AgeBand::Adult,
    }
}

#[cfg(test)]
mod tests;

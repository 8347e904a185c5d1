//! One recording through the engine again, for itself: what was raised, and what
//! would be raised now.

use crate::replay::course::Course;
use crate::replay::source::{Arrival, Recorded, Source};
use crate::{engines::Step, recordings};
use enroute_alert::book::RuleBook;
use enroute_journal::{Journal, ReadError, Reader};
use enroute_model::ids::TransferId;
use enroute_model::record::{Entry, Record};
use enroute_model::time::EngineTime;
use enroute_wire::{Message, v1};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What came of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// The transfer, by the id it goes by.
    pub transfer: String,
    /// Records handled.
    pub records: u64,
    /// Its first record and its end.
    pub from: EngineTime,
    /// See `from`.
    pub to: EngineTime,
    /// The steps that were stored when they happened, …
    pub stored: Vec<v1::AlertTransition>,
    /// … and those that came out now.
    pub derived: Vec<v1::AlertTransition>,
}

/// Runs the recordings of a journal that no server has open, all or the one that has
/// this id or short code; with `book` by that rule book from the first record on, in
/// the place of those that the records name. Writes nothing. Blocks; one recording's
/// alerts at a time are in memory.
///
/// # Errors
/// When the journal cannot be read.
pub fn trials(
    journal: &Journal,
    one: Option<&str>,
    book: Option<&Arc<RuleBook>>,
    mut each: impl FnMut(Trial),
) -> Result<(), crate::RerunError> {
    let reader = journal.reader();
    for recording in recordings::recordings(journal)? {
        let named = |name: &str| {
            let code = enroute_model::ids::ShortCode::parse(name);
            recording.transfer == name
                || recording.alias.iter().any(|alias| alias == name)
                || code.is_some_and(|code| code.as_str() == recording.short_code)
        };
        if !one.is_none_or(named) {
            continue;
        }
        let ids = std::iter::once(&recording.transfer).chain(&recording.alias);
        let members: Vec<_> = ids.filter_map(|name| TransferId::new(name).ok()).collect();
        each(trial(&reader, members, book)?);
    }
    Ok(())
}

fn trial(
    reader: &Reader,
    members: Vec<TransferId>,
    book: Option<&Arc<RuleBook>>,
) -> Result<Trial, ReadError> {
    let mut trial = Trial::default();
    let Some(transfer) = members.first().cloned() else {
        return Ok(trial);
    };
    trial.transfer = transfer.to_string();
    for member in &members {
        for row in reader.derived(member, 0) {
            match row {
                Ok((_, bytes)) => trial.stored.extend(v1::AlertTransition::decode(bytes)),
                Err(ReadError::Record { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let mut source = Arrival::new(Recorded::open(reader, transfer, members)?)?;
    let mut course = Course::new(source.directory());
    let mut steps = Vec::new();
    let mut by_the_book = BTreeSet::new();
    if let Some(book) = book {
        course.engines.directory.books.put(Arc::clone(book));
    }
    while let Some(taken) = source.next()? {
        let record = &taken.record;
        if let Some(book) = book {
            if matches!(record.entry, Entry::RuleBook { .. }) {
                continue;
            }
            if by_the_book.insert(record.transfer.clone()) {
                let entry = Entry::RuleBook { hash: book.hash() };
                let first = Record {
                    entry,
                    ..record.clone()
                };
                course.take(&first, &mut steps);
            }
        }
        course.take(record, &mut steps);
        trial.records = trial.records.saturating_add(1);
        collect(&mut steps, &mut trial.derived);
    }
    (trial.from, trial.to) = source.bounds();
    // Deadlines that a tick fired behind the last record.
    course.advance(trial.to, &mut steps);
    collect(&mut steps, &mut trial.derived);
    Ok(trial)
}

fn collect(steps: &mut Vec<Step>, derived: &mut Vec<v1::AlertTransition>) {
    for step in steps.drain(..) {
        if let Step::Effects { transfer, effects } = step {
            let alerts = effects.alerts.iter();
            derived
                .extend(alerts.map(|alert| enroute_wire::state::transition_to(&transfer, alert)));
        }
    }
}

//! What is recorded of each transfer: from when to when, how many alerts, what is
//! missing. The engines' ledgers have the counts; times and alerts are read from
//! the journal.

use crate::core::{Core, Sleepers, Store};
use crate::deletion::Extent;
use crate::live::LookupError;
use crate::rerun::RerunError;
use crate::shard::Shard;
use enroute_alert::book::Books;
use enroute_journal::{Journal, ReadError, Reader};
use enroute_model::ids::{Position, TransferId};
use enroute_model::state::{Phase, StreamCompleteness, TransferState};
use enroute_model::time::EngineTime;
use enroute_wire::{Message, state, v1};
use std::collections::BTreeMap;

/// All recordings of a journal that no server has open, the newest first. Runs what
/// lies behind the engines' snapshots, as a start does; writes nothing but the mark
/// of a record that breaks an engine. Blocks.
///
/// # Errors
/// When the journal cannot be read.
pub fn recordings(journal: &Journal) -> Result<Vec<v1::Recording>, RerunError> {
    let store = Store::of(journal);
    let mut core = Core::open(store.clone(), None)?;
    let members = store.reader.transfers()?.into_iter();
    let members: Vec<_> = members.map(|(transfer, _)| transfer).collect();
    let through = journal.last_position();
    core.load_all(&members, through, Sleepers::Wake, &mut |_, _| Ok(()))?;
    let slots = core.engines.slots.values();
    let states = slots.map(|slot| (slot.state(), slot.extent));
    Ok(of_states(&store.reader, states)?)
}

/// What is remembered of the deleted recordings of a journal, the last deleted first.
///
/// # Errors
/// When the journal cannot be read.
pub fn deleted_recordings(journal: &Journal) -> Result<Vec<v1::DeletedRecording>, ReadError> {
    deleted(&journal.reader())
}

pub(crate) fn deleted(reader: &Reader) -> Result<Vec<v1::DeletedRecording>, ReadError> {
    let rows = reader.deleted()?.into_iter();
    // A joined one has the same row as the one that had its records.
    let own = rows.filter_map(|row| {
        let deleted = v1::DeletedRecording::decode(row.bytes).ok()?;
        (deleted.transfer == row.transfer.as_str()).then_some(deleted)
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|deleted| std::cmp::Reverse(deleted.deleted_at_us));
    Ok(own)
}

/// Which recordings are wanted.
#[derive(Clone, Debug)]
pub struct Page {
    /// An id, alias or short code: this one only.
    pub one: Option<String>,
    /// Those whose first record lies before this; `None`: the newest.
    pub before: Option<Position>,
    /// At most so many.
    pub max: usize,
}

/// A page as the shard knows it: who is in memory, and who has to be read.
pub(crate) struct Paged {
    here: Vec<(TransferState, Extent)>,
    asleep: Vec<TransferId>,
    books: Books,
    pub(crate) next: Option<Position>,
}

impl Shard {
    pub(crate) fn page(&self, wanted: &Page) -> Result<Paged, LookupError> {
        let engines = &self.core.engines;
        let (mut found, mut next) = (Vec::new(), None);
        if let Some(name) = &wanted.one {
            found.push(engines.lookup(name)?);
        } else {
            let all = engines.slots.keys().chain(engines.asleep.keys());
            let all = all.map(|id| (engines.directory.first_of(id), id));
            let before = wanted.before.unwrap_or(Position(u64::MAX));
            let mut all: Vec<_> = all.filter(|(first, _)| *first < before).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            if all.len() > wanted.max {
                all.truncate(wanted.max);
                next = all.last().map(|(first, _)| *first);
            }
            found.extend(all.into_iter().map(|(_, id)| id.clone()));
        }
        let (mut here, mut asleep) = (Vec::new(), Vec::new());
        for id in found {
            match engines.slots.get(&id) {
                Some(slot) => here.push((self.state_of(slot), slot.extent)),
                None => asleep.push(id),
            }
        }
        let books = engines.directory.books.clone();
        Ok(Paged {
            here,
            asleep,
            books,
            next,
        })
    }
}

/// The recordings of a page, the newest first.
pub(crate) fn of_page(reader: &Reader, paged: Paged) -> Result<Vec<v1::Recording>, ReadError> {
    let asleep = paged.asleep.iter();
    let slots = asleep.filter_map(|id| crate::sleep::asleep(reader, &paged.books, id));
    let asleep = slots.map(|slot| (slot.state(), slot.extent));
    of_states(reader, paged.here.into_iter().chain(asleep))
}

/// The recordings of these transfers, the newest first.
fn of_states(
    reader: &Reader,
    states: impl Iterator<Item = (TransferState, Extent)>,
) -> Result<Vec<v1::Recording>, ReadError> {
    let recordings = states.map(|(state, extent)| of_state(reader, &state, extent));
    let recordings: Result<Vec<_>, _> = recordings.collect();
    let mut recordings = recordings?;
    recordings.sort_by(|a, b| {
        let newest = b.starts_at_us.cmp(&a.starts_at_us);
        newest.then_with(|| a.transfer.cmp(&b.transfer))
    });
    Ok(recordings)
}

fn of_state(
    reader: &Reader,
    state: &TransferState,
    extent: Extent,
) -> Result<v1::Recording, ReadError> {
    let members = || std::iter::once(&state.transfer).chain(&state.aliases);
    let (mut first, mut last) = (None, EngineTime(i64::MIN));
    let mut alerts = Alerts::default();
    for member in members() {
        if let Some((from, to)) = reader.ends(member)? {
            first = Some(first.map_or(from.at, |first: EngineTime| first.min(from.at)));
            last = last.max(to.at);
        }
        alerts.read(reader, member)?;
    }
    let first = first.unwrap_or_default();
    let streams = || state.sources.iter().flat_map(|source| &source.completeness);
    let sum = |count: fn(&StreamCompleteness) -> u64| {
        streams().fold(0u64, |sum, stream| sum.saturating_add(count(stream)))
    };
    let length = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let shown = state::transfer_to(state);
    Ok(v1::Recording {
        gateway: shown.source.iter().map(|s| s.gateway.clone()).collect(),
        transfer: shown.transfer,
        short_code: shown.short_code,
        alias: shown.alias,
        info: shown.info,
        exercise: state.exercise,
        closed: state.phase != Phase::Open,
        starts_at_us: first.0,
        ends_at_us: last.max(first).0,
        alerts: alerts.raised(),
        high_alerts: alerts.high(),
        produced: sum(|s| s.durable.saturating_add(s.shed).saturating_add(s.missing)),
        durable: sum(|s| s.durable),
        shed: sum(|s| s.shed),
        missing: sum(|s| s.missing),
        gaps: sum(|s| {
            u64::try_from(s.gaps.len())
                .unwrap_or(0)
                .saturating_add(s.more_gaps)
        }),
        unrecorded: length(state.unrecorded.len()),
        poisoned: length(state.poisoned.len()),
        damage: alerts.damage(),
        records: extent.records,
        bytes: extent.bytes,
    })
}

/// Alert conditions by id, and whether each was ever of high priority.
#[derive(Default)]
struct Alerts {
    by_id: BTreeMap<(TransferId, u64), bool>,
    damaged: u64,
}

impl Alerts {
    fn read(&mut self, reader: &Reader, member: &TransferId) -> Result<(), ReadError> {
        for row in reader.derived(member, 0) {
            match row {
                Ok((_, bytes)) => self.step(member, &bytes),
                Err(ReadError::Record { .. }) => self.damaged = self.damaged.saturating_add(1),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn step(&mut self, member: &TransferId, bytes: &[u8]) {
        let step = v1::AlertTransition::decode(bytes).ok();
        let Some(alert) = step.and_then(|step| step.alert) else {
            self.damaged = self.damaged.saturating_add(1);
            return;
        };
        if alert.retrospective {
            return;
        }
        let high = alert.priority() == v1::Priority::High;
        let known = self.by_id.entry((member.clone(), alert.alert_id));
        *known.or_default() |= high;
    }

    fn raised(&self) -> u64 {
        u64::try_from(self.by_id.len()).unwrap_or(u64::MAX)
    }

    fn high(&self) -> u64 {
        let high = self.by_id.values().filter(|high| **high).count();
        u64::try_from(high).unwrap_or(u64::MAX)
    }

    fn damage(&self) -> String {
        match self.damaged {
            0 => String::new(),
            n => format!("{n} stored alert transitions do not read"),
        }
    }
}

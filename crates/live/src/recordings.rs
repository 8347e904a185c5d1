//! What is recorded of each transfer: from when to when, how many alerts, what is
//! missing. The engines' ledgers have the counts; times and alerts are read from
//! the journal.

use crate::core::{Core, Sleepers, Store};
use crate::engines::Slot;
use crate::rerun::RerunError;
use enroute_journal::{Journal, ReadError, Reader};
use enroute_model::ids::TransferId;
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
    let states = core.engines.slots.values().map(Slot::state);
    Ok(of_states(&store.reader, states)?)
}

/// The recordings of these transfers, the newest first.
pub(crate) fn of_states(
    reader: &Reader,
    states: impl Iterator<Item = TransferState>,
) -> Result<Vec<v1::Recording>, ReadError> {
    let recordings: Result<Vec<_>, _> = states.map(|state| of_state(reader, &state)).collect();
    let mut recordings = recordings?;
    recordings.sort_by(|a, b| {
        let newest = b.starts_at_us.cmp(&a.starts_at_us);
        newest.then_with(|| a.transfer.cmp(&b.transfer))
    });
    Ok(recordings)
}

fn of_state(reader: &Reader, state: &TransferState) -> Result<v1::Recording, ReadError> {
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

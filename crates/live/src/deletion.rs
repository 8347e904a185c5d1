//! Recordings are deleted by somebody's word, by age, or for want of room.
//!
//! Only a closed transfer on which no gateway is live is deleted, with all that was
//! joined to it. The journal remembers that it was ([`enroute_journal::Side::delete`]),
//! so that a restart finds nothing of it. Records that come for it later:
//!
//! - of its past: refused by the engines, counted, and covered by a receipt for all of
//!   that leg through the frame that came, so that a gateway frees what it holds and
//!   sends nothing again. They go from the disk with the next look of retention.
//! - a live frame: somebody is on it again. It appears anew, from that record on.
//!
//! The same rule runs live, in a restart and in a replay (I1), because it is asked in
//! [`Engines`] and goes by what the journal remembers.

use crate::core::{Core, CoreError, Sleepers, Store};
use crate::engines::Engines;
use crate::live::LookupError;
use crate::options::add;
use crate::rerun::RerunError;
use crate::shard::{Shard, Told};
use enroute_engine::StreamReceipt;
use enroute_journal::{Failure, Journal, ReadError, Stored};
use enroute_model::ids::{GatewayId, Lane, Position, ShortCode, StreamKey, TransferId};
use enroute_model::record::Entry;
use enroute_model::state::Phase;
use enroute_model::time::{EngineTime, ServerTime, Span};
use enroute_wire::{Message, frame, v1};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is said of a record for a deleted transfer.
pub(crate) const DELETED: &str = "the recording of this transfer was deleted";
const OPEN: &str = "the transfer is open: close it first";
const LIVE: &str = "a gateway is still on it live: it was heard within the last minute";
/// So long after a live frame a closed transfer still has somebody on it.
const LIVE_WITHIN: Span = Span::from_secs(60);
/// Recordings that one look of retention deletes at the most: each is a synced write
/// on the thread of the engines.
const AT_ONCE: usize = 64;

/// How much is recorded of a transfer: deterministic, as it follows from the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Of the last record.
    pub(crate) last_at: EngineTime,
}

impl Extent {
    pub(crate) fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// What is known of a transfer whose engine is on disk only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asleep {
    pub(crate) told: Told,
    pub(crate) extent: Extent,
}

/// Why a recording is deleted, and when by the server's clock.
#[derive(Clone, Debug)]
pub(crate) struct Why {
    pub(crate) reason: v1::DeletionReason,
    pub(crate) actor: String,
    pub(crate) at: ServerTime,
}

/// Why a recording is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The name does not resolve.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It is not over.
    #[error("not deleted: {0}")]
    Active(&'static str),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] RerunError),
    /// The journal does not take it; nothing was deleted.
    #[error("not deleted, as the journal cannot be written: {}", .0.reason())]
    Journal(Failure),
    /// The live view is not recorded now.
    #[error("not deleted: nothing can be recorded now; try again when the journal works")]
    NotRecorded,
}

/// Where nothing was recorded for longer than this, age goes on by this much only.
const SILENT_MAX: Span = Span::from_secs(7 * 24 * 60 * 60);

/// How long recordings are kept. The default keeps all.
///
/// Age is engine time since the last record, but believed only where recordings bear
/// witness to it: a stretch in which nothing was recorded counts as a week at the most,
/// and as a quarter of `age`. So a server whose clock is years ahead when it starts
/// takes nobody's recordings away: they age on with what is recorded from then on.
/// Where little is recorded they are kept longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Since their last record.
    pub age: Option<Span>,
    /// Bytes of all records as they came, those of open transfers too.
    pub bytes_max: Option<u64>,
}

/// A recording as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) transfer: TransferId,
    pub(crate) closed: bool,
    pub(crate) last_at: EngineTime,
    pub(crate) bytes: u64,
}

impl Retention {
    /// What is to be deleted now, the oldest closed ones first.
    pub(crate) fn due(
        self,
        now: EngineTime,
        mut kept: Vec<Kept>,
    ) -> Vec<(TransferId, v1::DeletionReason)> {
        let total = kept
            .iter()
            .fold(0u64, |sum, one| sum.saturating_add(one.bytes));
        let mut excess = total.saturating_sub(self.bytes_max.unwrap_or(u64::MAX));
        kept.sort_by(|a, b| (a.last_at, &a.transfer).cmp(&(b.last_at, &b.transfer)));
        let is_old = self.old(now, &kept);
        let closed = kept.into_iter().zip(is_old);
        let closed = closed.filter(|(one, _)| one.closed);
        let mut due = Vec::new();
        for (one, is_old) in closed.take(AT_ONCE) {
            let reason = if is_old {
                v1::DeletionReason::Age
            } else if excess > 0 {
                v1::DeletionReason::Size
            } else {
                break;
            };
            excess = excess.saturating_sub(one.bytes);
            due.push((one.transfer, reason));
        }
        due
    }

    /// Which of these, in the order of their last records, are too old.
    fn old(self, now: EngineTime, kept: &[Kept]) -> Vec<bool> {
        let Some(limit) = self.age else {
            return vec![false; kept.len()];
        };
        let silent_max = SILENT_MAX.min(limit.scaled(1, 4));
        let (mut age, mut later) = (Span::ZERO, now);
        let newest_first = kept.iter().rev().map(|one| {
            let silent = later.since(one.last_at).clamp(Span::ZERO, silent_max);
            (age, later) = (Span(age.0.saturating_add(silent.0)), one.last_at);
            age >= limit
        });
        let mut old: Vec<_> = newest_first.collect();
        old.reverse();
        old
    }
}

/// Deletes a recording of a journal that no server has open, and gives its space back.
/// Blocks.
///
/// # Errors
/// When it is open, or the journal cannot be read or written.
pub fn delete(
    journal: &Journal,
    name: &str,
    actor: &str,
    at: ServerTime,
) -> Result<v1::DeletedRecording, DeleteError> {
    let store = Store::of(journal);
    let mut core = Core::open(store.clone(), None).map_err(RerunError::from)?;
    let members = store.reader.transfers().map_err(RerunError::from)?;
    let members: Vec<_> = members.into_iter().map(|(id, _)| id).collect();
    let through = journal.last_position();
    core.load_all(&members, through, Sleepers::Stay, &mut |_, _| Ok(()))
        .map_err(RerunError::from)?;
    let why = Why {
        reason: v1::DeletionReason::Person,
        actor: actor.to_owned(),
        at,
    };
    let deleted = core.delete(name, through, why)?;
    store.side.purge().map_err(DeleteError::Journal)?;
    Ok(deleted)
}

impl Engines {
    /// Whether a record is of something that was deleted, and stays so.
    pub(crate) fn is_deleted(&self, canonical: &TransferId, entry: &Entry) -> bool {
        let live = matches!(
            entry,
            Entry::Frame {
                lane: Lane::Live,
                ..
            }
        );
        !live && self.directory.deleted.contains(canonical) && !self.has(canonical)
    }

    /// Why this one cannot be deleted now.
    fn active(&self, transfer: &TransferId, now: EngineTime) -> Option<&'static str> {
        // A sleeper is closed, and nobody was heard for long.
        let slot = self.slots.get(transfer)?;
        match slot.engine.phase() {
            Phase::Closed { at } => {
                let on_it = slot.live_at > at && now.since(slot.live_at) < LIVE_WITHIN;
                on_it.then_some(LIVE)
            }
            Phase::Open => Some(OPEN),
        }
    }

    /// Forgets a transfer and all that was joined to it.
    fn forget(&mut self, members: &[TransferId]) {
        for member in members {
            self.remove(member);
            self.asleep.remove(member);
            self.aliases.remove(member);
            self.directory.deleted.insert(member.clone());
        }
    }
}

impl Core {
    /// Counts a record that was handled.
    pub(crate) fn measure(&mut self, stored: &Stored) {
        let transfer = self.engines.canonical(&stored.transfer).clone();
        if let Some(slot) = self.engines.slots.get_mut(&transfer) {
            slot.extent.add(Extent {
                records: 1,
                bytes: u64::try_from(stored.payload.len()).unwrap_or(u64::MAX),
                last_at: stored.at,
            });
        }
    }

    fn extent(&self, transfer: &TransferId) -> Extent {
        let slot = self.engines.slots.get(transfer).map(|slot| slot.extent);
        let asleep = self.engines.asleep.get(transfer);
        slot.or(asleep.map(|asleep| asleep.extent))
            .unwrap_or_default()
    }

    /// Deletes what is recorded under a name through `through`.
    pub(crate) fn delete(
        &mut self,
        name: &str,
        through: Position,
        why: Why,
    ) -> Result<v1::DeletedRecording, DeleteError> {
        let transfer = self.engines.lookup(name)?;
        if let Some(active) = self.engines.active(&transfer, self.now) {
            return Err(DeleteError::Active(active));
        }
        let members = self.engines.members(&transfer);
        let extent = self.extent(&transfer);
        let starts_at = self.starts_at(&members).map_err(RerunError::from)?;
        let aliases = members.iter().filter(|member| **member != transfer);
        let deleted = v1::DeletedRecording {
            transfer: transfer.to_string(),
            short_code: ShortCode::of(&transfer).to_string(),
            alias: aliases.map(ToString::to_string).collect(),
            starts_at_us: starts_at.unwrap_or(extent.last_at).0,
            ends_at_us: extent.last_at.0,
            records: extent.records,
            bytes: extent.bytes,
            deleted_at_us: why.at.0,
            reason: why.reason.into(),
            actor: why.actor,
        };
        let side = &self.store.side;
        side.delete(&members, through, &deleted.encode_to_vec())
            .map_err(DeleteError::Journal)?;
        self.engines.forget(&members);
        let reason = why.reason.as_str_name();
        tracing::info!(%transfer, reason, "recording deleted");
        Ok(deleted)
    }

    fn starts_at(&self, members: &[TransferId]) -> Result<Option<EngineTime>, ReadError> {
        let mut first = None;
        for member in members {
            if let Some((from, _)) = self.store.reader.ends(member)? {
                first = Some(first.map_or(from.at, |first: EngineTime| first.min(from.at)));
            }
        }
        Ok(first)
    }
}

impl Shard {
    /// See [`crate::Live::delete_recording`].
    pub(crate) fn delete(
        &mut self,
        name: &str,
        why: Why,
    ) -> Result<v1::DeletedRecording, DeleteError> {
        if self.is_forked() || !self.is_recording() {
            return Err(DeleteError::NotRecorded);
        }
        let deleted = self.core.delete(name, self.handled, why)?;
        let of_it = |id: &str| deleted.transfer == id || deleted.alias.iter().any(|a| a == id);
        self.told.retain(|transfer, _| !of_it(transfer.as_str()));
        Ok(deleted)
    }

    /// What retention goes by.
    pub(crate) fn kept(&mut self) -> Vec<Kept> {
        if let Err(error) = self.delete_late() {
            tracing::warn!(%error, "what came for deleted transfers stays on the disk");
        }
        let kept = |(transfer, closed, extent): (&TransferId, bool, Extent)| Kept {
            transfer: transfer.clone(),
            closed,
            last_at: extent.last_at,
            bytes: extent.bytes,
        };
        let (engines, now) = (&self.core.engines, self.core.now);
        let awake = engines.slots.iter();
        let awake = awake.map(|(id, slot)| (id, engines.active(id, now).is_none(), slot.extent));
        let asleep = engines
            .asleep
            .iter()
            .map(|(id, asleep)| (id, true, asleep.extent));
        awake.chain(asleep).map(kept).collect()
    }

    /// Deletes what came for deleted transfers since.
    fn delete_late(&mut self) -> Result<(), CoreError> {
        let mut late = std::mem::take(&mut self.late);
        late.retain(|transfer| !self.core.engines.has(transfer));
        if late.is_empty() || self.is_forked() {
            return Ok(());
        }
        let store = &self.core.store;
        for deleted in store.reader.deleted()? {
            if late.contains(&deleted.transfer) {
                let transfers = [deleted.transfer];
                store
                    .side
                    .delete(&transfers, self.handled, &deleted.bytes)?;
            }
        }
        Ok(())
    }

    /// Counts a frame of a deleted transfer, and lets its gateway free it: a receipt
    /// for all of the leg through it, as nothing of that is wanted any more.
    pub(crate) fn came_for_deleted(&mut self, gateway: &GatewayId, stored: &Stored) {
        add(&self.stats.for_deleted, 1);
        self.late.insert(stored.transfer.clone());
        let received = crate::catch_up::received(&stored.payload);
        let header = received.and_then(|(_, bytes)| frame::decode_header(&bytes).ok());
        let Some(header) = header else { return };
        let key = StreamKey {
            gateway: gateway.clone(),
            epoch: header.epoch,
            stream: header.stream,
        };
        let place = (key.epoch.0, key.stream, header.leg_first);
        let receipt = StreamReceipt {
            key,
            first: header.leg_first,
            through: header.sequence,
            above: Vec::new(),
        };
        let due = self.deleted_due.entry(gateway.clone()).or_default();
        let kept = due.entry(place).or_insert_with(|| receipt.clone());
        kept.through = kept.through.max(receipt.through);
    }

    /// Sends the receipts for frames of deleted transfers.
    pub(crate) fn flush_deleted(&mut self) {
        if self.is_forked() {
            // Receipts follow a commit, always (I2).
            return self.deleted_due.clear();
        }
        for (gateway, receipts) in std::mem::take(&mut self.deleted_due) {
            self.receipts.put(&gateway, receipts);
        }
    }
}

/// Receipts for frames of deleted transfers, until the end of the input.
pub(crate) type DeletedDue = BTreeMap<GatewayId, crate::outbox::Receipted>;

#[cfg(test)]
mod tests {
    use super::*;
    use v1::DeletionReason::{Age, Size};

    const DAY: Span = Span::from_secs(24 * 60 * 60);

    /// Name, closed, age in days, bytes.
    fn due(
        age: Option<i64>,
        bytes_max: Option<u64>,
        kept: &[(&str, bool, i64, u64)],
    ) -> Vec<(String, v1::DeletionReason)> {
        let now = EngineTime(0).plus(DAY.scaled(1_000, 1));
        let kept = kept.iter().map(|(name, closed, age, bytes)| Kept {
            transfer: TransferId::new(name).unwrap(),
            closed: *closed,
            last_at: EngineTime(now.0 - DAY.scaled(*age, 1).0),
            bytes: *bytes,
        });
        // Something is recorded each day.
        let others = (0..100).map(|day| Kept {
            transfer: TransferId::new(&format!("tx-day-{day}")).unwrap(),
            closed: false,
            last_at: EngineTime(now.0 - DAY.scaled(day, 1).0),
            bytes: 0,
        });
        let kept = kept.chain(others);
        let age = age.map(|days| DAY.scaled(days, 1));
        let due = Retention { age, bytes_max }.due(now, kept.collect());
        due.into_iter()
            .map(|(id, why)| (id.to_string(), why))
            .collect()
    }

    fn said(due: &[(&str, v1::DeletionReason)]) -> Vec<(String, v1::DeletionReason)> {
        due.iter()
            .map(|(id, why)| ((*id).to_owned(), *why))
            .collect()
    }

    const SOME: [(&str, bool, i64, u64); 4] = [
        ("tx-new", true, 1, 40),
        ("tx-open", false, 900, 50),
        ("tx-old", true, 90, 10),
        ("tx-older", true, 91, 20),
    ];

    #[test]
    fn all_is_kept_unless_told_otherwise() {
        assert_eq!(due(None, None, &SOME), []);
    }

    #[test]
    fn by_age_counts_from_the_last_record_and_spares_open_ones() {
        assert_eq!(due(Some(92), None, &SOME), []);
        assert_eq!(due(Some(91), None, &SOME), said(&[("tx-older", Age)]));
        let both = said(&[("tx-older", Age), ("tx-old", Age)]);
        assert_eq!(due(Some(2), None, &SOME), both);
    }

    /// Which of those go that were last heard so many days ago, at 30 days of age.
    fn old(days: &[i64]) -> Vec<i64> {
        let now = EngineTime(i64::MAX / 2);
        let kept = days.iter().map(|day| Kept {
            transfer: TransferId::new(&format!("tx-{day}")).unwrap(),
            closed: true,
            last_at: EngineTime(now.0 - DAY.scaled(*day, 1).0),
            bytes: 0,
        });
        let month = Retention {
            age: Some(DAY.scaled(30, 1)),
            bytes_max: None,
        };
        let due = month.due(now, kept.collect());
        let day = |(id, _): (TransferId, _)| id.as_str().trim_start_matches("tx-").parse();
        due.into_iter().map(|one| day(one).unwrap()).collect()
    }

    #[test]
    fn a_clock_that_is_years_ahead_ages_nothing_out() {
        // Nothing but the clock says that it was so long ago.
        assert!(old(&[9_000, 9_001, 9_020]).is_empty());
        // With what is recorded from then on, age goes on: 7 days of the 9,000, …
        assert!(old(&[0, 7, 14, 21, 9_020]).is_empty());
        // … so this one comes to 30.
        assert_eq!(old(&[0, 7, 14, 21, 22, 9_020, 9_021]), [9_021]);
        // A week without any transfer is believed.
        assert_eq!(old(&[7, 14, 21, 28, 29, 30, 31]), [31, 30]);
    }

    #[test]
    fn for_room_the_oldest_closed_go_until_there_is_enough() {
        assert_eq!(due(None, Some(120), &SOME), []);
        assert_eq!(due(None, Some(119), &SOME), said(&[("tx-older", Size)]));
        assert_eq!(due(None, Some(100), &SOME), said(&[("tx-older", Size)]));
        let two = said(&[("tx-older", Size), ("tx-old", Size)]);
        assert_eq!(due(None, Some(99), &SOME), two);
        // What is open stays, however little room there is.
        assert_eq!(due(None, Some(0), &SOME).len(), 3);
    }

    #[test]
    fn age_makes_room_first() {
        let both = said(&[("tx-older", Age), ("tx-old", Size)]);
        assert_eq!(due(Some(91), Some(95), &SOME), both);
        assert_eq!(due(Some(91), Some(100), &SOME), said(&[("tx-older", Age)]));
    }

    #[test]
    fn one_look_deletes_some_only() {
        let names: Vec<String> = (0..100).map(|n| format!("tx-{n}")).collect();
        let many: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), true, 5, 1))
            .collect();
        assert_eq!(due(Some(1), None, &many).len(), AT_ONCE);
    }
}

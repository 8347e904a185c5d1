//! What was produced while the disk took nothing has no number and no bytes. It is
//! said with the first that the disk takes again, so that the recording knows of it.

use super::{Draft, Spool, SpoolError, Spooled};
use enroute_model::frame::GapCause;
use enroute_model::ids::Stream;
use enroute_model::time::GatewayTime;
use enroute_wire::frame as wire;
use std::collections::BTreeMap;

/// How many frames of each stream, and when the first was captured.
#[derive(Clone, Debug, Default)]
pub struct Unwritten(BTreeMap<Stream, (u64, GatewayTime)>);

impl Unwritten {
    /// Nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Later ones join earlier ones.
    pub fn extend(&mut self, later: Self) {
        for (stream, (more, since)) in later.0 {
            let (count, _) = self.0.entry(stream).or_insert((0, since));
            *count = count.saturating_add(more);
        }
    }

    /// These could not be written.
    pub fn add(&mut self, drafts: &[Draft]) {
        for draft in drafts {
            if let Some(stream) = wire::stream_of(&draft.body) {
                let (count, _) = self.0.entry(stream).or_insert((0, draft.captured_at));
                *count = count.saturating_add(1);
            }
        }
    }
}

impl Spool {
    /// Gives numbers to what was not written and declares it, durably: a shed
    /// record for each stream, whose own number is the one behind them.
    ///
    /// # Errors
    /// When the spool fails.
    pub fn declare_unwritten(&mut self, unwritten: &Unwritten) -> Result<Vec<Spooled>, SpoolError> {
        if unwritten.is_empty() {
            return Ok(Vec::new());
        }
        if !self.active {
            self.start_leg(None)?;
        }
        let mut keys = Vec::new();
        for (stream, (count, since)) in &unwritten.0 {
            let life = (self.epoch, *stream);
            let entry = self.lives.entry(life).or_default();
            let first = entry.next.max(1);
            let last = first.saturating_add(*count);
            entry.next = last.saturating_add(1);
            self.add_shed(life, (first, last), GapCause::Damaged, Some(*since));
            self.settle(life);
            keys.push((life, last));
        }
        self.write_shed()?;
        let Some(leg) = self.legs.last() else {
            return Ok(Vec::new());
        };
        let spooled = |key: (_, u64)| {
            let record = self.shed.get(&key)?;
            Some(Spooled {
                life: key.0,
                sequence: key.1,
                transfer: leg.transfer.clone(),
                payload: record.payload(),
            })
        };
        Ok(keys.into_iter().filter_map(spooled).collect())
    }
}

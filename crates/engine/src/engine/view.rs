//! What viewers and gateways may know, and the engine as bytes.

use super::{Bound, ENGINE_VERSION, Engine, RestoreError};
use crate::bounds::Overflow;
use crate::effects::StreamReceipt;
use enroute_alert::book::Books;
use enroute_model::frame::{ClockOffsets, Metric};
use enroute_model::ids::{GatewayId, ShortCode, TransferId};
use enroute_model::state::{
    AlertState, Phase, SourceState, StreamCompleteness, TransferState, Travel, ValueState,
};
use std::cmp::Reverse;

impl Engine {
    /// Its id.
    #[must_use]
    pub fn transfer(&self) -> &TransferId {
        &self.transfer
    }

    /// Everything a viewer needs for a first picture.
    #[must_use]
    pub fn state(&self) -> TransferState {
        let sources = self.sources.iter();
        TransferState {
            transfer: self.transfer.clone(),
            short_code: ShortCode::of(&self.transfer),
            aliases: self.aliases.clone(),
            info: self.info.clone(),
            baselines: self.baselines.values().cloned().collect(),
            population_assumed: self.info.population.age_band.is_none(),
            exercise: self.exercise,
            phase: self.phase,
            started_at: self.started_at.unwrap_or_default(),
            sources: sources.map(|(id, source)| source.state(id)).collect(),
            alerts: self.alerts(),
            travel: self.travel(),
            poisoned: self.poisoned.clone(),
            crew_log: self.crew_log.clone(),
            notes_to_crew: self.notes_to_crew.clone(),
            unrecorded: self.unrecorded.clone(),
            retrospective: self.alerts.past(),
            unsearched: self
                .sources
                .values()
                .map(|source| source.unsearched())
                .sum(),
            rules: self.rules.state(&self.info),
        }
    }

    /// One source as viewers see it.
    #[must_use]
    pub fn source(&self, gateway: &GatewayId) -> Option<SourceState> {
        let source = self.sources.get(gateway)?;
        Some(source.state(gateway))
    }

    /// One value as viewers see it.
    #[must_use]
    pub fn value(&self, gateway: &GatewayId, metric: &Metric) -> Option<ValueState> {
        let slot = self.sources.get(gateway)?.values.get(metric)?;
        Some(slot.state(metric))
    }

    /// What is known of one source's clocks.
    #[must_use]
    pub fn clocks(&self, gateway: &GatewayId) -> Option<ClockOffsets> {
        self.sources.get(gateway).map(|source| source.clocks())
    }

    /// Open or closed.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a record could not be handled (I9), or named a rule book that is
    /// not known here.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        !self.poisoned.is_empty() || self.rules.is_missing()
    }

    /// Completeness of one source's streams, by epoch, stream and leg.
    #[must_use]
    pub fn completeness(&self, gateway: &GatewayId) -> Vec<StreamCompleteness> {
        let source = self.sources.get(gateway);
        source.map_or_else(Vec::new, |source| source.completeness())
    }

    /// Open alerts, most urgent first, then oldest first. Equal conditions of
    /// several sources show once: the active source's, else the most urgent.
    #[must_use]
    pub fn alerts(&self) -> Vec<AlertState> {
        let active = |alert: &AlertState| {
            let source = alert.gateway.as_ref().and_then(|id| self.sources.get(id));
            source.is_some_and(|source| source.active)
        };
        let urgency = |alert: &AlertState| (Reverse(alert.priority), alert.since, alert.alert_id);
        let mut alerts: Vec<&AlertState> = self.alerts.open().collect();
        alerts.sort_by_key(|alert| (!active(alert), urgency(alert)));
        let mut shown: Vec<AlertState> = Vec::new();
        for alert in alerts {
            let again = |other: &AlertState| other.kind == alert.kind;
            if !(alert.kind.is_physiological() && shown.iter().any(again)) {
                shown.push(alert.clone());
            }
        }
        shown.sort_by_key(urgency);
        shown
    }

    /// Where the vehicle is.
    #[must_use]
    pub fn travel(&self) -> Travel {
        self.journey.state(&self.info.legs)
    }

    /// Gateways that spoke for this transfer, ascending.
    pub fn gateways(&self) -> impl Iterator<Item = &GatewayId> {
        self.sources.keys()
    }

    /// What the journal holds of a gateway's frames for this transfer, per
    /// epoch, stream and leg, ascending: the frames that [`Engine::handle`] has
    /// seen and did not refuse, and what the spool itself gave up.
    #[must_use]
    pub fn receipts(&self, gateway: &GatewayId) -> Vec<StreamReceipt> {
        let source = self.sources.get(gateway);
        source.map_or_else(Vec::new, |source| source.receipts(gateway))
    }

    /// What was refused for want of room.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        Overflow {
            alerts: self.alerts.refused(),
            ..self.overflow
        }
    }

    /// The ordinal of the last alert transition, 0 before the first.
    #[must_use]
    pub fn last_ordinal(&self) -> u64 {
        self.alerts.last_ordinal()
    }

    /// The whole engine as bytes, with its version.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let head = ENGINE_VERSION.to_le_bytes().to_vec();
        // Nothing in it can fail to be written; if it did, the empty snapshot
        // is refused by `restore`, and all records are run again.
        postcard::to_extend(self, head).unwrap_or_default()
    }

    /// The engine that [`Engine::snapshot`] wrote, by the built-in rule book.
    ///
    /// # Errors
    /// As [`Engine::restore_with`].
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        Self::restore_with(bytes, &Books::default())
    }

    /// The engine that [`Engine::snapshot`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged, or go by a rule book
    /// that is not among `books`.
    pub fn restore_with(bytes: &[u8], books: &Books) -> Result<Self, RestoreError> {
        let (head, body) = bytes.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let found = u32::from_le_bytes(*head);
        if found != ENGINE_VERSION {
            return Err(RestoreError::Version { found });
        }
        let mut engine: Self = postcard::from_bytes(body).map_err(|_| RestoreError::Damaged)?;
        engine.rules.relink(books, &engine.info)?;
        for source in engine.sources.values_mut() {
            let (profile, rules) = (engine.rules.profile(), engine.rules.conditions());
            source.relink(profile, rules, &engine.baselines);
        }
        engine.bound = Bound::Unknown;
        Ok(engine)
    }
}

#[cfg(test)]
impl Engine {
    pub(crate) fn earliest_for_test(&self) -> Option<enroute_model::time::EngineTime> {
        self.earliest()
    }

    pub(crate) fn open_for_test(&self) -> Vec<AlertState> {
        let mut open: Vec<AlertState> = self.alerts.open().cloned().collect();
        open.sort_by_key(|alert| alert.alert_id);
        open
    }
}

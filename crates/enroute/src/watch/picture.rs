//! What one viewer knows: the state that a `Watch` stream built up, when the
//! server last spoke, and whether it still does. Fed with responses; draws nothing.

use super::wave::Waves;
use enroute_model::time::Span;
use enroute_wire::v1;
use std::collections::BTreeMap;

/// The server sends at least a heartbeat each second: a silence this long is a
/// technical alert of the view itself.
pub(crate) const SILENT_AFTER: Span = Span::from_secs(4);

/// Steps of alerts kept for display, per transfer.
const STEPS_MAX: usize = 32;

/// How the connection to the server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// Nothing was received yet.
    Connecting {
        /// Why the last try failed.
        reason: Option<String>,
    },
    /// The stream is open.
    Open,
    /// The stream ended; it is tried again.
    Lost {
        /// In words.
        reason: String,
    },
}

/// One transfer as known here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfer {
    /// The newest state.
    pub(crate) state: v1::TransferState,
    /// Newest steps of alerts, oldest first.
    pub(crate) steps: Vec<v1::AlertTransition>,
    /// Newest samples.
    pub(crate) waves: Waves,
}

/// Everything one viewer knows.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// How the connection stands.
    pub(crate) server: Server,
    /// By transfer id.
    pub(crate) transfers: BTreeMap<String, Transfer>,
    /// What the server said about what is not known of the past.
    pub(crate) missed: String,
    /// Set while what is shown is not recorded.
    pub(crate) not_recorded: Option<v1::NotRecorded>,
    /// Samples that were replaced by newer ones because this viewer was slow.
    pub(crate) conflated: u64,
    /// Server's clock in its last word, and our monotonic clock then.
    last_word: Option<(i64, Span)>,
}

impl Picture {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            server: Server::Connecting { reason: None },
            transfers: BTreeMap::new(),
            missed: String::new(),
            not_recorded: None,
            conflated: 0,
            last_word: None,
        }
    }

    /// Takes a response that arrived `now` on our monotonic clock.
    pub(crate) fn apply(&mut self, response: v1::WatchResponse, now: Span) {
        use v1::watch_response::Update;
        self.server = Server::Open;
        self.last_word = Some((response.server_time_us, now));
        self.not_recorded = response.not_recorded;
        match response.update {
            Some(Update::Snapshot(snapshot)) => self.replace(snapshot),
            Some(Update::Transfer(state)) => self.put(state),
            Some(Update::Values(values)) => self.values(values),
            Some(Update::Samples(samples)) => {
                if let Some(transfer) = self.transfers.get_mut(&samples.transfer) {
                    transfer.waves.take(&samples, now);
                }
            }
            Some(Update::Alert(step)) => self.step(step),
            Some(Update::Heartbeat(beat)) => self.conflated = beat.conflated,
            None => {}
        }
    }

    /// The stream ended, or could not be opened.
    pub(crate) fn lost(&mut self, reason: String) {
        self.server = match self.last_word {
            Some(_) => Server::Lost { reason },
            None => Server::Connecting {
                reason: Some(reason),
            },
        };
    }

    /// Since the server's last word; `None` before the first.
    pub(crate) fn silence(&self, now: Span) -> Option<Span> {
        let (_, heard) = self.last_word?;
        Some(Span(now.0.saturating_sub(heard.0)))
    }

    /// Whether what is shown may be taken for the present.
    pub(crate) fn silent(&self, now: Span) -> bool {
        match self.server {
            Server::Open => self
                .silence(now)
                .is_none_or(|silence| silence > SILENT_AFTER),
            Server::Connecting { .. } | Server::Lost { .. } => true,
        }
    }

    /// The server's clock, carried on by ours.
    pub(crate) fn server_now_us(&self, now: Span) -> i64 {
        self.last_word.map_or(0, |(server, heard)| {
            server.saturating_add(now.0.saturating_sub(heard.0))
        })
    }

    /// Ids, most urgent first: open before closed, then the highest priority of an
    /// active alert, physiological before technical, then the older alert, then id.
    pub(crate) fn by_urgency(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self
            .transfers
            .iter()
            .map(|(id, transfer)| (urgency(&transfer.state), id.as_str()))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The transfer that a person named: by id, alias or short code.
    pub(crate) fn find(&self, named: &str) -> Option<&str> {
        let code = enroute_model::ids::ShortCode::parse(named);
        self.transfers
            .iter()
            .find(|(id, transfer)| {
                id.as_str() == named
                    || transfer.state.alias.iter().any(|alias| alias == named)
                    || code
                        .as_ref()
                        .is_some_and(|code| code.as_str() == transfer.state.short_code)
            })
            .map(|(id, _)| id.as_str())
    }

    /// The state of the transfer that somebody named.
    pub(crate) fn state_of(&self, named: &str) -> Option<&v1::TransferState> {
        let transfer = self.transfers.get(self.find(named)?)?;
        Some(&transfer.state)
    }

    fn replace(&mut self, snapshot: v1::Snapshot) {
        self.missed = snapshot.missed;
        let mut before = std::mem::take(&mut self.transfers);
        for state in snapshot.transfer {
            let mut transfer = before.remove(&state.transfer).unwrap_or_default();
            transfer.state = state;
            self.transfers
                .insert(transfer.state.transfer.clone(), transfer);
        }
    }

    fn put(&mut self, state: v1::TransferState) {
        for alias in &state.alias {
            self.transfers.remove(alias);
        }
        let transfer = self.transfers.entry(state.transfer.clone()).or_default();
        transfer.state = state;
    }

    fn values(&mut self, values: v1::Values) {
        let Some(source) = self
            .transfers
            .get_mut(&values.transfer)
            .and_then(|transfer| {
                transfer
                    .state
                    .source
                    .iter_mut()
                    .find(|source| source.gateway == values.gateway)
            })
        else {
            return;
        };
        for value in values.value {
            let known = source
                .value
                .iter_mut()
                .find(|known| known.code == value.code && known.label == value.label);
            match known {
                Some(known) => *known = value,
                None => source.value.push(value),
            }
        }
    }

    fn step(&mut self, step: v1::AlertTransition) {
        let Some(transfer) = self.transfers.get_mut(&step.transfer) else {
            return;
        };
        if let Some(alert) = &step.alert {
            let alerts = &mut transfer.state.alert;
            alerts.retain(|known| known.alert_id != alert.alert_id);
            if alert.phase() != v1::AlertPhase::Ended {
                alerts.push(alert.clone());
                alerts.sort_by_key(|alert| (-alert.priority, alert.since_us, alert.alert_id));
            }
        }
        if transfer
            .steps
            .iter()
            .all(|known| known.ordinal != step.ordinal)
        {
            transfer.steps.push(step);
        }
        let over = transfer.steps.len().saturating_sub(STEPS_MAX);
        transfer.steps.drain(..over);
    }
}

fn urgency(state: &v1::TransferState) -> (bool, i32, bool, i64) {
    let most = state
        .alert
        .iter()
        .filter(|alert| {
            matches!(
                alert.phase(),
                v1::AlertPhase::Active | v1::AlertPhase::Unknown
            )
        })
        .map(|alert| (-alert.priority, !alert.physiological, alert.since_us))
        .min();
    let (priority, technical, since) = most.unwrap_or((0, true, state.started_at_us));
    (state.closed, priority, technical, since)
}

/// The source whose values are shown for a quantity: the active one that was
/// heard last; an inactive one only when no active one gives it.
pub(crate) fn value<'a>(
    state: &'a v1::TransferState,
    id: &str,
) -> Option<(&'a v1::Source, &'a v1::Value)> {
    state
        .source
        .iter()
        .flat_map(|source| source.value.iter().map(move |value| (source, value)))
        .filter(|(_, value)| super::words::id(value.code) == id)
        .max_by_key(|(source, value)| (source.active, value.heard_at_us))
}

/// The most urgent alert that stands.
pub(crate) fn top_alert(state: &v1::TransferState) -> Option<&v1::Alert> {
    state
        .alert
        .iter()
        .min_by_key(|alert| (-alert.priority, !alert.physiological, alert.since_us))
}

/// Whether any active source is heard; `None` when there is no active source.
pub(crate) fn link_up(state: &v1::TransferState) -> Option<bool> {
    let mut active = state
        .source
        .iter()
        .filter(|source| source.active)
        .peekable();
    active.peek()?;
    Some(active.any(|source| source.link_up))
}

/// Frames over all streams: durable, missing, shed, duplicate.
pub(crate) fn completeness(state: &v1::TransferState) -> (u64, u64, u64, u64) {
    state
        .source
        .iter()
        .flat_map(|source| &source.completeness)
        .fold((0, 0, 0, 0), |sum, stream| {
            (
                sum.0 + stream.durable,
                sum.1 + stream.missing,
                sum.2 + stream.shed,
                sum.3 + stream.duplicates,
            )
        })
}

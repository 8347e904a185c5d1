//! Updates and errors in the contract's words.

use bytes::Bytes;
use enroute_journal::ReadError;
use enroute_live::{
    ActError, DeleteError, Delivery, Ended, HistoryError, LookupError, Sample, Snapshot, Stats,
    Update, ValuesChange, WatchError,
};
use enroute_wire::frame::Refusal;
use enroute_wire::{record, state, v1};
use tonic::Status;
use v1::watch_response::Update as Out;

/// A delivery without its update.
pub(crate) fn own(delivery: Delivery) -> v1::WatchResponse {
    v1::WatchResponse {
        not_recorded: delivery.not_recorded.map(|told| v1::NotRecorded {
            since_us: told.since.0,
            reason: told.reason.clone(),
        }),
        server_time_us: delivery.server_time.0,
        resume_token: delivery.token.into_bytes().into(),
        update: None,
    }
}

pub(crate) fn update(update: &Update) -> Out {
    match update {
        Update::Snapshot(snapshot) => Out::Snapshot(snapshot_to(snapshot)),
        Update::State(changed) => Out::Transfer(state::transfer_to(changed)),
        Update::Values(change) => Out::Values(values_to(change)),
        Update::Sample(one) => Out::Samples(sample(one)),
        Update::Alert(step) => Out::Alert(step.transition.clone()),
        Update::Heartbeat { conflated } => Out::Heartbeat(v1::Heartbeat {
            conflated: *conflated,
        }),
    }
}

/// The update of a response as bytes, if it is one that many are told: encoded for the
/// first of them.
pub(crate) fn shared(of: &Update, stats: &Stats) -> Option<Bytes> {
    let encoded = || {
        let out = update(of);
        // A vector takes single bytes, of which a message is made, faster than `BytesMut`.
        let mut bytes = Vec::with_capacity(out.encoded_len());
        out.encode(&mut bytes);
        Bytes::from(bytes)
    };
    match of {
        Update::State(changed) => Some(changed.words(stats, |_| encoded())),
        Update::Values(change) => Some(change.words(stats, |_| encoded())),
        Update::Sample(sample) => Some(sample.words(stats, |_| encoded())),
        Update::Snapshot(_) | Update::Alert(_) | Update::Heartbeat { .. } => None,
    }
}

fn snapshot_to(snapshot: &Snapshot) -> v1::Snapshot {
    let states = snapshot.states.iter();
    v1::Snapshot {
        transfer: states.map(|one| state::transfer_to(one)).collect(),
        missed: snapshot.missed.clone().unwrap_or_default(),
    }
}

fn values_to(change: &ValuesChange) -> v1::Values {
    state::values_to(&change.transfer, &change.gateway, &change.values)
}

pub(crate) fn sample(sample: &Sample) -> v1::Samples {
    v1::Samples {
        transfer: sample.transfer.to_string(),
        gateway: sample.gateway.to_string(),
        lane: record::lane_to(sample.lane).into(),
        late: sample.late,
        received_at_us: sample.received_at.0,
        position: sample.position.0,
        frame: sample.frame.clone(),
    }
}

pub(crate) fn refusal(what: &str, refusal: &Refusal) -> Status {
    Status::invalid_argument(format!("{what}: {refusal}"))
}

pub(crate) fn lookup(error: &LookupError) -> Status {
    match error {
        LookupError::Unknown { .. } => Status::not_found(error.to_string()),
        LookupError::Ambiguous { .. } => Status::failed_precondition(error.to_string()),
        LookupError::Asleep { .. } | LookupError::Stopped => Status::unavailable(error.to_string()),
    }
}

pub(crate) fn history(error: &HistoryError) -> Status {
    match error {
        HistoryError::Lookup(inner) => lookup(inner),
        HistoryError::Unreadable { .. } => Status::unavailable(error.to_string()),
        HistoryError::Full { .. } => Status::resource_exhausted(error.to_string()),
    }
}

pub(crate) fn not_deleted(error: &DeleteError) -> Status {
    match error {
        DeleteError::Lookup(inner) => lookup(inner),
        DeleteError::Active(_) => Status::failed_precondition(error.to_string()),
        DeleteError::Journal(_) | DeleteError::NotRecorded | DeleteError::Read(_) => {
            Status::unavailable(error.to_string())
        }
    }
}

/// Why a history ends before its end.
pub(crate) fn unread(error: &ReadError) -> Status {
    match error {
        ReadError::Failed(_) => Status::unavailable(format!(
            "{error}; ask again from the last position when the journal is repaired"
        )),
        ReadError::Record { .. } | ReadError::Store(_) => {
            Status::internal("failed to read the journal; see the server's log")
        }
    }
}

pub(crate) fn watch(error: &WatchError) -> Status {
    match error {
        WatchError::Lookup(inner) => lookup(inner),
        WatchError::Full { .. } => Status::resource_exhausted(error.to_string()),
        WatchError::TooMany { .. } | WatchError::SamplesOfAll => {
            Status::invalid_argument(error.to_string())
        }
    }
}

pub(crate) fn ended(ended: Ended) -> Status {
    match ended {
        Ended::Overflow => Status::resource_exhausted(ended.to_string()),
        Ended::Stopped | Ended::Unreadable => Status::unavailable(ended.to_string()),
    }
}

pub(crate) fn act(error: &ActError) -> Status {
    match error {
        ActError::Lookup(inner) => lookup(inner),
        ActError::Refused(_) => Status::failed_precondition(error.to_string()),
        ActError::Journal(_) | ActError::Unseen => Status::unavailable(error.to_string()),
        ActError::Busy { .. } => Status::resource_exhausted(error.to_string()),
    }
}

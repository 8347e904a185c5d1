//! Records that carry a number at every place, so that whoever reads them back
//! knows what belongs where without asking the store.

use crate::sealed::keys;
use bytes::Bytes;
use enroute_journal::{Append, Class, LogAppend, LogOptions, Options};
use enroute_model::ids::{Epoch, Stream, TransferId};
use enroute_model::time::{EngineTime, ServerTime, Span};
use std::time::Duration;

/// Transfers over which the numbers go round.
pub const TRANSFERS: u64 = 3;
/// The log's life and stream.
pub const EPOCH: Epoch = Epoch(1);
/// The log's stream.
pub const STREAM: Stream = Stream::Numerics;

/// A journal that commits at once and begins a slice every 20 numbers.
#[must_use]
pub fn options() -> Options {
    Options {
        commit_interval: Duration::ZERO,
        slice: Span(20),
        keys: keys(),
        // Not within a run: what is asked is what a failure leaves behind.
        repair_after: Duration::from_hours(1),
        ..Options::default()
    }
}

/// A log that begins a slice every dozen numbers.
#[must_use]
pub fn log_options() -> LogOptions {
    LogOptions {
        slice_bytes_max: 600,
        keys: keys(),
        ..LogOptions::default()
    }
}

/// The transfer of a number.
#[must_use]
pub fn transfer(number: u64) -> TransferId {
    TransferId::new(&format!("tx-{}", number % TRANSFERS)).unwrap()
}

/// What is stored under a number.
#[must_use]
pub fn payload(number: u64) -> Bytes {
    let words = usize::try_from(number * 7 % 12).unwrap();
    number.to_be_bytes().repeat(words + 1).into()
}

/// The number that a payload carries, if it is whole.
#[must_use]
pub fn number(stored: &Bytes) -> Option<u64> {
    let number = u64::from_be_bytes(*stored.first_chunk::<8>()?);
    (*stored == payload(number)).then_some(number)
}

/// The journal's record of a number; engine time is the number.
#[must_use]
pub fn record(number: u64) -> Append {
    Append {
        class: if number.is_multiple_of(3) {
            Class::Waveforms
        } else {
            Class::Vitals
        },
        transfer: transfer(number),
        at: EngineTime(i64::try_from(number).unwrap()),
        received_at: ServerTime(0),
        payload: payload(number),
    }
}

/// The log's frame of a number.
#[must_use]
pub fn frame(number: u64) -> LogAppend {
    LogAppend {
        stream: STREAM,
        epoch: EPOCH,
        sequence: number,
        payload: payload(number),
    }
}

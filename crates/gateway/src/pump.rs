//! Takes emissions from the source when they are due and records them.

use crate::config::Speed;
use crate::desk::{Desk, Item};
use crate::monitor_clock::MonitorClock;
use crate::source::Source;
use enroute_model::frame::{Body, ClockOffsets, Emission, Offset};
use enroute_model::time::Span;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Emissions recorded with one sync, at most.
const BATCH_MAX: usize = 64;
/// Emissions pulled ahead of their time; when full, the source is not asked.
const AHEAD_MAX: usize = 64;

/// Runs until the source ends. What the spool cannot take is lost, and counted.
pub(crate) async fn run(source: Box<dyn Source>, speed: Speed, desk: Arc<Desk>) {
    let mut emissions = pull(source);
    let started = Instant::now();
    let mut ahead = None;
    let mut clock = MonitorClock::default();
    // At another speed than its own the monitor's clock says nothing.
    let paced = matches!(speed, Speed::Factor(factor) if (factor - 1.0).abs() < f64::EPSILON);
    loop {
        let first = match ahead.take() {
            Some(first) => first,
            None => match emissions.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let through = match speed {
            Speed::Factor(factor) => {
                tokio::time::sleep_until(started + real(first.due, factor)).await;
                first.due
            }
            Speed::Max => {
                room(&desk).await;
                Span(i64::MAX)
            }
        };
        let mut batch = vec![first];
        // What is due at the same moment shares the sync and the publish.
        while batch.len() < BATCH_MAX
            && let Ok(next) = emissions.try_recv()
        {
            if next.due > through {
                ahead = Some(next);
                break;
            }
            batch.push(next);
        }
        if paced && let Some(offset) = observe(&mut clock, &desk, &batch) {
            desk.state_clocks(ClockOffsets {
                monitor: Some(offset),
                gateway: None,
            });
        }
        let items = batch.into_iter().map(|emission| Item {
            body: emission.body,
            observed_at: emission.observed_at,
        });
        if let Err(error) = desk.record_source(items.collect()).await {
            tracing::debug!(%error, "not recorded");
        }
    }
}

/// What the monitor's clock shows in a batch that is captured now. A waveform's
/// time is its first sample's, and the desk's guess of when that was taken is no
/// measurement: only the others count.
fn observe(clock: &mut MonitorClock, desk: &Desk, batch: &[Emission]) -> Option<Offset> {
    let (wall, now) = (desk.wall(), desk.monotonic());
    let told = batch
        .iter()
        .filter(|e| !matches!(e.body, Body::Waveforms(_)));
    let told = told.filter_map(|emission| emission.observed_at);
    told.fold(None, |news, at| clock.observe(at, wall, now).or(news))
}

/// Asks the source on a thread of its own: it may read files, or wait.
fn pull(mut source: Box<dyn Source>) -> mpsc::Receiver<Emission> {
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    let work = move || {
        while let Some(emission) = source.next() {
            if sender.blocking_send(emission).is_err() {
                return;
            }
        }
    };
    // Its end, and a panic in it, are the end of the channel.
    drop(tokio::task::spawn_blocking(work));
    receiver
}

/// `due` in real time.
fn real(due: Span, factor: f64) -> Duration {
    let seconds = due.as_secs_f64() / factor;
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX / 4)
}

/// As fast as the spool takes it: not so fast that it sheds.
async fn room(desk: &Desk) {
    let mut status = desk.status();
    let has_room = |status: &crate::desk::Status| {
        let (bytes, max) = status.bytes;
        status.failure.is_none() && (status.unconfirmed == 0 || bytes < max / 2)
    };
    // An error says that the desk is gone.
    drop(status.wait_for(has_room).await);
}

//! Takes emissions from the source when they are due and records them.

use crate::config::Speed;
use crate::desk::{Desk, Item};
use crate::source::Source;
use crate::spool::SpoolError;
use enroute_model::frame::Emission;
use enroute_model::time::Span;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Emissions recorded with one sync, at most.
const BATCH_MAX: usize = 64;

/// Runs until the source ends or the spool fails.
pub(crate) async fn run(
    source: Box<dyn Source>,
    speed: Speed,
    desk: Arc<Desk>,
) -> Result<(), SpoolError> {
    let started = Instant::now();
    let mut pull = Pull {
        source,
        ahead: None,
    };
    loop {
        // A source may read files.
        let pulled = tokio::task::spawn_blocking(move || {
            let batch = pull.batch(speed == Speed::Max);
            (pull, batch)
        });
        let Ok((back, batch)) = pulled.await else {
            tracing::error!("the source failed");
            return Ok(());
        };
        pull = back;
        let Some(first) = batch.first() else {
            return Ok(());
        };
        match speed {
            Speed::Factor(factor) => {
                tokio::time::sleep_until(started + real(first.due, factor)).await;
            }
            Speed::Max => room(&desk).await,
        }
        let items = batch.into_iter().map(|emission| Item {
            body: emission.body,
            observed_at: emission.observed_at,
        });
        desk.record_source(items.collect()).await?;
    }
}

struct Pull {
    source: Box<dyn Source>,
    /// Pulled, and due later than the batch before.
    ahead: Option<Emission>,
}

impl Pull {
    /// What is due at one moment; with `all`, whatever comes.
    fn batch(&mut self, all: bool) -> Vec<Emission> {
        let mut batch: Vec<Emission> = Vec::new();
        while batch.len() < BATCH_MAX {
            let Some(next) = self.ahead.take().or_else(|| self.source.next()) else {
                break;
            };
            if !all && batch.first().is_some_and(|first| next.due > first.due) {
                self.ahead = Some(next);
                break;
            }
            batch.push(next);
        }
        batch
    }
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
        status.unconfirmed == 0 || bytes < max / 2
    };
    // An error says that the desk is gone.
    drop(status.wait_for(has_room).await);
}

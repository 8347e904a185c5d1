//! Opens a failed spool again, for as long as it takes: nobody on board can.
//!
//! A failed write or sync is never trusted again, so the store is let go and opened
//! anew. If its tail was unclean, a new life of the spool begins.

use crate::config::SpoolConfig;
use crate::desk::Desk;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Before the first attempt; doubles up to [`WAIT_MAX`].
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Until the desk is gone.
pub(crate) async fn run(desk: Arc<Desk>, config: SpoolConfig) {
    let mut status = desk.status();
    while status
        .wait_for(|status| status.failure.is_some())
        .await
        .is_ok()
    {
        let mut wait = WAIT_MIN;
        loop {
            sleep(wait).await;
            match desk.reopen(config.clone()).await {
                Ok(()) => break,
                Err(error) => tracing::error!(%error, "the spool still cannot be opened"),
            }
            wait = wait.saturating_mul(2).min(WAIT_MAX);
        }
        let lost = desk.stats.unrecorded.get();
        tracing::warn!(
            lost,
            "the spool works again; what was lost since the start is gone"
        );
    }
}

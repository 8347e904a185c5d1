//! A running gateway.

use crate::config::Config;
use crate::source::Source;
use crate::stats::Stats;
use enroute_model::ids::TransferId;
use enroute_model::time::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The spool.
    #[error("failed to open the spool: {0}")]
    Spool(String),
    /// The crew's page.
    #[error("failed to listen on {addr} for the crew's page: {source}")]
    Page {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What was left when a gateway stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Frames in the spool that no receipt covers; sent after the next start.
    pub unconfirmed_frames: u64,
}

/// A running gateway; dropping it stops it without draining.
#[derive(Debug)]
pub struct Gateway {
    stats: Arc<Stats>,
    page: Option<SocketAddr>,
}

impl Gateway {
    /// Opens the spool, then starts the source, the uplink and the crew's page.
    /// Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the spool cannot be opened or the page cannot listen. An
    /// unreachable broker is no error: the gateway tries for ever.
    pub async fn start(
        _config: Config,
        _source: Box<dyn Source>,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        Err(StartError::Spool("not built yet".to_owned()))
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Where the crew's page listens.
    #[must_use]
    pub fn page_addr(&self) -> Option<SocketAddr> {
        self.page
    }

    /// The transfer it publishes for; `None` before the first emission.
    #[must_use]
    pub fn transfer(&self) -> Option<TransferId> {
        None
    }

    /// Waits until the source has ended and all it gave is on disk.
    pub async fn source_ended(&self) {}

    /// Stops the source, then waits until receipts cover all frames or
    /// `deadline` has passed, then stops.
    pub async fn shutdown(self, _deadline: Duration) -> Left {
        Left {
            unconfirmed_frames: 0,
        }
    }
}

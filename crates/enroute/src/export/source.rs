//! Where a recording is read: of a running server over gRPC, or in the data
//! directory of one that does not run. A directory is opened as a server opens
//! it, by the live view, whose clock stands still: no deadline fires, no tick
//! comes, nothing is written that was not there.

use crate::client::Wire;
use crate::client::{self, RESPONSE_BYTES_MAX};
use crate::reevaluate::journal_dir;
use anyhow::{Context, Result, anyhow, bail};
use enroute_journal::{Journal, ReadError};
use enroute_live::{Live, Options, Started};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{Clock, Span};
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::{Message, record, v1};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A recording's place.
pub(crate) enum Source {
    Server {
        name: String,
        client: Box<LiveClient<Wire>>,
    },
    Directory {
        journal: Box<Journal>,
        started: Box<Started>,
    },
}

/// Stands where the recording ends.
pub(crate) struct StandingClock(pub(crate) i64);

impl Clock for StandingClock {
    fn wall(&self) -> i64 {
        self.0
    }

    fn monotonic(&self) -> Span {
        Span::ZERO
    }
}

/// A live view to which nothing comes by itself.
pub(crate) fn still() -> Options {
    Options {
        tick: Duration::from_hours(24),
        ..Options::default()
    }
}

impl Source {
    pub(crate) async fn server(name: &str) -> Result<Self> {
        let channel = client::endpoint(name)?.connect().await;
        let channel =
            channel.with_context(|| format!("{name} is not reached (is it running there?)"))?;
        Ok(Self::Server {
            name: name.to_owned(),
            client: Box::new(
                LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX),
            ),
        })
    }

    pub(crate) async fn directory(data: &Path) -> Result<Self> {
        let dir = journal_dir(data);
        // Opening would make one.
        if !dir.is_dir() {
            bail!(
                "{} is no data directory of a server: it has no journal",
                data.display()
            );
        }
        let (journal, tail) = Journal::open(&dir, crate::keys::journal_options()?)
            .with_context(|| format!("failed to open {}", dir.display()))?;
        let end = journal.opened_at().map_or(0, |at| at.0);
        let clock = Arc::new(StandingClock(end));
        let started = Live::start(&journal, tail, clock, still()).await?;
        Ok(Self::Directory {
            journal: Box::new(journal),
            started: Box::new(started),
        })
    }

    /// The transfer with this id, alias or short code.
    pub(crate) async fn state(&self, transfer: &str) -> Result<v1::TransferState> {
        match self {
            Self::Server { name, client } => {
                let asked = client.clone().list(v1::ListRequest { closed: true }).await;
                let states = asked.map_err(|status| failed(name, &status))?;
                client::named(states.into_inner().transfer, transfer)
            }
            Self::Directory { started, .. } => {
                let state = started.live.state(transfer).await?;
                Ok(enroute_wire::state::transfer_to(&state))
            }
        }
    }

    /// Every frame once, in the order of arrival.
    pub(crate) async fn frames(
        &self,
        transfer: &str,
        mut each: impl FnMut(v1::Samples) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Server { name, client } => {
                let request = v1::HistoryRequest {
                    transfer: transfer.to_owned(),
                    after_position: 0,
                    waveforms: true,
                };
                let asked = client.clone().history(request).await;
                let mut history = asked.map_err(|s| failed(name, &s))?.into_inner();
                while let Some(some) = history.message().await.map_err(|s| failed(name, &s))? {
                    some.samples.into_iter().try_for_each(&mut each)?;
                }
            }
            Self::Directory { started, .. } => {
                let mut history = started.live.history(transfer, Position(0), true).await?;
                while let Some(sample) = history.next().await {
                    let sample = sample?;
                    each(v1::Samples {
                        transfer: sample.transfer.to_string(),
                        gateway: sample.gateway.to_string(),
                        lane: record::lane_to(sample.lane).into(),
                        late: sample.late,
                        received_at_us: sample.received_at.0,
                        position: sample.position.0,
                        frame: sample.frame.clone(),
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Every step of every alert.
    pub(crate) async fn alerts(
        &self,
        state: &v1::TransferState,
        mut each: impl FnMut(v1::AlertTransition) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Server { name, client } => {
                let request = v1::AlertHistoryRequest {
                    transfer: state.transfer.clone(),
                };
                let asked = client.clone().alert_history(request).await;
                let mut history = asked.map_err(|s| failed(name, &s))?.into_inner();
                while let Some(some) = history.message().await.map_err(|s| failed(name, &s))? {
                    some.alert.into_iter().try_for_each(&mut each)?;
                }
            }
            Self::Directory { journal, .. } => {
                for member in std::iter::once(&state.transfer).chain(&state.alias) {
                    for row in journal.reader().derived(&TransferId::new(member)?, 0) {
                        match row {
                            Ok((_, bytes)) => each(v1::AlertTransition::decode(bytes)?)?,
                            // As in a restart: as good as never there.
                            Err(ReadError::Record { .. }) => {}
                            Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => {
                                return Err(error.into());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets go of it. Of a directory no snapshots are taken: nothing has changed.
    pub(crate) async fn close(self) -> Result<()> {
        let Self::Directory { journal, started } = self else {
            return Ok(());
        };
        let mut health = started.live.health();
        drop(started);
        let closed = tokio::task::spawn_blocking(move || journal.close()).await?;
        closed.map_err(|failure| anyhow!("the journal failed: {}", failure.reason()))?;
        while health.changed().await.is_ok() {}
        Ok(())
    }
}

fn failed(server: &str, status: &tonic::Status) -> anyhow::Error {
    anyhow!("{server}: {}", client::reason(status))
}

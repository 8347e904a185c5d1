//! `enroute.v1.Admin`: the journal's copy.

use crate::caller::{Caller, Concern};
use crate::guarded::Guarded;
use enroute_access::Action;
use enroute_journal::Reader;
use enroute_live::Live;
use enroute_model::time::ServerTime;
use enroute_wire::v1;
use enroute_wire::v1::admin_server::Admin as Service;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::{Request, Response, Status};

/// Blocks between the reading thread and the HTTP/2 stream; the thread waits when
/// full.
const AHEAD: usize = 4;

pub(crate) struct AdminService {
    live: Live,
    /// One copy at a time: each keeps a view of the store open.
    turn: Arc<Semaphore>,
}

type Out = mpsc::Sender<Result<v1::BackupResponse, Status>>;

impl AdminService {
    pub(crate) fn new(live: Live) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { live, turn }
    }
}

#[tonic::async_trait]
impl Service for AdminService {
    type BackupStream = Guarded<v1::BackupResponse>;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let caller = Caller::of(&request)?;
        let whole = caller.admit_durably(Action::Backup, Concern::Everything);
        whole.await?;
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let turn = turn.map_err(|_| {
            Status::resource_exhausted("a backup is being made already: wait until it is done")
        })?;
        let (reader, now) = (self.live.reader(), self.live.clock().wall());
        let (out, blocks) = mpsc::channel(AHEAD);
        drop(tokio::task::spawn_blocking(move || {
            copy(&reader, now, &out, turn);
        }));
        Ok(Response::new(Guarded::new(
            blocks,
            caller,
            (Action::Backup, Vec::new()),
            true,
        )))
    }
}

/// Ends early when nobody listens any more.
fn copy(reader: &Reader, now: ServerTime, out: &Out, turn: OwnedSemaphorePermit) {
    let status = |error: &dyn std::fmt::Display| Status::data_loss(error.to_string());
    let blocks = match reader.backup(now) {
        Ok(blocks) => blocks,
        Err(error) => return drop(out.blocking_send(Err(status(&error)))),
    };
    for block in blocks {
        let block = match block {
            Ok(block) => Ok(v1::BackupResponse { block }),
            Err(error) => Err(status(&error)),
        };
        if out.blocking_send(block).is_err() {
            tracing::info!("the backup was broken off by who asked for it");
            break;
        }
    }
    drop(turn);
}

//! The identity store, where the server has one, from asynchronous code.

use enroute_identity::{EntryError, Store};
use enroute_live::Live;
use enroute_model::ids::TransferId;
use std::sync::Arc;
use tonic::Status;

const ABSENT: &str = "this server does not keep who patients are: configure [identity] with dir, \
                      and keys or command (deploy/server.toml says how)";

/// Who the patients are; the default one knows nobody.
#[derive(Clone, Default, Debug)]
pub struct Identities {
    store: Option<Arc<Store>>,
}

impl Identities {
    /// What a store knows.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store: Some(store) }
    }

    /// Refuses in words where there is none.
    pub(crate) fn store(&self) -> Result<&Arc<Store>, Status> {
        self.store
            .as_ref()
            .ok_or_else(|| Status::failed_precondition(ABSENT))
    }

    /// Does something with the store, where it may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Store) -> Result<T, EntryError> + Send + 'static,
    ) -> Result<T, Status> {
        let store = Arc::clone(self.store()?);
        let done = tokio::task::spawn_blocking(move || what(&store)).await;
        let done = done.map_err(|_| Status::internal("the identity store did not answer"))?;
        done.map_err(|error| refused(&error))
    }

    /// Forgets who was on transfers whose recordings were deleted, by word or by
    /// retention, now or while the server was not there. One that appeared anew since
    /// keeps its patient. What fails is in the log, and tried with the next call.
    pub async fn follow(&self, live: &Live) {
        let Some(store) = self.store.as_ref().filter(|store| store.count() > 0) else {
            return;
        };
        let Ok(deleted) = live.deleted_recordings().await else {
            return;
        };
        let mut gone = Vec::new();
        for one in deleted {
            let names = one.alias.iter().chain([&one.transfer]);
            for name in names.filter_map(|name| TransferId::new(name).ok()) {
                if store.has(&name) && is_unknown(live, &name).await {
                    gone.push(name);
                }
            }
        }
        if gone.is_empty() {
            return;
        }
        match self.ask(move |store| store.forget(&gone)).await {
            Ok(transfers) => tracing::info!(transfers, "forgot who was on deleted transfers"),
            Err(status) => tracing::error!(
                error = status.message(),
                "who was on deleted transfers is not forgotten yet"
            ),
        }
    }
}

async fn is_unknown(live: &Live, transfer: &TransferId) -> bool {
    let state = live.state(transfer.as_str()).await;
    matches!(state, Err(enroute_live::LookupError::Unknown { .. }))
}

/// Never says who somebody is.
fn refused(error: &EntryError) -> Status {
    let words = error.to_string();
    match error {
        EntryError::Damaged { .. } => Status::data_loss(words),
        EntryError::Invalid(_) => Status::invalid_argument(words),
        EntryError::Full { .. } => Status::resource_exhausted(words),
        EntryError::Io(_) | EntryError::Keys(_) | EntryError::Seal(_) => Status::unavailable(words),
    }
}

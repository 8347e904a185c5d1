//! The server's side of who the patients are: the store is opened before any port is,
//! and follows what becomes of the recordings.

use anyhow::{Context, Result};
use enroute_config::identity::IdentityConfig;
use enroute_feed::Identities;
use enroute_identity::Store;
use enroute_live::Live;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often it is asked which recordings are gone: so long who was on one stays behind
/// it at the most, when retention took it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Opens the store, if one is configured.
///
/// # Errors
/// When its keys are not there or not the right ones, or its directory is not usable.
pub(crate) fn open(config: Option<&IdentityConfig>) -> Result<Identities> {
    let Some(config) = config else {
        return Ok(Identities::default());
    };
    let keys = config.source().load();
    let keys = Arc::new(keys.context("failed to open the identity store under [identity]")?);
    let store = Store::open(config.dir.get_ref(), &keys)?;
    let (transfers, damaged) = (store.count(), store.damaged().len());
    tracing::info!(transfers, damaged, "opened the identity store");
    Ok(Identities::new(Arc::new(store)))
}

/// Forgets who was on deleted transfers, for as long as the server runs.
pub(crate) async fn keep(identities: Identities, live: Live) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        identities.follow(&live).await;
    }
}

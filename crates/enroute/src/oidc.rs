//! The issuer of tokens: its description and its keys, fetched when the server starts,
//! again every ten minutes, and when somebody comes with a key that is not known. What
//! was fetched last stays in force for a day; nothing waits for the issuer to be there.

mod budget;
mod fetch;

use anyhow::{Context, Result, bail};
use axum::http::Uri;
use budget::Budget;
use enroute_access::{DESCRIPTION_BYTES_MAX, Description, KEYS_BYTES_MAX, Keys};
use enroute_config::access::OidcConfig;
use enroute_config::address::is_protected;
use enroute_feed::Issuer;
use enroute_model::time::{Clock, ServerTime};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How old keys become before they are fetched again.
const FETCHED_EVERY: Duration = Duration::from_mins(10);
/// How soon again when that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Callers with unknown keys that wait at a time; others are refused.
const ASKS_MAX: usize = 16;

/// How the issuer was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it last described itself.
    pub(crate) description: Option<Description>,
    /// Since when it cannot be reached, microseconds UTC.
    pub(crate) lost_since: Option<i64>,
}

/// Keeps what is known of an issuer up to date.
pub(crate) struct Keeper {
    config: OidcConfig,
    clock: Arc<dyn Clock>,
    keys: watch::Sender<Arc<Keys>>,
    found: watch::Sender<Found>,
    asked: mpsc::Receiver<oneshot::Sender<()>>,
}

impl Keeper {
    /// One that has fetched nothing yet, what the gate asks, and what it finds.
    pub(crate) fn new(
        config: OidcConfig,
        clock: Arc<dyn Clock>,
    ) -> (Self, Issuer, watch::Receiver<Found>) {
        let (keys, known) = watch::channel(Arc::new(Keys::default()));
        let (again, asked) = mpsc::channel(ASKS_MAX);
        let (found, seen) = watch::channel(Found::default());
        let issuer = Issuer {
            issuing: Arc::new(config.issuing()),
            keys: known,
            again,
        };
        let keeper = Self {
            config,
            clock,
            keys,
            found,
            asked,
        };
        (keeper, issuer, seen)
    }

    /// Keeps it for as long as the server runs.
    pub(crate) async fn run(mut self) {
        let mut budget = Budget::new(self.clock.monotonic());
        let mut asker = None;
        loop {
            let wait = match self.fetch().await {
                Ok(()) => FETCHED_EVERY,
                Err(error) => {
                    self.lost(&error);
                    AGAIN_AFTER
                }
            };
            // Those who asked, now or meanwhile, have their answer.
            drop(asker);
            while self.asked.try_recv().is_ok() {}
            asker = self.due(wait, &mut budget).await;
        }
    }

    /// Resolves when it is time to fetch again, at the latest after `wait`; with who
    /// made it so.
    async fn due(&mut self, wait: Duration, budget: &mut Budget) -> Option<oneshot::Sender<()>> {
        let late = tokio::time::sleep(wait);
        tokio::pin!(late);
        loop {
            tokio::select! {
                () = &mut late => return None,
                Some(asker) = self.asked.recv() => {
                    if budget.take(self.clock.monotonic()) {
                        return Some(asker);
                    }
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<()> {
        let issuer = self.config.issuer.get_ref();
        let at = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        let description = self.get(&at, DESCRIPTION_BYTES_MAX).await?;
        let description = Description::parse(&description, issuer).context(at)?;
        let at = &description.jwks_uri;
        let keys = self.get(at, KEYS_BYTES_MAX).await?;
        let now = ServerTime(self.clock.wall());
        let keys = Keys::parse(&keys, now).with_context(|| at.clone())?;
        let was_lost = self.found.borrow().lost_since.is_some();
        if was_lost || !self.keys.borrow().are_believed(now) {
            tracing::info!(issuer, "took the keys of the issuer of tokens");
        }
        self.keys.send_replace(Arc::new(keys));
        self.found.send_replace(Found {
            description: Some(description),
            lost_since: None,
        });
        Ok(())
    }

    async fn get(&self, at: &str, bytes_max: usize) -> Result<Vec<u8>> {
        let address: Uri = at.parse().with_context(|| format!("{at}: is no address"))?;
        if !is_protected(&address) {
            bail!("{at}: is not asked without TLS");
        }
        let authority = self.config.authority.as_deref();
        let fetched = fetch::get(&address, authority, bytes_max).await;
        fetched.with_context(|| at.to_owned())
    }

    /// Says so when it begins.
    fn lost(&self, error: &anyhow::Error) {
        let now = self.clock.wall();
        self.found.send_if_modified(|found| {
            let begins = found.lost_since.is_none();
            if begins {
                found.lost_since = Some(now);
                tracing::error!(
                    error = format!("{error:#}"),
                    "cannot ask the issuer of tokens: the keys that are known are believed for a \
                     day, static tokens go on"
                );
            }
            begins
        });
    }
}

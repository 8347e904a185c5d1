//! Broken glass of a port: the table, what ends an entry of it, and what is counted.

use crate::caller::Caller;
use enroute_access::{Glass, Glasses, NotBroken, Token};
use enroute_audit::Outcome;
use enroute_model::time::Span;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How long a transfer is open unless told otherwise.
const LASTS: Span = Span::from_secs(60 * 60);

/// What is counted.
#[derive(Debug, Default)]
pub struct GlassCounts {
    /// Times that somebody broke the glass, since the start.
    pub broken: AtomicU64,
    /// Transfers that are open in this way now, to each who opened them.
    pub open: AtomicU64,
}

/// All clones are of the same table.
#[derive(Clone)]
pub(crate) struct Broken {
    table: Arc<watch::Sender<Glasses>>,
    lasts: Span,
    counts: Arc<GlassCounts>,
}

impl Default for Broken {
    fn default() -> Self {
        Self {
            table: Arc::new(watch::channel(Glasses::default()).0),
            lasts: LASTS,
            counts: Arc::default(),
        }
    }
}

impl Broken {
    pub(crate) fn lasts(self, lasts: Span) -> Self {
        Self { lasts, ..self }
    }

    pub(crate) fn counts(&self) -> Arc<GlassCounts> {
        Arc::clone(&self.counts)
    }

    pub(crate) fn borrow(&self) -> watch::Ref<'_, Glasses> {
        self.table.borrow()
    }

    /// What rests on a broken glass looks whenever one is broken or ends.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Glasses> {
        self.table.subscribe()
    }

    /// Opens a transfer to the bearer of `token`. It is on record before anything can be
    /// done with it, and waits for no disk: a life may be at stake.
    pub(crate) fn open(
        &self,
        caller: &Caller,
        token: &Arc<Token>,
        transfer: &str,
        reason: &str,
    ) -> Result<Arc<Glass>, NotBroken> {
        let mut opened = None;
        self.table.send_modify(|glasses| {
            let whose = (token.id.as_str(), token.name.as_str());
            let new = glasses.open(whose, (transfer, reason), caller.now(), self.lasts);
            if let Ok((glass, before)) = &new {
                if let Some(before) = before {
                    let why = after(before, caller, "it was broken anew");
                    caller.call().glass(Outcome::Ended, before, &why);
                }
                let detail = format!("{} min: {reason}", self.lasts.0 / 60_000_000);
                caller.call().glass(Outcome::Allowed, glass, &detail);
            }
            self.count(glasses);
            opened = Some(new);
        });
        let glass = opened.ok_or(NotBroken::All)??.0;
        self.counts.broken.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            token = token.id,
            transfer,
            glass = glass.id,
            "somebody broke the glass: a transfer is open to them that is not theirs"
        );
        let (keeper, token) = (self.clone(), Arc::clone(token));
        let kept = keeper.keep(caller.clone(), token, Arc::clone(&glass));
        drop(tokio::spawn(kept));
        Ok(glass)
    }

    /// Ends one; `false`: it had ended.
    pub(crate) fn end(&self, caller: &Caller, glass: &Glass, why: &str) -> bool {
        let mut is_ended = false;
        self.table.send_if_modified(|glasses| {
            is_ended = glasses.end(glass).is_some();
            if is_ended {
                self.count(glasses);
                let detail = after(glass, caller, why);
                caller.call().glass(Outcome::Ended, glass, &detail);
            }
            is_ended
        });
        is_ended
    }

    fn count(&self, glasses: &Glasses) {
        let open = u64::try_from(glasses.count()).unwrap_or(u64::MAX);
        self.counts.open.store(open, Ordering::Relaxed);
    }

    /// Ends one when its time or its token's is over.
    async fn keep(self, caller: Caller, token: Arc<Token>, glass: Arc<Glass>) {
        let Some(mut known) = caller.door().gate.known().cloned() else {
            return;
        };
        let mut table = self.subscribe();
        while table.borrow_and_update().has(&glass) {
            let left = glass.until.since(caller.now());
            let wall = caller.door().live.clock().wall();
            if left <= Span::ZERO {
                self.end(&caller, &glass, "its time was over");
            } else if known.still_breaks(&token, wall) {
                let left = Duration::from_micros(u64::try_from(left.0).unwrap_or(0));
                tokio::select! {
                    _ = table.changed() => {}
                    () = known.changed(&token) => {}
                    () = tokio::time::sleep(left) => {}
                }
            } else {
                self.end(
                    &caller,
                    &glass,
                    "its token was revoked, changed, or is over",
                );
            }
        }
    }
}

fn after(glass: &Glass, caller: &Caller, why: &str) -> String {
    let seconds = caller.now().since(glass.since).0 / 1_000_000;
    format!("after {seconds} s: {why}")
}

//! Receipts, commands and notes for gateways, newest only: a slow publisher never
//! makes the shard wait, and what it has not taken yet is replaced.
//! Bound: one entry per gateway and stream (receipts), gateway (commands),
//! or gateway and transfer (notes).

use enroute_engine::StreamReceipt;
use enroute_model::ids::{GatewayId, ShortCode, Stream, TransferId};
use enroute_model::notes::NotesOnBoard;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Tells a gateway to publish under another transfer from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseTransfer {
    /// The id that it used.
    pub instead_of: TransferId,
    /// The id to use.
    pub transfer: TransferId,
    /// The transfer's short code.
    pub short_code: ShortCode,
}

/// What makes one thing replace another while both wait: how entries merge.
pub(crate) trait Newest {
    fn replace(&mut self, newer: Self);
}

impl Newest for UseTransfer {
    fn replace(&mut self, newer: Self) {
        *self = newer;
    }
}

/// What a crew is to know, by transfer.
pub(crate) type Noted = BTreeMap<TransferId, NotesOnBoard>;

impl Newest for Noted {
    fn replace(&mut self, newer: Self) {
        self.extend(newer);
    }
}

/// Receipts of one gateway's streams, by epoch, stream and first sequence.
pub(crate) type Receipted = BTreeMap<(u64, Stream, u64), StreamReceipt>;

impl Newest for Receipted {
    fn replace(&mut self, newer: Self) {
        self.extend(newer);
    }
}

struct Waiting<T> {
    order: VecDeque<GatewayId>,
    newest: BTreeMap<GatewayId, T>,
    closed: bool,
}

pub(crate) struct Outbox<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Notify,
}

impl<T: Newest> Outbox<T> {
    pub(crate) fn new() -> Arc<Self> {
        let waiting = Waiting {
            order: VecDeque::new(),
            newest: BTreeMap::new(),
            closed: false,
        };
        Arc::new(Self {
            waiting: Mutex::new(waiting),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, gateway: &GatewayId, item: T) {
        self.put_all([(gateway.clone(), item)]);
    }

    /// Several at once: their reader is woken once.
    pub(crate) fn put_all(&self, items: impl IntoIterator<Item = (GatewayId, T)>) {
        let mut waiting = self.lock();
        let before = waiting.order.len();
        for (gateway, item) in items {
            if let Some(older) = waiting.newest.get_mut(&gateway) {
                older.replace(item);
            } else {
                waiting.newest.insert(gateway.clone(), item);
                waiting.order.push_back(gateway);
            }
        }
        let is_news = waiting.order.len() > before;
        drop(waiting);
        // Of what only became newer, its reader has been told.
        if is_news {
            self.changed.notify_one();
        }
    }

    /// Gateways whose item has not been taken.
    pub(crate) fn len(&self) -> usize {
        self.lock().order.len()
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next one if there is one now.
    pub(crate) fn try_take(&self) -> Option<(GatewayId, T)> {
        let mut waiting = self.lock();
        let gateway = waiting.order.pop_front()?;
        let item = waiting.newest.remove(&gateway)?;
        Some((gateway, item))
    }

    async fn take(&self) -> Option<(GatewayId, T)> {
        loop {
            // Looked at first: what is put before the closing is still given.
            let closed = self.lock().closed;
            if let Some(taken) = self.try_take() {
                return Some(taken);
            }
            if closed {
                return None;
            }
            self.changed.notified().await;
        }
    }
}

/// Receipts to publish. One reader; cancel-safe.
pub struct Receipts(pub(crate) Arc<Outbox<Receipted>>);

impl Receipts {
    /// What the journal holds of a gateway's streams that had frames since its
    /// last receipt; `None` after the shard has stopped.
    pub async fn next(&mut self) -> Option<(GatewayId, Vec<StreamReceipt>)> {
        let (gateway, streams) = self.0.take().await?;
        Some((gateway, streams.into_values().collect()))
    }
}

/// Commands to publish, retained. One reader; cancel-safe.
pub struct Commands(pub(crate) Arc<Outbox<UseTransfer>>);

impl Commands {
    /// The newest command for a gateway; `None` after the shard has stopped.
    pub async fn next(&mut self) -> Option<(GatewayId, UseTransfer)> {
        self.0.take().await
    }
}

/// What crews are to know, to publish, retained. One reader; cancel-safe.
pub struct Notes(pub(crate) Arc<Outbox<Noted>>);

impl Notes {
    /// The newest for a gateway, by transfer; `None` after the shard has stopped.
    pub async fn next(&mut self) -> Option<(GatewayId, BTreeMap<TransferId, NotesOnBoard>)> {
        self.0.take().await
    }
}

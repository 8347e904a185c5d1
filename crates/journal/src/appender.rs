//! The way in: a bounded queue in front of the committer.

use crate::error::{AppendError, TrySubmitError};
use crate::queue::{Op, Queue};
use crate::record::Append;
use enroute_model::ids::Position;
use enroute_model::time::EngineTime;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Appends records; clone it freely. Records of one call become durable
/// together or not at all, in the order given; calls of one task become durable
/// in the order of the calls.
#[derive(Clone, Debug)]
pub struct Appender {
    pub(crate) queue: Arc<Queue>,
}

/// A batch on its way. Resolves to the position of its last record once all of
/// it is durable. Batches resolve in the order in which they were queued, those of one
/// commit together, in no order that one could rely on.
/// Dropping it does not take the records back.
#[derive(Debug)]
#[must_use = "the records are not durable before this resolves"]
pub struct Pending {
    done: oneshot::Receiver<Result<Position, AppendError>>,
}

impl Future for Pending {
    type Output = Result<Position, AppendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let done = Pin::new(&mut self.done).poll(cx);
        done.map(|sent| sent.unwrap_or(Err(AppendError::Closed)))
    }
}

impl Pending {
    /// Blocks the thread until the batch is durable; never on an async one.
    ///
    /// # Errors
    /// As awaiting it.
    pub fn blocking_wait(self) -> Result<Position, AppendError> {
        let sent = self.done.blocking_recv();
        sent.unwrap_or(Err(AppendError::Closed))
    }
}

impl Appender {
    /// Queues `records`, waiting for room, and waits until they are durable.
    /// An empty batch waits for all that was queued before it and gives the
    /// last position.
    ///
    /// # Errors
    /// When the journal has failed or is closed, or the batch can never fit.
    pub async fn append(&self, records: Vec<Append>) -> Result<Position, AppendError> {
        self.submit(records).await?.await
    }

    /// Queues `records`, waiting for room only, so that many batches can be in
    /// flight. Whoever reads the [`crate::Tail`] must not wait for room, which
    /// may depend on the reading: that is for [`Appender::try_submit`].
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub async fn submit(&self, records: Vec<Append>) -> Result<Pending, AppendError> {
        let room = self.queue.room(&records).await?;
        let (sender, done) = oneshot::channel();
        self.queue.push(Op::Append(records, sender), room)?;
        Ok(Pending { done })
    }

    /// Queues `records` if there is room now.
    ///
    /// # Errors
    /// As [`Appender::append`]; [`TrySubmitError::Full`] gives the records back.
    pub fn try_submit(&self, records: Vec<Append>) -> Result<Pending, TrySubmitError> {
        let Some(room) = self.queue.try_room(&records)? else {
            return Err(TrySubmitError::Full(records));
        };
        let (sender, done) = oneshot::channel();
        self.queue.push(Op::Append(records, sender), room)?;
        Ok(Pending { done })
    }

    /// Sends `at` through the queue behind the records before it. Not stored;
    /// waits for room like a record.
    ///
    /// # Errors
    /// When the journal has failed or is closed.
    pub async fn tick(&self, at: EngineTime) -> Result<(), AppendError> {
        let room = self.queue.room(&[]).await?;
        self.queue.push(Op::Tick(at), room)
    }
}

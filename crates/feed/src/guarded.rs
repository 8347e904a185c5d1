//! A stream of responses that ends when its caller may not have it any more.

use crate::caller::Caller;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// What a service gives for a stream.
pub(crate) struct Guarded<T> {
    responses: mpsc::Receiver<Result<T, Status>>,
    ends: Pin<Box<dyn Future<Output = Status> + Send>>,
}

impl<T> Guarded<T> {
    /// `named`: the transfers that it is about, if it is about some only.
    pub(crate) fn new(
        responses: mpsc::Receiver<Result<T, Status>>,
        caller: Caller,
        named: Vec<String>,
    ) -> Self {
        let ends = Box::pin(caller.ends(named));
        Self { responses, ends }
    }
}

impl<T> Stream for Guarded<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(status) = self.ends.as_mut().poll(cx) {
            // What is under way is dropped, and who sends it learns of it.
            self.responses = mpsc::channel(1).1;
            self.ends = Box::pin(std::future::pending());
            return Poll::Ready(Some(Err(status)));
        }
        self.responses.poll_recv(cx)
    }
}

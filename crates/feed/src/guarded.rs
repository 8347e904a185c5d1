//! A stream of responses that ends when its caller may not have it any more.

use crate::caller::{Caller, Named};
use enroute_access::Action;
use enroute_model::time::EngineTime;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// What a service gives for a stream.
pub(crate) struct Guarded<T> {
    responses: mpsc::Receiver<Result<T, Status>>,
    /// What makes the responses, where no task of its own does.
    making: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ends: Pin<Box<dyn Future<Output = Status> + Send>>,
    seen: Seen,
}

/// What goes on record when it is over.
struct Seen {
    caller: Caller,
    since: EngineTime,
    named: Vec<Named>,
    /// Besides the transfers named.
    is_more: bool,
    /// Why it was ended, if the caller did not end it.
    why: String,
}

impl Drop for Seen {
    fn drop(&mut self) {
        let seconds = self.caller.now().since(self.since).0 / 1_000_000;
        let detail = format!("after {seconds} s{}", self.why);
        for Named { id, glass } in &self.named {
            self.caller.call().end(Some(id), glass.as_deref(), &detail);
        }
        if self.is_more {
            self.caller.call().end(None, None, &detail);
        }
    }
}

impl<T> Guarded<T> {
    /// `named`: the transfers that it is about, and what is done with them; `is_more`: it
    /// is about the board, or all there is, as well.
    pub(crate) fn new(
        responses: mpsc::Receiver<Result<T, Status>>,
        caller: Caller,
        (action, named): (Action, Vec<Named>),
        is_more: bool,
    ) -> Self {
        let ends = Box::pin(caller.clone().ends(action, named.clone()));
        let seen = Seen {
            since: caller.now(),
            caller,
            named,
            is_more,
            why: String::new(),
        };
        Self {
            responses,
            making: None,
            ends,
            seen,
        }
    }

    /// `making` puts responses into the channel, and goes on while somebody takes them:
    /// so those that are there go out together, and nobody has to be woken for each.
    pub(crate) fn driving(self, making: impl Future<Output = ()> + Send + 'static) -> Self {
        let making: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = Some(Box::pin(making));
        Self { making, ..self }
    }
}

impl<T> Stream for Guarded<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(status) = self.ends.as_mut().poll(cx) {
            // What is under way is dropped, and who sends it learns of it.
            self.responses = mpsc::channel(1).1;
            self.making = None;
            self.ends = Box::pin(std::future::pending());
            self.seen.why = format!(": {}", status.message());
            return Poll::Ready(Some(Err(status)));
        }
        if let Poll::Ready(response) = self.responses.poll_recv(cx) {
            return Poll::Ready(response);
        }
        if let Some(making) = &mut self.making
            && making.as_mut().poll(cx).is_ready()
        {
            self.making = None;
        }
        self.responses.poll_recv(cx)
    }
}

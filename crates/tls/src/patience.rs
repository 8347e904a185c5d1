//! How long a connection may take nothing of ours.
//!
//! Progress is a byte that the other side took. What it sends is none: a request can be
//! drawn out for ever, a byte at a time. Who is served takes something all the time:
//! heartbeats, answers to pings of MQTT and of HTTP/2, PUBACKs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Behind the handshake the first answer has to be taken within this time: so long a
/// request may take to come.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Watches one connection.
#[derive(Debug)]
pub(crate) struct Patience {
    idle_max: Duration,
    /// Something was taken since the timer was set.
    moved: bool,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    pub(crate) fn new(idle_max: Duration) -> Self {
        Self {
            idle_max,
            moved: false,
            timer: Box::pin(sleep(ANSWERED_WITHIN.min(idle_max))),
        }
    }

    /// The other side took something.
    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }

    /// Ready when it is over.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.moved) {
                return Poll::Ready(());
            }
            self.timer.set(sleep(self.idle_max));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{Instant, advance};

    const IDLE: Duration = Duration::from_mins(2);
    const ALMOST: Duration = Duration::from_secs(119);

    async fn over_after(patience: &mut Patience) -> Duration {
        let begun = Instant::now();
        poll_fn(|cx| patience.poll_over(cx)).await;
        begun.elapsed()
    }

    async fn is_over(patience: &mut Patience) -> bool {
        poll_fn(|cx| Poll::Ready(patience.poll_over(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_no_answer_is_given_the_time_of_a_request() {
        let mut patience = Patience::new(IDLE);
        let given = over_after(&mut patience).await;
        assert_eq!(given.as_secs(), ANSWERED_WITHIN.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_something_now_and_then_stays_and_then_has_twice_the_time_at_most() {
        let mut patience = Patience::new(IDLE);
        for _ in 0..100 {
            patience.moved();
            advance(ALMOST).await;
            assert!(!is_over(&mut patience).await);
        }
        patience.moved();
        let given = over_after(&mut patience).await;
        assert!(IDLE <= given && given <= 2 * IDLE, "{given:?}");
    }
}

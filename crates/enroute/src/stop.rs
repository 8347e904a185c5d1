//! When to stop: Ctrl-C or SIGTERM asks for a clean end, the second one ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells whether stopping was asked for; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
}

/// Asks for the stop.
#[derive(Clone, Debug)]
pub(crate) struct Stopper {
    ask: watch::Sender<bool>,
}

/// Exit code of a process that a second signal ended.
const INTERRUPTED: i32 = 130;

impl Stopper {
    /// A stop that nobody asked for yet.
    pub(crate) fn new() -> (Self, Stop) {
        let (ask, asked) = watch::channel(false);
        (Self { ask }, Stop { asked })
    }

    /// Asks for it.
    pub(crate) fn stop(&self) {
        self.ask.send_replace(true);
    }
}

impl Stop {
    /// Returns when stopping was asked for.
    pub(crate) async fn asked(&mut self) {
        // An error means that nobody is left who could ask.
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Listens to the process's signals from here on.
pub(crate) fn on_signals() -> anyhow::Result<(Stopper, Stop)> {
    let (stopper, stop) = Stopper::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ask = stopper.clone();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(INTERRUPTED);
            }
            asked = true;
            ask.stop();
        }
    });
    Ok((stopper, stop))
}

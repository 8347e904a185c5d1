//! The loop around what goes out: receipts, commands and notes in, publishes on the
//! live connection out.

use crate::ingest::Parts;
use crate::outgoing::{Out, Outgoing, Word};
use enroute_model::time::Clock;
use enroute_mqtt::Client;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// The publisher.
pub(crate) struct Publisher {
    pub(crate) outgoing: Outgoing,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Instant,
}

impl Publisher {
    /// Until told to stop, or nobody is left to give receipts, commands and notes.
    pub(crate) async fn run(
        mut self,
        mut parts: Parts,
        mut words: mpsc::Receiver<Word>,
        mut stop: watch::Receiver<bool>,
    ) {
        let (mut receipts, mut commands, mut notes) = (true, true, true);
        loop {
            let next = self.outgoing.next_timeout();
            let next = next.map(|next| self.started + next);
            tokio::select! {
                receipt = parts.receipts.recv(), if receipts => match receipt {
                    Some((gateway, streams)) => {
                        self.with(|outgoing, out| outgoing.receipt(gateway, streams, out));
                    }
                    None => receipts = false,
                },
                command = parts.commands.recv(), if commands => match command {
                    Some((gateway, command)) => {
                        self.with(|outgoing, out| outgoing.command(&gateway, command, out));
                    }
                    None => commands = false,
                },
                word = parts.notes.recv(), if notes => match word {
                    Some((gateway, transfer, word)) => {
                        self.with(|outgoing, out| outgoing.notes(gateway, transfer, &word, out));
                    }
                    None => notes = false,
                },
                word = words.recv() => match word {
                    Some(word) => self.with(|outgoing, out| outgoing.heard(word, out)),
                    None => return,
                },
                () = at(next) => self.with(Outgoing::tick),
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Outgoing, &mut Out<'_>)) {
        let client = &self.client;
        let mut out = Out {
            now: Instant::now().saturating_duration_since(self.started),
            wall_us: self.clock.wall(),
            publish: &mut |publish| client.try_publish(publish),
        };
        work(&mut self.outgoing, &mut out);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

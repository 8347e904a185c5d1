//! The shard and its viewers without threads, tasks or waiting, for a simulation
//! that has the time and the journal's tail in its own hands. No interface for
//! others: the live view is [`crate::Live`].

use crate::Options;
use crate::admission::Admission;
use crate::catch_up::{Caught, Finder, follow};
use crate::core::Store;
use crate::engine_clock::EngineClock;
use crate::live::{ActError, LookupError, StartError, WatchError};
use crate::outbox::UseTransfer;
use crate::queue::Over;
use crate::requests::{Allowed, Doing, Reach, Request};
use crate::shard::{Flow, Input, Shard, ShardParts, load_error};
use crate::subscription::{self, Viewing};
use crate::update::{Delivery, Ended, Watch};
pub use enroute_engine::StreamReceipt;
use enroute_journal::{Append, Class, Journal, ReadError, TailItem};
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::notes::NotesOnBoard;
use enroute_model::registry::{RegistryAction, ViewerRole};
use enroute_model::state::{TransferState, Verdict};
use enroute_model::time::Clock;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Samples that one catching up may give at once.
const CAUGHT_MAX: usize = 1 << 16;

/// A shard whose inputs are given to it one by one.
pub struct Stepped {
    shard: Shard,
    clock: EngineClock,
}

/// Hears what the engine made of an action.
pub struct Handled(oneshot::Receiver<(TransferId, Verdict)>);

impl Handled {
    /// None: not yet.
    pub fn verdict(&mut self) -> Option<Verdict> {
        self.0.try_recv().ok().map(|(_, verdict)| verdict)
    }
}

/// One viewer of a [`Stepped`] shard.
pub struct Viewer {
    viewing: Viewing,
    caught: Option<mpsc::Receiver<Result<Caught, ReadError>>>,
}

impl Stepped {
    /// Rebuilds all transfers as a start does.
    ///
    /// # Errors
    /// As a start's.
    pub fn load(
        journal: &Journal,
        clock: &Arc<dyn Clock>,
        options: &Options,
    ) -> Result<Self, StartError> {
        let shard = ShardParts::new(journal, clock, options);
        let shard = shard.load(&Store::of(journal), journal.last_position());
        let shard = shard.map_err(load_error)?;
        let floor = shard.floor(journal);
        Ok(Self {
            shard,
            clock: EngineClock::anchored(Arc::clone(clock), Some(floor)),
        })
    }

    /// Engine time, for ticks and for ingest.
    #[must_use]
    pub fn clock(&self) -> &EngineClock {
        &self.clock
    }

    /// Handles what the tail gives; false: it cannot go on.
    pub fn take(&mut self, item: TailItem) -> bool {
        matches!(self.shard.handle(Input::Tail(item)), Flow::Continue)
    }

    /// Whether what viewers see is in the journal.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.shard.is_recording()
    }

    /// Which transfers may have records.
    #[must_use]
    pub fn admission(&self) -> Admission {
        self.shard.common.admission.clone()
    }

    /// How many transfers are on disk only.
    #[must_use]
    pub fn asleep(&self) -> usize {
        self.shard.core.engines.asleep.len()
    }

    /// The next receipt to publish.
    pub fn receipt(&mut self) -> Option<(GatewayId, Vec<StreamReceipt>)> {
        let (gateway, streams) = self.shard.receipts.try_take()?;
        Some((gateway, streams.into_values().collect()))
    }

    /// The next command to publish.
    pub fn command(&mut self) -> Option<(GatewayId, UseTransfer)> {
        self.shard.commands.try_take()
    }

    /// The next notes for a crew to publish.
    pub fn notes(&mut self) -> Option<(GatewayId, BTreeMap<TransferId, NotesOnBoard>)> {
        self.shard.notes.try_take()
    }

    /// A transfer as it stands.
    ///
    /// # Errors
    /// When the name does not resolve.
    pub fn state(&mut self, name: &str) -> Result<Arc<TransferState>, LookupError> {
        let name = name.to_owned();
        self.ask(|reply| Request::State { name, reply })?
    }

    /// The record of an action that is allowed now, to be appended, and who hears
    /// what became of it; none: it is so already. The actor's name is the id.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn act(
        &mut self,
        transfer: &str,
        action: RegistryAction,
        action_id: &str,
    ) -> Result<Option<(Append, Handled)>, ActError> {
        let (name, id) = (transfer.to_owned(), action_id.to_owned());
        let allowed = self.ask(|reply| Request::Act {
            name,
            action: Box::new(action),
            action_id: id,
            reply,
        })??;
        let Allowed::Append(Doing {
            transfer,
            action,
            handled,
        }) = allowed
        else {
            return Ok(None);
        };
        let append = self.record(transfer, action_id, &action);
        Ok(Some((append, Handled(handled))))
    }

    fn record(&self, transfer: TransferId, id: &str, action: &RegistryAction) -> Append {
        Append {
            class: Class::Vitals,
            transfer,
            at: self.clock.now(),
            received_at: self.clock.wall(),
            payload: enroute_wire::record::of_action(id, id, action),
        }
    }

    /// Opens a subscription. What it missed is read at once.
    ///
    /// # Errors
    /// As a real one's.
    pub fn watch(&mut self, watch: Watch) -> Result<Viewer, WatchError> {
        let waveforms = watch.waveforms;
        let wanted = subscription::wanted(&self.shard.options, watch)?;
        let opened = self.ask(|reply| Request::Watch { wanted, reply })??;
        let caught = opened.catch_up.then(|| {
            let (out, caught) = mpsc::channel(CAUGHT_MAX);
            let reader = self.shard.common.reader.clone();
            let finder = Finder::new(reader, waveforms, opened.from.position, out);
            follow(finder, |attach| self.reach(opened.viewer, attach));
            caught
        });
        let viewing = Viewing::new(
            &self.shard.common,
            &self.shard.stats,
            opened,
            ViewerRole::default(),
        );
        Ok(Viewer { viewing, caught })
    }

    fn reach(&mut self, viewer: u64, attach: bool) -> Option<Reach> {
        let ask = |reply| Request::Reach {
            viewer,
            attach,
            reply,
        };
        self.ask(ask).ok()
    }

    fn ask<T>(
        &mut self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, LookupError> {
        let (reply, mut answer) = oneshot::channel();
        self.shard.request(request(reply));
        answer.try_recv().map_err(|_| LookupError::Stopped)
    }
}

impl Viewer {
    /// The next update if there is one now.
    ///
    /// # Errors
    /// Why the subscription is over.
    pub fn try_next(&mut self) -> Result<Option<Delivery>, Ended> {
        if let Some(update) = self.viewing.next_of_front() {
            return Ok(Some(self.viewing.deliver(update)));
        }
        while let Some(item) = self.viewing.queue.take(self.caught.is_none()) {
            let item = item.map_err(|over| match over {
                Over::Ended(ended) => ended,
                // It comes again with its token.
                Over::Again(_) => Ended::Unreadable,
            })?;
            if let Some(update) = self.viewing.took(item) {
                return Ok(Some(self.viewing.deliver(update)));
            }
        }
        while let Some(caught) = &mut self.caught {
            let caught = caught.try_recv().ok();
            match self.viewing.caught(caught)? {
                Some(update) => return Ok(Some(self.viewing.deliver(update))),
                None => self.caught = None,
            }
        }
        Ok(None)
    }

    /// A heartbeat.
    pub fn beat(&mut self) -> Delivery {
        let update = self.viewing.beat();
        self.viewing.deliver(update)
    }
}

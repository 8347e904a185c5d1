//! The two connections to the broker.
//!
//! Live publishes each batch as it is recorded, or leaves it to history: it has
//! no queue. History publishes everything spooled that is neither covered by a
//! receipt nor on its way, within two bounds of bytes. Receipts and commands
//! come over the live connection, so history waits while that one is down: now
//! comes first.
//!
//! All decisions are in [`Core`]; here is one task that does its I/O. The spool
//! is read on threads that may block. Batches from the desk wait in a queue of 64
//! (when full, the desk waits).

mod clocks;
pub(crate) mod core;
pub(crate) mod io;
mod ladder;
mod latest;
mod pace;
pub(crate) mod receipts;
pub(crate) mod sent;

use self::core::Core;
use self::io::{Input, LinkView, Now, Output};
use crate::config::Config;
use crate::desk::{Desk, Status};
use crate::spool::{Spooled, StreamLife, Wanted};
use enroute_model::ids::{GatewayId, Lane, TransferId};
use enroute_model::time::{GatewayTime, Span};
use enroute_mqtt::{Client, Connector, Event, Events, Options, Publish, PublishError, Will};
use enroute_wire::Message;
use enroute_wire::topics::{self, Topic};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How the uplink is told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until told otherwise.
    #[default]
    Run,
    /// Nothing more is recorded: whatever is spooled may go by history.
    Drain,
    /// Say goodbye and end.
    Stop,
}

/// What the loop waits for.
enum Happened {
    Recorded(Option<Vec<Spooled>>),
    Broker(Lane, Option<Event>),
    Timeout,
    /// Nothing more urgent is to be done: read the spool for history.
    Pick,
    Status,
    Phase(Phase),
}

pub(crate) struct Uplink {
    core: Core,
    desk: Arc<Desk>,
    recorded: mpsc::Receiver<Vec<Spooled>>,
    phase: watch::Receiver<Phase>,
    live: Client,
    live_events: Events,
    history: Client,
    history_events: Events,
    /// What the core asks of the spool.
    wanted: Option<Wanted>,
    /// What the core and the desk were last told.
    transfer: Option<TransferId>,
    link: LinkView,
}

impl Uplink {
    pub(crate) fn new(
        config: &Config,
        desk: Arc<Desk>,
        recorded: mpsc::Receiver<Vec<Spooled>>,
        phase: watch::Receiver<Phase>,
        through: BTreeMap<StreamLife, u64>,
        exercise: bool,
        tls: Option<Arc<Connector>>,
    ) -> Self {
        let started_at = desk.wall();
        let (mut for_live, mut for_history) = (
            live_options(config, exercise, started_at),
            options(config, "history"),
        );
        for_live.tls.clone_from(&tls);
        for_history.tls = tls;
        let (live, live_events) = Client::connect(for_live);
        let (history, history_events) = Client::connect(for_history);
        Self {
            core: Core::new(config, exercise, started_at, through),
            desk,
            recorded,
            phase,
            live,
            live_events,
            history,
            history_events,
            wanted: None,
            transfer: None,
            link: LinkView::default(),
        }
    }

    /// Until told to stop.
    pub(crate) async fn run(mut self) {
        let mut status = self.desk.status();
        self.tell_transfer().await;
        loop {
            match self.next(&mut status).await {
                Happened::Recorded(Some(frames)) => self.tell(Input::Recorded(frames)).await,
                Happened::Broker(lane, Some(event)) => self.on_event(lane, event).await,
                Happened::Timeout => {
                    let mut out = Vec::new();
                    self.core.handle_timeout(self.now(), &mut out);
                    self.act(out).await;
                }
                Happened::Pick => self.pick().await,
                Happened::Status => self.tell_transfer().await,
                Happened::Phase(Phase::Run) => {}
                Happened::Phase(Phase::Drain) => self.tell(Input::Drain).await,
                // An end of events or frames means that the gateway is being dropped.
                Happened::Phase(Phase::Stop)
                | Happened::Recorded(None)
                | Happened::Broker(_, None) => break,
            }
        }
        self.tell(Input::Stop).await;
        tokio::join!(self.live.close(), self.history.close());
        self.show(LinkView::default());
    }

    async fn next(&mut self, status: &mut watch::Receiver<Status>) -> Happened {
        let timeout = self.core.next_timeout().map(|due| self.instant(due));
        tokio::select! {
            biased;
            Ok(()) = self.phase.changed() => Happened::Phase(*self.phase.borrow_and_update()),
            frames = self.recorded.recv() => Happened::Recorded(frames),
            event = self.live_events.next() => Happened::Broker(Lane::Live, event),
            event = self.history_events.next() => Happened::Broker(Lane::History, event),
            () = at(timeout) => Happened::Timeout,
            Ok(()) = status.changed() => Happened::Status,
            () = std::future::ready(()), if self.wanted.is_some() => Happened::Pick,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.desk.monotonic(),
            wall: self.desk.wall(),
        }
    }

    /// The core's time as the runtime's.
    fn instant(&self, due: Span) -> Instant {
        let wait = due.0.saturating_sub(self.desk.monotonic().0);
        Instant::now() + Duration::from_micros(u64::try_from(wait).unwrap_or(0))
    }

    /// Tells the core and does what it wants, until it wants nothing more at once.
    async fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.handle(self.now(), input, &mut out);
        self.act(out).await;
    }

    async fn act(&mut self, mut outputs: Vec<Output>) {
        while !outputs.is_empty() {
            let mut more = Vec::new();
            for output in outputs {
                if let Some(answer) = self.perform(output).await {
                    self.core.handle(self.now(), answer, &mut more);
                }
            }
            outputs = more;
        }
        if let Some((lane, round_trip)) = self.core.take_answered() {
            self.desk.stats.round_trips(lane).record(round_trip);
        }
        if let Some(handed) = self.core.take_handed() {
            self.desk.set_handed(handed);
        }
        if self.core.link() != self.link {
            self.link = self.core.link();
            self.show(self.link);
        }
    }

    async fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Publish {
                lane,
                publish,
                frames,
            } => self.publish(lane, publish, frames),
            Output::Pick(wanted) => {
                self.wanted = Some(wanted);
                None
            }
            Output::Hear(word) => {
                let stats = Arc::clone(&self.desk.stats);
                stats.receipts.add(1);
                let now = self.desk.wall();
                let heard = self.desk.spool(move |spool| {
                    let heard = spool.hear(&word, now)?;
                    stats.freed.add(heard.freed);
                    Ok(heard)
                });
                let heard = heard.await.unwrap_or_default();
                let unconfirmed = self.desk.status().borrow().unconfirmed;
                Some(Input::Freed { heard, unconfirmed })
            }
            Output::UseTransfer {
                instead_of,
                transfer,
            } => {
                let used = self
                    .desk
                    .spool(move |spool| spool.use_transfer(&instead_of, &transfer));
                if let Ok(true) = used.await {
                    tracing::info!("this leg now belongs to another transfer");
                }
                // The desk's status tells of the change.
                None
            }
            Output::StateClocks(clocks) => {
                self.desk.state_clocks(clocks);
                None
            }
        }
    }

    fn publish(&self, lane: Lane, publish: Publish, frames: u64) -> Option<Input> {
        let client = match lane {
            Lane::Live => &self.live,
            Lane::History => &self.history,
        };
        let (token, bytes) = (publish.token, publish.payload.len());
        match client.try_publish(publish) {
            Ok(()) => {}
            Err(error @ PublishError::TooLarge { .. }) => {
                tracing::error!(%error, ?lane, "the broker refuses the size of a publish");
                let too_large = true;
                return Some(Input::Unsent { token, too_large });
            }
            Err(error) => {
                tracing::debug!(%error, ?lane, "not published now");
                let too_large = false;
                return Some(Input::Unsent { token, too_large });
            }
        }
        let stats = &self.desk.stats;
        if frames > 0 {
            stats.publishes.add(1);
            stats.published_bytes.add(u64::try_from(bytes).unwrap_or(0));
        }
        match lane {
            Lane::Live => stats.published_live.add(frames),
            Lane::History => stats.published_history.add(frames),
        }
        None
    }

    async fn pick(&mut self) {
        let Some(wanted) = self.wanted.take() else {
            return;
        };
        let picked = self.desk.spool(move |spool| spool.pick(&wanted)).await;
        self.tell(Input::Picked(picked.unwrap_or(None))).await;
    }

    async fn tell_transfer(&mut self) {
        let transfer = self.desk.status().borrow().transfer.clone();
        if transfer != self.transfer {
            self.transfer.clone_from(&transfer);
            self.tell(Input::Transfer(transfer)).await;
        }
    }

    async fn on_event(&mut self, lane: Lane, event: Event) {
        let input = match event {
            Event::Connected { .. } => {
                self.desk.stats.connections.add(1);
                Input::Connected(lane)
            }
            Event::Disconnected { reason } => {
                tracing::info!(reason, ?lane, "a connection ended");
                Input::Disconnected(lane)
            }
            Event::Publish(incoming) => {
                let client = match lane {
                    Lane::Live => &self.live,
                    Lane::History => &self.history,
                };
                client.ack(incoming.ack);
                if let Ok(Topic::Notes { transfer, .. }) = Topic::parse(&incoming.topic) {
                    return self.desk.hear_notes(transfer, &incoming.payload);
                }
                Input::Message {
                    topic: incoming.topic,
                    payload: incoming.payload,
                }
            }
            Event::Puback { token } => Input::Answered(token),
            Event::Refused { token, reason } => {
                tracing::warn!(reason, "the broker refused a publish");
                Input::Answered(token)
            }
            Event::Lost { tokens } => Input::Lost(tokens),
            Event::Subscribed => return,
        };
        self.tell(input).await;
    }

    fn show(&self, link: LinkView) {
        self.desk.set_status(|status| status.link = link);
    }
}

/// The MQTT client ids of a gateway's two connections.
#[must_use]
pub fn client_ids(gateway: &GatewayId) -> [String; 2] {
    ["live", "history"].map(|lane| client_id(gateway, lane))
}

fn client_id(gateway: &GatewayId, lane: &str) -> String {
    format!("enroute-gw-{gateway}-{lane}")
}

fn options(config: &Config, lane: &str) -> Options {
    let client_id = client_id(&config.id, lane);
    Options {
        via: config.broker.via,
        keep_alive: Duration::from_secs(config.broker.keep_alive_s.into()),
        jitter_seed: client_id
            .bytes()
            .fold(0, |h, b| h * 31 % 0xffff_fffb + u64::from(b)),
        ..Options::new(&config.broker.host, config.broker.port, &client_id)
    }
}

fn live_options(config: &Config, exercise: bool, started_at: GatewayTime) -> Options {
    let topic = |topic: Topic| topic.to_string();
    let offline = core::offline(exercise, started_at);
    Options {
        will: Some(Will {
            topic: topic(Topic::Status(config.id.clone())),
            payload: offline.encode_to_vec().into(),
            retain: true,
        }),
        subscriptions: vec![
            topic(Topic::Receipt(config.id.clone())),
            topic(Topic::Command(config.id.clone())),
            topics::notes_of(&config.id),
        ],
        ..options(config, "live")
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

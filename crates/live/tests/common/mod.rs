//! A live view over a real journal, with hand-made frames and a clock that
//! stands still unless it is moved.
#![allow(dead_code, reason = "each test file uses a part of it")]

use bytes::Bytes;
use enroute_journal::{Append, AppendError, Class, Classes, Journal};
use enroute_live::{
    Commands, Delivery, Ended, Live, Notes, Options, Receipts, Subscription, Update, Watch,
};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, CrewEvent, Frame, Header, Metric, Numeric, Waveform};
use enroute_model::ids::{Epoch, GatewayId, Lane, Position, Stream, TransferId};
use enroute_model::reading::{Decimal, Reading, Validity};
use enroute_model::registry::RegistryAction;
use enroute_model::state::TransferState;
use enroute_model::time::{Clock, EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::record;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Microseconds UTC at which every test begins.
pub(crate) const START: i64 = 1_700_000_000_000_000;

#[derive(Default)]
pub(crate) struct StandingClock(pub(crate) AtomicI64);

impl Clock for StandingClock {
    fn wall(&self) -> i64 {
        START + self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Span {
        Span(self.0.load(Ordering::SeqCst))
    }
}

/// A disk that takes so many more writes; a repair needs two.
pub(crate) struct Disk(pub(crate) AtomicI64);

impl Disk {
    pub(crate) fn sound() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(i64::MAX)))
    }

    /// It takes `writes` more.
    pub(crate) fn takes(&self, writes: i64) {
        self.0.store(writes, Ordering::SeqCst);
    }

    fn ask(&self) -> std::io::Result<()> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        self.takes(0);
        Err(std::io::Error::other("no space left on device"))
    }
}

/// Options of a sealed journal, which does all that a clear one does and more;
/// `ENROUTE_STORE=clear` asks for a clear one.
pub(crate) fn store() -> enroute_journal::Options {
    let clear = std::env::var("ENROUTE_STORE").is_ok_and(|store| store == "clear");
    let keys = || Arc::new(enroute_seal::Keys::parse(&format!("1 {:064x}", 42)).unwrap());
    enroute_journal::Options {
        keys: (!clear).then(keys),
        ..enroute_journal::Options::default()
    }
}

/// Options under which nothing happens that the test does not do.
pub(crate) fn quiet() -> Options {
    Options {
        tick: Duration::from_secs(1_000_000),
        receipts_every: Span(0),
        heartbeat: Duration::from_secs(1_000_000),
        snapshot_records: u64::MAX,
        snapshot_every: Span(i64::MAX),
        ..Options::default()
    }
}

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    journal: Option<Journal>,
    pub(crate) live: Live,
    pub(crate) receipts: Receipts,
    pub(crate) commands: Commands,
    pub(crate) notes: Notes,
    pub(crate) options: Options,
}

pub(crate) fn tx(id: &str) -> TransferId {
    TransferId::new(id).unwrap()
}

pub(crate) fn gw(id: &str) -> GatewayId {
    GatewayId::new(id).unwrap()
}

pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("hangs")
}

impl Bench {
    pub(crate) async fn new(options: Options) -> Self {
        Self::open(TempDir::new().unwrap(), options).await
    }

    /// On a disk that can be broken and repaired.
    pub(crate) async fn on(disk: &Arc<Disk>, options: Options) -> Self {
        let disk = Arc::clone(disk);
        let probe = enroute_journal::Probe(Arc::new(move || disk.ask()));
        let journal_options = enroute_journal::Options {
            commit_interval: Duration::ZERO,
            repair_after: Duration::from_millis(1),
            before_commit: Some(probe),
            ..store()
        };
        Self::open_on(TempDir::new().unwrap(), options, journal_options).await
    }

    async fn open(dir: TempDir, options: Options) -> Self {
        let journal_options = enroute_journal::Options {
            commit_interval: Duration::ZERO,
            ..store()
        };
        Self::open_on(dir, options, journal_options).await
    }

    async fn open_on(
        dir: TempDir,
        options: Options,
        journal_options: enroute_journal::Options,
    ) -> Self {
        let (journal, tail) = Journal::open(dir.path(), journal_options).unwrap();
        let clock = Arc::new(StandingClock::default());
        let started = Live::start(&journal, tail, clock, options.clone());
        let started = in_time(started).await.unwrap();
        Self {
            dir,
            journal: Some(journal),
            live: started.live,
            receipts: started.receipts,
            commands: started.commands,
            notes: started.notes,
            options,
        }
    }

    /// Stops, with snapshots or as in a crash, and starts again.
    pub(crate) async fn restart(self, clean: bool, options: Options) -> Self {
        let Self {
            dir,
            journal,
            live,
            receipts,
            commands,
            notes,
            ..
        } = self;
        if clean {
            in_time(live.shutdown()).await;
        }
        let mut health = live.health();
        drop((live, receipts, commands, notes));
        let journal = journal.unwrap();
        tokio::task::spawn_blocking(move || journal.close().unwrap())
            .await
            .unwrap();
        // The shard's thread ends with the tail and lets the directory go.
        in_time(async { while health.changed().await.is_ok() {} }).await;
        Self::open_when_free(dir, options).await
    }

    async fn open_when_free(dir: TempDir, options: Options) -> Self {
        Self::open(dir, options).await
    }

    pub(crate) fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    /// Appends and waits until the engines have handled it.
    pub(crate) async fn put(&self, records: Vec<Append>) -> Position {
        let position = in_time(self.journal().appender().append(records))
            .await
            .unwrap();
        in_time(self.live.reached(position)).await.unwrap();
        position
    }

    /// Appends while the journal cannot be written, and waits until the engines
    /// have handled it.
    pub(crate) async fn put_unrecorded(&self, records: Vec<Append>) {
        let count = u64::try_from(records.len()).unwrap();
        let through = self.live.stats().unrecorded() + count;
        let answer = in_time(self.journal().appender().append(records)).await;
        assert!(
            matches!(answer, Err(AppendError::Unrecorded(_))),
            "{answer:?}"
        );
        let handled = async {
            while self.live.stats().unrecorded() < through {
                tokio::task::yield_now().await;
            }
        };
        in_time(handled).await;
    }

    pub(crate) async fn tick(&self, seconds: i64) {
        let at = EngineTime(START + seconds * 1_000_000);
        self.journal().appender().tick(at).await.unwrap();
    }

    pub(crate) async fn states(&self) -> Vec<TransferState> {
        let states = in_time(self.live.list(true)).await.unwrap();
        states
            .iter()
            .map(|state| TransferState::clone(state))
            .collect()
    }

    pub(crate) async fn state(&self, name: &str) -> TransferState {
        TransferState::clone(&*in_time(self.live.state(name)).await.unwrap())
    }

    /// All derived records, by transfer.
    pub(crate) fn derived(&self) -> BTreeMap<TransferId, Vec<(u64, Bytes)>> {
        let reader = self.journal().reader();
        let transfers = reader.transfers().unwrap();
        transfers
            .into_iter()
            .map(|(transfer, _)| {
                let steps = reader.derived(&transfer, 1).map(Result::unwrap).collect();
                (transfer, steps)
            })
            .collect()
    }

    pub(crate) fn stored(&self, transfer: &str) -> usize {
        self.journal()
            .reader()
            .scan(&tx(transfer), Classes::All, Position(0))
            .count()
    }

    /// Ends the live view and gives what is on disk.
    pub(crate) async fn stopped(self) -> (TempDir, Journal) {
        in_time(self.live.shutdown()).await;
        let mut health = self.live.health();
        drop((self.live, self.receipts, self.commands));
        let journal = self.journal.unwrap();
        tokio::task::spawn_blocking(move || journal.close().unwrap())
            .await
            .unwrap();
        in_time(async { while health.changed().await.is_ok() {} }).await;
        let (journal, _) = Journal::open(self.dir.path(), store()).unwrap();
        (self.dir, journal)
    }

    pub(crate) async fn watch(&self, watch: Watch) -> Subscription {
        in_time(self.live.watch(watch)).await.unwrap()
    }
}

pub(crate) async fn next(subscription: &mut Subscription) -> Result<Delivery, Ended> {
    in_time(subscription.next()).await
}

/// The next update that `wanted` picks.
pub(crate) async fn until<T>(
    subscription: &mut Subscription,
    mut wanted: impl FnMut(&Update) -> Option<T>,
) -> T {
    loop {
        let delivery = next(subscription).await.expect("ends early");
        if let Some(found) = wanted(&delivery.update) {
            return found;
        }
    }
}

/// A gateway that numbers its frames.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) transfer: &'static str,
    pub(crate) gateway: &'static str,
    pub(crate) epoch: u64,
}

impl Sender {
    fn append(&self, second: i64, lane: Lane, frame: &Frame) -> Append {
        let bytes = Bytes::from(enroute_wire::frame::encode(frame));
        let class = match frame.header.stream {
            Stream::Waveforms => Class::Waveforms,
            Stream::Events | Stream::Numerics => Class::Vitals,
        };
        Append {
            class,
            transfer: tx(self.transfer),
            at: EngineTime(START + second * 1_000_000),
            received_at: ServerTime(START + second * 1_000_000),
            payload: record::of_frame(&gw(self.gateway), lane, bytes),
        }
    }

    fn frame(&self, stream: Stream, sequence: u64, second: i64, body: Body) -> Frame {
        Frame {
            header: Header {
                epoch: Epoch(self.epoch),
                stream,
                sequence,
                leg_first: 1,
                captured_at: GatewayTime(START + second * 1_000_000),
                observed_at: None,
                boot: 1,
                monotonic: Span::from_secs(second),
                clocks: None,
                exercise: false,
            },
            body,
        }
    }

    /// Heart rate `hr` at `second`, with this sequence.
    pub(crate) fn hr(&self, sequence: u64, second: i64, hr: i64) -> Append {
        self.hr_on(Lane::Live, sequence, second, hr)
    }

    pub(crate) fn hr_on(&self, lane: Lane, sequence: u64, second: i64, hr: i64) -> Append {
        let vital = catalogue().vital_by_id("hr").unwrap();
        let numeric = Numeric {
            metric: Metric {
                code: vital.code,
                label: String::new(),
            },
            unit: String::new(),
            reading: Reading::Value {
                value: Decimal::new(hr, 0).unwrap(),
                validity: Validity::Measured,
            },
            interval: Span::from_secs(1),
        };
        let body = Body::Numerics(vec![numeric]);
        self.append(
            second,
            lane,
            &self.frame(Stream::Numerics, sequence, second, body),
        )
    }

    pub(crate) fn wave(&self, sequence: u64, second: i64) -> Append {
        let channel = catalogue().waveform_by_id("ecg_ii").unwrap();
        let waveform = Waveform {
            metric: Metric {
                code: channel.code,
                label: String::new(),
            },
            unit: String::new(),
            rate_hz: 4.0,
            gain: 200.0,
            baseline: 0,
            first_sample: sequence * 4,
            start_offset: Span::ZERO,
            samples: vec![Some(1), Some(2), None, Some(3)],
        };
        let body = Body::Waveforms(vec![waveform]);
        self.append(
            second,
            Lane::Live,
            &self.frame(Stream::Waveforms, sequence, second, body),
        )
    }

    pub(crate) fn crew(&self, sequence: u64, second: i64, event: CrewEvent) -> Append {
        let frame = self.frame(Stream::Events, sequence, second, Body::Crew(event));
        self.append(second, Lane::Live, &frame)
    }

    pub(crate) fn join(&self, sequence: u64, second: i64, short_code: &str) -> Append {
        let short_code = short_code.to_owned();
        self.crew(sequence, second, CrewEvent::Join { short_code })
    }
}

pub(crate) fn action(transfer: &str, second: i64, id: &str, action: &RegistryAction) -> Append {
    Append {
        class: Class::Vitals,
        transfer: tx(transfer),
        at: EngineTime(START + second * 1_000_000),
        received_at: ServerTime(START + second * 1_000_000),
        payload: record::of_action(id, "test", action),
    }
}

pub(crate) const A: Sender = Sender {
    transfer: "tx-a",
    gateway: "gw-a",
    epoch: 1,
};
pub(crate) const B: Sender = Sender {
    transfer: "tx-b",
    gateway: "gw-b",
    epoch: 2,
};

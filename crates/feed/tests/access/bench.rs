//! A port with tokens over a live view with three transfers: to HUG, to CHUV, and to
//! nowhere yet.

use axum::routing::get;
use bytes::{Buf as _, BufMut as _, Bytes};
use enroute_access::{Regions, Role, SECRET_BYTES, Scope, Tokens, Wanted};
use enroute_audit::{Audit, Entry, Key, Log, Outcome, Record, Who};
use enroute_feed::{Feed, Gate, Identities, Issuer, Options, RateCounts};
use enroute_identity::Store;
use enroute_journal::Journal;
use enroute_live::Live;
use enroute_model::registry::{RegistryAction, TransferInfo};
use enroute_model::time::{Clock, Span};
use enroute_seal::Keys;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub(crate) const START: i64 = 1_700_000_000_000_000;

/// A wall clock that a test sets.
#[derive(Default)]
pub(crate) struct SetClock {
    wall: AtomicI64,
    passed: AtomicI64,
}

impl SetClock {
    pub(crate) fn set(&self, us: i64) {
        self.wall.store(us, Ordering::SeqCst);
    }

    /// Lets so much time go by on the clock that never steps.
    pub(crate) fn pass(&self, span: Span) {
        self.passed.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn wall(&self) -> i64 {
        START + self.wall.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Span {
        Span(self.passed.load(Ordering::SeqCst))
    }
}

/// One by which every look at it is a minute later: nothing is counted together.
#[derive(Default)]
struct HastyClock(AtomicI64);

impl Clock for HastyClock {
    fn wall(&self) -> i64 {
        START
    }
    fn monotonic(&self) -> Span {
        Span::from_secs(self.0.fetch_add(61, Ordering::SeqCst))
    }
}

pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), what)
        .await
        .expect("hangs")
}

/// Tokens being made, each with what its owner shows.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) tokens: Tokens,
    pub(crate) shown: BTreeMap<&'static str, String>,
}

impl Made {
    pub(crate) fn add(&mut self, name: &'static str, role: Role, scope: Scope) {
        self.add_until(name, role, scope, None);
    }

    pub(crate) fn add_until(
        &mut self,
        name: &'static str,
        role: Role,
        scope: Scope,
        expires_us: Option<i64>,
    ) {
        let wanted = wanted(name, role, scope);
        self.make(
            name,
            Wanted {
                expires_us,
                ..wanted
            },
        );
    }

    /// One that may break the glass.
    pub(crate) fn add_breaker(&mut self, name: &'static str, role: Role, scope: Scope) {
        let wanted = wanted(name, role, scope);
        self.make(
            name,
            Wanted {
                break_glass: true,
                ..wanted
            },
        );
    }

    /// One who is elsewhere.
    pub(crate) fn add_in(&mut self, region: &str, name: &'static str, role: Role, breaks: bool) {
        let wanted = wanted(name, role, Scope::default());
        self.make(
            name,
            Wanted {
                region: Some(region.to_owned()),
                break_glass: breaks,
                ..wanted
            },
        );
    }

    fn make(&mut self, name: &'static str, wanted: Wanted) {
        let seed = u8::try_from(self.shown.len()).unwrap();
        let shown = self.tokens.add(wanted, &[seed; SECRET_BYTES]).unwrap();
        self.shown.insert(name, shown);
    }
}

fn wanted(name: &str, role: Role, scope: Scope) -> Wanted {
    Wanted {
        name: name.to_owned(),
        role,
        certificate: None,
        break_glass: false,
        region: None,
        expires_us: None,
        scope,
    }
}

pub(crate) fn hospital(name: &str) -> Scope {
    Scope {
        hospitals: vec![name.to_owned()],
        ..Scope::default()
    }
}

pub(crate) fn transfer(id: &str) -> Scope {
    Scope {
        transfers: vec![id.to_owned()],
        ..Scope::default()
    }
}

pub(crate) struct Bench {
    pub(crate) live: Live,
    pub(crate) address: String,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) tokens: watch::Sender<Arc<Tokens>>,
    pub(crate) shown: BTreeMap<&'static str, String>,
    pub(crate) audit: Audit,
    pub(crate) rates: Arc<RateCounts>,
    /// Number of the last record that was asked for.
    seen: AtomicU64,
    _journal: Journal,
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) async fn new(made: Made) -> Self {
        Self::with_issuer(made, None).await
    }

    /// Of a server that is in a region.
    pub(crate) async fn pinned(made: Made, regions: Regions) -> Self {
        let dir = TempDir::new().unwrap();
        let identities = Self::identities(&dir);
        Self::begin_in(dir, made, None, identities, regions).await
    }

    fn identities(dir: &TempDir) -> Identities {
        let keys = Keys::parse(&format!("1 {:064x}", 7)).unwrap();
        let store = Store::open(&dir.path().join("identity"), &Arc::new(keys)).unwrap();
        Identities::new(Arc::new(store))
    }

    pub(crate) async fn with_issuer(made: Made, issuer: Option<Issuer>) -> Self {
        let dir = TempDir::new().unwrap();
        let identities = Self::identities(&dir);
        Self::begin(dir, made, issuer, identities).await
    }

    /// Of a server that has no identity store.
    pub(crate) async fn knowing_nobody(made: Made) -> Self {
        let dir = TempDir::new().unwrap();
        Self::begin(dir, made, None, Identities::default()).await
    }

    async fn begin(
        dir: TempDir,
        made: Made,
        issuer: Option<Issuer>,
        identities: Identities,
    ) -> Self {
        Self::begin_in(dir, made, issuer, identities, Regions::default()).await
    }

    async fn begin_in(
        dir: TempDir,
        made: Made,
        issuer: Option<Issuer>,
        identities: Identities,
        regions: Regions,
    ) -> Self {
        let at = dir.path().join("journal");
        let (journal, tail) = Journal::open(&at, enroute_journal::Options::default()).unwrap();
        let clock = Arc::new(SetClock::default());
        let quiet = enroute_live::Options {
            tick: Duration::from_secs(1_000_000),
            heartbeat: Duration::from_secs(1_000_000),
            ..Default::default()
        };
        let started = Live::start(&journal, tail, Arc::clone(&clock) as Arc<dyn Clock>, quiet);
        let live = in_time(started).await.unwrap().live;
        let (tokens, known) = watch::channel(Arc::new(made.tokens));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Log::open(&dir.path().join("audit"), Key::none(), START).unwrap();
        let audit = Audit::start(log, Arc::new(HastyClock::default())).unwrap();
        let gate = Gate::new(known, issuer).audited(audit.clone());
        let gate = gate.pinned(regions);
        let rates = gate.rate_counts();
        let feed = Feed::new(live.clone(), Options::default()).guarded(gate);
        let feed = feed.knowing(identities);
        let page = |word| axum::Router::new().route(word, get(move || async move { word }));
        let more = page("/open").merge(feed.service_pages(page("/counts")));
        drop(tokio::spawn(async move {
            let served = feed.serve(listener, None, more, std::future::pending());
            served.await.unwrap();
        }));
        let bench = Self {
            live,
            address,
            clock,
            tokens,
            shown: made.shown,
            audit,
            rates,
            seen: AtomicU64::new(0),
            _journal: journal,
            dir,
        };
        for (id, hospital) in [("tx-a", "HUG"), ("tx-b", "CHUV"), ("tx-n", "")] {
            bench.assign(id, hospital).await;
        }
        bench
    }

    pub(crate) async fn assign(&self, id: &str, hospital: &str) {
        self.pin(id, hospital, &[]).await;
    }

    pub(crate) async fn pin(&self, id: &str, hospital: &str, regions: &[&str]) {
        let info = TransferInfo {
            hospital: hospital.to_owned(),
            regions: regions.iter().map(|&name| name.to_owned()).collect(),
            ..TransferInfo::default()
        };
        let action = format!("{id} to {hospital} in {}", regions.join(" "));
        let put = RegistryAction::Put(info);
        let acted = self.live.act(id, put, &action, "dispatch");
        in_time(acted).await.unwrap();
    }

    /// Where the audit log is.
    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    /// What is on record since this was asked last.
    pub(crate) async fn told(&self) -> Vec<Entry> {
        let (to, written) = oneshot::channel();
        let mark = Entry {
            who: Who::default(),
            action: "mark".to_owned(),
            transfer: None,
            outcome: Outcome::Noted,
            detail: String::new(),
        };
        // What was told before it is on disk when it is.
        self.audit.tell_durably(mark, |how| to.send(how).unwrap());
        in_time(written).await.unwrap().unwrap();
        let (mut told, seen) = (Vec::new(), self.seen.load(Ordering::SeqCst));
        enroute_audit::records(&self.audit_dir(), |record: Record| {
            self.seen.fetch_max(record.seq, Ordering::SeqCst);
            if record.seq > seen && record.entry.action != "mark" {
                told.push(record.entry);
            }
        })
        .unwrap();
        told
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        in_time(endpoint.connect()).await.unwrap()
    }

    /// A request with the token of that name.
    pub(crate) fn by<T>(&self, name: &str, message: T) -> Request<T> {
        let shown = self.shown.get(name).map_or(name, String::as_str);
        with(shown, message)
    }
}

/// A request that shows a token, if it is not empty.
pub(crate) fn with<T>(shown: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !shown.is_empty() {
        let value: MetadataValue<_> = format!("Bearer {shown}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Messages as the bytes that they are.
#[derive(Clone, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

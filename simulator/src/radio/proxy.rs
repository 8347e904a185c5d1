//! A TCP proxy that behaves like a radio link.

use super::pipe::{duration, pump};
use super::plan::{Cut, LinkState, Plan};
use enroute_model::time::Span;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

/// What a proxy has carried and cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections reset or refused because the link was down.
    pub reset: u64,
    /// Bytes towards the target.
    pub bytes_up: u64,
    /// Bytes from the target.
    pub bytes_down: u64,
}

/// Listens on a free port of 127.0.0.1 and carries each connection to the
/// target as its [`Plan`] allows. Stops, and cuts what it carries, when dropped.
///
/// At most 64 connections at a time; more wait to be accepted. Each holds at
/// most 256 KiB in each direction, then its sender waits.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// After a failed accept (no file descriptors left, say).
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Shared {
    target: String,
    plan: Plan,
    started: Instant,
    /// Held while the state is decided, so that the plan never overwrites a `set`.
    by_hand: Mutex<Option<LinkState>>,
    state: watch::Sender<LinkState>,
    accepted: AtomicU64,
    /// Connections that reached the target.
    carried: watch::Sender<u64>,
    reset: AtomicU64,
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
}

impl Proxy {
    /// Starts; the plan's time begins now. `target` is `host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: &str, plan: Plan) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: target.to_owned(),
            state: watch::Sender::new(plan.at(Span::ZERO)),
            plan,
            started: Instant::now(),
            by_hand: Mutex::new(None),
            accepted: AtomicU64::new(0),
            carried: watch::Sender::new(0),
            reset: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
        });
        let tasks = [
            tokio::spawn(accept(listener, Arc::clone(&shared))),
            tokio::spawn(follow(Arc::clone(&shared))),
        ];
        Ok(Self {
            addr,
            shared,
            tasks,
        })
    }

    /// Where to connect instead of the target.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the link does now.
    #[must_use]
    pub fn state(&self) -> LinkState {
        *self.shared.state.borrow()
    }

    /// Takes over from the plan: this state until the next `set` or [`Self::follow_plan`].
    pub fn set(&self, state: LinkState) {
        self.shared.decide(|by_hand| *by_hand = Some(state));
    }

    /// How many connections have reached the target; changes when one does.
    #[must_use]
    pub fn carried(&self) -> watch::Receiver<u64> {
        self.shared.carried.subscribe()
    }

    /// Back to the plan, where it stands now.
    pub fn follow_plan(&self) {
        self.shared.decide(|by_hand| *by_hand = None);
    }

    /// What it has carried and cut so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            accepted: read(&self.shared.accepted),
            reset: read(&self.shared.reset),
            bytes_up: read(&self.shared.bytes_up),
            bytes_down: read(&self.shared.bytes_down),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn now(&self) -> Span {
        Span(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn decide(&self, change: impl FnOnce(&mut Option<LinkState>)) {
        let mut by_hand = self.by_hand.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut by_hand);
        let decided = by_hand.unwrap_or_else(|| self.plan.at(self.now()));
        self.state
            .send_if_modified(|state| std::mem::replace(state, decided) != decided);
    }
}

/// Moves the state with the plan.
async fn follow(shared: Arc<Shared>) {
    while let Some(next) = shared.plan.next_change(shared.now()) {
        sleep_until(shared.started + duration(next)).await;
        shared.decide(|_| {});
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((client, _)) => {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(carry(client, Arc::clone(&shared)));
            }
            Err(_) => sleep(ACCEPT_AGAIN_AFTER).await,
        }
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cut = shared.state.subscribe();
    let mut link = shared.state.subscribe();
    let mut server = None;
    tokio::select! {
        biased;
        _ = cut.wait_for(|state| *state == LinkState::Down(Cut::Reset)) => {
            shared.reset.fetch_add(1, Ordering::Relaxed);
            reset(&client);
            server.iter().for_each(reset);
        }
        ended = connect_and_carry(&mut client, &mut server, &mut link, &shared) => {
            if ended.is_err() {
                reset(&client);
                server.iter().for_each(reset);
            }
        }
    }
}

async fn connect_and_carry(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    link: &mut watch::Receiver<LinkState>,
    shared: &Shared,
) -> io::Result<()> {
    link.wait_for(|state| matches!(state, LinkState::Up { .. }))
        .await
        .map_err(|_| io::ErrorKind::BrokenPipe)?;
    let server = server.insert(TcpStream::connect(&shared.target).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    shared.carried.send_modify(|carried| *carried += 1);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, link.clone(), &shared.bytes_up),
        pump(from_server, to_client, link.clone(), &shared.bytes_down),
    )?;
    Ok(())
}

/// Dropping the connection will send a reset.
fn reset(connection: &TcpStream) {
    // An end that is already gone needs no reset.
    drop(connection.set_zero_linger());
}

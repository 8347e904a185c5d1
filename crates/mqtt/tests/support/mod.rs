//! What the tests share: brokers, clients, and a link that can be cut.

use enroute_broker::{Broker, Config, Limits};
use enroute_mqtt::{Client, Event, Events, Incoming, Options};
use enroute_tests::mosquitto::Mosquitto;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Only a guard against hanging.
const HANG: Duration = Duration::from_mins(1);

/// Either broker.
pub(crate) enum Target {
    Embedded(Broker),
    Mosquitto(Mosquitto),
}

impl Target {
    pub(crate) async fn embedded() -> Option<Self> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let limits = Limits::default();
        Some(Self::Embedded(
            Broker::start(Config { listen, limits }).await.unwrap(),
        ))
    }

    pub(crate) async fn mosquitto() -> Option<Self> {
        let started = tokio::task::spawn_blocking(Mosquitto::start);
        Some(Self::Mosquitto(started.await.unwrap()?))
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Embedded(broker) => broker.addr().port(),
            Self::Mosquitto(process) => process.port(),
        }
    }

    pub(crate) fn options(&self, client_id: &str) -> Options {
        Options::new("127.0.0.1", self.port(), client_id)
    }

    pub(crate) async fn stop(self) {
        match self {
            Self::Embedded(broker) => broker.shutdown().await,
            Self::Mosquitto(process) => drop(process),
        }
    }
}

pub(crate) async fn hang_guard<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, what).await.expect("hangs")
}

/// The next event; panics when it does not come.
pub(crate) async fn next(events: &mut Events) -> Event {
    hang_guard(events.next()).await.expect("the client ended")
}

/// Connects and waits until it stands, subscriptions included.
pub(crate) async fn connected(options: Options) -> (Client, Events, bool) {
    let subscribes = !options.subscriptions.is_empty();
    let (client, mut events) = Client::connect(options);
    let session_present = until_connected(&mut events, subscribes).await;
    (client, events, session_present)
}

pub(crate) async fn until_connected(events: &mut Events, subscribes: bool) -> bool {
    let mut present = None;
    loop {
        match next(events).await {
            Event::Connected { session_present } => present = Some(session_present),
            Event::Subscribed => return present.expect("connected first"),
            Event::Disconnected { .. } => {}
            other => panic!("before the connection stood: {other:?}"),
        }
        if let (Some(present), false) = (present, subscribes) {
            return present;
        }
    }
}

/// The next message, whatever the connection does meanwhile.
pub(crate) async fn message(events: &mut Events) -> Incoming {
    loop {
        match next(events).await {
            Event::Publish(incoming) => return incoming,
            Event::Disconnected { reason } => eprintln!("{reason}"),
            _ => {}
        }
    }
}

/// Passes over everything up to the answer to this publish.
pub(crate) async fn puback(events: &mut Events, token: u64) {
    loop {
        match next(events).await {
            Event::Puback { token: answered } if answered == token => return,
            Event::Lost { tokens } => panic!("lost {tokens:?}"),
            _ => {}
        }
    }
}

/// What a link does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Passes everything.
    Open,
    /// Keeps back what the broker says.
    Mute,
    /// Ends connections at once.
    Cut,
}

/// A TCP link to a broker that can be muted and cut.
pub(crate) struct Link {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Link {
    pub(crate) async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, watching) = watch::channel(Mode::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, broker, watching.clone()));
            }
        });
        Self { port, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(client: TcpStream, broker: u16, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut gate = mode.clone();
    let up = async move { tokio::io::copy(&mut from_client, &mut to_server).await };
    let down = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            if gate.wait_for(|mode| *mode != Mode::Mute).await.is_err()
                || to_client.write_all(&buffer[..n]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        _ = up => {}
        () = down => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

//! Handshakes between an acceptor and a client, with files made here.

use crate::authority::{Authority, AuthorityError, Issued, Purpose};
use crate::{
    Acceptor, ClientFiles, Connection, Connector, Counts, Limits, Pace, ServerFiles, dial, listen,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;

/// A hospital, vehicles, and a server between them.
struct Site {
    dir: tempfile::TempDir,
    vehicles: Authority,
    hospital: Authority,
    server: Issued,
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are checked against the wall clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hospital = Authority::open(&dir.path().join("hospital"), "hospital", now()).unwrap();
        let vehicles = Authority::open(&dir.path().join("vehicles"), "vehicles", now()).unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = hospital.issue("server", Purpose::Server(names)).unwrap();
        Self {
            dir,
            vehicles,
            hospital,
            server,
        }
    }

    fn acceptor(&self) -> Arc<Acceptor> {
        let files = ServerFiles {
            certificate: self.server.certificate.clone(),
            key: self.server.key.clone(),
            clients: Some(self.vehicles.certificate()),
            revoked: Some(self.vehicles.revoked()),
            protocols: Vec::new(),
        };
        Arc::new(Acceptor::new(files).unwrap())
    }

    fn client(&self, issued: Option<&Issued>) -> Connector {
        let files = ClientFiles {
            authority: self.hospital.certificate(),
            certificate: issued.map(|i| i.certificate.clone()),
            key: issued.map(|i| i.key.clone()),
        };
        Connector::new(files, &[]).unwrap()
    }
}

struct Served {
    at: std::net::SocketAddr,
    connections: mpsc::Receiver<Connection>,
    counts: Arc<Counts>,
}

async fn serve(acceptor: &Arc<Acceptor>) -> Served {
    serve_within(acceptor, Limits::of(8)).await
}

async fn serve_within(acceptor: &Arc<Acceptor>, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let counts = Arc::<Counts>::default();
    let acceptor = Some(Arc::clone(acceptor));
    let connections = listen(listener, acceptor, limits, Arc::clone(&counts));
    Served {
        at,
        connections,
        counts,
    }
}

async fn connect(client: &Connector, served: &Served) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(served.at).await.unwrap();
    client.over("localhost", stream).await
}

/// With TLS 1.3 a client learns only by reading that it was not let in.
async fn is_let_in(client: &Connector, served: &mut Served) -> bool {
    let Ok(mut stream) = connect(client, served).await else {
        return false;
    };
    let echo = async {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    };
    let answer = async {
        if let Some(mut connection) = served.connections.recv().await {
            let byte = connection.read_u8().await.unwrap();
            connection.write_u8(byte).await.unwrap();
            connection.flush().await.unwrap();
            // Until the other side has read.
            drop(connection.read_u8().await);
        }
    };
    tokio::select! {
        heard = echo => heard.is_ok(),
        () = answer => false,
    }
}

#[tokio::test]
async fn a_certificate_of_the_authority_is_let_in_under_its_name() {
    let site = Site::new();
    let mut served = serve(&site.acceptor()).await;
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let client = site.client(Some(&gateway));
    let _stream = connect(&client, &served).await.unwrap();
    let connection = served.connections.recv().await.unwrap();
    let peer = connection.peer().unwrap();
    assert_eq!(peer.name.as_deref(), Some("amb-12"));
}

#[tokio::test]
async fn nobody_else_is() {
    let site = Site::new();
    let mut served = serve(&site.acceptor()).await;
    assert!(
        !is_let_in(&site.client(None), &mut served).await,
        "without a certificate"
    );
    let other = site.hospital.issue("amb-12", Purpose::Client).unwrap();
    let other = site.client(Some(&other));
    assert!(!is_let_in(&other, &mut served).await, "another authority's");
    let wrong = Purpose::Server(vec!["localhost".to_owned()]);
    let for_servers = site.vehicles.issue("a-server", wrong).unwrap();
    let for_servers = site.client(Some(&for_servers));
    assert!(!is_let_in(&for_servers, &mut served).await, "for a server");
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    assert!(is_let_in(&site.client(Some(&gateway)), &mut served).await);
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_believed() {
    let (site, other) = (Site::new(), Site::new());
    let served = serve(&other.acceptor()).await;
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let refused = connect(&site.client(Some(&gateway)), &served)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("invalid peer certificate"),
        "{refused}"
    );
}

#[tokio::test]
async fn who_dials_believes_the_authority_that_it_was_told_and_no_other_name() {
    let (site, other) = (Site::new(), Site::new());
    let elsewhere = Purpose::Server(vec!["localhost".to_owned()]);
    let elsewhere = site.hospital.issue("elsewhere", elsewhere).unwrap();
    let acceptor = |issued: &Issued| {
        let files = ServerFiles {
            certificate: issued.certificate.clone(),
            key: issued.key.clone(),
            clients: None,
            revoked: None,
            protocols: Vec::new(),
        };
        Arc::new(Acceptor::new(files).unwrap())
    };
    let here = serve(&acceptor(&site.server)).await;
    let elsewhere = serve(&acceptor(&elsewhere)).await;
    let dialled = async |served: &Served, authority: Option<&Path>| {
        let dialled = dial("127.0.0.1", served.at.port(), authority).await;
        dialled.map(|_| ()).map_err(|error| error.to_string())
    };
    let (ours, theirs) = (site.hospital.certificate(), other.hospital.certificate());
    assert_eq!(dialled(&here, Some(&ours)).await, Ok(()));
    let refused = [
        dialled(&here, Some(&theirs)).await,
        dialled(&here, None).await,
        dialled(&elsewhere, Some(&ours)).await,
    ];
    for refused in refused {
        let why = refused.unwrap_err();
        assert!(why.contains("invalid peer certificate"), "{why}");
    }
    let absent = dialled(&here, Some(Path::new("absent.pem"))).await;
    assert!(absent.unwrap_err().contains("absent.pem"));
}

#[tokio::test]
async fn a_revocation_ends_the_living_connection_and_only_that() {
    let site = Site::new();
    let acceptor = site.acceptor();
    let mut served = serve(&acceptor).await;
    let mut living = Vec::new();
    for name in ["amb-12", "amb-13"] {
        let gateway = site.vehicles.issue(name, Purpose::Client).unwrap();
        let client = site.client(Some(&gateway));
        let stream = connect(&client, &served).await.unwrap();
        living.push((client, stream, served.connections.recv().await.unwrap()));
    }
    assert_eq!(acceptor.reload().unwrap(), 0);
    site.vehicles.revoke("amb-12").unwrap();
    assert_eq!(acceptor.reload().unwrap(), 1);
    let (mut stays, mut ends) = (living.pop().unwrap(), living.pop().unwrap());
    let ended = ends.2.read_u8().await.unwrap_err();
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionAborted);
    stays.1.write_u8(7).await.unwrap();
    assert_eq!(stays.2.read_u8().await.unwrap(), 7);
    assert!(!is_let_in(&ends.0, &mut served).await, "nor comes back");
    site.vehicles.revoke("amb-13").unwrap();
    assert_eq!(acceptor.reload().unwrap(), 1, "the first stays on the list");
    assert!(!is_let_in(&ends.0, &mut served).await);
}

/// A connection from an address of its own on which nothing is said.
async fn silent(last: u8, served: &Served) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(std::net::SocketAddr::from(([127, 0, 0, last], 0)))
        .unwrap();
    socket.connect(served.at).await.unwrap()
}

#[tokio::test]
async fn silent_handshakes_push_out_themselves_and_never_who_was_answered() {
    let site = Site::new();
    let mut served = serve(&site.acceptor()).await;
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let client = site.client(Some(&gateway));
    let mut living = connect(&client, &served).await.unwrap();
    let mut answered = served.connections.recv().await.unwrap();
    answered.write_u8(1).await.unwrap();
    answered.flush().await.unwrap();
    assert_eq!(living.read_u8().await.unwrap(), 1);
    let mut flood = Vec::new();
    // One address, then one for each: places for all are eight.
    for at in std::iter::repeat_n(2, 20).chain(2..22) {
        flood.push(silent(at, &served).await);
    }
    for mut pushed_out in flood.drain(..33) {
        assert_eq!(pushed_out.read(&mut [0]).await.unwrap_or(0), 0);
    }
    assert!(is_let_in(&client, &mut served).await, "there is no room");
    living.write_u8(2).await.unwrap();
    assert_eq!(answered.read_u8().await.unwrap(), 2);
    let refused = &served.counts.refused_full;
    assert_eq!(refused.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn who_sends_and_sends_and_takes_no_answer_loses_its_place() {
    let site = Site::new();
    let limits = Limits {
        idle_max: Duration::from_millis(20),
        ..Limits::of(8)
    };
    let mut served = serve_within(&site.acceptor(), limits).await;
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let client = site.client(Some(&gateway));
    let mut stream = connect(&client, &served).await.unwrap();
    let mut connection = served.connections.recv().await.unwrap();
    let sending = async { while stream.write_u8(1).await.is_ok() {} };
    let served_until = async {
        loop {
            if let Err(over) = connection.read_u8().await {
                return over.kind();
            }
        }
    };
    let over = tokio::select! {
        over = served_until => over,
        () = sending => panic!("nobody hung up"),
    };
    assert_eq!(over, std::io::ErrorKind::TimedOut);
    assert_eq!(served.counts.idle.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn new_files_are_shown_to_new_connections_and_damaged_ones_change_nothing() {
    let site = Site::new();
    let acceptor = site.acceptor();
    let mut served = serve(&acceptor).await;
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let client = site.client(Some(&gateway));
    let shown = |stream: &TlsStream<TcpStream>| {
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    };
    let first = shown(&connect(&client, &served).await.unwrap());
    let names = vec!["localhost".to_owned()];
    let renewed = site
        .hospital
        .issue("renewed", Purpose::Server(names))
        .unwrap();
    std::fs::rename(&renewed.certificate, &site.server.certificate).unwrap();
    let halfway = acceptor.reload().unwrap_err().to_string();
    assert!(halfway.contains("server.key"), "{halfway}");
    assert_eq!(shown(&connect(&client, &served).await.unwrap()), first);
    std::fs::rename(&renewed.key, &site.server.key).unwrap();
    acceptor.reload().unwrap();
    assert_ne!(shown(&connect(&client, &served).await.unwrap()), first);
    std::fs::write(site.vehicles.certificate(), "rubbish").unwrap();
    let damaged = acceptor.reload().unwrap_err().to_string();
    assert!(damaged.contains("holds no certificate"), "{damaged}");
    served.connections.close();
    while served.connections.recv().await.is_some() {}
}

#[test]
fn keys_are_for_their_owner_and_names_are_given_once() {
    let site = Site::new();
    for name in ["../x", "", ".hidden", "a b", "ca", "revoked"] {
        let refused = site.vehicles.issue(name, Purpose::Client).unwrap_err();
        assert!(matches!(refused, AuthorityError::Name(_)), "{name:?}");
    }
    let issued = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let again = site.vehicles.issue("amb-12", Purpose::Client).unwrap_err();
    assert!(matches!(again, AuthorityError::Exists(_)));
    #[cfg(unix)]
    for key in [&issued.key, &site.dir.path().join("vehicles/ca.key")] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(key).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
    let nobody = site.vehicles.revoke("amb-99").unwrap_err().to_string();
    assert!(nobody.contains("amb-99.pem"), "{nobody}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let site = Site::new();
    let missing = ServerFiles {
        certificate: Path::new("absent.pem").to_owned(),
        key: site.server.key.clone(),
        clients: None,
        revoked: None,
        protocols: Vec::new(),
    };
    let error = Acceptor::new(missing.clone()).unwrap_err().to_string();
    assert!(error.contains("absent.pem: cannot be read"), "{error}");
    let swapped = ServerFiles {
        certificate: site.server.key.clone(),
        key: site.server.certificate.clone(),
        ..missing
    };
    let error = Acceptor::new(swapped).unwrap_err().to_string();
    assert!(error.contains("holds no certificate"), "{error}");
}

#[tokio::test]
async fn an_address_that_shakes_hands_too_often_waits_or_is_closed_before_it_costs_anything() {
    let site = Site::new();
    let acceptor = site.acceptor();
    let gateway = site.vehicles.issue("amb-12", Purpose::Client).unwrap();
    let client = site.client(Some(&gateway));
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let paced = |wait_max| Limits {
        handshakes: Pace {
            at_once: 2,
            each: Duration::from_hours(1),
            wait_max,
        },
        ..Limits::of(8)
    };
    let mut closing = serve_within(&acceptor, paced(Duration::ZERO)).await;
    for _ in 0..2 {
        assert!(is_let_in(&client, &mut closing).await);
    }
    let mut third = silent(1, &closing).await;
    // It says nothing, so it is not answered: it is closed.
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(count(&closing.counts.refused_pace), 1);
    assert_eq!(count(&closing.counts.handshake_failed), 0);
    let mut waiting = serve_within(&acceptor, paced(Duration::from_hours(9))).await;
    for _ in 0..2 {
        assert!(is_let_in(&client, &mut waiting).await);
    }
    let third = silent(1, &waiting).await;
    let waits = async {
        while count(&waiting.counts.handshakes_waited) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waits)
        .await
        .unwrap();
    assert_eq!(count(&waiting.counts.refused_pace), 0);
    drop(third);
    // Another address has its own turn.
    let other = silent(2, &waiting).await;
    assert!(client.over("localhost", other).await.is_ok());
}

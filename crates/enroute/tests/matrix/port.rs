//! At the server's port: what each path answers to each role over HTTP/1.1, gRPC and
//! gRPC-Web, and that without a certificate there is no answer where one is asked for.

use crate::BINARY;
use enroute_tests::process::Process;
use enroute_tests::site::{Site, tls};
use enroute_tests::stack::Broker;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::transfers_client::TransfersClient;
use enroute_wire::v1::{AddRequest, ListRequest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

/// Who asks: nobody, somebody with a token that is none, and each role.
const ACTORS: [&str; 7] = [
    "nobody",
    "forger",
    "wall",
    "viewer",
    "clinician",
    "operator",
    "administrator",
];

/// What a path answers: to those without a token that counts, and to each role.
const EVERYBODY: [u16; 7] = [200; 7];
const KNOWN: [u16; 7] = [401, 401, 200, 200, 200, 200, 200];
const SERVICE: [u16; 7] = [401, 401, 403, 403, 403, 200, 200];
/// That there is nothing is told to those alone who may see how the service does.
const NOTHING: [u16; 7] = [401, 401, 403, 403, 403, 404, 404];

const PATHS: [(&str, [u16; 7]); 14] = [
    ("/", EVERYBODY),
    ("/text", EVERYBODY),
    ("/healthz", EVERYBODY),
    ("/login.json", EVERYBODY),
    ("/who.json", KNOWN),
    ("/metrics", SERVICE),
    ("/ingest", SERVICE),
    ("/metrics/", NOTHING),
    ("//metrics", NOTHING),
    ("/METRICS", NOTHING),
    ("/%6detrics", NOTHING),
    ("/../../etc/passwd", NOTHING),
    ("/tokens.toml", NOTHING),
    ("/unknown", NOTHING),
];

/// gRPC's codes for a look at the board, and for a new transfer of which nothing is said.
const BOARD: [Code; 7] = [
    Code::Unauthenticated,
    Code::Unauthenticated,
    Code::Ok,
    Code::Ok,
    Code::Ok,
    Code::Ok,
    Code::Ok,
];
const REGISTER: [Code; 7] = [
    Code::Unauthenticated,
    Code::Unauthenticated,
    Code::PermissionDenied,
    Code::PermissionDenied,
    Code::InvalidArgument,
    Code::InvalidArgument,
    Code::InvalidArgument,
];
/// Of what is no method.
const NO_METHOD: [Code; 7] = [
    Code::Unauthenticated,
    Code::Unauthenticated,
    Code::PermissionDenied,
    Code::PermissionDenied,
    Code::PermissionDenied,
    Code::PermissionDenied,
    Code::PermissionDenied,
];
/// Methods over gRPC-Web, with the message of a call.
const WEB: [(&str, &[u8], [Code; 7]); 5] = [
    ("/enroute.v1.Live/List", b"", BOARD),
    ("/enroute.v1.Transfers/Add", b"", REGISTER),
    ("/grpc.health.v1.Health/Check", b"", [Code::Ok; 7]),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        b"\x3a\x00",
        BOARD,
    ),
    ("/enroute.v1.Live/Invented", b"", NO_METHOD),
];

struct Port {
    site: Site,
    tokens: Vec<Option<String>>,
    address: String,
    _server: Process,
}

impl Port {
    /// With tokens; `viewers`: with certificates besides.
    fn start(viewers: bool) -> Self {
        let site = Site::new(BINARY, Broker::Embedded, &["viewers/wall-2"]).unwrap();
        let token = |actor: &&str| match *actor {
            "nobody" => None,
            "forger" => Some(format!("enr_00000000_{}", "A".repeat(43))),
            role => Some(site.token(role, role)),
        };
        let tokens = ACTORS.iter().map(token).collect();
        let (server, address) = site.serve(viewers, &site.access());
        Self {
            site,
            tokens,
            address,
            _server: server,
        }
    }

    fn number(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    async fn connect(&self, bearer: Option<&str>) -> impl AsyncRead + AsyncWrite + Unpin {
        let connector = self.site.connector(bearer, &["http/1.1"]);
        tls(&connector, self.number(), 1).await.unwrap()
    }

    /// The answer to one request; empty when there is none.
    async fn ask(&self, bearer: Option<&str>, head: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(bearer).await;
        let length = body.len();
        let head =
            format!("{head}Host: enroute\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        let mut answer = Vec::new();
        // Who is not let in may not even be read.
        if stream
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .is_ok()
        {
            drop(stream.read_to_end(&mut answer).await);
        }
        answer
    }

    async fn get(&self, bearer: Option<&str>, path: &str, token: Option<&String>) -> Vec<u8> {
        let head = format!("GET {path} HTTP/1.1\r\n{}", authorization(token));
        self.ask(bearer, &head, b"").await
    }

    /// gRPC's code of a call over gRPC-Web.
    async fn web(&self, path: &str, message: &[u8], token: Option<&String>) -> Code {
        let length = u32::try_from(message.len()).unwrap();
        let body = [&[0][..], &length.to_be_bytes(), message].concat();
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/grpc-web+proto\r\n{}",
            authorization(token)
        );
        let answer = self.ask(None, &head, &body).await;
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        // In the head, or in the trailers at the body's end.
        let (_, code) = answer
            .rsplit_once("grpc-status:")
            .unwrap_or_else(|| panic!("{answer}"));
        let digits: String = code
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        Code::from(digits.parse::<i32>().unwrap())
    }
}

fn authorization(token: Option<&String>) -> String {
    token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    })
}

fn status(answer: &[u8]) -> Option<u16> {
    let answer = String::from_utf8_lossy(answer);
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[tokio::test]
async fn each_path_answers_each_actor_what_the_table_says() {
    let port = Port::start(false);
    for (path, answers) in PATHS {
        for ((actor, token), wanted) in ACTORS.iter().zip(&port.tokens).zip(answers) {
            let answer = port.get(None, path, token.as_ref()).await;
            assert_eq!(status(&answer), Some(wanted), "{actor}: {path}");
        }
    }
    for (path, message, codes) in WEB {
        for ((actor, token), wanted) in ACTORS.iter().zip(&port.tokens).zip(codes) {
            let code = port.web(path, message, token.as_ref()).await;
            assert_eq!(code, wanted, "{actor}: {path} over gRPC-Web");
        }
    }
}

#[tokio::test]
async fn where_certificates_are_asked_for_no_path_answers_without_one() {
    let port = Port::start(true);
    let administrator = port.tokens.last().unwrap().as_ref();
    let outsiders = [None, Some("vehicles/amb-12"), Some("viewers/wall-2")];
    for (path, answers) in PATHS {
        for outsider in outsiders {
            let answer = port.get(outsider, path, administrator).await;
            let said = String::from_utf8_lossy(&answer);
            assert!(answer.is_empty(), "{outsider:?} is told at {path}: {said}");
        }
        let known = port.get(Some("viewers/wall-1"), path, administrator).await;
        assert_eq!(status(&known), answers.last().copied(), "{path}");
    }
}

fn with<T>(message: T, token: Option<&String>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// The same over native gRPC, in the clear on loopback.
#[tokio::test]
async fn grpc_answers_as_grpc_web_does() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::new(BINARY, Broker::Embedded, &[]).unwrap();
    let token = |actor: &&str| match *actor {
        "nobody" => None,
        "forger" => Some(format!("enr_00000000_{}", "A".repeat(43))),
        role => Some(site.token(role, role)),
    };
    let tokens: Vec<_> = ACTORS.iter().map(token).collect();
    let config = format!(
        "listen = \"127.0.0.1:0\"\ndata = {:?}\n[broker]\nlisten = \"127.0.0.1:0\"\n{}",
        dir.path().join("data").to_str().unwrap(),
        site.access()
    );
    let file = dir.path().join("server.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = std::process::Command::new(BINARY);
    let mut server = Process::start("server", command.arg("serve").arg("--config").arg(file));
    let address = server.wait_for("its address", |line| {
        let (_, rest) = line.split_once("http://")?;
        Some(format!("http://{}", rest.split_once('/')?.0))
    });
    server.wait_for("ready", |line| (line == "ready").then_some(()));
    let channel = Endpoint::from_shared(address).unwrap();
    let channel = channel.connect().await.unwrap();
    for (at, (actor, token)) in ACTORS.iter().zip(&tokens).enumerate() {
        let list = with(ListRequest::default(), token.as_ref());
        let listed = LiveClient::new(channel.clone()).list(list).await;
        assert_eq!(code(listed), BOARD[at], "{actor} lists");
        let add = with(AddRequest::default(), token.as_ref());
        let added = TransfersClient::new(channel.clone()).add(add).await;
        assert_eq!(code(added), REGISTER[at], "{actor} adds");
    }
}

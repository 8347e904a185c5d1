//! At the brokers: actors are vehicles by their certificates, the server's certificate,
//! and those who have none that counts.

use crate::BINARY;
use enroute_tests::frames::{batch, note, status};
use enroute_tests::openmetrics::Metrics;
use enroute_tests::process::Process;
use enroute_tests::raw_mqtt::{Answer, Connect, RawMqtt};
use enroute_tests::site::{Site, tcp, tls};
use enroute_tests::stack::Broker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The one who is to be kept from, and the one who tries.
const VICTIM: &str = "amb-12";
const ACTOR: &str = "amb-13";
/// In every transfer that must not appear.
const FORGED: &str = "t-forged";

/// Who gets through to what is asked for.
#[derive(Clone, Copy, PartialEq)]
enum May {
    Always,
    /// Mosquitto's rules are about topics and not about client ids.
    AtMosquitto,
}
use May::{Always, AtMosquitto};

impl May {
    fn at(self, broker: Broker) -> bool {
        self == Always || (self == AtMosquitto && broker == Broker::Mosquitto)
    }
}

/// Who may connect under which client id.
const CLIENT_IDS: [(&str, &str, May); 8] = [
    (ACTOR, "enroute-gw-amb-13-live", Always),
    (ACTOR, "enroute-gw-amb-13-history", Always),
    (ACTOR, "enroute-gw-amb-15-live", AtMosquitto),
    (ACTOR, "enroute-ingest-amb-13", AtMosquitto),
    (ACTOR, "amb-13", AtMosquitto),
    (ACTOR, "", AtMosquitto),
    ("enroute-server", "enroute-gw-amb-15-live", AtMosquitto),
    ("enroute-server", "another-server", AtMosquitto),
];

/// Below `enroute/v1/gw/`, and around it: where nobody's publish arrives, plain or
/// retained, if [`ACTOR`] makes it.
const NOT_PUBLISHED: [&str; 20] = [
    "enroute/v1/gw/amb-12/tx/t-forged-1/live",
    "enroute/v1/gw/amb-12/tx/t-forged-2/history",
    "enroute/v1/gw/amb-12/tx/t-forged-3/notes",
    "enroute/v1/gw/amb-12/status",
    "enroute/v1/gw/amb-12/receipt",
    "enroute/v1/gw/amb-12/command",
    "enroute/v1/gw/amb-13/tx/t-forged-4/notes",
    "enroute/v1/gw/amb-13/receipt",
    "enroute/v1/gw/amb-13/command",
    "enroute/v1/gw/amb-13/tx/t-forged-5/live/x",
    "enroute/v1/gw/amb-13/x/tx/t-forged-6/live",
    "enroute/v1/gw/amb-99/tx/t-forged-7/live",
    "enroute/v1/gw/enroute-server/tx/t-forged-8/live",
    "enroute/v1/gw//tx/t-forged-9/live",
    "enroute/v1/gw/+/tx/t-forged-10/live",
    "enroute/v1/gw/amb-1#/tx/t-forged-11/live",
    "$share/x/enroute/v1/gw/amb-12/tx/t-forged-12/live",
    "$SYS/broker/version",
    "enroute/v2/gw/amb-13/tx/t-forged-13/live",
    "x",
];

/// By which [`ACTOR`] hears nothing that is not meant for it.
const NOT_HEARD: [&str; 16] = [
    "enroute/v1/gw/amb-12/receipt",
    "enroute/v1/gw/amb-12/command",
    "enroute/v1/gw/amb-12/tx/+/notes",
    "enroute/v1/gw/amb-12/tx/+/live",
    "enroute/v1/gw/amb-12/status",
    "enroute/v1/gw/amb-12/#",
    "enroute/v1/gw/+/receipt",
    "enroute/v1/gw/+/tx/+/live",
    "enroute/v1/gw/amb-13/tx/+/live",
    "enroute/v1/gw/amb-13/status",
    "+/+/+/+/receipt",
    "enroute/#",
    "#",
    "$share/x/enroute/v1/gw/amb-12/receipt",
    "$share/x/enroute/v1/gw/+/tx/+/live",
    "$SYS/#",
];

/// Topics of a Last Will, and whether it arrives if [`ACTOR`] leaves it.
const WILLS: [&str; 4] = [
    "enroute/v1/gw/amb-12/status",
    "enroute/v1/gw/amb-12/tx/t-forged-20/live",
    "enroute/v1/gw/amb-12/command",
    "enroute/v1/gw/amb-13/receipt",
];

struct Matrix {
    site: Site,
    address: String,
    watch: Process,
    _server: Process,
    /// Of what is published; each has an epoch of its own.
    epochs: u64,
}

/// A gateway that hears what is its own.
struct Gateway {
    name: &'static str,
    client: RawMqtt,
}

fn own(name: &str) -> [String; 3] {
    ["receipt", "command", "tx/+/notes"].map(|of| format!("enroute/v1/gw/{name}/{of}"))
}

impl Matrix {
    fn start(broker: Broker) -> Option<Self> {
        let site = Site::new(BINARY, broker, &["vehicles/amb-14"])?;
        let (server, address) = site.serve(true, "");
        let watch = site.watch(&address, Some("viewers/wall-1"));
        Some(Self {
            site,
            address,
            watch,
            _server: server,
            epochs: 0,
        })
    }

    async fn connect(&self, bearer: &str, connect: Connect<'_>) -> Result<RawMqtt, Answer> {
        let bearer = format!("vehicles/{bearer}");
        let connector = self.site.connector(Some(&bearer), &[]);
        let stream = tls(&connector, self.site.broker_port(), 1).await.unwrap();
        RawMqtt::connect(stream, connect).await
    }

    /// A second connection of [`ACTOR`], for what may end it.
    async fn other(&self) -> RawMqtt {
        let client_id = "enroute-gw-amb-13-history";
        let connect = Connect {
            client_id,
            will: None,
        };
        self.connect(ACTOR, connect).await.unwrap()
    }

    /// Connects under its own id, and subscribes all that it may.
    async fn gateway(&self, name: &'static str) -> Gateway {
        let client_id = format!("enroute-gw-{name}-live");
        let connect = Connect {
            client_id: &client_id,
            will: None,
        };
        let mut client = self.connect(name, connect).await.unwrap();
        for filter in own(name) {
            assert_eq!(client.subscribe(&filter).await, Answer::Taken, "{filter}");
        }
        Gateway { name, client }
    }

    /// Frames that nobody sent before.
    fn frames(&mut self) -> Vec<u8> {
        self.epochs += 1;
        batch(&[note(self.epochs, 1, "x")])
    }

    /// Publishes for a new transfer on a lane, and waits until the board has it: what
    /// was published before and arrived was seen before.
    async fn marker(&mut self, gateway: &mut Gateway, lane: &str) {
        let frames = self.frames();
        let transfer = format!("t-{}-{}", gateway.name, self.epochs);
        let topic = format!("enroute/v1/gw/{}/tx/{transfer}/{lane}", gateway.name);
        let taken = gateway.client.publish(&topic, &frames, false).await;
        assert_eq!(taken, Answer::Taken, "{topic}");
        self.watch.wait_for(&topic, |line| {
            assert!(!line.contains(FORGED), "{line}");
            line.contains(&transfer).then_some(())
        });
    }

    /// Publishes and waits for the receipt: what was sent to the gateway before was
    /// heard before. All that it hears is its own, and the server's.
    async fn receipt(&mut self, gateway: &mut Gateway) {
        let heard = format!("enroute/v1/gw/{}/", gateway.name);
        self.marker(gateway, "live").await;
        loop {
            let (topic, payload) = gateway.client.message().await.expect("a receipt");
            assert!(topic.starts_with(&heard), "{} hears {topic}", gateway.name);
            assert_ne!(payload, forged(), "{} heard {topic}", gateway.name);
            if topic.ends_with("/receipt") && covers(&payload, self.epochs) {
                return;
            }
        }
    }

    /// Statuses that the server has taken.
    async fn statuses(&self) -> f64 {
        let port = self.address.rsplit_once(':').unwrap().1.parse().unwrap();
        let connector = self.site.connector(Some("viewers/wall-1"), &["http/1.1"]);
        let mut stream = tls(&connector, port, 1).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        Metrics::read(body).value("enroute_ingest_statuses_total", &[])
    }
}

/// What is published where it must not arrive.
fn forged() -> Vec<u8> {
    batch(&[note(99_999, 1, "forged")])
}

/// Whether a receipt speaks of this epoch.
fn covers(receipt: &[u8], epoch: u64) -> bool {
    use enroute_wire::Message as _;
    let receipt = enroute_wire::v1::Receipt::decode(receipt).unwrap();
    receipt.stream.iter().any(|stream| stream.epoch == epoch)
}

/// Whoever has no certificate of the vehicles' authority is not even answered.
async fn outsiders(matrix: &Matrix) {
    let strangers = Site::new(BINARY, Broker::Embedded, &[]).unwrap();
    let theirs = |name: &str, end: &str| strangers.cert(&format!("vehicles/{name}.{end}"));
    for end in ["pem", "key"] {
        std::fs::copy(
            theirs(VICTIM, end),
            matrix.site.cert(&format!("stranger.{end}")),
        )
        .unwrap();
    }
    for bearer in [
        None,
        Some("viewers/wall-1"),
        Some("vehicles/amb-14"),
        Some("stranger"),
        Some("hospital/server"),
    ] {
        let connector = matrix.site.connector(bearer, &[]);
        let connect = Connect {
            client_id: "enroute-gw-amb-12-live",
            will: None,
        };
        if let Ok(stream) = tls(&connector, matrix.site.broker_port(), 1).await {
            let refused = RawMqtt::connect(stream, connect).await;
            assert_eq!(refused.err(), Some(Answer::HungUp), "{bearer:?}");
        }
        let plain = tcp(matrix.site.broker_port(), 1).await.unwrap();
        let refused = RawMqtt::connect(plain, connect).await;
        assert_eq!(refused.err(), Some(Answer::HungUp), "in the clear");
    }
}

async fn client_ids(matrix: &Matrix) {
    let broker = matrix.site.kind();
    for (bearer, client_id, may) in CLIENT_IDS {
        let connect = Connect {
            client_id,
            will: None,
        };
        let connected = matrix.connect(bearer, connect).await;
        let what = format!("{bearer} as {client_id:?}");
        assert_eq!(connected.is_ok(), may.at(broker), "{what}");
        if let Ok(client) = connected {
            client.hang_up().await;
        }
    }
}

async fn publishes(matrix: &mut Matrix, victim: &mut Gateway, actor: &mut Gateway) {
    let before = matrix.statuses().await;
    let mut other = matrix.other().await;
    for topic in NOT_PUBLISHED {
        for retain in [false, true] {
            let payload = if topic.ends_with("/status") {
                status(true)
            } else {
                forged()
            };
            // Mosquitto may take it, and pass it to nobody.
            if other.publish(topic, &payload, retain).await == Answer::HungUp {
                other = matrix.other().await;
            }
        }
    }
    for lane in ["live", "history"] {
        matrix.marker(actor, lane).await;
    }
    // The same connection of the server's brings live frames and statuses.
    assert!((matrix.statuses().await - before).abs() < 0.5, "a status");
    let topic = format!("enroute/v1/gw/{ACTOR}/status");
    let taken = actor.client.publish(&topic, &status(true), false).await;
    assert_eq!(taken, Answer::Taken);
    matrix.marker(actor, "live").await;
    assert!(
        (matrix.statuses().await - before - 1.0).abs() < 0.5,
        "its own"
    );
    matrix.receipt(victim).await;
    matrix.receipt(actor).await;
    // Nor is there anything retained for who comes later.
    *victim = matrix.gateway(VICTIM).await;
    matrix.receipt(victim).await;
}

async fn subscriptions(matrix: &mut Matrix, victim: &mut Gateway, actor: &mut Gateway) {
    let mut other = matrix.other().await;
    for filter in NOT_HEARD {
        let answer = other.subscribe(filter).await;
        if answer == Answer::HungUp {
            other = matrix.other().await;
        }
        let embedded = matrix.site.kind() == Broker::Embedded;
        assert!(!embedded || answer != Answer::Taken, "{filter}");
    }
    for filter in own(ACTOR) {
        assert_eq!(other.subscribe(&filter).await, Answer::Taken, "{filter}");
    }
    // To both lanes, a status, and a receipt for each.
    matrix.receipt(victim).await;
    matrix.marker(victim, "history").await;
    let topic = format!("enroute/v1/gw/{VICTIM}/status");
    victim.client.publish(&topic, &status(true), true).await;
    matrix.receipt(actor).await;
    loop {
        let (topic, payload) = other.message().await.expect("its own receipt");
        let of = format!("enroute/v1/gw/{ACTOR}/");
        assert!(topic.starts_with(&of), "{ACTOR} hears {topic}");
        assert!(
            !topic.contains("/live") && !topic.ends_with("/status"),
            "{topic}"
        );
        if topic.ends_with("/receipt") && covers(&payload, matrix.epochs) {
            return;
        }
    }
}

/// A second connection under the same client id makes the broker speak the will of the
/// first before it answers.
async fn wills(matrix: &mut Matrix, victim: &mut Gateway, actor: &mut Gateway) {
    let client_id = "enroute-gw-amb-13-history";
    let leave = async |matrix: &Matrix, topic: &str, payload: &[u8]| {
        let will = Some((topic, payload));
        let left = matrix.connect(ACTOR, Connect { client_id, will }).await;
        matrix.other().await.hang_up().await;
        left.is_ok()
    };
    let before = matrix.statuses().await;
    for topic in WILLS {
        let payload = if topic.ends_with("/status") {
            status(false)
        } else {
            forged()
        };
        let taken = leave(matrix, topic, &payload).await;
        assert!(!taken || matrix.site.kind() == Broker::Mosquitto, "{topic}");
    }
    matrix.marker(actor, "live").await;
    assert!((matrix.statuses().await - before).abs() < 0.5, "a will");
    let topic = format!("enroute/v1/gw/{ACTOR}/status");
    assert!(leave(matrix, &topic, &status(false)).await, "its own will");
    matrix.marker(actor, "live").await;
    assert!(
        (matrix.statuses().await - before - 1.0).abs() < 0.5,
        "its own"
    );
    matrix.receipt(victim).await;
    matrix.receipt(actor).await;
}

/// The server's certificate, where the server comes with one: it hears frames and speaks
/// to gateways, and the other way round it does neither.
async fn server(matrix: &mut Matrix, victim: &mut Gateway) {
    if matrix.site.kind() == Broker::Embedded {
        return;
    }
    let connect = Connect {
        client_id: "another-server",
        will: None,
    };
    let mut server = matrix.connect("enroute-server", connect).await.unwrap();
    for filter in ["enroute/v1/gw/+/receipt", "enroute/v1/gw/+/tx/+/live"] {
        server.subscribe(filter).await;
    }
    let forged_topic = "enroute/v1/gw/amb-12/tx/t-forged-30/live";
    server.publish(forged_topic, &forged(), false).await;
    let command = "enroute/v1/gw/amb-12/command";
    let taken = server.publish(command, b"by the server", false).await;
    assert_eq!(taken, Answer::Taken);
    loop {
        let (topic, payload) = victim.client.message().await.expect("a command");
        if topic == command {
            assert_eq!(payload, b"by the server");
            break;
        }
    }
    matrix.receipt(victim).await;
    let (topic, _) = server.message().await.expect("a frame");
    assert!(
        topic.starts_with("enroute/v1/gw/amb-12/tx/t-amb-12-"),
        "{topic}"
    );
}

async fn everybody_may_what_the_table_says(broker: Broker) {
    let Some(mut matrix) = Matrix::start(broker) else {
        return;
    };
    outsiders(&matrix).await;
    client_ids(&matrix).await;
    let mut victim = matrix.gateway(VICTIM).await;
    let mut actor = matrix.gateway(ACTOR).await;
    publishes(&mut matrix, &mut victim, &mut actor).await;
    subscriptions(&mut matrix, &mut victim, &mut actor).await;
    wills(&mut matrix, &mut victim, &mut actor).await;
    server(&mut matrix, &mut victim).await;
}

#[tokio::test]
async fn at_the_embedded_broker() {
    everybody_may_what_the_table_says(Broker::Embedded).await;
}

#[tokio::test]
async fn at_mosquitto_with_the_shipped_rules() {
    everybody_may_what_the_table_says(Broker::Mosquitto).await;
}

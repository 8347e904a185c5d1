//! A gateway with a certificate that has gone mad: it publishes as fast as it can, what
//! is honest in form, what is not, what is another's, and the same again.

use crate::attackers::Target;
use enroute_tests::frames::{batch, heart_rate, note, status};
use enroute_tests::raw_mqtt::{Connect, connect_packet, publish_packet};
use enroute_tests::site::tls;
use enroute_wire::Message as _;
use enroute_wire::v1::Batch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

const OWN: &str = "enroute/v1/gw/amb-15/tx/t-mad/live";

type Flood = fn(u64) -> (String, Vec<u8>);

/// What it publishes, by a number that grows.
const FLOODS: [(&str, Flood); 9] = [
    ("small publishes", |n| {
        (OWN.to_owned(), batch(&[heart_rate(1, n + 1, 80)]))
    }),
    ("giant batches", |n| {
        let frames: Vec<_> = (0..4_000)
            .map(|i| heart_rate(2, n * 4_000 + i + 1, 80))
            .collect();
        (OWN.to_owned(), batch(&frames))
    }),
    ("packets that are too large", |_| {
        (OWN.to_owned(), vec![0; 2 << 20])
    }),
    ("zip bombs", |_| {
        (OWN.replace("live", "history"), zip_bomb())
    }),
    ("rubbish", |n| (OWN.to_owned(), n.to_le_bytes().repeat(50))),
    ("new transfers", |n| {
        let topic = format!("enroute/v1/gw/amb-15/tx/t-flood-{n}/live");
        (topic, batch(&[note(3, n + 1, "x")]))
    }),
    ("forged topics", |n| {
        let topic = format!(
            "enroute/v1/gw/amb-12/tx/t-honest-12/{}",
            if n % 2 == 0 { "live" } else { "history" }
        );
        (topic, batch(&[heart_rate(1, n + 1, 200)]))
    }),
    ("replays", |_| {
        (
            OWN.to_owned(),
            batch(&[heart_rate(1, 1, 80), heart_rate(1, 2, 80)]),
        )
    }),
    ("forged statuses", |n| {
        (
            format!("enroute/v1/gw/amb-1{}/status", 2 + n % 4),
            status(n % 2 == 0),
        )
    }),
];

pub(crate) fn attack(target: &Target, attackers: &mut JoinSet<()>) {
    for (number, (what, flood)) in FLOODS.into_iter().enumerate() {
        for qos in [false, true] {
            attackers.spawn(publish(target.clone(), number, what, flood, qos));
        }
    }
}

/// Publishes without waiting for anything but the socket; comes back when it is thrown
/// out. With QoS 0, or with QoS 1 beyond every window.
async fn publish(target: Target, number: usize, what: &'static str, flood: Flood, qos: bool) {
    let connector = target.connector(Some("vehicles/amb-15"), &[]);
    // Two ids are its own; the third is another's.
    let client_id = ["enroute-gw-amb-15-live", "enroute-gw-amb-15-history"][number % 2];
    let mut n = 0;
    loop {
        tokio::task::yield_now().await;
        let last = 16 + u8::try_from(number).unwrap();
        let Ok(stream) = tls(&connector, target.broker, last).await else {
            continue;
        };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let connect = Connect {
            client_id,
            will: Some(("enroute/v1/gw/amb-15/status", b"\xff")),
        };
        let write = async {
            let mut written = writer.write_all(&connect_packet(connect)).await;
            while written.is_ok() {
                let (topic, payload) = flood(n);
                n += 1;
                let id = qos.then(|| u16::try_from(n % 65_535).unwrap() + 1);
                target.did(what);
                written = writer
                    .write_all(&publish_packet(&topic, &payload, id, false))
                    .await;
            }
        };
        let read = async {
            let mut heard = vec![0; 16 << 10];
            while !matches!(reader.read(&mut heard).await, Ok(0) | Err(_)) {}
        };
        tokio::select! {
            () = write => {}
            () = read => {}
        }
        target.did("reconnects of the mad gateway");
    }
}

/// Zstandard (RFC 8878): blocks of one byte repeated 128 KiB times, 16 GiB in all, said
/// to be 100 bytes.
fn zip_bomb() -> Vec<u8> {
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 100];
    let block = (0x2_0000_u32 << 3 | 1 << 1).to_le_bytes();
    for _ in 0..131_072 {
        bomb.extend([block[0], block[1], block[2], 0]);
    }
    let compressed = bomb.into();
    Batch {
        compressed,
        ..Batch::default()
    }
    .encode_to_vec()
}

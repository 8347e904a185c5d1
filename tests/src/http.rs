//! An HTTP/1.1 client that can just ask for a page.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status line and headers.
    pub head: String,
    /// What follows.
    pub body: String,
}

/// Gets `path` from `address` (`http://HOST:PORT`). Blocks.
///
/// # Panics
/// When there is no answer, or one that is not 200.
#[must_use]
pub fn get(address: &str, path: &str) -> Answer {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap_or_else(|e| panic!("{host}: {e}"));
    stream.set_read_timeout(Some(crate::process::HANG)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    assert!(
        !head.to_lowercase().contains("transfer-encoding"),
        "a page of known length: {head}"
    );
    Answer {
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

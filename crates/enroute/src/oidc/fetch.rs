//! One page over HTTP/1.1, on a connection of its own, with bounds on all of it. What
//! the other side says elsewhere is, is not followed.

use anyhow::{Result, anyhow, bail};
use axum::http::header::{ACCEPT, HOST};
use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// For all of it.
const TAKES: Duration = Duration::from_secs(10);

/// Gets what is at an address.
pub(super) async fn get(at: &Uri, authority: Option<&Path>, bytes_max: usize) -> Result<Vec<u8>> {
    match tokio::time::timeout(TAKES, connect(at, authority, bytes_max)).await {
        Ok(got) => got,
        Err(_) => bail!("did not answer within {} s", TAKES.as_secs()),
    }
}

async fn connect(at: &Uri, authority: Option<&Path>, bytes_max: usize) -> Result<Vec<u8>> {
    let host = at.host().ok_or_else(|| anyhow!("names no host"))?;
    if at.scheme_str() == Some("https") {
        let port = at.port_u16().unwrap_or(443);
        let stream = enroute_tls::dial(host, port, authority).await?;
        exchange(stream, at, bytes_max).await
    } else {
        let port = at.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        exchange(stream, at, bytes_max).await
    }
}

async fn exchange<IO>(stream: IO, at: &Uri, bytes_max: usize) -> Result<Vec<u8>>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this call.
    let mut driven = JoinSet::new();
    driven.spawn(connection);
    let host = at.authority().map_or("", |authority| authority.as_str());
    let path = at.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("answered {}", response.status());
    }
    let body = Limited::new(response.into_body(), bytes_max);
    let body = body.collect().await.map_err(|error| anyhow!(error))?;
    Ok(body.to_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// What is got from somebody who answers with these bytes.
    async fn got(answer: String) -> Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}/keys", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1_024];
            let read = stream.read(&mut asked).await.unwrap();
            assert!(asked[..read].starts_with(b"GET /keys HTTP/1.1\r\n"));
            // Who is told too much hangs up.
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.read(&mut asked).await);
        });
        let got = get(&at.parse().unwrap(), None, 100).await;
        serving.abort();
        got
    }

    fn page(bytes: usize) -> String {
        let body = "x".repeat(bytes);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn a_page_is_taken_up_to_its_bound() {
        assert_eq!(got(page(100)).await.unwrap().len(), 100);
        assert!(got(page(101)).await.is_err());
        // The same without its length said before.
        let body = "65\r\n".to_owned() + &"x".repeat(101) + "\r\n0\r\n\r\n";
        let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert!(got(chunked).await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_followed_and_no_error_is_taken_for_a_page() {
        let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n";
        let refused = got(elsewhere.to_owned()).await.unwrap_err();
        assert!(refused.to_string().contains("302"), "{refused}");
        for wrong in ["HTTP/1.1 500 no\r\n\r\n", "SSH-2.0-OpenSSH\r\n"] {
            assert!(got(wrong.to_owned()).await.is_err(), "{wrong}");
        }
    }
}

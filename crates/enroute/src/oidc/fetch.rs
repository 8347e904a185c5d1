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

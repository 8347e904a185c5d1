//! One accepted connection: bytes, who speaks, and an end from outside.

use crate::peer::Peer;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_rustls::server::TlsStream;

/// An accepted connection with its handshake behind it.
#[derive(Debug)]
pub struct Connection {
    bytes: Bytes,
    from: SocketAddr,
    peer: Option<Peer>,
    /// Resolves when the peer's certificate is not to be trusted any more.
    end: Option<oneshot::Receiver<()>>,
    /// Its place among the connections of a listener.
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Bytes {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// One without TLS.
    pub(crate) fn plain(stream: TcpStream, from: SocketAddr) -> Self {
        Self {
            bytes: Bytes::Plain(stream),
            from,
            peer: None,
            end: None,
            _place: None,
        }
    }

    pub(crate) fn tls(
        stream: TlsStream<TcpStream>,
        from: SocketAddr,
        end: oneshot::Receiver<()>,
    ) -> Self {
        let peer = Peer::of(stream.get_ref().1.peer_certificates());
        Self {
            bytes: Bytes::Tls(Box::new(stream)),
            from,
            peer,
            end: Some(end),
            _place: None,
        }
    }

    /// Gives the place back when the connection ends.
    pub(crate) fn in_place(self, place: OwnedSemaphorePermit) -> Self {
        Self {
            _place: Some(place),
            ..self
        }
    }

    /// Where it comes from.
    #[must_use]
    pub fn from(&self) -> SocketAddr {
        self.from
    }

    /// Who it is, under mutual TLS.
    #[must_use]
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// An error as soon as the certificate is not to be trusted any more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(end) = &mut self.end else {
            return Ok(());
        };
        match Pin::new(end).poll(cx) {
            Poll::Pending => Ok(()),
            // The acceptor let go of it, or is gone itself and could not any more.
            Poll::Ready(_) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the peer's certificate is not trusted any more",
            )),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Bytes::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_end(cx)?;
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Bytes::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What a gRPC service may ask of its request: where it comes from, and who speaks.
#[derive(Clone, Debug)]
pub struct Came {
    /// Where the connection comes from.
    pub from: SocketAddr,
    /// Who it is, under mutual TLS.
    pub peer: Option<Peer>,
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = Came;

    fn connect_info(&self) -> Came {
        let (from, peer) = (self.from, self.peer.clone());
        Came { from, peer }
    }
}

//! One accepted connection: bytes, who speaks, and an end from outside.

use crate::patience::Patience;
use crate::peer::Peer;
use crate::places::{Counts, Place};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::server::TlsStream;

/// An accepted connection with its handshake behind it.
#[derive(Debug)]
pub struct Connection {
    bytes: Bytes,
    from: SocketAddr,
    peer: Option<Peer>,
    /// Resolves when the peer's certificate is not to be trusted any more.
    end: Option<oneshot::Receiver<()>>,
    /// Its place among the connections of a listener, and how long it may keep it.
    place: Option<(Place, Patience)>,
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
            place: None,
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
            place: None,
        }
    }

    /// Gives the place back when the connection ends; ends when it went to another,
    /// or the other side takes nothing for too long.
    pub(crate) fn in_place(self, place: Place) -> Self {
        let patience = Patience::new(place.idle_max());
        Self {
            place: Some((place, patience)),
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

    /// An error as soon as it has to end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.poll_place(cx)?;
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

    fn poll_place(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some((place, patience)) = &mut self.place else {
            return Ok(());
        };
        if let Some(lost) = &mut place.lost
            && Pin::new(lost).poll(cx).is_ready()
        {
            let gone = "a newer connection has its place";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, gone));
        }
        match patience.poll_over(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                Counts::add(&place.counts().idle);
                let idle = "the other side took nothing for too long";
                Err(io::Error::new(io::ErrorKind::TimedOut, idle))
            }
        }
    }

    /// The other side took so many bytes of ours.
    fn taken(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Poll::Ready(Ok(1..)), Some((place, patience))) = (written, &mut self.place) {
            place.settle();
            patience.moved();
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
        let written = match &mut self.bytes {
            Bytes::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Bytes::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.taken(&written);
        written
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

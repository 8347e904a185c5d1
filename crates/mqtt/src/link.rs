//! Packets over a stream of bytes, in and out, in few system calls.
//!
//! - What is put in goes out with the next [`Link::turn`], all of it in as few writes
//!   as the stream takes, **before anything is waited for**: so the PUBACKs of a commit
//!   are one write, and nothing is withheld while the connection sleeps.
//! - What came in with one read is taken packet by packet, without asking the stream
//!   again.
//!
//! The stream may be any; nothing is lost when the future of a turn is dropped, because
//! what it has done so far is here and not in it.

use bytes::{Buf, BytesMut};
use rumqttc::v5::mqttbytes::Error as CodecError;
use rumqttc::v5::mqttbytes::v5::Packet;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Room for reading in a new buffer at first; twice as much each time a read filled it.
const READ_BYTES_MIN: usize = 4 << 10;
/// … up to this.
const READ_BYTES_MAX: usize = 64 << 10;
/// Less room than this is not worth a read.
const READ_BYTES_LEAST: usize = 1 << 10;
/// Bytes that wait for the stream, beyond which nothing more is to be put in but
/// acknowledgements, whose number is bounded where they come from.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The stream's own words.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no packet, or one that is too large.
    #[error("{0}")]
    Packet(#[from] CodecError),
    /// The other side closed it.
    #[error("the broker closed the connection")]
    Closed,
}

/// A stream and the bytes before and behind it.
#[derive(Debug)]
pub(crate) struct Link<S> {
    stream: S,
    packet_bytes_max: u32,
    received: BytesMut,
    read_bytes: usize,
    waiting: BytesMut,
    /// The stream may hold back what it took: it is to be flushed.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    /// `packet_bytes_max`: a larger packet from the other side is an error.
    pub(crate) fn new(stream: S, packet_bytes_max: u32) -> Self {
        Self {
            stream,
            packet_bytes_max,
            received: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            waiting: BytesMut::new(),
            unflushed: false,
        }
    }

    /// Puts a packet behind those that wait.
    ///
    /// # Errors
    /// When it cannot be written as one; nothing of it goes out then.
    pub(crate) fn put(&mut self, packet: &Packet) -> Result<(), LinkError> {
        let before = self.waiting.len();
        if let Err(error) = packet.write(&mut self.waiting, None) {
            self.waiting.truncate(before);
            return Err(error.into());
        }
        Ok(())
    }

    /// Whether more may be put in.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_BYTES_MAX
    }

    /// The next packet of those that came in.
    ///
    /// # Errors
    /// When what came is no packet, or too large a one.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>, LinkError> {
        match Packet::read(&mut self.received, Some(self.packet_bytes_max)) {
            Ok(packet) => Ok(Some(packet)),
            Err(CodecError::InsufficientBytes(missing)) => {
                self.received.reserve(missing);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what waits, until something came in, where it `reads`, or there is room again
    /// where there was none. Dropping it loses nothing.
    ///
    /// # Errors
    /// When the stream has ended.
    pub(crate) async fn turn(&mut self, reads: bool) -> Result<(), LinkError> {
        poll_fn(|cx| {
            let was_full = !self.has_room();
            if let Poll::Ready(sent) = self.poll_send(cx) {
                sent?;
            }
            if was_full && self.has_room() {
                return Poll::Ready(Ok(()));
            }
            if reads {
                return self.poll_receive(cx);
            }
            Poll::Pending
        })
        .await
    }

    /// Until all that waits is in the stream.
    ///
    /// # Errors
    /// When the stream has ended.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        while !self.waiting.is_empty() {
            let stream = Pin::new(&mut self.stream);
            match ready!(stream.poll_write(cx, &self.waiting))? {
                0 => return Poll::Ready(Err(LinkError::Closed)),
                written => self.waiting.advance(written),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            // The room of what went out is used again, unless it was unusually much.
            if self.waiting.capacity() > WAITING_BYTES_MAX {
                self.waiting = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let mut room = self.received.capacity() - self.received.len();
        if room < READ_BYTES_LEAST {
            self.received.reserve(self.read_bytes);
            room = self.received.capacity() - self.received.len();
        }
        let read = pin!(self.stream.read_buf(&mut self.received));
        match ready!(read.poll(cx))? {
            0 => return Poll::Ready(Err(LinkError::Closed)),
            read if read == room => {
                self.read_bytes = self.read_bytes.saturating_mul(2).min(READ_BYTES_MAX);
            }
            _ => {}
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;

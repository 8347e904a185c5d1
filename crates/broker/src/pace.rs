//! How fast one gateway may speak. One that goes mad is read more slowly, so that its
//! own connection fills and nobody else's queue does.
//!
//! A gateway has a budget that fills as time goes on; what its connections bring costs
//! its bytes, and [`PACKET_BYTES`] for each packet. While there is debt nothing is read
//! of the connection that made it.

use crate::Counts;
use enroute_tls::Connection;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// What a second gives. Ingest takes as much, unpacked, so what is honest never waits.
const BYTES_PER_SECOND: u64 = 8 << 20;
/// What there is at most: a backlog of hours comes at once.
const BYTES_MAX: u64 = 64 << 20;
/// What a packet costs beside its bytes: 512 of them in a second, for ever. A
/// gateway in real time sends about ten, and history comes many frames to a packet.
const PACKET_BYTES: u64 = 16 << 10;

/// What one gateway has, over all its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    bytes: u64,
    /// Still to be paid.
    debt: u64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            bytes: BYTES_MAX,
            debt: 0,
            at: now,
        }
    }

    /// Takes `cost`; says how long nothing more may be read.
    pub(crate) fn spend(&mut self, now: Instant, cost: u64) -> Duration {
        self.fill(now);
        let paid = cost.min(self.bytes);
        self.bytes -= paid;
        self.debt = self.debt.saturating_add(cost - paid);
        Duration::from_micros(self.debt.saturating_mul(1_000_000) / BYTES_PER_SECOND)
    }

    /// Whether it is as a new one.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.bytes == BYTES_MAX
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_micros();
        let given = passed.saturating_mul(u128::from(BYTES_PER_SECOND)) / 1_000_000;
        // A part of a byte is not lost by asking often.
        if given == 0 {
            return;
        }
        let given = u64::try_from(given).unwrap_or(u64::MAX);
        let paid = given.min(self.debt);
        self.debt -= paid;
        self.bytes = self.bytes.saturating_add(given - paid).min(BYTES_MAX);
        self.at = now;
    }
}

/// Counts packets in what passes, by MQTT's fixed headers alone.
#[derive(Debug, Default)]
enum Framing {
    /// Before a packet.
    #[default]
    Head,
    /// In its remaining length.
    Length { value: u64, shift: u32 },
    /// So many bytes are left of it.
    Body(u64),
}

impl Framing {
    /// How many packets begin in `bytes`.
    fn begun(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while let Some((first, rest)) = bytes.split_first() {
            match self {
                Self::Head => {
                    begun += 1;
                    *self = Self::Length { value: 0, shift: 0 };
                    bytes = rest;
                }
                Self::Length { value, shift } => {
                    let length = *value | (u64::from(first & 0x7f) << *shift);
                    // More than four bytes are none of MQTT: the library hangs up.
                    *self = if first & 0x80 != 0 && *shift < 21 {
                        Self::Length {
                            value: length,
                            shift: *shift + 7,
                        }
                    } else if length == 0 {
                        Self::Head
                    } else {
                        Self::Body(length)
                    };
                    bytes = rest;
                }
                Self::Body(left) => {
                    let skipped = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    *left -= skipped as u64;
                    if *left == 0 {
                        *self = Self::Head;
                    }
                    bytes = bytes.get(skipped..).unwrap_or_default();
                }
            }
        }
        begun
    }
}

/// A gateway's connection, read no faster than its budget allows.
#[derive(Debug)]
pub(crate) struct Paced {
    inner: Connection,
    budget: Arc<Mutex<Budget>>,
    counts: Arc<Counts>,
    framing: Framing,
    /// Until then nothing is read.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(crate) fn new(inner: Connection, budget: Arc<Mutex<Budget>>, counts: Arc<Counts>) -> Self {
        Self {
            inner,
            budget,
            counts,
            framing: Framing::default(),
            wait: None,
        }
    }

    fn spend(&mut self, read: &[u8]) {
        let packets = self.framing.begun(read).saturating_mul(PACKET_BYTES);
        let cost = packets.saturating_add(read.len() as u64);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = budget.spend(Instant::now(), cost);
        drop(budget);
        if !wait.is_zero() {
            self.counts.slowed.fetch_add(1, Ordering::Relaxed);
            self.wait = Some(Box::pin(sleep(wait)));
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(wait) = &mut self.wait {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        self.spend(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Mebibytes that get through in so many seconds.
    fn through(budget: &mut Budget, from: Instant, seconds: u64) -> u64 {
        let (mut now, mut through) = (from, 0);
        let end = from + Duration::from_secs(seconds);
        while now < end {
            now += budget.spend(now, MIB);
            through += 1;
        }
        through
    }

    #[test]
    fn a_flood_gets_what_the_budget_gives_and_no_more() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        // 64 that were there, and eight for each second.
        assert!((143..=145).contains(&through(&mut budget, begun, 10)));
        let later = begun + Duration::from_secs(10);
        assert!((79..=82).contains(&through(&mut budget, later, 10)));
        assert!(!budget.is_full(begun + Duration::from_secs(21)));
        assert!(budget.is_full(begun + Duration::from_secs(40)));
    }

    #[test]
    fn what_is_honest_never_waits() {
        let mut now = Instant::now();
        let mut budget = Budget::new(now);
        for second in 0..1_000_u64 {
            // Six hours of history in the first minute, then all that a monitor has.
            let history = if second < 60 { 700 << 10 } else { 0 };
            let waits = budget.spend(now, 32 * 500 * 2 + 20 * PACKET_BYTES + history);
            assert!(waits.is_zero(), "in second {second}");
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn packets_are_counted_however_the_bytes_are_cut() {
        // PINGREQ; PUBLISH of 200 and of 3 bytes; PINGREQ.
        let mut bytes = vec![0xc0, 0, 0x32, 0xc8, 0x01];
        bytes.extend([0xc0; 200]);
        bytes.extend([0x30, 3, 0, 0, 0, 0xc0, 0]);
        for cut in 1..=bytes.len() {
            let mut framing = Framing::default();
            let begun: u64 = bytes.chunks(cut).map(|part| framing.begun(part)).sum();
            assert_eq!(begun, 4, "cut at {cut}");
        }
        // A length that never ends is no hole in the count.
        assert!(Framing::default().begun(&[0xff; 100]) >= 1);
    }
}

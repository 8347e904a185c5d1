//! One direction of one connection: delay and bandwidth.
//!
//! ```text
//! reader ──► queue of stamped chunks (at most CHUNKS) ──► wait delay, wait bandwidth ──► writer
//! ```
//! When the queue is full the reader waits, and with it the sender (TCP's own
//! back-pressure). While the link is down the queue stands still; nothing in
//! it is lost, as TCP would send it again.

use super::plan::LinkState;
use enroute_model::time::Span;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// Chunks under way in one direction.
const CHUNKS: usize = 64;
/// Bytes in a chunk, at most.
const CHUNK_BYTES: usize = 4_096;
/// Waits shorter than a tick of the timer are saved up, or a fast link would
/// carry one chunk a tick.
const TICK: Duration = Duration::from_millis(1);

struct Chunk {
    read_at: Instant,
    bytes: Vec<u8>,
}

/// Carries bytes until the reader ends (and passes the end on) or an end fails.
pub(super) async fn pump(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    link: watch::Receiver<LinkState>,
    carried: &AtomicU64,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let reading = read_into(reader, sender, link.clone());
    let writing = write_from(receiver, writer, link, carried);
    tokio::try_join!(reading, writing).map(|((), ())| ())
}

async fn read_into(
    mut reader: impl AsyncRead + Unpin,
    queue: mpsc::Sender<Chunk>,
    mut link: watch::Receiver<LinkState>,
) -> io::Result<()> {
    loop {
        up(&mut link).await?;
        let mut bytes = Vec::with_capacity(CHUNK_BYTES);
        if reader.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
        let read_at = Instant::now();
        queue
            .send(Chunk { read_at, bytes })
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
}

async fn write_from(
    mut queue: mpsc::Receiver<Chunk>,
    mut writer: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<LinkState>,
    carried: &AtomicU64,
) -> io::Result<()> {
    let mut free_at = Instant::now();
    while let Some(chunk) = queue.recv().await {
        let size = u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
        loop {
            let (delay, bytes_per_s) = up(&mut link).await?;
            let starts = free_at.max(chunk.read_at + delay);
            free_at = starts + sending_time(size, bytes_per_s);
            if free_at > Instant::now() + TICK {
                sleep_until(free_at).await;
            }
            if matches!(*link.borrow(), LinkState::Up { .. }) {
                break;
            }
        }
        writer.write_all(&chunk.bytes).await?;
        writer.flush().await?;
        carried.fetch_add(size, Ordering::Relaxed);
    }
    writer.shutdown().await
}

fn sending_time(bytes: u64, bytes_per_s: u64) -> Duration {
    let micros = bytes.saturating_mul(1_000_000) / bytes_per_s.max(1);
    Duration::from_micros(micros)
}

/// Waits until the link is up.
async fn up(link: &mut watch::Receiver<LinkState>) -> io::Result<(Duration, u64)> {
    loop {
        match *link.borrow_and_update() {
            LinkState::Up { delay, bytes_per_s } => return Ok((duration(delay), bytes_per_s)),
            LinkState::Down(_) => {}
        }
        link.changed()
            .await
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
    }
}

/// Negative spans are no time.
pub(super) fn duration(span: Span) -> Duration {
    Duration::from_micros(u64::try_from(span.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Cut;
    use super::*;
    use std::sync::Arc;
    use tokio::io::duplex;

    fn link(delay_ms: i64, bytes_per_s: u64) -> LinkState {
        LinkState::Up {
            delay: Span::from_millis(delay_ms),
            bytes_per_s,
        }
    }

    /// A pump between two in-memory ends; the clock stands still but for sleeps.
    fn pumped(
        state: LinkState,
    ) -> (
        tokio::io::DuplexStream,
        tokio::io::DuplexStream,
        watch::Sender<LinkState>,
    ) {
        let (near, from) = duplex(1 << 20);
        let (to, far) = duplex(1 << 20);
        let (sender, receiver) = watch::channel(state);
        let carried = Arc::new(AtomicU64::new(0));
        tokio::spawn(async move { pump(from, to, receiver, &carried).await });
        (near, far, sender)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_after_the_delay() {
        let (mut near, mut far, _link) = pumped(link(250, 1 << 40));
        let start = Instant::now();
        near.write_all(b"beat").await.unwrap();
        let mut got = [0; 4];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"beat");
        let took = start.elapsed();
        assert!((250..=252).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_bounds_what_arrives() {
        let (mut near, mut far, _link) = pumped(link(0, 10_000));
        let start = Instant::now();
        near.write_all(&vec![7; 50_000]).await.unwrap();
        let mut got = vec![0; 50_000];
        far.read_exact(&mut got).await.unwrap();
        let took = start.elapsed();
        assert!((4_990..=5_020).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn delay_does_not_add_up_over_chunks() {
        let (mut near, mut far, _link) = pumped(link(500, 1 << 40));
        let start = Instant::now();
        near.write_all(&vec![7; 40 * CHUNK_BYTES]).await.unwrap();
        let mut got = vec![0; 40 * CHUNK_BYTES];
        far.read_exact(&mut got).await.unwrap();
        assert!(start.elapsed().as_millis() <= 510, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_black_hole_holds_what_was_under_way_and_the_end() {
        let (mut near, mut far, state) = pumped(link(100, 1 << 40));
        near.write_all(b"one").await.unwrap();
        tokio::task::yield_now().await;
        state.send_replace(LinkState::Down(Cut::BlackHole));
        near.shutdown().await.unwrap();
        let mut got = Vec::new();
        let silent = tokio::time::timeout(Duration::from_mins(10), far.read_to_end(&mut got));
        assert!(silent.await.is_err());
        state.send_replace(LinkState::CLEAR);
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"one");
    }
}

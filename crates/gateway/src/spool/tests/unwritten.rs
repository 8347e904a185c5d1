//! What the disk did not take is declared by the next life of the spool.

use super::*;
use crate::spool::unwritten::Unwritten;
use enroute_journal::{LogOptions, Probe};
use enroute_model::frame::GapCause;
use std::sync::atomic::{AtomicI32, Ordering};

/// What the history lane would send, in words.
fn told(spool: &mut Spool) -> Vec<String> {
    let all = sent_by(spool, HistoryOrder::Oldest);
    let word = |((life, number), (_, payload)): (&(StreamLife, u64), &(TransferId, Bytes))| {
        let frame = wire::decode(payload).unwrap();
        let what = match frame.body {
            Body::Shed(shed) => {
                assert_eq!(shed.cause, Some(GapCause::Damaged));
                assert_eq!(shed.first_captured_at, GatewayTime(1_000));
                format!("{} to {} lost", shed.first, shed.last)
            }
            _ => "frame".to_owned(),
        };
        format!("{:?} {number}: {what}", life.1)
    };
    all.iter().map(word).collect()
}

/// A disk that takes so many writes and says of none behind them that it is synced.
fn syncs(writes: u8) -> LogOptions {
    let left = AtomicI32::new(writes.into());
    let next = move || match left.fetch_sub(1, Ordering::SeqCst) {
        1.. => Ok(()),
        _ => Err(std::io::Error::other("not synced")),
    };
    LogOptions {
        after_commit: Some(Probe(Arc::new(next))),
        ..LogOptions::default()
    }
}

#[test]
fn nothing_is_sent_that_a_failed_disk_may_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 1 << 20);
    let transfer = TransferId::new("tx-1").unwrap();
    let mut spool = Spool::open(&config, Some(&transfer)).unwrap();
    spool.append(&[waveform(1)]).unwrap();
    drop(spool);
    let mut lost = Unwritten::default();
    lost.add(&[note("a")]);
    let mut failed = 0;
    for writes in 0..8 {
        let epoch = Ok(100 + u64::from(writes));
        let Ok(mut spool) = Spool::open_as(&config, None, || epoch, syncs(writes)) else {
            continue;
        };
        // The crew ended the transfer: what is declared begins another.
        let ended = spool.end_leg();
        if ended.and_then(|()| spool.declare_unwritten(&lost)).is_err() {
            assert!(matches!(
                spool.pick(&everything()),
                Err(SpoolError::Failed(_))
            ));
            failed += 1;
        }
    }
    assert!(failed > 0);
}

#[test]
fn what_was_not_written_is_declared_by_the_life_that_begins() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 1 << 20);
    let transfer = TransferId::new("tx-1").unwrap();
    let mut spool = Spool::open(&config, Some(&transfer)).unwrap();
    spool.append(&[waveform(1)]).unwrap();
    // The disk fails, and takes nothing of these.
    let mut lost = Unwritten::default();
    lost.add(&[waveform(2), waveform(3), note("a")]);
    lost.add(&[note("b")]);
    drop(spool);
    let mut spool = Spool::open(&config, None).unwrap();
    let first = spool.epoch;
    let declared = spool.declare_unwritten(&lost).unwrap();
    assert_eq!(declared.len(), 2);
    assert!(declared.iter().all(|frame| frame.transfer == transfer));
    spool.append(&[waveform(4)]).unwrap();
    let expected = [
        "Events 3: 1 to 3 lost",
        "Waveforms 3: 1 to 3 lost",
        "Waveforms 4: frame",
    ];
    let mut of_this_life = told(&mut spool);
    of_this_life.retain(|word| word != "Waveforms 1: frame");
    assert_eq!(of_this_life, expected);
    // It is said again after a power cut, until a receipt covers it.
    drop(spool);
    let mut spool = Spool::open(&config, None).unwrap();
    assert_ne!(spool.epoch, first);
    let mut left = told(&mut spool);
    left.retain(|word| word != "Waveforms 1: frame");
    assert_eq!(left, expected);
    for stream in [Stream::Events, Stream::Waveforms] {
        free_through(&mut spool, (first, stream), 4, 10);
    }
    assert_eq!(told(&mut spool), ["Waveforms 1: frame"]);
    assert!(
        spool
            .declare_unwritten(&Unwritten::default())
            .unwrap()
            .is_empty()
    );
}

//! Recordings of others that are read as files: WFDB and MCAP.

use crate::input::Input;
use crate::room::room;
use enroute_export::McapFrames;
use enroute_wfdb::{Date, Frame, Header, Layout, NewRecord, NewSignal, Reader, Width, Writer};
use std::fs;
use std::path::Path;

/// Frames of one record that are read.
const FRAMES_MAX: usize = 2_000;

/// A header that is taken keeps its bounds, and its date.
pub(crate) fn wfdb_header(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(header) = Header::parse(text, Path::new("r.hea")) else {
        return;
    };
    assert!(header.frequency_hz.is_finite() && header.frequency_hz > 0.0);
    if let Some(date) = header.base_date {
        assert_eq!(
            Date::from_days_since_1970(date.days_since_1970()),
            Some(date)
        );
    }
    assert_eq!(
        header.start_us().is_some(),
        header.base_date.is_some() && header.base_time_us.is_some()
    );
    if let Layout::Single(signals) = &header.layout {
        for signal in signals {
            assert!(signal.gain.is_finite() && signal.gain != 0.0);
            assert!(signal.samples_per_frame > 0);
            // Never a file outside the header's folder.
            assert!(!signal.file.contains('/') && signal.file != "..");
        }
    }
}

/// A header and the bytes of its signal file; what is read is written by our writer
/// and read again.
pub(crate) fn wfdb_record(bytes: &[u8]) {
    let mut input = Input(bytes);
    let header = input.piece();
    let Ok(text) = std::str::from_utf8(header) else {
        return;
    };
    if Header::parse(text, Path::new("r.hea")).is_err() {
        return;
    }
    let dir = room();
    fs::write(dir.path().join("r.hea"), text).unwrap();
    fs::write(dir.path().join("d"), input.0).unwrap();
    // A second segment.
    fs::write(dir.path().join("s.hea"), "s 1 250 8\nd 16\n").unwrap();
    let Ok(mut reader) = Reader::open(&dir.path().join("r")) else {
        return;
    };
    let signals = reader.signals(0).to_vec();
    let samples: usize = signals.iter().map(|signal| signal.samples_per_frame).sum();
    let mut rows: Vec<Vec<Option<i32>>> = Vec::new();
    let mut frame = Frame::default();
    // A gap may be long and wide: only what is stored takes time.
    while rows.len() * samples.max(1) < FRAMES_MAX && reader.read(&mut frame).unwrap_or(false) {
        let row = (0..signals.len()).flat_map(|index| frame.signal(index).to_vec());
        rows.push(row.collect());
    }
    let is_whole = rows.iter().all(|row| row.len() == samples);
    assert!(is_whole, "a frame has other samples than its header says");
    let fits = rows
        .iter()
        .flatten()
        .flatten()
        .all(|sample| *sample > i32::MIN);
    if samples == 0 || rows.is_empty() || !fits {
        return;
    }
    let record = NewRecord {
        name: "again".to_owned(),
        frequency_hz: reader.header().frequency_hz,
        width: Width::ThirtyTwo,
        start_us: reader.header().start_us(),
        signals: signals.iter().map(signal).collect(),
    };
    let mut writer = Writer::create(dir.path(), record).unwrap();
    for row in &rows {
        writer.frame(row).unwrap();
    }
    writer.finish(&reader.header().comments).unwrap();
    let mut again = Reader::open(&dir.path().join("again")).unwrap();
    for row in &rows {
        assert!(again.read(&mut frame).unwrap());
        let same = (0..signals.len()).flat_map(|index| frame.signal(index).to_vec());
        assert_eq!(&same.collect::<Vec<_>>(), row);
    }
    assert!(!again.read(&mut frame).unwrap() && again.mismatches().is_empty());
}

fn signal(signal: &enroute_wfdb::SignalLine) -> NewSignal {
    NewSignal {
        description: signal.description.clone(),
        unit: signal.unit.clone(),
        gain: signal.gain,
        baseline: signal.baseline,
        samples_per_frame: signal.samples_per_frame,
        skew_frames: signal.skew_frames,
    }
}

/// A file that says it is MCAP: its frames, until it ends or is refused.
pub(crate) fn mcap(bytes: &[u8]) {
    let dir = room();
    let path = dir.path().join("r.mcap");
    fs::write(&path, bytes).unwrap();
    let mut file = McapFrames::open(&path).unwrap();
    let mut found = 0;
    while let Ok(Some(samples)) = file.advance() {
        found += 1;
        // Each takes at least a byte of the file, packed or not.
        assert!(found < 1 << 20, "there is no end");
        drop(enroute_wire::frame::decode(&samples.frame));
    }
}

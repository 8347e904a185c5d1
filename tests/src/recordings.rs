//! Where the tests find real recordings, and a decoding of them that shares
//! nothing with the product's reader: a few lines for exactly these files.

use std::path::PathBuf;

/// The folder of recordings named by `ENROUTE_RECORDINGS`.
///
/// # Panics
/// Where `ENROUTE_REQUIRE_TOOLS` is set and the folder is not there. Otherwise
/// its absence is said loudly and the test ends.
#[must_use]
pub fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ENROUTE_RECORDINGS").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        let why = "ENROUTE_RECORDINGS names no folder of recordings";
        assert!(
            std::env::var_os("ENROUTE_REQUIRE_TOOLS").is_none(),
            "{test}: {why}"
        );
        eprintln!("SKIPPED: {test}: {why}");
    }
    folder
}

/// Format 212: two 12-bit samples in three bytes; -2048 is no sample.
#[must_use]
pub fn decode_212(bytes: &[u8]) -> Vec<Option<i32>> {
    let sample = |low: u8, high: u8| {
        let raw = i32::from(low) | (i32::from(high & 15) << 8);
        let signed = if raw > 2_047 { raw - 4_096 } else { raw };
        (signed != -2_048).then_some(signed)
    };
    bytes
        .chunks_exact(3)
        .flat_map(|b| [sample(b[0], b[1]), sample(b[2], b[1] >> 4)])
        .collect()
}

/// Format 16: little-endian 16-bit samples; -32768 is no sample.
#[must_use]
pub fn decode_16(bytes: &[u8]) -> Vec<Option<i32>> {
    let sample = |b: &[u8]| i32::from(i16::from_le_bytes([b[0], b[1]]));
    bytes
        .chunks_exact(2)
        .map(|b| Some(sample(b)).filter(|s| *s != -32_768))
        .collect()
}

/// Splits interleaved samples into signals; `layout` is samples per frame of each.
#[must_use]
pub fn split(samples: &[Option<i32>], layout: &[usize]) -> Vec<Vec<Option<i32>>> {
    let mut signals = vec![Vec::new(); layout.len()];
    for frame in samples.chunks_exact(layout.iter().sum()) {
        let mut rest = frame;
        for (signal, count) in signals.iter_mut().zip(layout) {
            let (own, others) = rest.split_at(*count);
            signal.extend_from_slice(own);
            rest = others;
        }
    }
    signals
}

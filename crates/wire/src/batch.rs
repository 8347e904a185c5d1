//! Batches: the frames of one publish, on the history lane compressed.
//!
//! Opening one takes no more memory than a publish may have: the size that the
//! Zstandard frame states is checked first, and nothing beyond it is written.

use crate::frame::Refusal;
use crate::limits::PUBLISH_BYTES_MAX;
use crate::v1;
use bytes::Bytes;
use prost::Message;
use zstd::zstd_safe;

/// Of 1 to 22. Measured on a simulated patient (four waveforms, twelve numerics)
/// in blocks of 8 KiB: waveforms go to 0.63 of their size and numerics to 0.21;
/// level 9 gains 0.3 % and 4 % for four to eight times the work, level 1 loses
/// up to 1 % and is not faster.
const LEVEL: i32 = 3;

/// Compresses frames for [`v1::Batch::compressed`]; `None` if there are more bytes
/// than a publish may have.
#[must_use]
pub fn compress(frames: Vec<Bytes>) -> Option<Bytes> {
    let batch = v1::Batch {
        frame: frames,
        ..v1::Batch::default()
    };
    if batch.encoded_len() > PUBLISH_BYTES_MAX {
        return None;
    }
    let compressed = zstd::bulk::compress(&batch.encode_to_vec(), LEVEL).ok()?;
    Some(compressed.into())
}

/// The frames in [`v1::Batch::compressed`]; their own limits are not checked.
///
/// # Errors
/// [`Refusal::TooMuch`] if more would come out than a publish may have,
/// [`Refusal::Malformed`] and others if it is not what the contract says.
pub fn open(compressed: &[u8]) -> Result<Vec<Bytes>, Refusal> {
    let malformed = |what: &str| Refusal::Malformed(format!("compressed batch: {what}"));
    let stated = zstd_safe::get_frame_content_size(compressed)
        .map_err(|_| malformed("no Zstandard frame"))?
        .ok_or(Refusal::Missing("the content size of a compressed batch"))?;
    let size = usize::try_from(stated).unwrap_or(usize::MAX);
    crate::frame::at_most("bytes in a compressed batch", size, PUBLISH_BYTES_MAX)?;
    if zstd_safe::find_frame_compressed_size(compressed) != Ok(compressed.len()) {
        return Err(malformed("not one whole Zstandard frame"));
    }
    let bytes = zstd::bulk::decompress(compressed, size).map_err(|e| malformed(&e.to_string()))?;
    let batch = v1::Batch::decode(Bytes::from(bytes)).map_err(|e| malformed(&e.to_string()))?;
    if batch.sent_at_us != 0 || !batch.compressed.is_empty() {
        return Err(Refusal::Invalid("a compressed batch holds only frames"));
    }
    Ok(batch.frame)
}

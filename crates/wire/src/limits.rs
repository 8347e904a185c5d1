//! Every limit on what comes from the network, in one place. The protos repeat
//! them for readers; a test below holds relations between them.

use enroute_model::time::Span;

/// Bytes of one publish.
pub const PUBLISH_BYTES_MAX: usize = 1 << 20;
/// Frames in one publish.
pub const FRAMES_MAX: usize = 4_096;
/// Bytes of one encoded frame.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
/// Numerics in one frame.
pub const NUMERICS_MAX: usize = 256;
/// Waveforms in one frame.
pub const WAVEFORMS_MAX: usize = 32;
/// Samples in one waveform.
pub const SAMPLES_MAX: usize = 16_384;
/// Samples per second of one waveform.
pub const RATE_HZ_MAX: f64 = 100_000.0;
/// Device alarms in one frame.
pub const DEVICE_ALARMS_MAX: usize = 64;
/// Characters of a free text (note, intervention, reason).
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Characters of a label, a unit or another name.
pub const LABEL_CHARS_MAX: usize = 64;
/// Longest declared interval of a quantity: a day.
pub const INTERVAL_MAX: Span = Span::from_secs(86_400);
/// Longest pause of an alert's signals.
pub const PAUSE_MAX: Span = Span::from_secs(1_800);
/// Legs of a transfer.
pub const LEGS_MAX: usize = 16;
/// Conditions of a transfer.
pub const CONDITIONS_MAX: usize = 16;
/// Vital signs in one request for limits around their values.
pub const LIMIT_CODES_MAX: usize = 64;
/// Notes of the hospital that one word of a crew names.
pub const NOTES_MAX: usize = 32;
/// Ranges above `through` in a receipt, per stream.
pub const RECEIPT_RANGES_MAX: usize = 64;
/// Streams in one receipt.
pub const RECEIPT_STREAMS_MAX: usize = 96;
/// Streams in one link report.
pub const LINK_STREAMS_MAX: usize = 96;
/// Bytes of a resume token.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// Transfers named in one watch.
pub const WATCH_TRANSFERS_MAX: usize = 64;

const _: () = assert!(FRAME_BYTES_MAX <= PUBLISH_BYTES_MAX);
const _: () = assert!(SAMPLES_MAX * 5 < FRAME_BYTES_MAX);

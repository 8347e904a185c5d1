//! Nothing from the network can make the decoding panic (I9).

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use bytes::Bytes;
use enroute_ingest::check;
use enroute_wire::{Message, v1};
use proptest::prelude::*;

fn topics() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("enroute/v1/gw/gw-1/tx/tx-1/live".to_owned()),
        Just("enroute/v1/gw/gw-1/tx/tx-1/history".to_owned()),
        Just("enroute/v1/gw/gw-1/status".to_owned()),
        "enroute/v1/gw/.{0,10}/tx/.{0,10}/live",
        ".{0,60}",
    ]
}

/// A batch that is well formed outside, compressed or not, with rubbish inside
/// and one byte turned.
fn batches() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6);
    let parts = (
        frames,
        any::<bool>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
    );
    parts.prop_map(|(frames, compressed, index, byte)| {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        let mut batch = v1::Batch {
            sent_at_us: 1,
            ..v1::Batch::default()
        };
        if compressed {
            batch.compressed = enroute_wire::batch::compress(frames).unwrap();
        } else {
            batch.frame = frames;
        }
        let mut bytes = batch.encode_to_vec();
        let at = index.index(bytes.len());
        bytes[at] ^= byte;
        bytes
    })
}

proptest! {
    #[test]
    fn random_bytes_never_panic(topic in topics(), payload in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(check(&topic, &Bytes::from(payload)));
    }

    #[test]
    fn damaged_batches_never_panic(topic in topics(), payload in batches()) {
        drop(check(&topic, &Bytes::from(payload)));
    }
}

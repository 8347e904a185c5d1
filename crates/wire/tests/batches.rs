//! Compressed batches: there and back, and every kind of rubbish.

#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure here is a failed test, and tests are sentences"
)]

use bytes::Bytes;
use enroute_wire::batch::{compress, open};
use enroute_wire::limits::PUBLISH_BYTES_MAX;
use enroute_wire::{Message, v1};
use proptest::prelude::*;

fn frames(list: &[&[u8]]) -> Vec<Bytes> {
    list.iter().map(|f| Bytes::copy_from_slice(f)).collect()
}

fn word(compressed: &[u8]) -> &'static str {
    open(compressed).unwrap_err().word()
}

/// One Zstandard frame around an encoded batch.
fn pack(batch: &v1::Batch) -> Vec<u8> {
    zstd::bulk::compress(&batch.encode_to_vec(), 3).unwrap()
}

proptest! {
    #[test]
    fn what_was_compressed_comes_back(
        list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40)
    ) {
        let list: Vec<Bytes> = list.into_iter().map(Bytes::from).collect();
        prop_assert_eq!(open(&compress(list.clone()).unwrap()).unwrap(), list);
    }

    #[test]
    fn damage_is_refused_or_harmless(
        list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..20),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = compress(list.into_iter().map(Bytes::from).collect()).unwrap();
        let mut damaged = whole.to_vec();
        damaged[at.index(whole.len())] ^= 1 << bit;
        if let Ok(frames) = open(&damaged) {
            let bytes: usize = frames.iter().map(Bytes::len).sum();
            prop_assert!(bytes <= PUBLISH_BYTES_MAX);
        }
        prop_assert!(open(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        // Also behind a good magic number.
        let mut marked = vec![0x28, 0xb5, 0x2f, 0xfd];
        marked.extend_from_slice(&bytes);
        for bytes in [bytes, marked] {
            if let Ok(frames) = open(&bytes) {
                prop_assert!(frames.len() <= bytes.len());
            }
        }
    }
}

#[test]
fn a_bomb_is_over_the_limit() {
    let bomb = zstd::bulk::compress(&vec![0; PUBLISH_BYTES_MAX + 1], 3).unwrap();
    assert!(bomb.len() < 200);
    assert_eq!(word(&bomb), "over_limit");
    // It states 1 GiB and holds next to nothing.
    let mut lie = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    lie.extend_from_slice(&(1_u64 << 30).to_le_bytes());
    lie.extend_from_slice(&[1, 0, 0]);
    assert_eq!(word(&lie), "over_limit");
}

#[test]
fn only_one_whole_frame_that_states_its_size_is_taken() {
    let good = compress(frames(&[b"one", b"two"])).unwrap();
    assert_eq!(open(&good).unwrap(), frames(&[b"one", b"two"]));
    assert_eq!(word(&[]), "malformed");
    assert_eq!(word(b"no zstandard"), "malformed");
    assert_eq!(word(&[good.as_ref(), good.as_ref()].concat()), "malformed");
    assert_eq!(word(&[good.as_ref(), b"!"].concat()), "malformed");
    assert_eq!(word(&good[..good.len() - 1]), "malformed");
    let mut unstated = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    std::io::Write::write_all(&mut unstated, &[0x0a, 0x00]).unwrap();
    assert_eq!(word(&unstated.finish().unwrap()), "missing_part");
    // What came out is shorter than stated: the last byte of a raw block is gone
    // and its length says so.
    let short = [
        0x28,
        0xb5,
        0x2f,
        0xfd,
        0x20,
        4,
        0b0001_0001,
        0,
        0,
        0x0a,
        0x00,
    ];
    assert_eq!(word(&short), "malformed");
}

#[test]
fn a_compressed_batch_holds_only_frames() {
    let timed = v1::Batch {
        frame: frames(&[b"one"]),
        sent_at_us: 7,
        ..v1::Batch::default()
    };
    assert_eq!(word(&pack(&timed)), "invalid_value");
    let nested = v1::Batch {
        compressed: compress(frames(&[b"one"])).unwrap(),
        ..v1::Batch::default()
    };
    assert_eq!(word(&pack(&nested)), "invalid_value");
    let rubbish = zstd::bulk::compress(&[0xff; 40], 3).unwrap();
    assert_eq!(word(&rubbish), "malformed");
}

#[test]
fn more_than_a_publish_is_not_compressed() {
    let large = vec![Bytes::from(vec![0; PUBLISH_BYTES_MAX])];
    assert_eq!(compress(large), None);
}

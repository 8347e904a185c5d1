//! Keys, where they come from, and the file of data keys under crashes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed unwrap in a test is a failed test"
)]

use crate::{DataKey, KeyId, Keys, KeysError, Ring, RingError, SEALED_EXTRA, SealError, Source};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn keys(ids: &[u32]) -> Arc<Keys> {
    let line = |id: &u32| format!("{id} {:064x}\n", 1000 + id);
    let text: String = ids.iter().map(line).collect();
    Arc::new(Keys::parse(&text).unwrap())
}

fn open(path: &Path, ids: &[u32], noted: u32) -> Ring {
    Ring::open(path, Some(&keys(ids)), noted).unwrap().unwrap()
}

fn sealed(key: &DataKey, place: &str, plain: &str) -> Vec<u8> {
    let mut sealed = Vec::new();
    key.seal(place.as_bytes(), plain.as_bytes(), &mut sealed)
        .unwrap();
    sealed
}

/// The unit in which a file of keys lies twice.
const BLOCK: usize = 4096;

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data-keys");
    (dir, path)
}

#[test]
fn only_its_key_opens_a_value_in_its_place_as_it_was() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b"].into_iter()).unwrap();
    let (a, b) = (ring.newest("a").unwrap().1, ring.newest("b").unwrap().1);
    let value = sealed(&a, "here", "92 %");
    assert_eq!(value.len(), 4 + SEALED_EXTRA);
    assert_ne!(value, sealed(&a, "here", "92 %"), "a nonce came twice");
    assert_eq!(a.open(b"here", &value).unwrap(), b"92 %");
    assert_eq!(a.open(b"there", &value), Err(SealError::Refused));
    assert_eq!(b.open(b"here", &value), Err(SealError::Refused));
    for bit in 0..value.len() * 8 {
        let mut changed = value.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(a.open(b"here", &changed), Err(SealError::Refused), "{bit}");
    }
    for cut in 0..value.len() {
        assert_eq!(a.open(b"here", &value[..cut]), Err(SealError::Refused));
    }
}

/// RFC draft draft-irtf-cfrg-xchacha-03, appendix A.3.1: that it is this cipher.
#[test]
fn opens_the_vector_of_the_draft() {
    let secret: Vec<u8> = (0x80..=0x9f).collect();
    let secret: [u8; 32] = secret.try_into().unwrap();
    let nonce: Vec<u8> = (0x40..=0x57).collect();
    let place = [
        0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
    ];
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
        the future, sunscreen would be it.";
    let body = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
        21f9664c97637da9768812f615c68b13b52e";
    let tag = "c0875924c1c7987947deafd8780acf49";
    let unhex = |text: &str| -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let value = [nonce, unhex(body), unhex(tag)].concat();
    let key = DataKey::new(&zeroize::Zeroizing::new(secret));
    assert_eq!(key.open(&place, &value).unwrap(), plain);
}

#[test]
fn a_text_of_keys_is_taken_whole_or_refused_without_saying_what_it_holds() {
    let secret = "ab".repeat(32);
    let text = format!("# ours\n\n2 {secret} # newer\n 1 {secret}\n");
    let keys = Keys::parse(&text).unwrap();
    assert_eq!(keys.current(), KeyId(2));
    assert_eq!(keys.ids().collect::<Vec<_>>(), [KeyId(1), KeyId(2)]);
    let wrong = [
        ("", "empty"),
        ("# nothing\n", "empty"),
        (&format!("0 {secret}"), "line 1 does not begin"),
        (&format!("x {secret}"), "line 1 does not begin"),
        ("1", "line 1 has no key"),
        (&format!("1 {}", &secret[1..]), "line 1 has no key"),
        (&format!("1 {secret}0"), "line 1 has no key"),
        (&format!("1 {}zz", &secret[2..]), "line 1 has no key"),
        (&format!("1 {secret} more"), "more than"),
        (&format!("1 {secret}\n1 {secret}"), "line 2 gives key 1"),
    ];
    for (text, words) in wrong {
        let refused = Keys::parse(text).unwrap_err();
        assert!(refused.contains(words), "{text:?}: {refused}");
        assert!(!refused.contains("abab"), "{refused}");
    }
    assert!(!format!("{keys:?}").contains("ab"), "{keys:?}");
    let first = Keys::parse(&Keys::fresh(None).unwrap()).unwrap();
    assert_eq!(first.current(), KeyId(1));
    let third = Keys::parse(&Keys::fresh(Some(&keys)).unwrap()).unwrap();
    assert_eq!(third.current(), KeyId(3));
}

#[test]
fn keys_come_from_a_file_of_their_owner_or_from_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys");
    let missing = Source::file(&file).load().unwrap_err();
    assert!(
        matches!(missing, KeysError::Unreadable { .. }),
        "{missing:?}"
    );
    fs::write(&file, &*Keys::fresh(None).unwrap()).unwrap();
    for mode in [0o644, 0o640, 0o602] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let refused = Source::file(&file).load().unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(Source::file(&file).load().unwrap().current(), KeyId(1));
    let command = |words: &[&str]| {
        let command = Some(words.iter().map(ToString::to_string).collect());
        Source {
            keys: None,
            command,
        }
    };
    let path = file.to_str().unwrap();
    let keys = command(&["cat", path]).load().unwrap();
    assert_eq!(keys.current(), KeyId(1));
    for wrong in [
        command(&["/nonexistent/program"]),
        command(&["cat", "/nonexistent/file"]),
        command(&["true"]),
        command(&["head", "-c", "100000", "/dev/zero"]),
    ] {
        let refused = wrong.load().unwrap_err();
        assert!(
            matches!(
                refused,
                KeysError::Command { .. } | KeysError::Content { .. }
            ),
            "{refused:?}"
        );
    }
    let both = Source {
        command: Some(vec!["cat".to_owned()]),
        ..Source::file(&file)
    };
    for wrong in [Source::default(), both, command(&[])] {
        assert!(matches!(wrong.load(), Err(KeysError::Source)));
    }
}

#[test]
fn a_ring_asks_for_the_keys_that_it_needs() {
    let (_dir, path) = place();
    assert!(Ring::open(&path, None, 0).unwrap().is_none());
    assert!(matches!(
        Ring::open(&path, None, 3),
        Err(RingError::Lost { .. })
    ));
    let ring = open(&path, &[3], 0);
    ring.ensure(["a"].into_iter()).unwrap();
    let value = sealed(&ring.newest("a").unwrap().1, "here", "x");
    assert_eq!(ring.last(), 1);
    drop(ring);
    let before = fs::read(&path).unwrap();
    let refused = Ring::open(&path, None, 1).unwrap_err().to_string();
    assert!(refused.contains("needs key 3"), "{refused}");
    let refused = Ring::open(&path, Some(&keys(&[1, 2])), 1).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("needs key 3, and only 1, 2 are given"),
        "{refused}"
    );
    let other = Arc::new(Keys::parse(&format!("3 {:064x}", 5)).unwrap());
    let refused = Ring::open(&path, Some(&other), 1).unwrap_err();
    assert!(
        matches!(refused, RingError::Wrong { id: KeyId(3), .. }),
        "{refused:?}"
    );
    assert_eq!(fs::read(&path).unwrap(), before, "a refusal changed it");
    let ring = open(&path, &[1, 3], 1);
    assert_eq!(ring.key(1).unwrap().open(b"here", &value).unwrap(), b"x");
    fs::write(&path, "something else".repeat(50)).unwrap();
    let refused = Ring::open(&path, Some(&keys(&[3])), 1).unwrap_err();
    assert!(matches!(refused, RingError::NoRing { .. }), "{refused:?}");
}

#[test]
fn a_newer_key_takes_all_over_and_the_old_one_opens_nothing_any_more() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b", "c"].into_iter()).unwrap();
    ring.destroy(&[3]).unwrap();
    let value = sealed(&ring.newest("b").unwrap().1, "here", "x");
    let old = fs::OpenOptions::new().read(true).open(&path).unwrap();
    drop(ring);
    let ring = open(&path, &[1, 2], 3);
    let needed = Ring::needed(&path).unwrap().unwrap();
    assert_eq!(needed.into_iter().collect::<Vec<_>>(), [(KeyId(2), 2)]);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut &old, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0x5a), "old bytes are left");
    ring.ensure(["c"].into_iter()).unwrap();
    assert_eq!(ring.newest("c").unwrap().0, 4, "a number came twice");
    drop(ring);
    let ring = open(&path, &[2], 4);
    assert_eq!(ring.key(2).unwrap().open(b"here", &value).unwrap(), b"x");
    assert_eq!(ring.names(), ["a", "b", "c"]);
}

#[test]
fn what_is_destroyed_is_nowhere_and_its_place_is_used_again() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b"].into_iter()).unwrap();
    let before = fs::read(&path).unwrap();
    let wrapped = &before[256 + 1 + 4 + 4 + 1 + 96..][..72];
    ring.renew(&["a"]).unwrap();
    assert_eq!(ring.all("a"), [1, 3]);
    ring.destroy(&[1, 77]).unwrap();
    assert_eq!(ring.all("a"), [3]);
    assert!(ring.key(1).is_none());
    let after = fs::read(&path).unwrap();
    assert!(!after.windows(72).any(|window| window == wrapped));
    ring.ensure(["d"].into_iter()).unwrap();
    assert_eq!(ring.newest("d").unwrap().0, 4);
    assert_eq!(fs::metadata(&path).unwrap().len(), after.len() as u64);
    ring.destroy(&[4]).unwrap();
    drop(ring);
    let ring = open(&path, &[1], 3);
    ring.ensure(["e"].into_iter()).unwrap();
    assert_eq!(ring.newest("e").unwrap().0, 5, "a number came twice");
}

/// Whatever of its sectors the last write left when the power went: what was noted is
/// whole, and what was not is given anew.
#[test]
fn a_torn_last_write_costs_no_key_that_was_noted() {
    let (dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a"].into_iter()).unwrap();
    let value = sealed(&ring.newest("a").unwrap().1, "here", "x");
    let mut before = fs::read(&path).unwrap();
    ring.ensure(["b", "c"].into_iter()).unwrap();
    drop(ring);
    let whole = fs::read(&path).unwrap();
    let written = before.len();
    before.resize(whole.len(), 0);
    let sectors = [512..1024, BLOCK + 512..BLOCK + 1024];
    assert_eq!(whole.len(), sectors[1].end);
    for torn in &sectors {
        for (cut, other) in (0..=512)
            .step_by(16)
            .flat_map(|cut| [(cut, false), (cut, true)])
        {
            let mut bytes = if other { whole.clone() } else { before.clone() };
            bytes[torn.clone()].copy_from_slice(&before[torn.clone()]);
            let came = torn.start..torn.start + cut;
            bytes[came.clone()].copy_from_slice(&whole[came]);
            let there = dir.path().join("torn");
            fs::write(&there, bytes).unwrap();
            let ring = open(&there, &[1], 1);
            assert_eq!(ring.key(1).unwrap().open(b"here", &value).unwrap(), b"x");
            assert!(ring.newest("b").is_none(), "cut {cut}: it was never noted");
            ring.ensure(["b"].into_iter()).unwrap();
            assert_eq!(ring.newest("b").unwrap().0, 2);
            drop(ring);
            assert!(open(&there, &[1], 2).newest("b").is_some(), "cut {cut}");
        }
    }
    for cut in (0..written).step_by(16) {
        fs::write(&path, &before[..cut]).unwrap();
        let opened = Ring::open(&path, Some(&keys(&[1])), 0);
        assert!(opened.unwrap().is_some(), "cut {cut}: nothing was noted");
    }
}

/// The power goes when one of the two copies is overwritten, whichever it is.
#[test]
fn a_key_that_was_destroyed_in_one_copy_is_destroyed() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b"].into_iter()).unwrap();
    let before = fs::read(&path).unwrap();
    let wrapped = &before[256 + 1 + 4 + 4 + 1 + 96..][..72];
    ring.destroy(&[1]).unwrap();
    drop(ring);
    let after = fs::read(&path).unwrap();
    for (first, second) in [(&before, &after), (&after, &before)] {
        fs::write(&path, [&first[..BLOCK], &second[BLOCK..]].concat()).unwrap();
        let ring = open(&path, &[1], 2);
        assert_eq!(ring.names(), ["b"]);
        assert!(ring.key(1).is_none());
        drop(ring);
        assert!(fs::read(&path).unwrap() == after);
        assert!(!after.windows(72).any(|window| window == wrapped));
    }
}

/// The file with a slot put into an empty place, in both blocks.
fn with_slot(file: &[u8], place: usize, slot: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file.resize(2 * BLOCK, 0);
    for block in [0, BLOCK] {
        file[block + place * 256..][..256].copy_from_slice(slot);
    }
    file
}

#[test]
fn a_key_that_somebody_copied_within_the_file_is_destroyed_with_its_copies() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b"].into_iter()).unwrap();
    drop(ring);
    let file = fs::read(&path).unwrap();
    let wrapped = &file[256 + 1 + 4 + 4 + 1 + 96..][..72];
    let once = with_slot(&file, 5, &file[256..512]);
    fs::write(&path, with_slot(&once, 9, &file[256..512])).unwrap();
    let ring = open(&path, &[1], 2);
    assert_eq!(ring.all("a"), [1]);
    ring.destroy(&[1]).unwrap();
    let after = fs::read(&path).unwrap();
    assert!(!after.windows(72).any(|window| window == wrapped));
    drop(ring);
    let ring = open(&path, &[1], 2);
    assert_eq!(ring.names(), ["b"]);
    // All three places are free, each once.
    ring.ensure(["c", "d", "e"].into_iter()).unwrap();
    drop(ring);
    assert_eq!(open(&path, &[1], 5).names(), ["b", "c", "d", "e"]);
}

#[test]
fn a_slot_that_somebody_made_up_costs_no_key_and_a_wrong_key_changes_nothing() {
    let (_dir, path) = place();
    open(&path, &[1], 0).ensure(["a", "b"].into_iter()).unwrap();
    let (_dir, elsewhere) = place();
    let wrong = Arc::new(Keys::parse(&format!("1 {:064x}\n", 7)).unwrap());
    let theirs = Ring::open(&elsewhere, Some(&wrong), 0).unwrap().unwrap();
    theirs.ensure(["x", "y", "z"].into_iter()).unwrap();
    let made_up = fs::read(&elsewhere).unwrap()[3 * 256..4 * 256].to_vec();
    let file = with_slot(&fs::read(&path).unwrap(), 3, &made_up);
    fs::write(&path, &file).unwrap();
    let ring = open(&path, &[1], 3);
    assert!(ring.newest("a").is_some() && ring.newest("b").is_some());
    assert!(ring.newest("z").is_none());
    drop(ring);
    // One copy is cut short: with the right key it would be mended.
    let mut torn = file;
    torn[BLOCK + 256..BLOCK + 512].fill(0);
    torn[3 * 256..4 * 256].fill(0);
    torn[BLOCK + 3 * 256..][..256].fill(0);
    fs::write(&path, &torn).unwrap();
    let refused = Ring::open(&path, Some(&wrong), 2);
    assert!(matches!(
        refused,
        Err(RingError::Wrong { id: KeyId(1), .. })
    ));
    assert!(fs::read(&path).unwrap() == torn, "it was written to");
}

#[test]
fn a_key_that_was_never_used_is_not_there_beside_the_one_that_took_its_number() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a"].into_iter()).unwrap();
    ring.ensure(["unused"].into_iter()).unwrap();
    ring.destroy(&[1]).unwrap();
    drop(ring);
    // Now the place of the destroyed one comes before that of the unused one.
    let ring = open(&path, &[1], 1);
    ring.ensure(["b"].into_iter()).unwrap();
    let value = sealed(&ring.newest("b").unwrap().1, "here", "x");
    drop(ring);
    let ring = open(&path, &[1], 2);
    assert_eq!(ring.names(), ["b"]);
    assert_eq!(ring.key(2).unwrap().open(b"here", &value).unwrap(), b"x");
}

#[test]
fn a_block_that_a_disk_lost_costs_no_key() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    let names: Vec<_> = (0..40).map(|n| format!("tx-{n}")).collect();
    ring.ensure(names.iter().map(String::as_str)).unwrap();
    ring.destroy(&[7]).unwrap();
    let names = ring.names();
    drop(ring);
    let whole = fs::read(&path).unwrap();
    for lost in 0..whole.len() / BLOCK {
        for byte in [0, 0xa5] {
            let mut bytes = whole.clone();
            bytes[lost * BLOCK..][..BLOCK].fill(byte);
            fs::write(&path, bytes).unwrap();
            let ring = open(&path, &[1], 40);
            assert_eq!(ring.names(), names, "block {lost}");
            assert!((1..=40).all(|id| ring.key(id).is_some() == (id != 7)));
            drop(ring);
            let healed = fs::read(&path).unwrap();
            let (same, more) = healed.split_at(whole.len());
            assert!(
                same == whole && more.iter().all(|byte| *byte == 0),
                "{lost}"
            );
        }
    }
}

#[test]
fn a_key_of_which_both_copies_are_damaged_loses_itself_alone() {
    let (_dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b", "c"].into_iter()).unwrap();
    drop(ring);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * 256 + 150] ^= 1;
    bytes[BLOCK + 2 * 256 + 150] ^= 1;
    fs::write(&path, bytes).unwrap();
    let ring = open(&path, &[1], 3);
    assert_eq!(ring.names(), ["a", "c"]);
    ring.ensure(["d"].into_iter()).unwrap();
    assert_eq!(ring.newest("d").unwrap().0, 4);
}

#[test]
fn a_copy_makes_the_same_keys_elsewhere() {
    let (dir, path) = place();
    let ring = open(&path, &[1], 0);
    ring.ensure(["a", "b", "c"].into_iter()).unwrap();
    ring.destroy(&[3]).unwrap();
    let value = sealed(&ring.newest("a").unwrap().1, "here", "x");
    let copy: Vec<_> = ring.copy().into_iter().map(|(_, slot)| slot).collect();
    let under: Vec<_> = copy.iter().filter_map(|row| Ring::needed_by(row)).collect();
    assert_eq!(under, [KeyId(1), KeyId(1)]);
    let there = dir.path().join("there");
    assert_eq!(Ring::restore(&there, &copy).unwrap(), 3);
    let other = open(&there, &[1], 3);
    assert_eq!(other.names(), ["a", "b"]);
    assert_eq!(other.key(1).unwrap().open(b"here", &value).unwrap(), b"x");
    assert!(matches!(
        Ring::restore(&there, &[vec![1; 256]]),
        Err(RingError::NoRing { .. })
    ));
}

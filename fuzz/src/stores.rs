//! Stores as a crash, a failing disk or a hostile copy leaves them.

use crate::input::Input;
use crate::room::{Tree, room};
use bytes::Bytes;
use enroute_gateway::config::{HistoryOrder, SpoolConfig};
use enroute_gateway::simulation::{Draft, Spool, Wanted, Word};
use enroute_journal::{Append, Check, Class, Classes, Journal, Log, LogOptions, Options};
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::{Position, TransferId};
use enroute_model::time::{EngineTime, GatewayTime, ServerTime, Span};
use enroute_wire::v1;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;

const TRANSFERS: u64 = 2;
const RECORDS: u64 = 40;
/// Changes of one input.
const CHANGES_MAX: usize = 16;
const TEXT: &str = "pale";

fn tx(number: u64) -> TransferId {
    TransferId::new(&format!("tx-{number}")).unwrap()
}

fn options() -> Options {
    Options {
        commit_interval: Duration::ZERO,
        steps_in: |payload| std::iter::once(0..payload.len()).collect(),
        ..Options::default()
    }
}

/// Changes files of a tree as the input says.
pub(crate) fn damage(tree: &Tree, input: &mut Input<'_>) -> TempDir {
    let mut tree = tree.clone();
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        let which = usize::from(input.byte()) % tree.files.len();
        let how = input.byte();
        let (at, value) = (input.u32(), input.byte());
        let image = &mut tree.files[which];
        let bytes = &mut image.bytes;
        // From the end too: what matters of a log is behind, and its length differs.
        let at = usize::try_from(at).unwrap() % (bytes.len() + 1);
        let at = if how & 128 == 0 { at } else { bytes.len() - at };
        match how & 7 {
            0 | 1 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= value),
            2 => {
                bytes.truncate(at);
                image.length = at;
            }
            3 => bytes.resize(bytes.len() + usize::from(value) * 16, 0),
            4 => bytes.iter_mut().skip(at).take(8).for_each(|b| *b = value),
            5 => bytes.iter_mut().skip(at).take(4_096).for_each(|b| *b = 0),
            6 => {
                let piece = input.piece();
                let rest = bytes.iter_mut().skip(at);
                rest.zip(piece).for_each(|(byte, new)| *byte = *new);
            }
            _ => bytes.clear(),
        }
        image.length = image.length.max(image.bytes.len());
    }
    tree.again()
}

fn payload(number: u64) -> Bytes {
    let text = format!("record {number} ").repeat(4);
    // A run that is packed, where it is a waveform's.
    Bytes::from([text.as_bytes(), &[3, 4, 7, 6].repeat(50)].concat())
}

fn append(journal: &Journal, number: u64) {
    let class = match number % 3 {
        0 => Class::Waveforms,
        _ => Class::Vitals,
    };
    let at = i64::try_from(number).unwrap();
    let append = Append {
        class,
        transfer: tx(number % TRANSFERS),
        at: EngineTime(at),
        received_at: ServerTime(at),
        payload: payload(number),
    };
    let pending = journal.appender().try_submit(vec![append]).unwrap();
    assert_eq!(pending.blocking_wait().unwrap(), Position(number));
}

/// A journal that was closed with records in its write-ahead file.
fn journal_as_left() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let dir = room();
        let (journal, tail) = Journal::open(dir.path(), options()).unwrap();
        drop(tail);
        for number in 1..=RECORDS {
            append(&journal, number);
        }
        let side = journal.side();
        side.put_snapshot(&tx(0), Position(2), b"state").unwrap();
        side.put_derived(&tx(0), 1, b"alert").unwrap();
        side.put_poison(Position(3), &tx(1), "rubbish").unwrap();
        append(&journal, RECORDS + 1);
        journal.close().unwrap();
        Tree::of(dir.path())
    })
}

/// Reads all that is in a journal; what it gives out as a record is as `is_right` says.
fn read_all(journal: &Journal, is_right: impl Fn(u64, &[u8]) -> bool) {
    let reader = journal.reader();
    let transfers = reader.transfers().unwrap_or_default();
    for (transfer, _) in &transfers {
        let mut last = 0;
        for row in reader.scan(transfer, Classes::All, Position(0)) {
            let Ok(row) = row else { continue };
            assert!(row.position.0 > last, "records out of order");
            last = row.position.0;
            assert!(is_right(last, &row.payload), "another record at {last}");
        }
        drop(reader.snapshot(transfer));
        drop(reader.ends(transfer));
        reader.derived(transfer, 0).for_each(drop);
    }
    let starts = transfers.into_iter().map(|(id, _)| (id, Position(0)));
    reader.merge(&starts.collect::<Vec<_>>()).for_each(drop);
    drop((reader.poisons(), reader.deleted()));
    reader.snapshots().for_each(drop);
    reader.sleepers().for_each(drop);
    reader.books().for_each(drop);
}

/// A journal with damaged files is refused, or opens and gives out nothing that was
/// not put in; then it takes records again.
pub(crate) fn journal(bytes: &[u8]) {
    let dir = damage(journal_as_left(), &mut Input(bytes));
    let Ok((journal, tail)) = Journal::open(dir.path(), options()) else {
        return;
    };
    drop(tail);
    read_all(&journal, |number, bytes| payload(number) == bytes);
    drop(journal.close());
}

fn spool_config(dir: &Path) -> SpoolConfig {
    SpoolConfig {
        dir: dir.to_owned(),
        bytes_max: 1 << 20,
        keys: None,
    }
}

fn draft(text: &str) -> Draft {
    Draft {
        body: Body::Crew(CrewEvent::Note(text.to_owned())),
        observed_at: None,
        captured_at: GatewayTime(1_000),
        monotonic: Span(5),
        clocks: None,
        exercise: true,
    }
}

fn open(config: &SpoolConfig) -> Option<Spool> {
    let transfer = tx(1);
    Spool::open_as(config, Some(&transfer), || Ok(7), LogOptions::default()).ok()
}

/// A spool as a power cut leaves it, with a receipt for a part of it.
fn spool_as_left() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| {
        let dir = room();
        let mut spool = open(&spool_config(dir.path())).unwrap();
        for _ in 0..12 {
            spool.append(&[draft(TEXT)]).unwrap();
        }
        let stream = v1::StreamReceipt {
            epoch: 7,
            stream: v1::Stream::Events.into(),
            first: 1,
            through: 5,
            above: Vec::new(),
        };
        let receipt = v1::Receipt {
            journal: 3,
            stream: vec![stream],
            ..v1::Receipt::default()
        };
        let heard = spool.hear(&Word::of(&receipt), GatewayTime(2_000)).unwrap();
        assert_eq!(heard.freed, 5);
        let tree = Tree::of(dir.path());
        drop(spool);
        tree
    })
}

/// All that it would send is a frame that was put in, or its own word that one is
/// lost; it takes new ones.
fn use_spool(mut spool: Spool) {
    let wanted = Wanted {
        order: HistoryOrder::Oldest,
        sent: Arc::default(),
        through: None,
        bytes_max: 1 << 20,
        frames_max: 1_000,
    };
    drop(spool.append(&[draft(TEXT)]));
    if let Ok(Some(picked)) = spool.pick(&wanted) {
        for (_, bytes) in picked.frames {
            let frame = enroute_wire::frame::decode(&bytes).unwrap();
            match frame.body {
                Body::Crew(CrewEvent::Note(text)) => assert_eq!(text, TEXT),
                Body::Shed(_) => {}
                other => panic!("nobody put in {other:?}"),
            }
        }
    }
    drop((spool.streams(), spool.unconfirmed(), spool.bytes()));
    drop(spool.close());
}

/// A spool with damaged files is refused, or opens and sends nothing that was not
/// put in.
pub(crate) fn spool(bytes: &[u8]) {
    let dir = damage(spool_as_left(), &mut Input(bytes));
    if let Some(spool) = open(&spool_config(dir.path())) {
        use_spool(spool);
    }
}

/// A spool whose own notes say anything at all, with checksums that fit.
pub(crate) fn spool_notes(bytes: &[u8]) {
    let mut input = Input(bytes);
    let dir = room();
    let log = Log::open(dir.path(), &LogOptions::default()).unwrap();
    let clean = input.byte() & 1 == 1;
    for key in ["life", "legs", "freed", "shed"] {
        let note = input.piece();
        if !note.is_empty() {
            log.put_meta(key, note).unwrap();
        }
    }
    if clean {
        log.close().unwrap();
    }
    drop(log);
    if let Some(spool) = open(&spool_config(dir.path())) {
        use_spool(spool);
    }
}

/// A copy of a journal: any bytes; and whole blocks with checksums that fit around
/// rows that say anything at all, restored and opened.
pub(crate) fn backup(bytes: &[u8]) {
    drop(Check::default().all(&mut &*bytes, |_| {}));
    let copy = copy_of(&mut Input(bytes));
    let dir = room();
    let place = dir.path().join("journal");
    if enroute_journal::restore(&mut copy.as_slice(), &place, |_| {}).is_err() {
        return;
    }
    let Ok((journal, tail)) = Journal::open(&place, options()) else {
        return;
    };
    drop(tail);
    read_all(&journal, |_, _| true);
    drop(journal.close());
}

fn copy_of(input: &mut Input<'_>) -> Vec<u8> {
    let mut copy = b"enroute backup\r\n".to_vec();
    let (mut number, mut counts) = (0, [0_u64; 3]);
    let mut block = |kind: u8, body: &[u8]| {
        let mut head = vec![kind];
        head.extend(u64::to_be_bytes(number));
        head.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        let crc = crc32fast::hash(&[&head, body].concat());
        copy.extend([&head, &crc.to_be_bytes()[..], body].concat());
        number += 1;
    };
    let position = u64::from(input.byte());
    let head: [&[u8]; 7] = [
        &1_u32.to_be_bytes(),
        &1_u32.to_be_bytes(),
        &9_u64.to_be_bytes(),
        &0_i64.to_be_bytes(),
        &86_400_000_000_u64.to_be_bytes(),
        &position.to_be_bytes(),
        &5_i64.to_be_bytes(),
    ];
    block(1, &head.concat());
    let spaces = [
        "vitals/0",
        "waveforms/0",
        "vitals/9223372036854775807",
        "transfers",
        "snapshots",
        "sleepers",
        "derived",
        "checkpoints",
        "captured",
        "deleted",
        "poison",
        "books",
    ];
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        let name = spaces[usize::from(input.byte()) % spaces.len()];
        block(2, name.as_bytes());
        let how = input.byte();
        let (key, body) = (input.piece(), input.piece());
        let key = if how & 1 == 0 {
            key.to_vec()
        } else {
            key_of(key)
        };
        let value = if how & 2 == 0 {
            body.to_vec()
        } else {
            sealed(1 + (how >> 2 & 1), body)
        };
        counts[0] += 1;
        if name.contains('/') {
            counts[1] += 1;
            counts[2] += u64::try_from(value.len()).unwrap();
        }
        let row: [&[u8]; 4] = [
            &u16::try_from(key.len()).unwrap().to_be_bytes(),
            &u32::try_from(value.len()).unwrap().to_be_bytes(),
            &key,
            &value,
        ];
        block(3, &row.concat());
    }
    block(4, &counts.map(u64::to_be_bytes).concat());
    copy
}

/// A key of a row as the journal makes them.
fn key_of(number: &[u8]) -> Vec<u8> {
    let mut key = b"\x04tx-1".to_vec();
    let mut position = [0; 8];
    let taken = number.len().min(8);
    position[8 - taken..].copy_from_slice(&number[..taken]);
    key.extend(position);
    key
}

/// A value with a head whose checksum fits.
fn sealed(format: u8, payload: &[u8]) -> Vec<u8> {
    let mut value = vec![format];
    value.extend([0; 4 + 8 + 8]);
    let crc = crc32fast::hash(&[value.as_slice(), payload].concat());
    value.extend(crc.to_be_bytes());
    value.extend(payload);
    value
}

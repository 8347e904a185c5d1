//! More gaps than there may be shed records.

use super::model::numerics;
use super::*;
use crate::spool::shed::RECORDS_MAX;
use enroute_model::frame::GapCause;
use std::collections::BTreeSet;

const FRAMES: u64 = 1_200;

/// Every second frame is at the server and gone from board, the others are on board.
fn of_each_second_only_the_server_knows(dir: &Path) -> Spool {
    let transfer = TransferId::new("tx-1").unwrap();
    let mut spool = Spool::open(&config(dir, 200_000), Some(&transfer)).unwrap();
    for n in 0..FRAMES {
        spool.append(&[numerics(n.try_into().unwrap())]).unwrap();
    }
    let life = (spool.epoch, Stream::Numerics);
    let odd: Vec<(u64, u64)> = (1..=FRAMES).step_by(2).map(|n| (n, n)).collect();
    spool
        .hear(&word(life, 1, &odd, 10), GatewayTime(11))
        .unwrap();
    let evicted = |spool: &Spool| spool.lives[&life].evicted.count();
    let mut seed = 0;
    while evicted(&spool) < FRAMES / 2 {
        seed += 1;
        spool.append(&[waveform(seed)]).unwrap();
    }
    spool
}

#[test]
fn what_is_on_board_is_not_given_up_for_want_of_shed_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = of_each_second_only_the_server_knows(dir.path());
    let life = (spool.epoch, Stream::Numerics);
    let (mut frames, mut gaps) = (BTreeSet::new(), BTreeSet::new());
    // Another journal: it has nothing, and takes what is sent.
    let mut durable = RangeSet::default();
    for round in 0..10 {
        let have: Vec<(u64, u64)> = durable.iter().collect();
        let mut word = word(life, 1, &have, 100 + round);
        word.journal = 2;
        spool.hear(&word, GatewayTime(200 + round)).unwrap();
        assert!(spool.shed.len() <= RECORDS_MAX);
        let sent = sent_by(&mut spool, HistoryOrder::Oldest);
        for ((_, number), (_, payload)) in sent.into_iter().filter(|((of, _), _)| *of == life) {
            if let Body::Shed(shed) = wire::decode(&payload).unwrap().body {
                assert_eq!(shed.cause, Some(GapCause::Restored));
                gaps.extend(shed.first..=shed.last);
                durable.insert(shed.first, shed.last);
            } else {
                frames.insert(number);
                durable.insert(number, number);
            }
        }
    }
    let even: BTreeSet<u64> = (2..=FRAMES).step_by(2).collect();
    let odd: BTreeSet<u64> = (1..=FRAMES).step_by(2).collect();
    assert_eq!((frames, gaps), (even, odd));
}

#[test]
fn notes_are_read_back_and_count_as_a_part_of_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = of_each_second_only_the_server_knows(dir.path());
    let life = (spool.epoch, Stream::Numerics);
    let mut word = word(life, 1, &[], 100);
    word.journal = 2;
    spool.hear(&word, GatewayTime(200)).unwrap();
    assert_eq!(spool.shed.len(), RECORDS_MAX);
    let (records, bytes) = (spool.shed.clone(), spool.note_bytes.clone());
    assert!(bytes["shed"] < RECORDS_MAX * 80, "{bytes:?}");
    drop(spool);
    let spool = Spool::open(&config(dir.path(), 200_000), None).unwrap();
    assert_eq!(spool.shed, records);
    assert_eq!(spool.note_bytes["shed"], bytes["shed"]);
}

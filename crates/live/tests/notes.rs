//! Notes from the hospital to the crew: told behind the commit, all of it again
//! after a restart, and taken back when that crew's part is over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a failed test panics"
)]
mod common;

use common::{A, Bench, Disk, action, gw, in_time, quiet, tx};
use enroute_model::frame::CrewEvent;
use enroute_model::notes::NotesOnBoard;
use enroute_model::registry::RegistryAction;
use enroute_model::state::Verdict;

fn note(text: &str) -> RegistryAction {
    RegistryAction::NoteToCrew(text.to_owned())
}

async fn told(bench: &mut Bench) -> NotesOnBoard {
    let (gateway, mut notes) = in_time(bench.notes.next()).await.unwrap();
    assert_eq!(gateway, gw("gw-a"));
    notes.remove(&tx("tx-a")).unwrap()
}

#[tokio::test]
async fn a_crew_is_told_and_answers() {
    let mut bench = Bench::new(quiet()).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    bench
        .put(vec![action("tx-a", 1, "n1", &note("MAP above 65"))])
        .await;
    let first = told(&mut bench).await;
    assert_eq!(first.to_crew.len(), 1);
    assert_eq!(first.to_crew[0].id, "n1");
    assert_eq!(first.to_crew[0].delivered, None);
    let taken = |read| CrewEvent::NotesTaken {
        notes: vec!["n1".to_owned(), "unknown".to_owned()],
        read,
    };
    bench.put(vec![A.crew(1, 2, taken(false))]).await;
    assert!(told(&mut bench).await.to_crew[0].delivered.is_some());
    bench.put(vec![A.crew(2, 3, taken(true))]).await;
    let read = told(&mut bench).await.to_crew[0].read.clone().unwrap();
    assert_eq!(read.gateway, gw("gw-a"));
    // The crew's own note, and that it was read here.
    bench
        .put(vec![A.crew(
            3,
            4,
            CrewEvent::Note("on the road".to_owned()),
        )])
        .await;
    let ours = told(&mut bench).await.from_crew.remove(0);
    assert_eq!(ours.read, None);
    let seen = RegistryAction::ReadNotes {
        gateway: gw("gw-a"),
        through: ours.captured_at,
    };
    bench.put(vec![action("tx-a", 5, "r1", &seen)]).await;
    assert!(told(&mut bench).await.from_crew[0].read.is_some());
    let state = bench.state("tx-a").await;
    assert!(state.crew_log[0].read.is_some());
    assert!(state.notes_to_crew[0].read.is_some());
    // A restart says all of it again, and the end takes it back.
    let mut bench = bench.restart(false, quiet()).await;
    let again = told(&mut bench).await;
    assert!(again.to_crew[0].read.is_some() && again.from_crew[0].read.is_some());
    bench.put(vec![A.crew(4, 6, CrewEvent::End)]).await;
    assert!(told(&mut bench).await.is_empty());
}

#[tokio::test]
async fn what_is_in_no_record_is_told_to_no_crew_yet() {
    let disk = Disk::sound();
    let mut bench = Bench::on(&disk, quiet()).await;
    bench.put(vec![A.hr(1, 0, 80)]).await;
    disk.takes(0);
    bench.put_unrecorded(vec![A.hr(2, 1, 81)]).await;
    let done = in_time(bench.live.act("tx-a", note("warm"), "n1", "me")).await;
    assert_eq!(done.unwrap().verdict, Verdict::Applied);
    assert_eq!(bench.state("tx-a").await.notes_to_crew.len(), 1);
    tokio::select! {
        biased;
        told = bench.notes.next() => panic!("{told:?}"),
        () = std::future::ready(()) => {}
    }
    // After the repair it is written down, and told.
    disk.takes(i64::MAX);
    assert_eq!(told(&mut bench).await.to_crew[0].text, "warm");
}

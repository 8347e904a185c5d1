//! Notes between hospital and crew.

use super::*;
use enroute_model::state::Verdict;

fn run_and(trace: &str) -> Engine {
    run(trace).0
}

#[test]
fn delivered_and_read_are_the_first_word_of_a_crew() {
    let engine = run_and(
        "0 amb hr=80
         1 registry tell warm
         5 amb late-crew has-read action-1
         7 amb crew has action-1
         9 jet crew has action-1",
    );
    let note = &engine.state().notes_to_crew[0];
    assert_eq!(
        (note.text.as_str(), note.from.by.as_str()),
        ("warm", "doctor")
    );
    let (delivered, read) = (note.delivered.as_ref().unwrap(), note.read.as_ref());
    assert_eq!((delivered.at, Some(delivered)), (GatewayTime(s(5).0), read));
    // They are no events of the journey.
    assert!(engine.state().crew_log.is_empty());
}

#[test]
fn only_the_crew_on_the_way_is_told() {
    let trace = "0 amb hr=80
         1 amb crew note tunnel
         2 jet hr=81
         3 registry tell warm";
    let engine = run_and(trace);
    let notes = engine.notes_on_board(&gateway("amb"));
    assert_eq!((notes.to_crew.len(), notes.from_crew.len()), (1, 1));
    assert!(engine.notes_on_board(&gateway("jet")).from_crew.is_empty());
    let engine = run_and(&format!("{trace}\n4 registry handover jet"));
    assert!(engine.notes_on_board(&gateway("amb")).is_empty());
    assert_eq!(engine.notes_on_board(&gateway("jet")).to_crew.len(), 1);
    let engine = run_and(&format!("{trace}\n4 registry close"));
    assert!(engine.notes_on_board(&gateway("jet")).is_empty());
}

#[test]
fn an_acknowledged_alert_is_told_until_it_is_over() {
    let told = |trace: &str| {
        let engine = run_and(trace);
        engine.notes_on_board(&gateway("amb")).acknowledged.len()
    };
    assert_eq!(told("0..30 amb spo2=88"), 0);
    assert_eq!(told("0..30 amb spo2=88\n31 registry acknowledge 1 1"), 1);
    let over = "0..30 amb spo2=88\n31 registry acknowledge 1 1\n32..90 amb spo2=97";
    assert_eq!(told(over), 0);
}

#[test]
fn notes_are_bounded_and_the_newest_stay() {
    let lines: Vec<String> = (1..=40)
        .map(|n| format!("{n} registry tell n{n}"))
        .collect();
    let engine = run_and(&format!("0 amb hr=80\n{}", lines.join("\n")));
    let notes = engine.state().notes_to_crew;
    assert_eq!(notes.len(), crate::bounds::NOTES_TO_CREW_MAX);
    assert_eq!(notes.last().unwrap().text, "n40");
}

#[test]
fn reading_what_is_not_there_is_refused() {
    let trace = "0 amb crew note tunnel\n1 registry has-read amb 0";
    let (mut engine, mut effects) = run(trace);
    assert!(engine.state().crew_log[0].read.is_some());
    let mut sender = Sender {
        position: 77,
        ..Sender::default()
    };
    let again = record(&mut sender, s(9), "registry has-read amb 0").unwrap();
    assert_eq!(
        engine.handle(&again, &mut effects),
        Verdict::Refused("there is no unread note of this crew".into())
    );
}

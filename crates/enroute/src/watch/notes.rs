//! What crew and hospital wrote to each other, and what else the crew did, in lines
//! that the terminal view and `enroute transfer` share.

use super::words::{crew_event, printable};
use crate::utc;
use enroute_wire::v1;
use enroute_wire::v1::crew_event::Event;

/// Something that was written or done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When: the gateway's clock for the crew's, engine time for the hospital's.
    pub(crate) at_us: i64,
    /// A note of either side; else something that the crew did.
    pub(crate) is_note: bool,
    /// Who, what, and how far a note has come.
    pub(crate) text: String,
}

/// All that is known, newest first.
pub(crate) fn entries(state: &v1::TransferState) -> Vec<Entry> {
    let crew = state.crew_log.iter().filter_map(of_crew);
    let hospital = state.note_to_crew.iter().map(of_hospital);
    let mut all: Vec<Entry> = crew.chain(hospital).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(entry.at_us));
    all
}

/// For each crew its newest note that nobody in the hospital has read.
pub(crate) fn unread(state: &v1::TransferState) -> Vec<v1::NotesRead> {
    let mut newest: Vec<v1::NotesRead> = Vec::new();
    for entry in state.crew_log.iter().filter(|entry| is_unread(entry)) {
        let at = entry.captured_at_us;
        let known = newest.iter_mut().find(|one| one.gateway == entry.gateway);
        if let Some(known) = known {
            known.through_captured_at_us = known.through_captured_at_us.max(at);
        } else {
            newest.push(v1::NotesRead {
                gateway: entry.gateway.clone(),
                through_captured_at_us: at,
            });
        }
    }
    newest
}

fn event(entry: &v1::CrewEntry) -> Option<&Event> {
    entry.event.as_ref()?.event.as_ref()
}

fn is_unread(entry: &v1::CrewEntry) -> bool {
    entry.read.is_none() && matches!(event(entry), Some(Event::Note(_)))
}

fn of_crew(entry: &v1::CrewEntry) -> Option<Entry> {
    let is_note = matches!(event(entry), Some(Event::Note(_)));
    let what = crew_event(entry.event.as_ref()?);
    let text = match &entry.read {
        _ if !is_note => what,
        Some(read) => format!("crew, read by {}: {what}", by(Some(read))),
        None => format!("crew, UNREAD: {what}"),
    };
    Some(Entry {
        at_us: entry.captured_at_us,
        is_note,
        text,
    })
}

fn of_hospital(note: &v1::NoteToCrew) -> Entry {
    let time = |taken: &v1::NoteTaken| utc::time_of_day(taken.at_us);
    let way = match (&note.read, &note.delivered) {
        (Some(read), _) => format!("read on board {}", time(read)),
        (None, Some(delivered)) => format!("on the page on board {}", time(delivered)),
        (None, None) => "on its way".to_owned(),
    };
    Entry {
        at_us: note.from.as_ref().map_or(0, |from| from.at_us),
        is_note: true,
        text: format!(
            "{}, {way}: “{}”",
            by(note.from.as_ref()),
            printable(&note.text)
        ),
    }
}

fn by(attention: Option<&v1::Attention>) -> String {
    let name = attention.map_or("", |one| one.by.as_str());
    if name.is_empty() {
        "the hospital".to_owned()
    } else {
        printable(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn crew(gateway: &str, at: i64, event: Event, read: bool) -> v1::CrewEntry {
        v1::CrewEntry {
            captured_at_us: at * SECOND,
            gateway: gateway.to_owned(),
            event: Some(v1::CrewEvent { event: Some(event) }),
            read: read.then(|| from("Weber", at + 1)),
        }
    }

    fn from(by: &str, at: i64) -> v1::Attention {
        v1::Attention {
            by: by.to_owned(),
            at_us: at * SECOND,
        }
    }

    fn hospital(at: i64, delivered: Option<i64>, read: Option<i64>) -> v1::NoteToCrew {
        let taken = |at: i64| v1::NoteTaken {
            gateway: "amb".to_owned(),
            at_us: at * SECOND,
        };
        v1::NoteToCrew {
            id: at.to_string(),
            from: Some(from("Weber", at)),
            text: format!("at {at}\u{1b}"),
            delivered: delivered.map(taken),
            read: read.map(taken),
        }
    }

    fn state() -> v1::TransferState {
        let note = |text: &str| Event::Note(text.to_owned());
        v1::TransferState {
            crew_log: vec![
                crew("amb", 10, note("tunnel"), true),
                crew("amb", 30, note("out"), false),
                crew("amb", 40, Event::HandOver(v1::HandOver {}), false),
                crew("amb", 20, note("in"), false),
                crew("jet", 25, note("up"), false),
            ],
            note_to_crew: vec![
                hospital(5, Some(6), Some(7)),
                hospital(15, Some(16), None),
                hospital(35, None, None),
            ],
            ..v1::TransferState::default()
        }
    }

    #[test]
    fn both_sides_are_one_list_with_how_far_each_has_come() {
        let lines: Vec<String> = entries(&state()).into_iter().map(|e| e.text).collect();
        assert_eq!(
            lines,
            [
                "patient handed over to the next vehicle",
                "Weber, on its way: “at 35 ”",
                "crew, UNREAD: “out”",
                "crew, UNREAD: “up”",
                "crew, UNREAD: “in”",
                "Weber, on the page on board 00:00:16: “at 15 ”",
                "crew, read by Weber: “tunnel”",
                "Weber, read on board 00:00:07: “at 5 ”",
            ]
        );
    }

    #[test]
    fn of_each_crew_the_newest_unread_note_stands_for_all_before_it() {
        let unread = unread(&state());
        let unread: Vec<_> = unread
            .iter()
            .map(|one| (one.gateway.as_str(), one.through_captured_at_us / SECOND))
            .collect();
        assert_eq!(unread, [("amb", 30), ("jet", 25)]);
    }
}

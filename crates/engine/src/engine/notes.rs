//! Notes between hospital and crew. They change no alert and no value.

use super::Engine;
use crate::bounds::{NOTES_TO_CREW_MAX, TOLD_ON_BOARD_MAX};
use crate::effects::Effects;
use enroute_model::frame::CrewEvent;
use enroute_model::ids::GatewayId;
use enroute_model::notes::{CrewEntry, NoteTaken, NoteToCrew, NotesOnBoard};
use enroute_model::state::{Attention, Verdict};
use enroute_model::time::GatewayTime;

impl Engine {
    pub(super) fn note_to_crew(&mut self, id: &str, actor: &str, text: &str, out: &mut Effects) {
        self.notes_to_crew.push(NoteToCrew {
            id: id.to_owned(),
            from: Attention {
                by: actor.to_owned(),
                at: self.now,
            },
            text: text.to_owned(),
            delivered: None,
            read: None,
        });
        self.trim_notes();
        out.changed.crew_log = true;
    }

    pub(super) fn trim_notes(&mut self) {
        let surplus = self.notes_to_crew.len().saturating_sub(NOTES_TO_CREW_MAX);
        self.notes_to_crew.drain(..surplus);
    }

    /// The first of each counts. What was read was delivered, whichever of the two
    /// words of the crew is lost or comes first.
    pub(super) fn notes_taken(
        &mut self,
        ids: &[String],
        read: bool,
        taken: &NoteTaken,
        out: &mut Effects,
    ) {
        let notes = self.notes_to_crew.iter_mut();
        for note in notes.filter(|note| ids.contains(&note.id)) {
            note.delivered.get_or_insert_with(|| taken.clone());
            if read {
                note.read.get_or_insert_with(|| taken.clone());
            }
            out.changed.crew_log = true;
        }
    }

    pub(super) fn read_notes(
        &mut self,
        gateway: &GatewayId,
        through: GatewayTime,
        actor: &str,
        out: &mut Effects,
    ) -> Verdict {
        let from = Attention {
            by: actor.to_owned(),
            at: self.now,
        };
        let theirs = |entry: &&mut CrewEntry| {
            entry.gateway == *gateway && entry.captured_at <= through && is_unread(entry)
        };
        let mut any = false;
        for entry in self.crew_log.iter_mut().filter(theirs) {
            entry.read = Some(from.clone());
            any = true;
        }
        if !any {
            return Verdict::Refused("there is no unread note of this crew".into());
        }
        out.changed.crew_log = true;
        Verdict::Applied
    }

    /// What a crew is to know; empty once its part of the journey is over.
    #[must_use]
    pub fn notes_on_board(&self, gateway: &GatewayId) -> NotesOnBoard {
        let source = self.sources.get(gateway);
        let aboard = self.is_open() && source.is_some_and(|source| source.active);
        let mut notes = NotesOnBoard::default();
        if aboard {
            notes.to_crew.clone_from(&self.notes_to_crew);
            let theirs = |entry: &&CrewEntry| entry.gateway == *gateway && is_note(entry);
            let newest = self.crew_log.iter().rev().filter(theirs);
            notes.from_crew = newest.take(TOLD_ON_BOARD_MAX).cloned().collect();
            notes.from_crew.reverse();
            let seen = self.alerts().into_iter();
            let seen = seen.filter(|alert| alert.acknowledged.is_some());
            notes.acknowledged = seen.take(TOLD_ON_BOARD_MAX).collect();
        }
        notes
    }
}

fn is_note(entry: &CrewEntry) -> bool {
    matches!(entry.event, CrewEvent::Note(_))
}

fn is_unread(entry: &CrewEntry) -> bool {
    is_note(entry) && entry.read.is_none()
}

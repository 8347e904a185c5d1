//! What crew and hospital write to each other, as far as this box knows it.
//!
//! The hospital's word is retained in the broker and whole each time; here the
//! newest of each transfer is kept in memory. What the crew writes is a record of
//! the spool like any other; a copy stays here until the hospital's word has it.
//! Bounds: the transfers and the copies below.

use crate::desk::{Desk, Item};
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::TransferId;
use enroute_model::time::GatewayTime;
use enroute_wire::limits::NOTES_MAX;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Transfers whose word is kept: the one that goes on, and those that a gateway
/// spoke for before or is joined to next.
const TRANSFERS_MAX: usize = 8;
/// Notes of the crew that are kept until the hospital has them; the newest stay.
/// Older ones are in the spool all the same.
const WRITTEN_MAX: usize = 16;

/// Notes, both ways.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Board {
    told: BTreeMap<TransferId, v1::Notes>,
    /// The crew's own, since the leg began or the box started.
    written: Vec<(GatewayTime, String)>,
    /// Notes of the hospital that the page has answered for.
    delivered: BTreeSet<String>,
    /// Those that the crew says it has read.
    read: BTreeSet<String>,
}

/// How far a note of the crew has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In the spool.
    OnBoard,
    /// The server has it.
    Arrived,
    /// Somebody there has read it.
    Read { by: String, at_us: i64 },
}

/// One note on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The crew wrote it.
    Ours { at_us: i64, text: String, way: Way },
    /// The hospital wrote it.
    Theirs {
        by: String,
        at_us: i64,
        text: String,
        read: bool,
    },
}

impl Noted {
    fn at_us(&self) -> i64 {
        match self {
            Self::Ours { at_us, .. } | Self::Theirs { at_us, .. } => *at_us,
        }
    }
}

impl Board {
    /// An empty payload takes the word back.
    pub(crate) fn hear(
        &mut self,
        transfer: TransferId,
        payload: &[u8],
        current: Option<&TransferId>,
    ) {
        if payload.is_empty() {
            self.told.remove(&transfer);
            return;
        }
        let notes = match v1::Notes::decode(payload) {
            Ok(notes) => notes,
            Err(error) => return tracing::warn!(%error, "notes cannot be read"),
        };
        self.told.insert(transfer, notes);
        while self.told.len() > TRANSFERS_MAX {
            let other = self.told.keys().find(|id| Some(*id) != current).cloned();
            let Some(other) = other else { break };
            self.told.remove(&other);
        }
        let known: BTreeSet<&String> = self.ids().collect();
        let (mut delivered, mut read) = (self.delivered.clone(), self.read.clone());
        delivered.retain(|id| known.contains(id));
        read.retain(|id| known.contains(id));
        (self.delivered, self.read) = (delivered, read);
    }

    fn ids(&self) -> impl Iterator<Item = &String> {
        let notes = self.told.values().flat_map(|told| &told.to_crew);
        notes.map(|note| &note.id)
    }

    /// A word of the crew is on disk.
    pub(crate) fn recorded(&mut self, at: GatewayTime, word: &CrewEvent) {
        match word {
            CrewEvent::Note(text) => {
                self.written.push((at, text.clone()));
                let surplus = self.written.len().saturating_sub(WRITTEN_MAX);
                self.written.drain(..surplus);
            }
            CrewEvent::NotesTaken { notes, read } => {
                let to = if *read {
                    &mut self.read
                } else {
                    &mut self.delivered
                };
                to.extend(notes.iter().cloned());
            }
            CrewEvent::Observation { .. }
            | CrewEvent::Population(_)
            | CrewEvent::Intervention { .. }
            | CrewEvent::Join { .. }
            | CrewEvent::HandOver
            | CrewEvent::End => {}
        }
    }

    /// Another transfer begins: what was written is not its crew's.
    pub(crate) fn start(&mut self) {
        self.written.clear();
    }

    fn of(&self, transfer: Option<&TransferId>) -> Option<&v1::Notes> {
        self.told.get(transfer?)
    }

    /// Notes of the hospital that it does not know to be on the page.
    fn undelivered(&self, transfer: Option<&TransferId>) -> Vec<String> {
        let notes = self.of(transfer).into_iter().flat_map(|n| &n.to_crew);
        let new = notes.filter(|n| n.delivered.is_none() && !self.delivered.contains(&n.id));
        new.map(|note| note.id.clone()).take(NOTES_MAX).collect()
    }

    /// Notes of the hospital that the crew has not said that it has read.
    pub(crate) fn unread(&self, transfer: Option<&TransferId>) -> Vec<String> {
        let notes = self.of(transfer).into_iter().flat_map(|n| &n.to_crew);
        let new = notes.filter(|note| !self.is_read(note));
        new.map(|note| note.id.clone()).take(NOTES_MAX).collect()
    }

    fn is_read(&self, note: &v1::NoteToCrew) -> bool {
        note.read.is_some() || self.read.contains(&note.id)
    }

    /// All notes, newest first.
    pub(crate) fn notes(&self, transfer: Option<&TransferId>) -> Vec<Noted> {
        let told = self.of(transfer);
        let theirs = told.into_iter().flat_map(|n| &n.to_crew).map(|note| {
            let from = note.from.clone().unwrap_or_default();
            Noted::Theirs {
                by: from.by,
                at_us: from.at_us,
                text: note.text.clone(),
                read: self.is_read(note),
            }
        });
        let mut ours: BTreeMap<(i64, String), Way> = self
            .written
            .iter()
            .map(|(at, text)| ((at.0, text.clone()), Way::OnBoard))
            .collect();
        for entry in told.into_iter().flat_map(|n| &n.from_crew) {
            let event = entry.event.as_ref().and_then(|e| e.event.as_ref());
            let Some(v1::crew_event::Event::Note(text)) = event else {
                continue;
            };
            let way = match &entry.read {
                Some(read) => Way::Read {
                    by: read.by.clone(),
                    at_us: read.at_us,
                },
                None => Way::Arrived,
            };
            ours.insert((entry.captured_at_us, text.clone()), way);
        }
        let ours = ours
            .into_iter()
            .map(|((at_us, text), way)| Noted::Ours { at_us, text, way });
        let mut all: Vec<Noted> = theirs.chain(ours).collect();
        all.sort_by_key(|note| std::cmp::Reverse(note.at_us()));
        all
    }

    /// What somebody in the hospital acknowledged.
    pub(crate) fn acknowledged(&self, transfer: Option<&TransferId>) -> &[v1::Alert] {
        self.of(transfer).map_or(&[], |told| &told.acknowledged)
    }
}

/// Answers what is new on the page, for as long as the gateway runs. While the
/// disk fails nothing is said; it is said when the disk works again.
pub(crate) async fn answer(desk: Arc<Desk>) {
    let (mut board, mut status) = (desk.board(), desk.status());
    loop {
        let (transfer, failing) = {
            let status = status.borrow_and_update();
            (status.transfer.clone(), status.failure.is_some())
        };
        let notes = board.borrow_and_update().undelivered(transfer.as_ref());
        if !notes.is_empty() && !failing {
            let taken = CrewEvent::NotesTaken { notes, read: false };
            let item = Item {
                body: Body::Crew(taken),
                observed_at: None,
            };
            // A failure is in the status, which wakes this loop when it is over.
            drop(desk.record(vec![item]).await);
        }
        let news = tokio::select! {
            changed = board.changed() => changed.is_ok(),
            other = status.wait_for(|s| s.transfer != transfer || s.failure.is_some() != failing) => other.is_ok(),
        };
        if !news {
            return;
        }
    }
}

//! The terminal view as a state machine: keys and responses go in, pages come out.
//! Knows no terminal and no socket.

use super::attend::{Attend, Reported};
use super::picture::Picture;
use super::{board, chrome, patient};
use enroute_model::time::Span;
use enroute_wire::v1;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Which stream something was heard on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// All open transfers.
    Board,
    /// The patient on the screen, with samples; counted, so that a straggler of
    /// the patient before is not taken for this one's.
    Patient(u32),
}

/// What the caller has to do after a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Act {
    /// Nothing.
    Stay,
    /// Follow this transfer with samples, instead of the one before.
    Follow(String, u32),
    /// Follow no single transfer any more.
    Unfollow,
    /// Do this about an alert of this transfer.
    Attend(String, v1::AlertAction),
    /// Leave the view.
    Leave,
}

/// The patient on the screen.
struct Open {
    named: String,
    picture: Picture,
    stream: u32,
    attend: Attend,
    /// Who it is, if whoever looks may know.
    who: Option<String>,
}

/// The terminal view.
pub(crate) struct App {
    board: Picture,
    open: Option<Open>,
    selected: Option<String>,
    help: bool,
    streams: u32,
    rung: Option<Span>,
    reported: Reported,
}

/// The bell of a silent server rings again after this long.
const RING_AGAIN: Span = Span::from_secs(5);

impl App {
    /// Shows the board.
    pub(crate) fn new() -> Self {
        Self {
            board: Picture::new(),
            open: None,
            selected: None,
            help: false,
            streams: 0,
            rung: None,
            reported: Reported::default(),
        }
    }

    /// Opens the patient that a person named.
    pub(crate) fn open(&mut self, named: String) -> Act {
        self.streams += 1;
        self.open = Some(Open {
            named: named.clone(),
            picture: Picture::new(),
            stream: self.streams,
            attend: Attend::default(),
            who: None,
        });
        Act::Follow(named, self.streams)
    }

    /// Takes what a stream said.
    pub(crate) fn heard(&mut self, stream: Stream, response: v1::WatchResponse, now: Span) {
        if let Some(picture) = self.picture_of(stream) {
            picture.apply(response, now);
        }
        if self.selected.is_none() {
            self.selected = self.board.by_urgency().first().map(|id| (*id).to_owned());
        }
    }

    /// Takes who the patient of that stream is; another one may be on the screen by now.
    pub(crate) fn identified(&mut self, stream: u32, who: String) {
        if let Some(open) = self.open.as_mut().filter(|open| open.stream == stream) {
            open.who = Some(who);
        }
    }

    /// Takes note that a stream ended.
    pub(crate) fn lost(&mut self, stream: Stream, reason: String) {
        if let Some(picture) = self.picture_of(stream) {
            picture.lost(reason);
        }
    }

    fn picture_of(&mut self, stream: Stream) -> Option<&mut Picture> {
        match (stream, &mut self.open) {
            (Stream::Board, _) => Some(&mut self.board),
            (Stream::Patient(number), Some(open)) if open.stream == number => {
                Some(&mut open.picture)
            }
            (Stream::Patient(_), _) => None,
        }
    }

    /// Whether the terminal's bell must ring now, because what is on the screen has
    /// not been heard of for too long.
    pub(crate) fn ring(&mut self, now: Span) -> bool {
        let shown = self.open.as_ref().map_or(&self.board, |open| &open.picture);
        if shown.silence(now).is_none() || !shown.silent(now) {
            self.rung = None;
            return false;
        }
        let due = self
            .rung
            .is_none_or(|rung| Span(now.0 - rung.0) >= RING_AGAIN);
        if due {
            self.rung = Some(now);
        }
        due
    }

    /// Takes a key.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    pub(crate) fn key(&mut self, key: KeyEvent) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::Stay;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            return Act::Leave;
        }
        if self.help {
            self.help = false;
            return Act::Stay;
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.attend.is_typing())
        {
            return self.patient_key(key.code);
        }
        match key.code {
            KeyCode::Char('q') => Act::Leave,
            KeyCode::Char('?') => {
                self.help = true;
                Act::Stay
            }
            other if self.open.is_some() => self.patient_key(other),
            other => self.board_key(other),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    fn board_key(&mut self, key: KeyCode) -> Act {
        if key == KeyCode::Enter || key == KeyCode::Right || key == KeyCode::Char('l') {
            return match self.selected.clone() {
                Some(id) => self.open(id),
                None => Act::Stay,
            };
        }
        let forward = match key {
            KeyCode::Down | KeyCode::Char('j') => true,
            KeyCode::Up | KeyCode::Char('k') => false,
            _ => return Act::Stay,
        };
        let ids = self.board.by_urgency();
        let last = ids.len().saturating_sub(1);
        let here = self
            .selected
            .as_deref()
            .and_then(|selected| ids.iter().position(|id| *id == selected));
        let next = match (here, forward) {
            (None, _) => 0,
            (Some(here), true) => (here + 1).min(last),
            (Some(here), false) => here.saturating_sub(1),
        };
        self.selected = ids.get(next).map(|id| (*id).to_owned());
        Act::Stay
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    fn patient_key(&mut self, key: KeyCode) -> Act {
        if let Some(open) = &mut self.open {
            let state = open.picture.state_of(&open.named);
            let typing = open.attend.is_typing();
            let action = open.attend.key(key, state);
            if let Some((action, state)) = action.zip(state) {
                return Act::Attend(state.transfer.clone(), action);
            }
            if typing {
                return Act::Stay;
            }
        }
        let forward = match key {
            KeyCode::Esc | KeyCode::Backspace => {
                self.open = None;
                return Act::Unfollow;
            }
            KeyCode::Right | KeyCode::Char('l' | 'n') => true,
            KeyCode::Left | KeyCode::Char('h' | 'p') => false,
            _ => return Act::Stay,
        };
        let here = self.open.as_ref().map(|open| open.named.as_str());
        let here = here.and_then(|named| self.board.find(named));
        let next = here.and_then(|here| patient::neighbour(&self.board, here, forward));
        match next {
            Some(next) => {
                self.selected = Some(next.clone());
                self.open(next)
            }
            None => Act::Stay,
        }
    }

    /// What became of something that was done about an alert.
    pub(crate) fn told(&mut self, said: String) {
        if let Some(open) = &mut self.open {
            open.attend.told(said);
        }
    }

    /// Alerts that the page shows and the server has not been told of. The board
    /// shows one line of each transfer, and reports none.
    pub(crate) fn drawn(&mut self) -> Vec<(String, v1::AlertAction)> {
        let Some(open) = self.open.as_ref().filter(|_| !self.help) else {
            return Vec::new();
        };
        let Some(state) = open.picture.state_of(&open.named) else {
            return Vec::new();
        };
        let drawn = self.reported.drawn(state).into_iter();
        drawn
            .map(|action| (state.transfer.clone(), action))
            .collect()
    }

    /// Draws the page.
    pub(crate) fn draw(&self, frame: &mut Frame, now: Span) {
        match &self.open {
            None => board::draw(frame, &self.board, self.selected.as_deref(), now),
            Some(open) => {
                let id = open.picture.find(&open.named).unwrap_or(&open.named);
                let shown = (&open.picture, &open.attend, open.who.as_deref());
                patient::draw(frame, shown, id, now);
            }
        }
        if self.help {
            chrome::help(frame);
        }
    }
}

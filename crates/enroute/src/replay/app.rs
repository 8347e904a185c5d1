//! The replay page as a state machine: keys and responses go in, commands and
//! pages come out. Knows no terminal and no socket.

use crate::utc;
use crate::watch::patient;
use crate::watch::picture::{Picture, SILENT_AFTER};
use enroute_model::time::Span;
use enroute_wire::v1;
use enroute_wire::v1::control_request::Command;
use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

const KEYS: &str = "space ⏯  ← → 10 s  ↑ ↓ 1 min  n p alert  . frame  + - speed  o order  q leave";
const FASTER: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 1_000.0, 3_600.0, 10_000.0,
];

/// What the caller has to do after a key.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub(crate) enum Act {
    /// Nothing.
    Stay,
    /// Send this.
    Control(Command),
    /// Leave the view.
    Leave,
}

/// One playback on the screen.
pub(crate) struct App {
    picture: Picture,
    transfer: String,
    replayed: v1::Replayed,
    /// Our clock at the last response.
    heard: Option<Span>,
    said: String,
}

impl App {
    pub(crate) fn new(transfer: &str) -> Self {
        Self {
            picture: Picture::new(),
            transfer: transfer.to_owned(),
            replayed: v1::Replayed::default(),
            heard: None,
            said: String::new(),
        }
    }

    /// The playback to steer.
    pub(crate) fn playback(&self) -> &str {
        &self.replayed.playback
    }

    /// Takes a response that came `now`.
    pub(crate) fn heard(&mut self, response: v1::PlayResponse, now: Span) {
        let replayed = response.replayed.unwrap_or_default();
        if replayed.jump != self.replayed.jump {
            // Waveforms of before have no place beside those of now.
            self.picture = Picture::new();
        }
        self.said.clone_from(&replayed.note);
        self.replayed = replayed;
        self.heard = Some(now);
        // A word without news also moves the recording's clock on.
        let word = v1::WatchResponse {
            server_time_us: self.replayed.recorded_at_us,
            ..v1::WatchResponse::default()
        };
        let at = Span(self.replayed.recorded_at_us);
        self.picture.apply(response.recorded.unwrap_or(word), at);
    }

    /// Says why a key did nothing, or that the stream ended.
    pub(crate) fn say(&mut self, what: String) {
        self.said = what;
    }

    /// The recording's clock: where the playhead was told to be, carried on by ours.
    fn recorded_now(&self, now: Span) -> Span {
        let told = self.replayed.recorded_at_us;
        let passed = self.heard.map_or(0, |heard| now.0.saturating_sub(heard.0));
        let moves = self.replayed.state() == v1::ReplayState::Playing && !self.replayed.fastest;
        if !moves {
            return Span(told);
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 10,000,000")]
        let thousandths = (self.replayed.speed * 1_000.0) as i64;
        Span(told.saturating_add(Span(passed.min(1_000_000)).scaled(thousandths, 1_000).0))
    }

    /// Takes a key.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    pub(crate) fn key(&mut self, key: KeyEvent, now: Span) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::Stay;
        }
        let at = self.recorded_now(now).0;
        let by = |seconds: i64| Command::SeekToUs(at.saturating_add(seconds * 1_000_000));
        Act::Control(match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Act::Leave;
            }
            KeyCode::Char('q') | KeyCode::Esc => return Act::Leave,
            KeyCode::Char(' ') => self.stand_or_go(),
            KeyCode::Left | KeyCode::Char('h') => by(-10),
            KeyCode::Right | KeyCode::Char('l') => by(10),
            KeyCode::Down | KeyCode::Char('j') => by(-60),
            KeyCode::Up | KeyCode::Char('k') => by(60),
            KeyCode::Home => Command::SeekToUs(self.replayed.starts_at_us),
            KeyCode::End => Command::SeekToUs(i64::MAX),
            KeyCode::Char('n') => Command::Alert(v1::ReplayAlert::Next.into()),
            KeyCode::Char('p') => Command::Alert(v1::ReplayAlert::Previous.into()),
            KeyCode::Char('.') => Command::Step(v1::ReplayStep::Frame.into()),
            KeyCode::Char('s') => Command::Step(v1::ReplayStep::Second.into()),
            KeyCode::Char('+' | '=') => Command::Speed(self.speed(true)),
            KeyCode::Char('-') => Command::Speed(self.speed(false)),
            KeyCode::Char('f') => Command::Fastest(v1::ReplayFastest {}),
            KeyCode::Char('o') => Command::Order(self.other_order().into()),
            _ => return Act::Stay,
        })
    }

    fn stand_or_go(&self) -> Command {
        match self.replayed.state() {
            v1::ReplayState::Paused => Command::Resume(v1::ReplayResume {}),
            v1::ReplayState::Unspecified
            | v1::ReplayState::Playing
            | v1::ReplayState::Ended
            | v1::ReplayState::CaughtUp => Command::Pause(v1::ReplayPause {}),
        }
    }

    fn speed(&self, faster: bool) -> f64 {
        let speed = if self.replayed.fastest {
            f64::INFINITY
        } else {
            self.replayed.speed
        };
        let found = if faster {
            FASTER.iter().find(|one| **one > speed + 1e-6)
        } else {
            FASTER.iter().rev().find(|one| **one < speed - 1e-6)
        };
        found.copied().unwrap_or(speed.clamp(0.1, 10_000.0))
    }

    fn other_order(&self) -> v1::ReplayOrder {
        match self.replayed.order() {
            v1::ReplayOrder::Device => v1::ReplayOrder::Arrival,
            v1::ReplayOrder::Arrival | v1::ReplayOrder::Unspecified => v1::ReplayOrder::Device,
        }
    }

    /// Draws the page: banner, the patient as the live view has it, the playhead.
    pub(crate) fn draw(&self, frame: &mut Frame, now: Span) {
        let [banner, body, playhead, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let at = self.recorded_now(now);
        let id = self.picture.find(&self.transfer);
        // Before a join its part goes by a name of its own.
        let id = id.or_else(|| self.picture.transfers.keys().next().map(String::as_str));
        let shown = (&self.picture, self.is_silent(now));
        patient::draw_in(frame, body, shown, id.unwrap_or(&self.transfer), at);
        frame.render_widget(Paragraph::new(self.banner(at, banner.width)), banner);
        frame.render_widget(
            Paragraph::new(self.playhead(at, playhead.width, now)),
            playhead,
        );
        let dim = Style::new().fg(Color::DarkGray);
        frame.render_widget(Paragraph::new(Line::styled(KEYS, dim)), keys);
    }

    fn is_silent(&self, now: Span) -> bool {
        let heard = self.heard.map(|heard| now.0.saturating_sub(heard.0));
        heard.is_none_or(|silence| silence > SILENT_AFTER.0)
    }

    fn banner(&self, at: Span, width: u16) -> Line<'static> {
        let order = match self.replayed.order() {
            v1::ReplayOrder::Device => "as captured on board: nobody saw these alerts",
            v1::ReplayOrder::Arrival | v1::ReplayOrder::Unspecified => "as it was received",
        };
        let text = format!("REPLAY — not live — {} — {order}", utc::rfc3339(at.0));
        let width = usize::from(width);
        let style = Style::new().fg(Color::Black).bg(Color::Yellow);
        Line::styled(
            format!("{text:^width$}"),
            style.add_modifier(Modifier::BOLD),
        )
    }

    fn playhead(&self, at: Span, width: u16, now: Span) -> Line<'static> {
        let v1::Replayed {
            starts_at_us,
            ends_at_us,
            ..
        } = self.replayed;
        let state = match self.replayed.state() {
            v1::ReplayState::Paused => "‖ stands",
            v1::ReplayState::Ended => "■ the end",
            v1::ReplayState::CaughtUp => "● caught up with now: enroute watch is live",
            v1::ReplayState::Playing | v1::ReplayState::Unspecified => "▶",
        };
        let speed = if self.replayed.fastest {
            "max".to_owned()
        } else {
            format!("{}×", self.replayed.speed)
        };
        let said = if self.is_silent(now) {
            "THE SERVER IS SILENT"
        } else {
            &self.said
        };
        let long = ends_at_us.saturating_sub(starts_at_us).max(1);
        let done = at.0.saturating_sub(starts_at_us).clamp(0, long);
        let text = format!(
            " {state} {speed}  {} / {}  {said}",
            utc::span(done),
            utc::span(long)
        );
        let room = usize::from(width).saturating_sub(text.chars().count() + 4);
        let filled = i64::try_from(room).unwrap_or(0) * (done / 1_000) / (long / 1_000).max(1);
        let filled = usize::try_from(filled).unwrap_or(0).min(room);
        let bar = format!(" [{}{}]", "█".repeat(filled), "░".repeat(room - filled));
        Line::styled(format!("{text}{bar}"), Style::new().fg(Color::Yellow))
    }
}

//! What a person does about the alerts of the patient on the screen, and which of
//! them the server has been told were drawn. Knows no terminal and no socket.

use enroute_wire::v1;
use enroute_wire::v1::alert_action::Action;
use ratatui::crossterm::event::KeyCode;
use std::collections::BTreeSet;

/// How long the signals of an alert rest.
const PAUSE_S: u32 = 300;
/// Characters of a remark.
const NOTE_CHARS_MAX: usize = 120;
/// Reports that are remembered, so that none is made twice.
const REPORTED_MAX: usize = 4_096;

/// The choice among the alerts of one patient.
#[derive(Default)]
pub(crate) struct Attend {
    chosen: Option<u64>,
    /// A remark being typed.
    typed: Option<String>,
    /// What became of the last thing that was done.
    said: Option<String>,
}

/// Which demands for attention were reported as drawn.
#[derive(Default)]
pub(crate) struct Reported(BTreeSet<(String, u64, u64)>);

impl Attend {
    /// Keys belong to the remark.
    pub(crate) fn is_typing(&self) -> bool {
        self.typed.is_some()
    }

    /// What became of what was done.
    pub(crate) fn told(&mut self, said: String) {
        self.said = Some(said);
    }

    /// The chosen alert, else the most urgent one.
    pub(crate) fn chosen<'a>(&self, state: &'a v1::TransferState) -> Option<&'a v1::Alert> {
        let same = |alert: &&v1::Alert| Some(alert.alert_id) == self.chosen;
        state.alert.iter().find(same).or(state.alert.first())
    }

    /// The line below the alerts: a remark being typed, or what was last done.
    pub(crate) fn line(&self) -> Option<String> {
        let typed = self.typed.as_ref().map(|text| format!("remark: {text}_"));
        typed.or_else(|| self.said.clone())
    }

    /// Takes a key; gives what to do about the chosen alert.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    pub(crate) fn key(
        &mut self,
        key: KeyCode,
        state: Option<&v1::TransferState>,
    ) -> Option<v1::AlertAction> {
        if self.typed.is_some() {
            return self.type_on(key, state);
        }
        let state = state?;
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.choose(state, true),
            KeyCode::Up | KeyCode::Char('k') => self.choose(state, false),
            KeyCode::Char('a') => {
                return self.about(state, Action::Acknowledge(v1::Acknowledge {}));
            }
            KeyCode::Char('z') => return self.about(state, Action::PauseS(PAUSE_S)),
            KeyCode::Char('m') if self.chosen(state).is_some_and(|a| a.alert_id != 0) => {
                self.typed = Some(String::new());
            }
            _ => {}
        }
        None
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key does nothing"
    )]
    fn type_on(
        &mut self,
        key: KeyCode,
        state: Option<&v1::TransferState>,
    ) -> Option<v1::AlertAction> {
        let typed = self.typed.as_mut()?;
        match key {
            KeyCode::Esc => self.typed = None,
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Char(c) if typed.chars().count() < NOTE_CHARS_MAX => typed.push(c),
            KeyCode::Enter => {
                let note = self.typed.take().filter(|note| !note.trim().is_empty())?;
                return self.about(state?, Action::Note(note));
            }
            _ => {}
        }
        None
    }

    fn choose(&mut self, state: &v1::TransferState, forward: bool) {
        let here = self.chosen(state).map(|alert| alert.alert_id);
        let here = state.alert.iter().position(|a| Some(a.alert_id) == here);
        let last = state.alert.len().saturating_sub(1);
        let next = match here {
            Some(here) if forward => (here + 1).min(last),
            Some(here) => here.saturating_sub(1),
            None => 0,
        };
        self.chosen = state.alert.get(next).map(|alert| alert.alert_id);
    }

    fn about(&mut self, state: &v1::TransferState, action: Action) -> Option<v1::AlertAction> {
        let alert = self.chosen(state)?;
        if alert.alert_id == 0 {
            self.said = Some("this ends by itself when the journal works again".into());
            return None;
        }
        let action = v1::AlertAction {
            alert_id: alert.alert_id,
            seen_ordinal: alert.raised_ordinal,
            action: Some(action),
        };
        self.said = Some("…".into());
        Some(action)
    }
}

impl Reported {
    /// Alerts of a patient's page that were drawn just now for the first time.
    pub(crate) fn drawn(&mut self, state: &v1::TransferState) -> Vec<v1::AlertAction> {
        let role = v1::ViewerRole::Viewer;
        let known = |alert: &v1::Alert| {
            let shown = alert.path.iter().flat_map(|path| &path.shown);
            shown.into_iter().any(|shown| shown.role() == role)
        };
        let mut news = Vec::new();
        for alert in state.alert.iter().filter(|alert| !known(alert)) {
            let demand = (state.transfer.clone(), alert.alert_id, alert.raised_ordinal);
            if self.0.len() >= REPORTED_MAX {
                self.0.clear();
            }
            if alert.raised_ordinal > 0 && self.0.insert(demand) {
                news.push(v1::AlertAction {
                    alert_id: alert.alert_id,
                    seen_ordinal: alert.raised_ordinal,
                    action: Some(Action::Shown(role.into())),
                });
            }
        }
        news
    }
}

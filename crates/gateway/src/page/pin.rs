//! The crew's PIN: who knows it gets a cookie, and acts until it is locked again.
//!
//! Few digits keep out who picks the tablet up, nobody with time: wrong ones are
//! counted, and after [`WRONG_MAX`] in a row none is looked at for [`WAIT`].

use crate::desk::lock;
use enroute_model::time::Span;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Mutex;

/// Wrong ones in a row, before the wait.
const WRONG_MAX: u32 = 5;
/// How long none is looked at then.
const WAIT: Span = Span::from_secs(60);
/// Tablets that are let in at a time; one more locks the first.
const TABLETS_MAX: usize = 8;

/// Who has been let in.
#[derive(Debug)]
pub(super) struct Pin {
    /// `None`: whoever reaches the page.
    pin: Option<String>,
    door: Mutex<Door>,
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// This is not the PIN.
    Wrong,
    /// Too many wrong ones: none is looked at for so long.
    For {
        /// Until one is looked at again.
        seconds: i64,
    },
    /// No token could be made.
    Failed(String),
}

#[derive(Debug, Default)]
struct Door {
    tokens: VecDeque<String>,
    wrong: u32,
    closed_until: Option<Span>,
}

impl Pin {
    pub(super) fn new(pin: Option<String>) -> Self {
        Self {
            pin,
            door: Mutex::default(),
        }
    }

    /// There is one to be known.
    pub(super) fn is_set(&self) -> bool {
        self.pin.is_some()
    }

    /// Whether this token lets in.
    pub(super) fn knows(&self, token: Option<&str>) -> bool {
        let inside = |token: &str| lock(&self.door).tokens.iter().any(|known| known == token);
        self.pin.is_none() || token.is_some_and(inside)
    }

    /// A token for who typed the right one.
    pub(super) fn enter(&self, typed: &str, now: Span) -> Result<String, Shut> {
        let mut door = lock(&self.door);
        if let Some(until) = door.closed_until.filter(|until| *until > now) {
            let left = until.0.saturating_sub(now.0) / 1_000_000 + 1;
            return Err(Shut::For { seconds: left });
        }
        if self.pin.as_deref().is_some_and(|pin| pin != typed.trim()) {
            door.wrong += 1;
            if door.wrong >= WRONG_MAX {
                door.wrong = 0;
                door.closed_until = Some(Span(now.0.saturating_add(WAIT.0)));
                tracing::warn!("too many wrong PINs on the crew's page");
            }
            return Err(Shut::Wrong);
        }
        let token = token().map_err(|error| Shut::Failed(error.to_string()))?;
        door.wrong = 0;
        door.tokens.push_back(token.clone());
        if door.tokens.len() > TABLETS_MAX {
            door.tokens.pop_front();
        }
        Ok(token)
    }

    /// Lets nobody in by this token any more.
    pub(super) fn leave(&self, token: Option<&str>) {
        let mut door = lock(&self.door);
        door.tokens.retain(|known| Some(known.as_str()) != token);
    }
}

fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    let mut text = String::new();
    for byte in bytes {
        // Writing to a string cannot fail.
        let _written: std::fmt::Result = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Span {
        Span::from_secs(seconds)
    }

    #[test]
    fn who_knows_it_is_let_in_until_it_is_locked() {
        let pin = Pin::new(Some("4711".to_owned()));
        assert!(!pin.knows(None) && !pin.knows(Some("")));
        assert!(pin.enter("4712", at(0)).is_err());
        let token = pin.enter(" 4711 ", at(1)).unwrap();
        assert!(pin.knows(Some(&token)) && !pin.knows(Some("other")));
        pin.leave(Some(&token));
        assert!(!pin.knows(Some(&token)));
        assert!(Pin::new(None).knows(None));
    }

    #[test]
    fn guessing_is_slow() {
        let pin = Pin::new(Some("4711".to_owned()));
        for _ in 0..WRONG_MAX {
            assert_eq!(pin.enter("0000", at(0)), Err(Shut::Wrong));
        }
        let shut = Err(Shut::For { seconds: 2 });
        assert_eq!(pin.enter("4711", at(59)), shut);
        assert!(pin.enter("4711", at(61)).is_ok());
    }

    #[test]
    fn tablets_are_bounded() {
        let pin = Pin::new(Some("4711".to_owned()));
        let tokens: Vec<_> = (0..=TABLETS_MAX)
            .map(|_| pin.enter("4711", at(0)).unwrap())
            .collect();
        assert!(!pin.knows(Some(&tokens[0])));
        assert!(pin.knows(Some(&tokens[TABLETS_MAX])));
    }
}

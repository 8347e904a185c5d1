//! Breaking the glass: in an emergency somebody opens one transfer that their role or
//! scope does not cover, at once, for a while, in plain sight.
//!
//! A table of who has opened what. It lives in memory alone: a server that starts anew
//! has no broken glass, and whoever still needs it says why once more. What it lets do is
//! [`Action::is_under_glass`](crate::Action::is_under_glass).

use enroute_model::time::{EngineTime, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Glasses that are broken at a time, by everybody.
pub const GLASSES_MAX: usize = 1_000;
/// The same by one person: patients that one can see to.
pub const OF_ONE_MAX: usize = 8;

/// One transfer that is open to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glass {
    /// Its own id; no other has it, a restart of the server included.
    pub id: String,
    /// Id of the token by which it was broken.
    pub token: String,
    /// Under which name.
    pub name: String,
    /// Id of the transfer.
    pub transfer: String,
    /// Why, in words.
    pub reason: String,
    /// When, by the server's clock that never steps.
    pub since: EngineTime,
    /// Until when.
    pub until: EngineTime,
}

/// Why a glass is not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBroken {
    /// By this person there are enough.
    #[error("{OF_ONE_MAX} transfers are open to you in this way already: end one of them")]
    Own,
    /// There are enough.
    #[error("{GLASSES_MAX} transfers are open in this way already")]
    All,
}

/// All that are broken.
#[derive(Clone, Debug, Default)]
pub struct Glasses {
    /// By token and transfer.
    open: BTreeMap<(String, String), Arc<Glass>>,
    /// Number in the id of the last one.
    last: i64,
}

impl Glasses {
    /// Opens a transfer; one that is open already begins anew. Gives what stands now, and
    /// in whose place.
    ///
    /// # Errors
    /// When there is no room.
    pub fn open(
        &mut self,
        (token, name): (&str, &str),
        (transfer, reason): (&str, &str),
        now: EngineTime,
        lasts: Span,
    ) -> Result<(Arc<Glass>, Option<Arc<Glass>>), NotBroken> {
        let key = (token.to_owned(), transfer.to_owned());
        if !self.open.contains_key(&key) {
            if self.of(token, now).count() >= OF_ONE_MAX {
                return Err(NotBroken::Own);
            }
            if self.open.len() >= GLASSES_MAX {
                return Err(NotBroken::All);
            }
        }
        // Engine time is later than that of every server before.
        self.last = now.0.max(self.last.saturating_add(1));
        let glass = Arc::new(Glass {
            id: format!("{:x}", self.last),
            token: token.to_owned(),
            name: name.to_owned(),
            transfer: transfer.to_owned(),
            reason: reason.to_owned(),
            since: now,
            until: now.plus(lasts),
        });
        let before = self.open.insert(key, Arc::clone(&glass));
        Ok((glass, before))
    }

    /// Takes one away; `None`: it is none any more.
    pub fn end(&mut self, glass: &Glass) -> Option<Arc<Glass>> {
        let key = (glass.token.clone(), glass.transfer.clone());
        let is_it = { self.open.get(&key) }.is_some_and(|open| open.id == glass.id);
        is_it.then(|| self.open.remove(&key)).flatten()
    }

    /// Whether this one still stands, whatever the time.
    #[must_use]
    pub fn has(&self, glass: &Glass) -> bool {
        let key = (glass.token.clone(), glass.transfer.clone());
        { self.open.get(&key) }.is_some_and(|open| open.id == glass.id)
    }

    /// By which a transfer with these ids is open to the bearer of a token.
    #[must_use]
    pub fn find<'a>(
        &self,
        token: &str,
        ids: impl IntoIterator<Item = &'a str>,
        now: EngineTime,
    ) -> Option<&Arc<Glass>> {
        let mut ids = ids.into_iter();
        ids.find_map(|id| {
            let key = (token.to_owned(), id.to_owned());
            self.open.get(&key).filter(|glass| now < glass.until)
        })
    }

    /// Those of one token.
    pub fn of(&self, token: &str, now: EngineTime) -> impl Iterator<Item = &Arc<Glass>> {
        self.iter()
            .filter(move |glass| glass.token == token && now < glass.until)
    }

    /// All of them, those whose time is over included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Glass>> {
        self.open.values()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]
    use super::*;

    const HOUR: Span = Span::from_secs(3_600);
    const NOW: EngineTime = EngineTime(1_000_000);

    fn open(
        glasses: &mut Glasses,
        token: &str,
        transfer: &str,
        now: EngineTime,
    ) -> Result<Arc<Glass>, NotBroken> {
        let opened = glasses.open((token, "Ada"), (transfer, "unconscious"), now, HOUR);
        opened.map(|(glass, _)| glass)
    }

    #[test]
    fn it_opens_one_transfer_to_one_person_for_a_while() {
        let mut glasses = Glasses::default();
        let glass = open(&mut glasses, "a", "tx-1", NOW).unwrap();
        let late = NOW.plus(HOUR);
        let just = EngineTime(late.0 - 1);
        let finds = |token, id, now| glasses.find(token, [id], now).is_some();
        assert!(finds("a", "tx-1", NOW) && finds("a", "tx-1", just));
        assert!(!finds("a", "tx-1", late), "its time is over");
        assert!(!finds("b", "tx-1", NOW) && !finds("a", "tx-2", NOW));
        // By any of its ids.
        assert!(glasses.find("a", ["tx-9", "tx-1"], NOW).is_some());
        assert!(glasses.end(&glass).is_some() && glasses.end(&glass).is_none());
        assert!(glasses.find("a", ["tx-1"], NOW).is_none());
    }

    #[test]
    fn broken_again_it_begins_anew_and_the_one_before_is_over() {
        let mut glasses = Glasses::default();
        let first = open(&mut glasses, "a", "tx-1", NOW).unwrap();
        let later = NOW.plus(Span::from_secs(1));
        let second = open(&mut glasses, "a", "tx-1", later).unwrap();
        assert!(first.id != second.id && !glasses.has(&first) && glasses.has(&second));
        assert!(glasses.end(&first).is_none() && glasses.has(&second));
        assert_eq!(glasses.count(), 1);
        // Two in the same moment are two.
        let third = open(&mut glasses, "a", "tx-2", later).unwrap();
        assert!(third.id != second.id);
    }

    #[test]
    fn one_person_and_all_together_have_a_bound() {
        let mut glasses = Glasses::default();
        for n in 0..OF_ONE_MAX {
            open(&mut glasses, "a", &format!("tx-{n}"), NOW).unwrap();
        }
        let more = open(&mut glasses, "a", "tx-more", NOW);
        assert_eq!(more.unwrap_err(), NotBroken::Own);
        assert!(
            open(&mut glasses, "a", "tx-0", NOW).is_ok(),
            "the same again"
        );
        for n in glasses.count()..GLASSES_MAX {
            open(&mut glasses, &format!("token {n}"), "tx", NOW).unwrap();
        }
        let more = open(&mut glasses, "z", "tx", NOW);
        assert_eq!(more.unwrap_err(), NotBroken::All);
        assert_eq!(glasses.count(), GLASSES_MAX);
    }
}

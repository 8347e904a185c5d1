//! Who does the same again and again: the first times are records, the rest a sum.

use crate::record::{Entry, Outcome, Who};
use enroute_model::time::Span;
use std::collections::BTreeMap;

/// Times within a window that are records of their own.
pub(crate) const SINGLY: u64 = 10;
/// How long the same is counted together.
const WINDOW: Span = Span::from_secs(60);
/// Different ones counted at a time; all further ones together.
const KINDS_MAX: usize = 4_096;

/// The same: everything but the words.
type Kind = (Who, String, Option<String>, Outcome);

/// Counts of the windows that are open.
#[derive(Default)]
pub(crate) struct Flood {
    seen: BTreeMap<Kind, Seen>,
}

struct Seen {
    since: Span,
    times: u64,
    last: Entry,
}

/// Stands for all that has no room of its own.
fn others() -> Entry {
    Entry::own("others", "of many callers".to_owned())
}

fn kind(entry: &Entry) -> Kind {
    // Each connection has a port of its own.
    let from = entry.who.from.as_deref();
    let from = from.map(|from| from.rsplit_once(':').map_or(from, |(host, _)| host));
    let who = Who {
        from: from.map(str::to_owned),
        ..entry.who.clone()
    };
    (
        who,
        entry.action.clone(),
        entry.transfer.clone(),
        entry.outcome,
    )
}

impl Flood {
    /// `entry` if it is to be a record of its own.
    pub(crate) fn admit(&mut self, now: Span, entry: Entry) -> Option<Entry> {
        let own = kind(&entry);
        let has_room = self.seen.len() < KINDS_MAX || self.seen.contains_key(&own);
        let key = if has_room { own } else { kind(&others()) };
        let seen = self.seen.entry(key).or_insert_with(|| Seen {
            since: now,
            times: 0,
            last: others(),
        });
        seen.times = seen.times.saturating_add(1);
        if seen.times <= SINGLY {
            return Some(entry);
        }
        if has_room {
            seen.last = entry;
        }
        None
    }

    /// Sums of the windows that are over at `now`, all of them at the end.
    pub(crate) fn sums(&mut self, now: Option<Span>) -> Vec<Entry> {
        let mut sums = Vec::new();
        self.seen.retain(|_, seen| {
            let is_open = now.is_some_and(|now| now.0.saturating_sub(seen.since.0) < WINDOW.0);
            let more = seen.times.saturating_sub(SINGLY);
            if !is_open && more > 0 {
                let words = &seen.last.detail;
                let detail = format!("and {more} times more within a minute: {words}");
                sums.push(Entry {
                    detail,
                    ..seen.last.clone()
                });
            }
            is_open
        });
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Entry {
        Entry {
            who: Who {
                name: name.to_owned(),
                ..Who::default()
            },
            action: "List".to_owned(),
            transfer: None,
            outcome: Outcome::Refused,
            detail: "not known".to_owned(),
        }
    }

    #[test]
    fn the_first_ones_are_told_singly_and_the_rest_as_a_sum() {
        let mut flood = Flood::default();
        let mut told = 0;
        for _ in 0..1_000 {
            told += u64::from(flood.admit(Span::ZERO, refused("a")).is_some());
        }
        assert_eq!(told, SINGLY);
        assert!(flood.admit(Span::ZERO, refused("b")).is_some());
        assert_eq!(flood.sums(Some(Span::from_secs(59))), []);
        let sums = flood.sums(Some(Span::from_secs(60)));
        let [sum] = sums.as_slice() else {
            panic!("{sums:?}")
        };
        assert_eq!(sum.who.name, "a");
        assert_eq!(sum.detail, "and 990 times more within a minute: not known");
        assert!(flood.admit(Span::from_secs(60), refused("a")).is_some());
    }

    #[test]
    fn a_flood_of_different_ones_takes_no_more_room_and_none_is_lost() {
        let mut flood = Flood::default();
        let (all, mut told) = (10_000u64, 0u64);
        for n in 0..all {
            told += u64::from(flood.admit(Span::ZERO, refused(&n.to_string())).is_some());
        }
        assert!(flood.seen.len() <= KINDS_MAX + 1);
        let sums = flood.sums(None);
        let [sum] = sums.as_slice() else {
            panic!("{sums:?}")
        };
        assert_eq!(sum.action, "others");
        let more = format!("and {} times more", all - told);
        assert!(sum.detail.starts_with(&more), "{}", sum.detail);
    }
}

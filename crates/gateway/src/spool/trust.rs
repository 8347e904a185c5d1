//! Whether a receipt can be believed, and whether it shows that the server lost
//! its past. Pure.
//!
//! Receipts may come late, twice and out of order; clocks may step. So a receipt
//! is never judged by the server's clock alone:
//!
//! - Another journal than before is a server without its past, unless it is one
//!   that we saw replaced: then it is a straggler, until it answers a batch that
//!   left us after it was replaced.
//! - The same journal that no longer covers what it covered is *suspected*: a late
//!   old receipt looks the same. It is believed when another receipt, which must be
//!   newer than all that were seen by then, still does not cover it. Newer means
//!   that it answers a batch that left us after the suspicion; while nothing is
//!   sent live that time stands still, and the server's own decides.
//! - After a loss, receipts from before it free nothing.

use super::StreamLife;
use super::word::Word;
use enroute_model::time::{GatewayTime, ServerTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Journals remembered as replaced.
const PAST_MAX: usize = 8;
/// Legs under suspicion at once; further ones wait for a later receipt.
const SUSPECTS_MAX: usize = 256;

/// A leg of a stream, by its first number.
pub(super) type LegKey = (StreamLife, u64);

/// When a receipt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// Our clock when the newest batch left that it answers.
    answers: GatewayTime,
    /// The server's clock when it left there.
    sent: ServerTime,
}

/// What is remembered of a leg that a receipt covers less of than before.
#[derive(Clone, Copy, Debug)]
struct Suspicion {
    raised_at: GatewayTime,
    /// The newest of all receipts until then.
    newest: Stamp,
}

/// A journal that another one followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    journal: u64,
    until: GatewayTime,
}

/// What to make of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is from before something that we know.
    Late,
    /// It says what is durable now.
    Believed,
    /// The server lost its past: only what this receipt covers is durable.
    Restored,
}

/// What is known of the server's journal. What a restart must not forget is in
/// the spool's notes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Trust {
    journal: Option<u64>,
    past: Vec<Past>,
    /// The receipt that showed the last loss in this journal.
    floor: Option<Stamp>,
    newest: Option<Stamp>,
    #[serde(skip)]
    suspects: BTreeMap<LegKey, Suspicion>,
}

impl Trust {
    /// Judges a receipt that arrived `now`. `missing`: the legs of which it does
    /// not cover what receipts covered before.
    pub(super) fn judge(&mut self, word: &Word, missing: &[LegKey], now: GatewayTime) -> Verdict {
        let stamp = Stamp {
            answers: word.answers,
            sent: word.sent_at,
        };
        if self.journal != Some(word.journal) {
            return self.other_journal(word.journal, stamp, now);
        }
        let late = |floor: Stamp| stamp.answers <= floor.answers && stamp.sent < floor.sent;
        if self.floor.is_some_and(late) {
            return Verdict::Late;
        }
        let newest = *self.newest.get_or_insert(stamp);
        self.newest = Some(newest.later(stamp));
        for part in &word.parts {
            let key = (part.life, part.first);
            if !missing.contains(&key) {
                self.suspects.remove(&key);
            }
        }
        let confirmed = |suspicion: &Suspicion| suspicion.is_confirmed_by(stamp);
        if missing
            .iter()
            .any(|key| self.suspects.get(key).is_some_and(confirmed))
        {
            self.floor = Some(stamp);
            self.suspects.clear();
            return Verdict::Restored;
        }
        for key in missing {
            if self.suspects.len() < SUSPECTS_MAX {
                self.suspects.entry(*key).or_insert(Suspicion {
                    raised_at: now,
                    newest: newest.later(stamp),
                });
            }
        }
        Verdict::Believed
    }

    /// Whether what a receipt says of this leg is not believed yet.
    pub(super) fn is_suspect(&self, key: LegKey) -> bool {
        self.suspects.contains_key(&key)
    }

    fn other_journal(&mut self, journal: u64, stamp: Stamp, now: GatewayTime) -> Verdict {
        if let Some(past) = self.past.iter().find(|past| past.journal == journal)
            && stamp.answers <= past.until
        {
            return Verdict::Late;
        }
        let before = self.journal.replace(journal);
        (self.floor, self.newest) = (None, Some(stamp));
        self.suspects.clear();
        let Some(before) = before else {
            return Verdict::Believed;
        };
        self.past
            .retain(|past| ![before, journal].contains(&past.journal));
        if self.past.len() == PAST_MAX {
            self.past.remove(0);
        }
        self.past.push(Past {
            journal: before,
            until: now,
        });
        Verdict::Restored
    }
}

impl Stamp {
    fn later(self, other: Self) -> Self {
        Self {
            answers: self.answers.max(other.answers),
            sent: self.sent.max(other.sent),
        }
    }
}

impl Suspicion {
    fn is_confirmed_by(&self, stamp: Stamp) -> bool {
        let answers_us = stamp.answers > self.raised_at;
        let stands_still = stamp.answers == self.newest.answers;
        answers_us || (stands_still && stamp.sent > self.newest.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::ids::{Epoch, Stream};

    const KEY: LegKey = ((Epoch(1), Stream::Events), 1);

    fn word(journal: u64, answers: i64, sent: i64) -> Word {
        Word {
            journal,
            answers: GatewayTime(answers),
            sent_at: ServerTime(sent),
            parts: vec![super::super::word::Part {
                life: KEY.0,
                first: KEY.1,
                durable: enroute_model::ranges::RangeSet::default(),
                told_through: u64::MAX,
            }],
        }
    }

    /// Receipts as (journal, answers, sent, short of what it had, arrived), each
    /// with its verdict.
    fn check(timeline: &[(u64, i64, i64, bool, i64, Verdict)]) {
        let mut trust = Trust::default();
        for (index, (journal, answers, sent, short, arrived, verdict)) in
            timeline.iter().enumerate()
        {
            let missing: &[LegKey] = if *short { &[KEY] } else { &[] };
            let word = word(*journal, *answers, *sent);
            let found = trust.judge(&word, missing, GatewayTime(*arrived));
            assert_eq!(found, *verdict, "receipt {index}");
        }
    }

    use Verdict::{Believed, Late, Restored};

    #[test]
    fn another_journal_is_a_loss_and_its_stragglers_are_not() {
        check(&[
            (1, 10, 1_010, false, 20, Believed),
            (2, 30, 1_030, true, 40, Restored),
            (1, 25, 1_025, true, 45, Late),
            (2, 50, 1_050, false, 60, Believed),
            // The server went back to its first journal.
            (1, 70, 1_070, true, 80, Restored),
            (2, 55, 1_055, true, 85, Late),
        ]);
    }

    #[test]
    fn the_other_journals_clock_does_not_matter() {
        check(&[
            (1, 10, 9_000, false, 20, Believed),
            (2, 30, 100, true, 40, Restored),
            (1, 28, 9_100, true, 45, Late),
            (2, 50, 120, false, 60, Believed),
        ]);
    }

    #[test]
    fn a_late_old_receipt_is_no_loss() {
        check(&[
            (1, 30, 1_030, false, 40, Believed),
            (1, 10, 1_010, true, 50, Believed),
            (1, 20, 1_020, true, 51, Believed),
            (1, 60, 1_060, false, 70, Believed),
            (1, 20, 1_020, true, 80, Believed),
        ]);
    }

    #[test]
    fn a_loss_shows_in_the_next_answer() {
        check(&[
            (1, 30, 1_030, false, 40, Believed),
            (1, 50, 1_050, true, 60, Believed),
            (1, 70, 1_070, true, 80, Restored),
            // From before it.
            (1, 30, 1_030, false, 90, Late),
            (1, 95, 1_095, false, 99, Believed),
        ]);
    }

    #[test]
    fn a_step_of_the_servers_clock_hides_nothing_and_shows_nothing() {
        check(&[
            (1, 30, 9_030, false, 40, Believed),
            (1, 50, 50, false, 60, Believed),
            // Old, from before the step.
            (1, 20, 9_020, true, 65, Believed),
            (1, 70, 70, false, 80, Believed),
            (1, 90, 90, true, 100, Believed),
            (1, 110, 110, true, 120, Restored),
            (1, 130, 30, false, 140, Believed),
        ]);
    }

    #[test]
    fn without_live_batches_the_servers_clock_decides() {
        check(&[
            (1, 30, 1_030, false, 40, Believed),
            (1, 30, 1_020, true, 50, Believed),
            (1, 30, 1_025, true, 51, Believed),
            (1, 30, 1_031, true, 60, Restored),
            (1, 30, 1_029, false, 61, Late),
            (1, 30, 1_032, false, 62, Believed),
        ]);
    }
}

//! Timelines of single rules, from a book as people write it, and properties
//! against naive models.

use super::row::Row;
use super::*;
use enroute_model::catalogue::catalogue;
use enroute_model::registry::AgeBand;
use std::fmt::Write;

mod book;
mod machine;
mod quiet;
mod timelines;

#[derive(serde::Deserialize)]
struct File {
    condition: Vec<Row>,
}

pub(super) fn rows(text: &str) -> Vec<Row> {
    toml::from_str::<File>(text).unwrap().condition
}

/// One condition `c` with this clause.
pub(super) fn one(clause: &str) -> Rules {
    timed("on_delay_s = 0", clause)
}

pub(super) fn timed(timing: &str, clause: &str) -> Rules {
    let head = "[[condition]]\nid = \"c\"\nmetric = \"hr\"\npriority = \"medium\"";
    let text = format!("{head}\n{timing}\nwhen.{clause}");
    Rules::of(&rows(&text), None).unwrap()
}

pub(super) fn s(seconds: i64) -> EngineTime {
    EngineTime(seconds * 1_000_000)
}

pub(super) fn channel(rules: &Rules, id: &str) -> usize {
    let (id, high) = id
        .strip_suffix(".high")
        .map_or((id, false), |id| (id, true));
    let code = catalogue().vital_by_id(id).unwrap().code;
    let of = if high {
        Quantity::ScoreHigh(code)
    } else {
        Quantity::Value(code)
    };
    rules.channel(of).unwrap()
}

/// What a source with these rules tells.
pub(super) struct Bed<'a> {
    pub(super) rules: &'a Rules,
    pub(super) conditions: Conditions,
    pub(super) marks: Vec<String>,
    pub(super) silent: bool,
    pub(super) told: String,
}

impl<'a> Bed<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        let mut conditions = Conditions::default();
        conditions.adopt(None, rules, |_| {});
        Self {
            rules,
            conditions,
            marks: Vec::new(),
            silent: false,
            told: String::new(),
        }
    }

    /// Fires what is due up to then.
    pub(super) fn until(&mut self, now: EngineTime) {
        while let Some(due) = self.conditions.next_timeout().filter(|due| *due <= now) {
            self.ask(due);
            assert_ne!(
                self.conditions.next_timeout(),
                Some(due),
                "a deadline that stays"
            );
        }
    }

    pub(super) fn ask(&mut self, now: EngineTime) {
        let told = &mut self.told;
        let rules = self.rules;
        self.conditions
            .ask(rules, (&self.marks, self.silent), now, |rule, step| {
                let at = now.0 / 1_000_000;
                let since = step.since.0 / 1_000_000;
                let limit = step
                    .limit
                    .map_or(String::new(), |limit| format!(" at {limit}"));
                writeln!(
                    told,
                    "{at:>5} s  {}: {:?}{limit}, since {since} s",
                    rule.id, step.phase
                )
                .unwrap();
            });
    }

    /// `hr=80`, `hr=-` (no usable value), `hr=~` (no longer fresh), `hr=80@60`
    /// (interval), `mark:word`, `unmark:word`, `usual:abp_sys=120`, `silent`,
    /// `heard`.
    pub(super) fn word(&mut self, word: &str, now: EngineTime) {
        if let Some(mark) = word.strip_prefix("mark:") {
            self.marks.push(mark.into());
        } else if let Some(mark) = word.strip_prefix("unmark:") {
            self.marks.retain(|known| known != mark);
        } else if let Some(usual) = word.strip_prefix("usual:") {
            let (id, value) = usual.split_once('=').unwrap();
            let place = channel(self.rules, id);
            self.conditions.set_baseline(place, value.parse().ok());
        } else if word == "silent" || word == "heard" {
            self.silent = word == "silent";
            if self.silent {
                self.conditions.all_stopped();
            }
        } else {
            let (id, value) = word.split_once('=').unwrap();
            let (value, interval) = value.split_once('@').unwrap_or((value, "1"));
            let place = channel(self.rules, id);
            if value == "~" {
                self.conditions.stopped(place);
                return;
            }
            let interval = Span::from_secs(interval.parse().unwrap());
            let value = value.parse().ok();
            self.conditions
                .note(self.rules, place, value, interval, now);
        }
    }

    fn missing(&self) -> String {
        let ids: Vec<&str> = self.conditions.unavailable().collect();
        ids.join(" ")
    }
}

/// Lines `12 hr=80 spo2=97`, `0..60 …` (every second), `0..3600/300 …` (every
/// 300 s), `600 tick`; what is unavailable is told when it changes.
pub(super) fn run(rules: &Rules, trace: &str) -> String {
    let mut lines = Vec::new();
    for (number, line) in trace
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .enumerate()
    {
        let (when, what) = line.split_once(' ').unwrap();
        let (span, step) = when.split_once('/').unwrap_or((when, "1"));
        let (from, to) = span.split_once("..").unwrap_or((span, span));
        let (from, to): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
        let step = usize::try_from(step.parse::<i64>().unwrap()).unwrap();
        lines.extend(
            (from..=to)
                .step_by(step)
                .map(|second| (second, number, what)),
        );
    }
    lines.sort_by_key(|(second, number, _)| (*second, *number));
    let mut bed = Bed::new(rules);
    let mut missing = String::new();
    for (second, _, what) in lines {
        bed.until(s(second));
        if what != "tick" {
            for word in what.split(' ') {
                bed.word(word, s(second));
            }
            bed.ask(s(second));
        }
        if bed.missing() != missing {
            missing = bed.missing();
            let what = if missing.is_empty() { "none" } else { &missing };
            writeln!(bed.told, "{second:>5} s  unavailable: {what}").unwrap();
        }
    }
    bed.told
}

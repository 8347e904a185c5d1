//! What a demo came to, whether its numbers agree, and how it is printed.

use crate::latency::Percentiles;
use std::collections::BTreeMap;

/// The streams of the contract, in the order of the columns.
pub(crate) const STREAMS: [&str; 3] = ["events", "numerics", "waveforms"];

/// Frames, per stream (events, numerics, waveforms).
pub(crate) type PerStream = [u64; 3];

/// Everything that was counted, each by the part that knows it best.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    /// By the gateways: written to their spools.
    pub(crate) produced: PerStream,
    /// By the gateways: published, on either lane, repeats included.
    pub(crate) sent: u64,
    /// By ingest: taken from the broker and not refused.
    pub(crate) received: u64,
    /// By ingest: refused.
    pub(crate) refused: u64,
    /// By the engines' ledgers: different frames in the journal.
    pub(crate) durable: PerStream,
    /// By the ledgers: given up by a spool, with its word for it.
    pub(crate) shed: PerStream,
    /// By the ledgers: neither durable nor shed.
    pub(crate) missing: PerStream,
    /// By the ledgers: received again with the same content.
    pub(crate) duplicates: PerStream,
    /// By the ledgers: received again with other content.
    pub(crate) conflicts: PerStream,
    /// By our own viewer: in the recorded history.
    pub(crate) history: PerStream,
    /// By our own viewer: came over its streams.
    pub(crate) watched: PerStream,
    /// By our own viewer: came twice.
    pub(crate) watched_again: u64,
    /// By the server: left out for our slow viewer.
    pub(crate) conflated: u64,
    /// Transfers whose frames did not all come over the streams although they
    /// should have: id, came, durable.
    pub(crate) short: Vec<(String, u64, u64)>,
    /// By the gateways: not covered by a receipt at the end.
    pub(crate) unconfirmed: u64,
    /// By the live view: alert transitions.
    pub(crate) transitions: u64,
    /// By our own viewer: alert transitions.
    pub(crate) transitions_watched: u64,
    /// Alerts raised, by kind and priority, in words.
    pub(crate) raised: BTreeMap<(String, String), u64>,
    /// By the live view: records that broke an engine.
    pub(crate) poisoned: u64,
    /// Stages in order, with what took how long.
    pub(crate) latencies: Vec<(&'static str, Percentiles)>,
}

fn total(counts: &PerStream) -> u64 {
    counts.iter().sum()
}

impl Summary {
    /// What does not agree, in words; empty when all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut say = |wrong: bool, what: String| {
            if wrong {
                problems.push(what);
            }
        };
        for (index, stream) in STREAMS.iter().enumerate() {
            let of = |counts: &PerStream| counts.get(index).copied().unwrap_or(0);
            let accounted = of(&self.durable) + of(&self.shed) + of(&self.missing);
            say(
                of(&self.missing) > 0,
                format!("{} {stream} frames are missing", of(&self.missing)),
            );
            say(
                of(&self.produced) != accounted,
                format!(
                    "{} {stream} frames were produced, the ledgers know {accounted}",
                    of(&self.produced)
                ),
            );
            say(
                of(&self.history) != of(&self.durable),
                format!(
                    "{} {stream} frames are durable, the history holds {}",
                    of(&self.durable),
                    of(&self.history)
                ),
            );
            say(
                of(&self.conflicts) > 0,
                format!("{} {stream} frames contradict others", of(&self.conflicts)),
            );
        }
        let stored = total(&self.durable) + total(&self.duplicates) + total(&self.conflicts);
        say(
            self.received != stored,
            format!(
                "{} frames were received, durable and duplicate ones are {stored}",
                self.received
            ),
        );
        say(
            self.refused > 0,
            format!("{} publishes were refused", self.refused),
        );
        say(
            self.unconfirmed > 0,
            format!(
                "{} frames are not confirmed to their gateways",
                self.unconfirmed
            ),
        );
        say(
            total(&self.watched) > total(&self.durable),
            format!(
                "our viewer counted {} frames, only {} are durable",
                total(&self.watched),
                total(&self.durable)
            ),
        );
        say(
            self.watched_again > 0,
            format!("our viewer got {} frames twice", self.watched_again),
        );
        if self.conflated == 0 {
            for (transfer, came, durable) in &self.short {
                say(
                    true,
                    format!("our viewer got {came} of {durable} frames of {transfer}"),
                );
            }
        }
        say(
            self.transitions != self.transitions_watched,
            format!(
                "{} alert transitions happened, our viewer got {}",
                self.transitions, self.transitions_watched
            ),
        );
        say(
            self.poisoned > 0,
            format!("{} records broke an engine", self.poisoned),
        );
        problems
    }

    /// The page that ends a demo.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            "EXERCISE summary".to_owned(),
            String::new(),
            format!(
                "{:<22}{:>10}{:>10}{:>10}{:>10}",
                "frames", "events", "numerics", "waveforms", "all"
            ),
        ];
        let rows: [(&str, &PerStream); 8] = [
            ("produced", &self.produced),
            ("durable", &self.durable),
            ("missing", &self.missing),
            ("shed", &self.shed),
            ("duplicate", &self.duplicates),
            ("in conflict", &self.conflicts),
            ("counted in history", &self.history),
            ("counted by a viewer", &self.watched),
        ];
        for (name, counts) in rows {
            let [events, numerics, waveforms] = counts;
            let all = total(counts);
            lines.push(format!(
                "{name:<22}{events:>10}{numerics:>10}{waveforms:>10}{all:>10}"
            ));
        }
        let early = total(&self.durable).saturating_sub(total(&self.watched));
        if early > 0 && self.short.is_empty() {
            lines.push(format!(
                "  ({early} came before a later vehicle had joined: in the history, not in the stream)"
            ));
        }
        for (name, count) in [
            ("sent", self.sent),
            ("received", self.received),
            ("refused", self.refused),
            ("unconfirmed", self.unconfirmed),
            ("conflated", self.conflated),
        ] {
            lines.push(format!("{name:<22}{count:>40}"));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:<22}{:>40}",
            "alert transitions", self.transitions
        ));
        lines.push(format!(
            "{:<22}{:>40}",
            "  seen by a viewer", self.transitions_watched
        ));
        for ((kind, priority), count) in &self.raised {
            lines.push(format!(
                "{:<22}{count:>40}",
                format!("  {kind}, {priority}")
            ));
        }
        lines.push(String::new());
        lines.push(format!(
            "{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "latency, ms", "count", "p50", "p90", "p99", "max"
        ));
        for (stage, times) in &self.latencies {
            lines.push(format!(
                "{stage:<22}{:>10}{:>10}{:>10}{:>10}{:>10}",
                times.count,
                millis(times.p50_us),
                millis(times.p90_us),
                millis(times.p99_us),
                millis(times.max_us)
            ));
        }
        lines.push(String::new());
        let problems = self.problems();
        if problems.is_empty() {
            lines.push("all numbers agree, no frame is missing".to_owned());
        } else {
            lines.push("NOT ALL IS WELL:".to_owned());
            lines.extend(problems.into_iter().map(|problem| format!("  {problem}")));
        }
        lines
    }
}

fn millis(us: u64) -> String {
    format!("{}.{:02}", us / 1_000, us % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Summary {
        Summary {
            produced: [10, 100, 200],
            sent: 330,
            received: 325,
            durable: [10, 95, 190],
            shed: [0, 5, 10],
            duplicates: [0, 10, 20],
            history: [10, 95, 190],
            watched: [10, 95, 190],
            transitions: 4,
            transitions_watched: 4,
            raised: BTreeMap::from([
                (("limit_low SpO2".into(), "high".into()), 1),
                (("link_lost".into(), "low".into()), 2),
            ]),
            latencies: vec![
                (
                    "captured → received",
                    Percentiles {
                        count: 95,
                        p50_us: 2_310,
                        p90_us: 4_000,
                        p99_us: 12_345,
                        max_us: 40_999,
                    },
                ),
                ("received → handled", Percentiles::default()),
            ],
            ..Summary::default()
        }
    }

    #[test]
    fn numbers_that_agree_are_no_problem() {
        assert_eq!(sound().problems(), Vec::<String>::new());
        insta::assert_snapshot!(sound().lines().join("\n"));
    }

    #[test]
    fn whatever_does_not_agree_is_said() {
        type Spoil = fn(&mut Summary);
        let spoilt: [Spoil; 14] = [
            |s| (s.missing, s.durable, s.history) = ([0, 1, 0], [10, 94, 190], [10, 94, 190]),
            |s| s.produced = [11, 100, 200],
            |s| s.history = [10, 94, 190],
            |s| s.conflicts = [1, 0, 0],
            |s| s.received = 324,
            |s| s.refused = 1,
            |s| s.unconfirmed = 1,
            |s| s.watched = [10, 96, 190],
            |s| s.watched_again = 1,
            |s| s.short = vec![("tx-1".into(), 3, 4)],
            |s| s.transitions = 5,
            |s| s.transitions_watched = 5,
            |s| s.poisoned = 1,
            |s| s.shed = [0, 0, 0],
        ];
        let said: Vec<String> = spoilt
            .iter()
            .map(|spoil| {
                let mut summary = sound();
                spoil(&mut summary);
                let problems = summary.problems();
                assert!(!problems.is_empty());
                problems.join("; ")
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn a_slow_viewer_may_miss_samples_but_not_alerts() {
        let mut summary = sound();
        summary.watched = [10, 90, 100];
        summary.short = vec![("tx-1".into(), 3, 4)];
        summary.conflated = 95;
        assert_eq!(summary.problems(), Vec::<String>::new());
        summary.transitions_watched = 3;
        assert_eq!(summary.problems().len(), 1);
    }
}

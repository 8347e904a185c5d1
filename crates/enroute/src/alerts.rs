//! Alert conditions from their first step to their last, and two courses of them
//! held against each other. Pure.

use enroute_wire::v1;
use std::collections::BTreeMap;

/// An alert that came again within this time is the same one, earlier or later.
const SAME_WITHIN_US: i64 = 60_000_000;

/// What an alert speaks of: the same subject is the same condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) transfer: String,
    pub(crate) gateway: String,
    pub(crate) kind: i32,
    pub(crate) code: u32,
    pub(crate) label: String,
    pub(crate) stream: i32,
}

/// One alert condition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) subject: Subject,
    /// As it was raised.
    pub(crate) first: v1::Alert,
    /// The highest it ever had.
    pub(crate) priority: i32,
    pub(crate) raised_at_us: i64,
    /// Absent: it had not ended when the recording did.
    pub(crate) ended_at_us: Option<i64>,
}

impl Episode {
    /// How long it lasted, through the recording's end at most.
    pub(crate) fn length_us(&self, end_us: i64) -> i64 {
        let ended = self.ended_at_us.unwrap_or(end_us);
        ended.saturating_sub(self.raised_at_us).max(0)
    }
}

/// The conditions in these steps, by when they were raised.
pub(crate) fn episodes(steps: &[v1::AlertTransition]) -> Vec<Episode> {
    let mut open: BTreeMap<(String, u64), Episode> = BTreeMap::new();
    let mut over = Vec::new();
    for step in steps {
        let Some(alert) = &step.alert else { continue };
        let key = (step.transfer.clone(), alert.alert_id);
        let episode = open.entry(key.clone()).or_insert_with(|| Episode {
            subject: Subject {
                transfer: step.transfer.clone(),
                gateway: alert.gateway.clone(),
                kind: alert.kind,
                code: alert.code,
                label: alert.label.clone(),
                stream: alert.stream,
            },
            first: alert.clone(),
            priority: alert.priority,
            raised_at_us: step.at_us,
            ended_at_us: None,
        });
        episode.priority = episode.priority.max(alert.priority);
        if alert.phase() == v1::AlertPhase::Ended {
            episode.ended_at_us = Some(step.at_us);
            over.extend(open.remove(&key));
        }
    }
    over.extend(open.into_values());
    over.sort_by(|a, b| (a.raised_at_us, &a.subject).cmp(&(b.raised_at_us, &b.subject)));
    over
}

/// What is other in the second course.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Difference<'a> {
    Added(&'a Episode),
    Removed(&'a Episode),
    /// At another time, of another priority, or of another end.
    Changed(&'a Episode, &'a Episode),
}

impl Difference<'_> {
    /// When it is in the recording.
    pub(crate) fn at_us(&self) -> i64 {
        match self {
            Self::Added(one) | Self::Removed(one) | Self::Changed(one, _) => one.raised_at_us,
        }
    }
}

/// The differences alert by alert, in the order of the recording. Alerts of one
/// subject are the same when one lasted into the other, or nearly.
pub(crate) fn differences<'a>(was: &'a [Episode], is: &'a [Episode]) -> Vec<Difference<'a>> {
    let mut by_subject: BTreeMap<&Subject, (Vec<&'a Episode>, Vec<&'a Episode>)> = BTreeMap::new();
    for one in was {
        by_subject.entry(&one.subject).or_default().0.push(one);
    }
    for one in is {
        by_subject.entry(&one.subject).or_default().1.push(one);
    }
    let mut found = Vec::new();
    for (was, is) in by_subject.into_values() {
        of_subject(&was, &is, &mut found);
    }
    found.sort_by_key(Difference::at_us);
    found
}

fn of_subject<'a>(was: &[&'a Episode], is: &[&'a Episode], found: &mut Vec<Difference<'a>>) {
    let (mut was, mut is) = (was.iter().peekable(), is.iter().peekable());
    loop {
        match (was.peek(), is.peek()) {
            (Some(old), Some(new)) if meet(old, new) => {
                if is_other(old, new) {
                    found.push(Difference::Changed(old, new));
                }
                was.next();
                is.next();
            }
            (Some(old), Some(new)) if old.raised_at_us <= new.raised_at_us => {
                found.push(Difference::Removed(old));
                was.next();
            }
            (_, Some(new)) => {
                found.push(Difference::Added(new));
                is.next();
            }
            (Some(old), None) => {
                found.push(Difference::Removed(old));
                was.next();
            }
            (None, None) => return,
        }
    }
}

/// Whether two alerts of one subject are about the same event.
fn meet(one: &Episode, other: &Episode) -> bool {
    let ends = |episode: &Episode| episode.ended_at_us.unwrap_or(i64::MAX);
    let overlap = one.raised_at_us <= ends(other) && other.raised_at_us <= ends(one);
    let apart = one.raised_at_us.saturating_sub(other.raised_at_us);
    overlap || apart.saturating_abs() <= SAME_WITHIN_US
}

fn is_other(old: &Episode, new: &Episode) -> bool {
    (old.raised_at_us, old.ended_at_us, old.priority)
        != (new.raised_at_us, new.ended_at_us, new.priority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: u64, second: i64, priority: v1::Priority, ended: bool) -> v1::AlertTransition {
        let phase = if ended {
            v1::AlertPhase::Ended
        } else {
            v1::AlertPhase::Active
        };
        v1::AlertTransition {
            transfer: "tx".into(),
            at_us: second * 1_000_000,
            alert: Some(v1::Alert {
                alert_id: id,
                kind: v1::AlertKind::LimitHigh.into(),
                code: 7,
                priority: priority.into(),
                phase: phase.into(),
                ..v1::Alert::default()
            }),
            ..v1::AlertTransition::default()
        }
    }

    /// An alert from one second to another that becomes urgent in between.
    fn alert(id: u64, from: i64, to: i64, high: bool) -> Vec<v1::AlertTransition> {
        let mut steps = vec![step(id, from, v1::Priority::Medium, false)];
        if high {
            steps.push(step(id, from + 1, v1::Priority::High, false));
        }
        let last = if high {
            v1::Priority::High
        } else {
            v1::Priority::Medium
        };
        steps.push(step(id, to, last, true));
        steps
    }

    #[test]
    fn an_alert_is_one_from_its_first_step_to_its_last() {
        let steps = [
            alert(1, 10, 20, true),
            vec![step(2, 30, v1::Priority::Low, false)],
        ]
        .concat();
        let found = episodes(&steps);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.raised_at_us, one.ended_at_us, one.length_us(40_000_000)))
            .collect();
        assert_eq!(
            shown,
            [
                (10_000_000, Some(20_000_000), 10_000_000),
                (30_000_000, None, 10_000_000)
            ]
        );
        assert_eq!(found[0].priority, i32::from(v1::Priority::High));
    }

    #[test]
    fn differences_are_told_alert_by_alert() {
        let was = [
            alert(1, 10, 20, false),
            alert(2, 200, 260, false),
            alert(3, 400, 410, false),
            alert(4, 900, 910, false),
        ]
        .concat();
        let is = [
            alert(1, 10, 20, false),
            alert(2, 214, 260, true),
            alert(3, 600, 700, false),
            alert(4, 900, 910, false),
        ]
        .concat();
        let (was, is) = (episodes(&was), episodes(&is));
        let shown: Vec<_> = differences(&was, &is)
            .iter()
            .map(|difference| match difference {
                Difference::Added(one) => ("added", one.raised_at_us / 1_000_000),
                Difference::Removed(one) => ("removed", one.raised_at_us / 1_000_000),
                Difference::Changed(_, new) => ("changed", new.raised_at_us / 1_000_000),
            })
            .collect();
        assert_eq!(shown, [("changed", 214), ("removed", 400), ("added", 600)]);
    }
}

//! Clinicians: each sees to one alert, joins one transfer to another or hands one
//! over, and asks again under the same id until it hears what became of it. Answers
//! get lost, and so does what nobody recorded.

use crate::gateway::Gateway;
use crate::server::Op;
use crate::world::{Event, World};
use enroute_live::ActError;
use enroute_live::simulation::Handled;
use enroute_model::registry::{AlertAction, RegistryAction};
use enroute_model::state::Verdict;
use enroute_model::time::Span;
use enroute_wire::{Message, v1};
use std::collections::{BTreeMap, BTreeSet};

/// An alert that there never was.
const OVER: u64 = 1_000_000;

/// What somebody is there for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Task {
    #[default]
    Alert,
    Join,
    HandOver,
}

/// What one clinician does.
#[derive(Default)]
pub(crate) struct Act {
    task: Task,
    transfer: String,
    /// None: no alert has been found yet.
    action: Option<RegistryAction>,
    waits: Option<Handled>,
    verdict: Option<Verdict>,
    /// The server has said that it is done.
    done: bool,
    /// Why the server has refused it, as a record says.
    refused: Option<Verdict>,
    /// That was while nothing was recorded.
    unrecorded: bool,
    /// It was done, and then the server lost it.
    lost: bool,
}

impl World {
    pub(crate) fn plan_acts(&mut self, until: u64) {
        for _ in 0..self.rng.between(0, 4) {
            let at = self.rng.between(5_000_000, until);
            self.plan_act(at);
        }
        for _ in 0..self.rng.between(0, 3) {
            let at = self.rng.between(5_000_000, until);
            self.plan_act(at);
            let task = [Task::Join, Task::HandOver][self.rng.below(2)];
            self.acts.last_mut().unwrap().task = task;
        }
    }

    pub(crate) fn plan_act(&mut self, at: u64) {
        self.at(at, Event::Act(self.acts.len()));
        self.acts.push(Act::default());
    }

    /// Asks, for the first time or again.
    pub(crate) fn see_to(&mut self, number: usize) {
        if self.acts[number].verdict.is_some() {
            return;
        }
        if self.acts[number].action.is_none() {
            if self.healing {
                return;
            }
            match self.acts[number].task {
                Task::Alert => self.choose(number),
                task => self.choose_transfers(number, task),
            }
        }
        let wait = self.rng.between(500_000, 4_000_000);
        self.at(self.now + wait, Event::Act(number));
        self.ask(number);
    }

    fn ask(&mut self, number: usize) {
        let act = &mut self.acts[number];
        let (Some(action), Some(on)) = (act.action.clone(), &mut self.server.on) else {
            return;
        };
        match on.live.act(&act.transfer, action, &act_id(number)) {
            Ok(Some((append, handled))) => {
                act.waits = Some(handled);
                on.tickets += 1;
                on.ops.push_back(Op::Records(on.tickets, vec![append]));
                self.plan_commit();
            }
            // It is so already, or cannot be.
            Ok(None) if act.task == Task::Join => act.verdict = Some(Verdict::Duplicate),
            // What was lost with a journal may never come again.
            Err(ActError::Lookup(_)) if self.healing => act.lost = true,
            Ok(None) | Err(ActError::Lookup(_)) => {}
            // It sleeps, and there is no room to wake it.
            Err(ActError::Refused(_)) if self.live_options.transfers_max < 10 => {}
            Err(ActError::Refused(reason)) => act.verdict = Some(Verdict::Refused(reason)),
            Err(error) => panic!("{error}"),
        }
    }

    /// An alert that somebody could see now.
    fn choose(&mut self, number: usize) {
        let gateway = self.rng.below(self.gateways.len());
        let transfer = self.gateways[gateway].transfers.last().unwrap().to_string();
        let Some(on) = &mut self.server.on else {
            return;
        };
        let Ok(state) = on.live.state(&transfer) else {
            return;
        };
        // The one that nothing is recorded is not a clinician's.
        let alerts: Vec<_> = state.alerts.iter().filter(|it| it.alert_id > 0).collect();
        if alerts.is_empty() {
            return;
        }
        let alert = alerts[self.rng.below(alerts.len())];
        let action = match self.rng.below(3) {
            0 => AlertAction::Acknowledge,
            1 => AlertAction::Note(act_id(number)),
            _ => AlertAction::Pause {
                lasts: Span::from_secs(60),
            },
        };
        self.tally.add("alerts seen to", 1);
        // Some have an old picture before them.
        let over = self.rng.chance(20);
        let action = RegistryAction::Alert {
            alert_id: if over { OVER } else { alert.alert_id },
            seen: alert.raised,
            action,
        };
        let act = &mut self.acts[number];
        (act.transfer, act.action) = (transfer, Some(action));
    }

    /// Two vehicles that carry one patient, one after the other.
    fn choose_transfers(&mut self, number: usize, task: Task) {
        let vehicles = self.gateways.len();
        let (one, other) = (self.rng.below(vehicles), self.rng.below(vehicles));
        let transfer = |of: &Gateway| of.transfers.last().unwrap().clone();
        let (from, into) = (
            transfer(&self.gateways[one]),
            transfer(&self.gateways[other]),
        );
        let Some(on) = &mut self.server.on else {
            return;
        };
        let known = [&from, &into].map(|it| on.live.state(it.as_str()).is_ok());
        if one == other || known != [true, true] {
            return;
        }
        let action = if task == Task::Join {
            self.tally.add("transfers joined", 1);
            RegistryAction::JoinInto(into.clone())
        } else {
            self.tally.add("transfers handed over", 1);
            RegistryAction::HandOverTo(self.gateways[other].id.clone())
        };
        self.touched.extend([from.clone(), into]);
        let act = &mut self.acts[number];
        (act.transfer, act.action) = (from.to_string(), Some(action));
    }

    /// The shard may have answered.
    pub(crate) fn hear_answers(&mut self) {
        for number in 0..self.acts.len() {
            let act = &mut self.acts[number];
            let Some(verdict) = act.waits.as_mut().and_then(Handled::verdict) else {
                continue;
            };
            act.waits = None;
            match &verdict {
                Verdict::Applied => {
                    assert_eq!(act.refused, None, "refused, and then done");
                    (act.done, act.unrecorded) = (true, self.outage);
                }
                Verdict::Refused(_) if !self.outage => {
                    assert!(!act.done || act.lost || act.unrecorded, "done, and refused");
                    let first = act.refused.get_or_insert_with(|| verdict.clone());
                    assert_eq!(*first, verdict, "another refusal than before");
                    self.tally.add("refusals heard", 1);
                }
                Verdict::Duplicate => assert_eq!(act.refused, None, "refused, and then known"),
                _ => {}
            }
            // Else the answer does not arrive, and the same is asked again.
            if !self.rng.chance(30) {
                act.verdict = Some(verdict);
            }
        }
    }

    /// The server is gone. What it held to be written after an outage it says to
    /// have lost, in its log.
    pub(crate) fn acts_crash(&mut self) {
        for act in &mut self.acts {
            act.waits = None;
            act.lost |= act.unrecorded && self.outage && act.done;
        }
    }

    /// What is not in the copy was done for nothing.
    pub(crate) fn acts_restored(&mut self) {
        let held = &self.model.journal.actions;
        let mut again = Vec::new();
        for (number, act) in self.acts.iter_mut().enumerate() {
            act.lost |= !held.contains_key(&act_id(number));
            if act.lost {
                act.refused = None;
            }
            // Whose transfers are two again joins them once more.
            if act.lost && act.task == Task::Join && act.verdict.take().is_some() {
                (act.lost, act.done) = (false, false);
                again.push(number);
            }
        }
        for number in again {
            self.at(self.now + 1_000_000, Event::Act(number));
        }
    }

    /// Everybody who asked was answered.
    pub(crate) fn acts_are_over(&self) -> bool {
        let over = |act: &Act| act.verdict.is_some() || act.action.is_none() || act.lost;
        self.acts.iter().all(over)
    }

    /// What was answered is in the record, and was done once however often it was
    /// asked for.
    pub(crate) fn acts_are_kept(&self, stored: &BTreeMap<String, Vec<Vec<u8>>>) {
        let mut done: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for step in stored.values().flatten() {
            let step = v1::AlertTransition::decode(step.as_slice()).unwrap();
            let alert = step.alert.unwrap();
            let note = alert.note.and_then(|note| note.from);
            for from in [alert.acknowledged, note].into_iter().flatten() {
                done.entry(from.by).or_default().insert(from.at_us);
            }
        }
        for (number, act) in self.acts.iter().enumerate().filter(|(_, act)| !act.lost) {
            let id = act_id(number);
            let times = done.get(&id).map_or(0, BTreeSet::len);
            assert!(times <= 1, "{id} was done {times} times");
            if !act.done {
                continue;
            }
            let recorded = self.model.journal.actions.contains_key(&id);
            assert!(recorded, "{id} was done and is in no record");
            let pause = matches!(
                &act.action,
                Some(RegistryAction::Alert {
                    action: AlertAction::Pause { .. },
                    ..
                })
            );
            if act.task != Task::Alert {
                continue;
            }
            // An alert of a fork alone is in no record.
            assert!(times == 1 || pause || act.unrecorded, "{id} shows nowhere");
        }
    }
}

fn act_id(number: usize) -> String {
    format!("act-{number}")
}

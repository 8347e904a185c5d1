//! What people do: registry actions, closing and opening again.

use super::{Bound, Engine};
use crate::bounds::ACTIONS_MAX;
use crate::effects::Effects;
use enroute_model::ids::{GatewayId, TransferId};
use enroute_model::registry::{Population, RegistryAction, TransferInfo};
use enroute_model::state::{Attention, Phase, Verdict};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Alerts are numbered by transfer: under a former name another one may be meant.
pub const JOINED: &str = "this transfer was joined to another, where alerts have other numbers: look \
     there, and name the alert as it stands there";

/// An action that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    id: String,
    /// Why it was not done.
    refused: Option<Cow<'static, str>>,
}

impl Engine {
    /// An action whose id was seen before changes nothing: `Verdict::Duplicate`, or
    /// the same refusal again.
    pub(super) fn action(
        &mut self,
        (action_id, actor): (&str, &str),
        asked_of: &TransferId,
        action: &RegistryAction,
        out: &mut Effects,
    ) -> Verdict {
        if let Some(known) = self.actions.iter().find(|known| known.id == action_id) {
            let refused = known.refused.clone();
            return refused.map_or(Verdict::Duplicate, Verdict::Refused);
        }
        // A join may have come between the look at the alert and its record.
        let other_numbers = matches!(action, RegistryAction::Alert { .. });
        let verdict = if other_numbers && *asked_of != self.transfer {
            Verdict::refused(JOINED)
        } else {
            self.act((action_id, actor), action, out)
        };
        let refused = match &verdict {
            Verdict::Refused(reason) => Some(reason.clone()),
            Verdict::Accepted { .. }
            | Verdict::Duplicate
            | Verdict::Conflict
            | Verdict::Applied => None,
        };
        self.actions.push_back(Asked {
            id: action_id.to_owned(),
            refused,
        });
        if self.actions.len() > ACTIONS_MAX {
            self.actions.pop_front();
        }
        verdict
    }

    fn act(
        &mut self,
        (id, actor): (&str, &str),
        action: &RegistryAction,
        out: &mut Effects,
    ) -> Verdict {
        self.bound = Bound::Unknown;
        match action {
            RegistryAction::Put(info) => self.put(info, out),
            RegistryAction::JoinInto(other) => return self.join_into(other),
            RegistryAction::HandOverTo(gateway) => return self.hand_over_to(gateway, out),
            RegistryAction::SetBaseline {
                code,
                value,
                reason,
            } => {
                let from = Attention {
                    by: actor.to_owned(),
                    at: self.now,
                };
                return self.put_baseline((*code, *value), from, reason, out);
            }
            RegistryAction::NoteToCrew(text) => self.note_to_crew(id, actor, text, out),
            RegistryAction::ReadNotes { gateway, through } => {
                return self.read_notes(gateway, *through, actor, out);
            }
            RegistryAction::Close => self.close(out),
            RegistryAction::Reopen => self.reopen(out),
            RegistryAction::Alert {
                alert_id,
                seen,
                action,
            } => return self.attend((*alert_id, *seen), action, actor, out),
            RegistryAction::SetLimits {
                code,
                limits,
                reason,
            } => return self.set_limits(*code, *limits, (reason, actor), out),
            RegistryAction::AutoLimits { codes, reason } => {
                return self.auto_limits(codes, (reason, actor), out);
            }
        }
        Verdict::Applied
    }

    /// Replaces what is known, except age and weight that it leaves open.
    fn put(&mut self, info: &TransferInfo, out: &mut Effects) {
        let known = self.info.population;
        let new_plan = self.info.legs != info.legs;
        let other_conditions = self.info.conditions != info.conditions;
        self.info.clone_from(info);
        self.info.population = known;
        self.set_population(info.population, out);
        if other_conditions {
            self.apply_rules(out);
        }
        if new_plan {
            self.journey.replan(&self.info.legs);
            out.changed.travel = true;
        }
        out.changed.info = true;
    }

    /// What is given replaces what is known; what is left open stays.
    pub(super) fn set_population(&mut self, given: Population, out: &mut Effects) {
        let known = self.info.population;
        self.info.population = Population {
            age_band: given.age_band.or(known.age_band),
            weight_g: given.weight_g.or(known.weight_g),
        };
        out.changed.info = true;
        if self.info.population.age_band != known.age_band {
            self.apply_rules(out);
        }
    }

    /// The owner of the engines moves this one's content with
    /// [`Engine::absorb`]; here only what cannot be is refused.
    fn join_into(&self, other: &TransferId) -> Verdict {
        if *other == self.transfer || self.aliases.contains(other) {
            return Verdict::refused("a transfer cannot join itself");
        }
        Verdict::Applied
    }

    /// A gateway that has not spoken yet may be named: it is expected from now.
    fn hand_over_to(&mut self, gateway: &GatewayId, out: &mut Effects) -> Verdict {
        if !self.ensure_source(gateway) {
            self.overflow.sources = self.overflow.sources.saturating_add(1);
            return Verdict::refused("too many gateways speak for this transfer");
        }
        for other in self.appeared.clone() {
            self.with_source(&other, out, |source, ctx| {
                if other != *gateway {
                    source.deactivate(ctx);
                } else if source.active {
                    source.named = true;
                } else {
                    source.active = true;
                    source.named = true;
                    source.watch(ctx);
                }
            });
        }
        Verdict::Applied
    }

    /// Every alert ends: nobody is expected to look after this patient here.
    pub(super) fn close(&mut self, out: &mut Effects) {
        // A person's word outlasts silence.
        self.closed_by_silence = false;
        if !self.is_open() {
            return;
        }
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, |source, ctx| {
                source.end_conditions(ctx);
                source.forget_stale_alerts();
                source.technical.forget_sensors();
            });
        }
        self.alerts.end_all(self.now, out, |_| true);
        self.phase = Phase::Closed { at: self.now };
        out.changed.phase = true;
        self.bound = Bound::Unknown;
    }

    pub(super) fn reopen(&mut self, out: &mut Effects) {
        if self.is_open() {
            return;
        }
        self.phase = Phase::Open;
        self.closed_by_silence = false;
        self.last_frame_at = self.now;
        out.changed.phase = true;
        for gateway in self.appeared.clone() {
            self.with_source(&gateway, out, |source, ctx| {
                if source.active {
                    source.watch(ctx);
                }
            });
        }
        self.bound = Bound::Unknown;
    }
}

//! What is computed from a source's values: early warning scores and the shock
//! index. Each is a value like a measured one, so that it has limits, a trend
//! and an age; a score's range stands beside it.
//!
//! A value that is missing, doubtful or too old does not count: it widens the
//! score's range and is never filled in. The value of a score is the lower end
//! of its range: so much is certain, and no more.

use super::{Ctx, Source};
use crate::value::{Incoming, Origin, Slot};
use enroute_alert::score::{Item, Kind, SaturationScale, Score, shock_index};
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Metric};
use enroute_model::reading::{Decimal, NoValue, Reading};
use enroute_model::registry::AgeBand;
use enroute_model::state::ScoreState;
use enroute_model::time::{EngineTime, Span};
use std::sync::LazyLock;

/// Between two computations while values keep coming; what the crew enters by
/// hand counts at once.
const EVERY: Span = Span::from_secs(5);
/// Vital signs and findings that scores are made of.
const ITEMS: usize = 8;
/// A score of which less is known is not shown: it would say nothing.
const ITEMS_MIN: usize = 2;

/// The condition by which a clinician puts saturation on the second scale: it is to be
/// kept at 88 to 92 %.
const HYPERCAPNIC: &str = "hypercapnic_respiratory_failure";

/// The codes of what is computed here.
#[derive(Debug)]
struct Codes {
    news2: Code,
    mews: Code,
    qsofa: Code,
    shock_index: Code,
    /// For each item, the vital signs that give it, the best one first.
    items: [(Item, Vec<Metric>); ITEMS],
    fio2: Metric,
}

static CODES: LazyLock<Codes> = LazyLock::new(|| {
    let code = |id: &str| {
        let vital = catalogue().vital_by_id(id);
        vital.map_or(Code(0), |vital| vital.code)
    };
    let metric = |id: &str| Metric {
        code: code(id),
        label: String::new(),
    };
    let from = |item, ids: &[&str]| (item, ids.iter().copied().map(metric).collect());
    Codes {
        news2: code("news2"),
        mews: code("mews"),
        qsofa: code("qsofa"),
        shock_index: code("shock_index"),
        items: [
            from(Item::Respiration, &["rr_co2", "vent_rr", "rr_imp"]),
            from(Item::Saturation, &["spo2"]),
            from(Item::Oxygen, &["o2_supp"]),
            from(Item::Systolic, &["abp_sys", "nibp_sys"]),
            from(Item::Pulse, &["hr", "abp_pr", "pr"]),
            from(Item::Consciousness, &["acvpu"]),
            from(Item::ComaScale, &["gcs"]),
            from(Item::Temperature, &["temp2", "temp1"]),
        ],
        fio2: metric("fio2"),
    }
});

/// Whether a vital sign is one that is computed here.
pub(crate) fn is_derived(code: Code) -> bool {
    let codes = &*CODES;
    [codes.news2, codes.mews, codes.qsofa, codes.shock_index].contains(&code)
}

/// The inputs at one moment, in the order of [`Codes::items`], with the origin of
/// the oldest one.
#[derive(Default)]
struct Inputs {
    values: [Option<f64>; ITEMS],
    oldest: Option<Origin>,
}

impl Inputs {
    fn get(&self, item: Item) -> Option<f64> {
        let mut known = CODES.items.iter().zip(&self.values);
        let found = known.find(|((known, _), _)| *known == item);
        found.and_then(|(_, value)| *value)
    }
}

impl Source {
    /// Computes anew what is due, or everything if `now` says so. Returns a
    /// lower bound of the deadlines that it set.
    pub(crate) fn derive(&mut self, at_once: bool, ctx: &mut Ctx) -> Option<EngineTime> {
        let fresh = |last: EngineTime| ctx.at.since(last) < EVERY;
        if !at_once && self.derived_at.is_some_and(fresh) {
            return None;
        }
        self.derived_at = Some(ctx.at);
        let inputs = self.inputs();
        let codes = &*CODES;
        // Of nothing at all no score is left either.
        let oldest = inputs.oldest.or_else(|| self.derived_before())?;
        let index = inputs.get(Item::Pulse).zip(inputs.get(Item::Systolic));
        let index = index.and_then(|(pulse, systolic)| shock_index(pulse, systolic));
        let mut due = self.put_derived(codes.shock_index, index, oldest, ctx);
        let adult = matches!(ctx.age_band, None | Some(AgeBand::Adult));
        let scale = if ctx.marks.iter().any(|name| name == HYPERCAPNIC) {
            SaturationScale::Two
        } else {
            SaturationScale::One
        };
        for (code, kind) in [
            (codes.news2, Kind::News2(scale)),
            (codes.mews, Kind::Mews),
            (codes.qsofa, Kind::Qsofa),
        ] {
            let table = ctx.scores.table(kind);
            let known = table.items().filter(|i| inputs.get(*i).is_some()).count();
            let score = table.score(|item| inputs.get(item));
            let score = Some(score).filter(|_| adult && known >= ITEMS_MIN);
            due = due
                .into_iter()
                .chain(self.put_score(code, score, oldest, ctx))
                .min();
        }
        due
    }

    /// The origin of what was computed before.
    fn derived_before(&self) -> Option<Origin> {
        let mut derived = self.values.iter();
        let derived = derived.find(|(metric, _)| is_derived(metric.code));
        derived.map(|(_, slot)| slot.origin)
    }

    /// The scores as viewers see them.
    pub(crate) fn scores(&self) -> Vec<ScoreState> {
        self.scores.clone()
    }

    fn inputs(&self) -> Inputs {
        let codes = &*CODES;
        let mut inputs = Inputs::default();
        for ((item, metrics), place) in codes.items.iter().zip(&mut inputs.values) {
            let mut slots = metrics.iter().filter_map(|metric| self.values.get(metric));
            let found = slots.find_map(|slot| Some((slot, slot.usable()?)));
            let found = found.or_else(|| self.oxygen_by_fraction(*item));
            if let Some((slot, value)) = found {
                *place = Some(value);
                let older = |known: &Origin| known.captured_at <= slot.origin.captured_at;
                inputs.oldest = inputs.oldest.filter(older).or(Some(slot.origin));
            }
        }
        inputs
    }

    /// Without the crew's word, more than air in the breath means oxygen.
    fn oxygen_by_fraction(&self, item: Item) -> Option<(&Slot, f64)> {
        let slot = self
            .values
            .get(&CODES.fio2)
            .filter(|_| item == Item::Oxygen)?;
        let fraction = slot.usable()?;
        Some((slot, f64::from(u8::from(fraction > 21.5))))
    }

    fn put_score(
        &mut self,
        code: Code,
        score: Option<Score>,
        oldest: Origin,
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let before = self.scores.iter().position(|state| state.code == code);
        let state = score.map(|score| ScoreState {
            code,
            low: score.points.low,
            high: score.points.high,
            single_red: score.single_red,
            missing: score.missing,
            age_assumed: ctx.age_band.is_none(),
        });
        let same = before.and_then(|place| self.scores.get(place)) == state.as_ref();
        if !same {
            ctx.out.changed.source(ctx.gateway);
            if let Some(place) = before {
                self.scores.remove(place);
            }
            self.scores.extend(state);
            self.scores.sort_by_key(|state| state.code);
        }
        self.tell_score(code, state, EVERY, ctx);
        let value = state.and_then(|state| Decimal::new(state.low.into(), 0));
        self.put_derived(code, value, oldest, ctx)
    }

    /// Nothing is kept of what never was.
    fn put_derived(
        &mut self,
        code: Code,
        value: Option<Decimal>,
        oldest: Origin,
        ctx: &mut Ctx,
    ) -> Option<EngineTime> {
        let metric = Metric {
            code,
            label: String::new(),
        };
        if value.is_none() && !self.values.contains(&metric) {
            return None;
        }
        let reading = value.map_or(Reading::None(NoValue::NotAvailable), Reading::measured);
        let incoming = Incoming {
            reading,
            unit: "",
            interval: EVERY,
            origin: Origin {
                late: false,
                ..oldest
            },
        };
        self.value(&metric, &incoming, ctx)
    }
}

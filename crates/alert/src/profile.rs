//! Limits per vital sign and population, and of the scores computed from them,
//! from the tables in `data/` (rows `proposed_default`; each names its basis).

use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Code, Priority};
use enroute_model::registry::AgeBand;
use enroute_model::state::LimitsInForce;
use enroute_model::time::Span;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

/// One level (warn or crit) of one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Beyond it, strictly, the condition is present.
    pub limit: f64,
    /// At this value or further inside it has ended: the limit moved inwards by
    /// the hysteresis.
    pub clears_at: f64,
    /// How urgent.
    pub priority: Priority,
    /// How long the condition must last before it is raised.
    pub on_delay: Span,
    /// Stays until somebody looks.
    pub latching: bool,
}

/// The levels of one side; crit lies at or beyond warn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// The nearer one.
    pub warn: Option<Level>,
    /// The further one.
    pub crit: Option<Level>,
}

/// The limits of one vital sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitRule {
    /// Of what.
    pub code: Code,
    /// Evaluated only while this other vital sign has no usable value, because
    /// it is the better measurement of the same thing.
    pub only_without: Option<Code>,
    /// Below.
    pub low: Levels,
    /// Above.
    pub high: Levels,
}

impl LimitRule {
    /// The limits as viewers see them.
    #[must_use]
    pub fn in_force(&self) -> LimitsInForce {
        let limit = |level: Option<Level>| level.map(|level| level.limit);
        LimitsInForce {
            crit_low: limit(self.low.crit),
            warn_low: limit(self.low.warn),
            warn_high: limit(self.high.warn),
            crit_high: limit(self.high.crit),
        }
    }
}

/// The limits of one population.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    rules: BTreeMap<Code, LimitRule>,
}

/// The three populations of the table.
#[derive(Debug)]
struct Populations {
    adult: Profile,
    paediatric: Profile,
    neonate: Profile,
}

impl Profile {
    /// The limits for an age band. Unknown: adult, to be marked *assumed*. The
    /// table has no row for infants of 29 days to 1 year nor for adolescents:
    /// the former use its paediatric rows, the latter adult ones.
    #[must_use]
    pub fn of(age_band: Option<AgeBand>) -> &'static Self {
        static BUILT_IN: LazyLock<Populations> = LazyLock::new(|| {
            let tables = [
                include_str!("../data/alarm_limits.csv"),
                include_str!("../data/score_limits.csv"),
            ];
            Populations {
                adult: Profile::read(&tables, "adult"),
                paediatric: Profile::read(&tables, "paediatric 1-12 y"),
                neonate: Profile::read(&tables, "neonate"),
            }
        });
        match age_band {
            None | Some(AgeBand::Adult | AgeBand::Adolescent) => &BUILT_IN.adult,
            Some(AgeBand::Child | AgeBand::Infant) => &BUILT_IN.paediatric,
            Some(AgeBand::Neonate) => &BUILT_IN.neonate,
        }
    }

    /// The rule for a vital sign, if it has one.
    #[must_use]
    pub fn rule(&self, code: Code) -> Option<&LimitRule> {
        self.rules.get(&code)
    }

    /// All rules, by code.
    pub fn rules(&self) -> impl Iterator<Item = &LimitRule> {
        self.rules.values()
    }

    /// Rows whose parameter is not a vital sign of the catalogue are conditional
    /// rules (`spo2_hi_on_o2`), which have no machine yet.
    fn read(tables: &[&str], population: &str) -> Self {
        let rules = tables
            .iter()
            .copied()
            .flat_map(rows)
            .filter(|row| row.text("set") == "proposed_default")
            .filter(|row| row.text("population") == population)
            .filter_map(|row| row.rule())
            .map(|rule| (rule.code, rule))
            .collect();
        Self { rules }
    }
}

/// A row of the compiled-in table: an error in it is a bug of this crate, found
/// by the first test that reads the profiles.
struct Row {
    fields: BTreeMap<String, String>,
}

#[expect(
    clippy::panic,
    reason = "the table is compiled in; the tests below read every row"
)]
fn rows(table: &str) -> impl Iterator<Item = Row> {
    csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .map(|row| match row {
            Ok(fields) => Row { fields },
            Err(error) => panic!("limits table: {error}"),
        })
}

#[expect(
    clippy::panic,
    reason = "the table is compiled in; the tests below read every row"
)]
impl Row {
    fn text(&self, column: &str) -> &str {
        match self.fields.get(column) {
            Some(text) => text,
            None => panic!("limits table has no column {column}"),
        }
    }

    fn optional<T: FromStr>(&self, column: &str) -> Option<T> {
        let text = self.text(column);
        let parsed = || {
            text.parse()
                .unwrap_or_else(|_| panic!("limits table: {column} {text:?} in {:?}", self.fields))
        };
        (!text.is_empty()).then(parsed)
    }

    fn priority(&self, column: &str) -> Priority {
        match self.text(column) {
            "high" => Priority::High,
            "medium" => Priority::Medium,
            "low" => Priority::Low,
            other => panic!(
                "limits table: unknown priority {other:?} in {:?}",
                self.fields
            ),
        }
    }

    fn level(&self, name: &str, side: &str) -> Option<Level> {
        let limit: f64 = self.optional(&format!("{name}_{side}"))?;
        let hysteresis: f64 = self.optional("hysteresis").unwrap_or(0.0);
        let inwards = if side == "lo" {
            hysteresis
        } else {
            -hysteresis
        };
        let delay = self.optional(&format!("on_delay_{name}_s")).unwrap_or(0);
        Some(Level {
            limit,
            // So that 41 - 0.2 is the number that "40.8" reads as.
            clears_at: ((limit + inwards) * 1e6).round() / 1e6,
            priority: self.priority(&format!("{name}_priority")),
            on_delay: Span::from_secs(delay),
            latching: self.text("latching") == name,
        })
    }

    fn levels(&self, side: &str) -> Levels {
        Levels {
            warn: self.level("warn", side),
            crit: self.level("crit", side),
        }
    }

    fn rule(&self) -> Option<LimitRule> {
        let better = match self.text("param") {
            "pr" => Some("hr"),
            "rr_imp" => Some("rr_co2"),
            _ => None,
        };
        Some(LimitRule {
            code: catalogue().vital_by_id(self.text("param"))?.code,
            only_without: better.and_then(|id| Some(catalogue().vital_by_id(id)?.code)),
            low: self.levels("lo"),
            high: self.levels("hi"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> &'static LimitRule {
        let code = catalogue().vital_by_id(id).unwrap().code;
        Profile::of(None).rule(code).unwrap()
    }

    #[test]
    fn every_default_row_is_read_and_ordered() {
        let tables = [
            include_str!("../data/alarm_limits.csv"),
            include_str!("../data/score_limits.csv"),
        ];
        let wanted = |population: &str| {
            let lines = tables.iter().flat_map(|table| table.lines());
            let rows = lines.filter(|line| {
                let mut cells = line.split(',');
                cells.next() == Some("proposed_default") && cells.nth(1) == Some(population)
            });
            rows.filter(|line| !line.contains(",spo2_hi_on_o2,"))
                .count()
        };
        for (band, population) in [
            (None, "adult"),
            (Some(AgeBand::Child), "paediatric 1-12 y"),
            (Some(AgeBand::Neonate), "neonate"),
        ] {
            let profile = Profile::of(band);
            assert_eq!(profile.rules().count(), wanted(population), "{population}");
            for rule in profile.rules() {
                let limits = rule.in_force();
                let order = [
                    limits.crit_low,
                    limits.warn_low,
                    limits.warn_high,
                    limits.crit_high,
                ];
                let order: Vec<f64> = order.into_iter().flatten().collect();
                assert!(!order.is_empty() && order.is_sorted(), "{rule:?}");
                assert!(catalogue().vital(rule.code).is_some());
            }
        }
    }

    #[test]
    fn the_adult_heart_rate_row_as_printed() {
        let hr = rule("hr");
        let crit = hr.low.crit.unwrap();
        assert_eq!((crit.limit, crit.clears_at), (40.0, 43.0));
        assert_eq!(
            (crit.priority, crit.on_delay),
            (Priority::High, Span::from_secs(5))
        );
        assert!(crit.latching && !hr.low.warn.unwrap().latching);
        let warn = hr.high.warn.unwrap();
        assert_eq!((warn.limit, warn.clears_at), (120.0, 117.0));
        assert_eq!(
            (warn.priority, warn.on_delay),
            (Priority::Medium, Span::from_secs(10))
        );
    }

    #[test]
    fn the_better_measurement_is_named() {
        let code = |id: &str| Some(catalogue().vital_by_id(id).unwrap().code);
        assert_eq!(rule("pr").only_without, code("hr"));
        assert_eq!(rule("rr_imp").only_without, code("rr_co2"));
        assert_eq!(rule("hr").only_without, None);
    }

    #[test]
    fn the_end_of_hysteresis_compares_as_it_reads() {
        assert_eq!(
            rule("temp1").high.crit.unwrap().clears_at.to_bits(),
            40.8f64.to_bits()
        );
        assert_eq!(
            rule("st_ii").low.warn.unwrap().clears_at.to_bits(),
            (-0.15f64).to_bits()
        );
    }
}

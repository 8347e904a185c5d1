//! From the rows of a book to rules that can be asked.

use super::clause::{Clause, Memory, Swings};
use super::machine::Timing;
use super::quiet::bit;
use super::repeated::{Bound, Episodes, TIMES_MAX};
use super::row::{Ask, Level, Row, RowError, Value};
use super::rules::{ChannelSpec, Quantity, Rule, Rules, WindowSpec};
use crate::limit::Side;
use enroute_model::catalogue::{Cadence, VitalSign, catalogue};
use enroute_model::frame::{Code, Metric, Priority};
use enroute_model::registry::AgeBand;
use enroute_model::time::Span;

/// Rules of one book.
pub const RULES_MAX: usize = 64;
/// Clauses of one rule, all depths together.
pub const CLAUSES_MAX: usize = 32;
/// Longest time of a clause, in seconds.
pub const TIME_S_MAX: i64 = 4 * 3_600;
/// Rules that never wait.
const NEVER_DELAYED: [&str; 2] = ["apnoea", "asystole"];

type Built<T> = Result<T, String>;

impl Rules {
    /// The rules for an age band; unknown: adult.
    ///
    /// # Errors
    /// The first row that cannot be. All rows are checked, whatever their age.
    pub fn of(rows: &[Row], age_band: Option<AgeBand>) -> Result<Self, RowError> {
        let wrong = |row, what| RowError { row, what };
        let (mut all, mut rules) = (Self::default(), Self::default());
        for (place, row) in rows.iter().enumerate() {
            all.add(row).map_err(|what| wrong(place, what))?;
            let meant = row.ages.is_empty() || row.ages.iter().any(|age| age.is(age_band));
            if meant {
                rules.add(row).map_err(|what| wrong(place, what))?;
            }
        }
        Ok(rules)
    }

    fn add(&mut self, row: &Row) -> Built<()> {
        let id = row.id.get_ref();
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        check(
            !id.is_empty() && id.len() <= 64 && id.bytes().all(letter),
            "an id has 1 to 64 letters a-z, digits and '_'",
        )?;
        check(self.rule(id).is_none(), "there are two of this id")?;
        check(self.list.len() < RULES_MAX, "more than 64 conditions")?;
        let delayed = NEVER_DELAYED.contains(&id.as_str()) && row.on_delay_s > 0;
        check(
            !delayed,
            "apnoea and asystole never wait: leave out on_delay_s",
        )?;
        let longest = row.on_delay_s.max(row.off_delay_s);
        check(longest <= 3_600, "a delay is at most 3600 s")?;
        check(
            row.silent == row.priority.is_none(),
            "give a priority, or silent = true",
        )?;
        let says = !row.doubts.is_empty() || !row.covers.is_empty();
        check(
            !row.silent || says,
            "silent, and neither doubts nor covers anything",
        )?;
        let mut builder = Builder {
            rules: self,
            memory: Vec::new(),
            clauses: 0,
        };
        let when = builder.clause(&row.when)?;
        let memory = builder.memory;
        let code = |id: &String| vital(id).map(|vital| vital.code);
        let codes = |ids: &[String]| ids.iter().map(code).collect::<Built<Vec<Code>>>();
        let rule = Rule {
            id: id.clone(),
            metric: Metric {
                code: vital(&row.metric)?.code,
                label: String::new(),
            },
            physiological: !row.technical,
            timing: timing(row),
            silent: row.silent,
            doubts: codes(&row.doubts)?,
            covers: codes(&row.covers)?,
            when,
            memory,
            row: row.clone(),
        };
        for code in &rule.doubts {
            self.channel_or_new(Quantity::Value(*code));
        }
        self.list.push(rule);
        Ok(())
    }

    /// For the rule that is being added.
    fn channel_or_new(&mut self, of: Quantity) -> usize {
        let place = self.channel(of).unwrap_or_else(|| {
            self.channels.push(ChannelSpec {
                of,
                windows: Vec::new(),
                rules: 0,
            });
            self.channels.len() - 1
        });
        if let Some(channel) = self.channels.get_mut(place) {
            channel.rules |= bit(self.list.len());
        }
        place
    }
}

struct Builder<'a> {
    rules: &'a mut Rules,
    memory: Vec<Memory>,
    clauses: usize,
}

impl Builder<'_> {
    fn clause(&mut self, ask: &Ask) -> Built<Clause> {
        self.clauses += 1;
        check(self.clauses <= CLAUSES_MAX, "more than 32 clauses")?;
        Ok(match ask {
            Ask::Level(value) => Clause::Level {
                of: self.channels(&value.of)?,
                bound: bound(value)?,
                memory: self.remember(Memory::On(false)),
            },
            Ask::Difference(value) => self.difference(value)?,
            Ask::Sustained { .. } => self.sustained(ask)?,
            Ask::Change { .. } => self.change(ask)?,
            Ask::Slope { .. } => self.slope(ask)?,
            Ask::Swing { .. } => self.swing(ask)?,
            Ask::Repeated { .. } => self.repeated(ask)?,
            Ask::SingleRed(score) => self.single_red(score)?,
            Ask::Usable(of) => Clause::Usable(self.channels(of)?),
            Ask::Gone { of, below } => Clause::Gone {
                of: self.channel(of)?,
                below: *below,
            },
            Ask::Marked(word) => Clause::Marked(word.clone()),
            Ask::Measuring {
                of,
                before_s,
                after_s,
            } => Clause::Measuring {
                of: self.channel(of)?,
                before: seconds((*before_s).into())?,
                after: seconds((*after_s).into())?,
            },
            Ask::Raised(id) => Clause::Raised(self.earlier(id)?),
            Ask::UnlessRaised(id) => Clause::UnlessRaised(self.earlier(id)?),
            Ask::Not(ask) => Clause::Not(Box::new(self.clause(ask)?)),
            Ask::All(asks) => Clause::All(self.several(asks)?),
            Ask::Any(asks) => Clause::Any(self.several(asks)?),
            Ask::AtLeast {
                count,
                within_s,
                of,
            } => {
                check(
                    (1..=of.len()).contains(count),
                    "count is 1 to as many as there are",
                )?;
                let clauses = self.several(of)?;
                let last = |clause| (clause, self.remember(Memory::Last(None)));
                Clause::AtLeast {
                    count: *count,
                    within: Span::from_secs(i64::from(*within_s).min(TIME_S_MAX)),
                    of: clauses.into_iter().map(last).collect(),
                }
            }
        })
    }

    fn earlier(&self, id: &str) -> Result<usize, String> {
        let place = self.rules.list.iter().position(|rule| rule.id == id);
        place.ok_or_else(|| format!("no condition {id} before this one"))
    }

    fn several(&mut self, asks: &[Ask]) -> Built<Vec<Clause>> {
        check(!asks.is_empty(), "an empty list")?;
        asks.iter().map(|ask| self.clause(ask)).collect()
    }

    fn difference(&mut self, value: &Value) -> Built<Clause> {
        let of: Result<[usize; 2], _> = self.channels(&value.of)?.try_into();
        Ok(Clause::Difference {
            of: of.map_err(|_| "a difference is of two values".to_owned())?,
            bound: bound(value)?,
            memory: self.remember(Memory::On(false)),
        })
    }

    fn sustained(&mut self, ask: &Ask) -> Built<Clause> {
        let Ask::Sustained {
            of,
            below,
            above,
            lasts_s,
            percent,
        } = ask
        else {
            return Err(String::new());
        };
        check((50.0..=100.0).contains(percent), "percent is 50 to 100")?;
        let bound = sides(*below, *above, 0.0)?;
        Ok(Clause::Sustained {
            of: self.windowed(of, seconds(*lasts_s)?, Some(bound))?,
            share: percent / 100.0,
            limit: bound.limit,
        })
    }

    fn change(&mut self, ask: &Ask) -> Built<Clause> {
        let Ask::Change {
            of,
            falls,
            rises,
            falls_percent,
            rises_percent,
            within_s,
            baseline_s,
            hysteresis,
        } = ask
        else {
            return Err(String::new());
        };
        let (side, amount, percent) = match (falls, rises, falls_percent, rises_percent) {
            (Some(by), None, None, None) => (Side::Low, *by, false),
            (None, Some(by), None, None) => (Side::High, *by, false),
            (None, None, Some(by), None) => (Side::Low, *by, true),
            (None, None, None, Some(by)) => (Side::High, *by, true),
            _ => {
                return Err("give one of falls, rises, falls_percent, rises_percent".to_owned());
            }
        };
        positive(amount)?;
        check(
            (0.0..amount).contains(hysteresis),
            "hysteresis is less than the change",
        )?;
        let part = baseline_s.unwrap_or(within_s / 2);
        let span = seconds(within_s.saturating_add(part))?;
        Ok(Clause::Change {
            of: self.windowed(of, span, None)?,
            side,
            amount,
            percent,
            hysteresis: *hysteresis,
            part: seconds(part)?,
            memory: self.remember(Memory::Baseline {
                held: None,
                fresh: None,
                version: i64::MIN,
            }),
        })
    }

    fn slope(&mut self, ask: &Ask) -> Built<Clause> {
        let Ask::Slope {
            of,
            falls_per_min,
            rises_per_min,
            over_s,
            hysteresis,
        } = ask
        else {
            return Err(String::new());
        };
        for per_min in [falls_per_min, rises_per_min].into_iter().flatten() {
            positive(*per_min)?;
        }
        let falling = falls_per_min.map(|per_min| -per_min);
        Ok(Clause::Slope {
            of: self.windowed(of, seconds(*over_s)?, None)?,
            bound: sides(falling, *rises_per_min, *hysteresis)?,
            memory: self.remember(Memory::Slope {
                on: false,
                slope: None,
                version: i64::MIN,
            }),
        })
    }

    fn swing(&mut self, ask: &Ask) -> Built<Clause> {
        let Ask::Swing {
            of,
            from,
            falls,
            rises,
            within_s,
        } = ask
        else {
            return Err(String::new());
        };
        let (side, by) = match (falls, rises) {
            (Some(by), None) => (Side::Low, *by),
            (None, Some(by)) => (Side::High, *by),
            _ => return Err("give one of falls and rises".to_owned()),
        };
        positive(by)?;
        let from = from.as_ref().unwrap_or(of);
        check(
            from.len() == of.len(),
            "from names one value for each of `of`",
        )?;
        let windows = self.windowed(from, seconds(*within_s)?, None)?;
        let manual = |id: &String| Ok(vital(id)?.cadence == Cadence::Manual);
        let manual: Vec<bool> = of.iter().map(manual).collect::<Built<_>>()?;
        Ok(Clause::Swing {
            of: { self.channels(of)?.into_iter() }
                .zip(windows)
                .map(|(channel, (from, window))| Swings {
                    channel,
                    window,
                    from,
                })
                .collect(),
            side,
            by,
            manual: manual.iter().all(|manual| *manual),
        })
    }

    fn repeated(&mut self, ask: &Ask) -> Built<Clause> {
        let Ask::Repeated {
            of,
            below,
            above,
            hysteresis,
            lasts_s,
            times,
            within_s,
        } = ask
        else {
            return Err(String::new());
        };
        let fits = (2..=TIMES_MAX).contains(&usize::from(*times));
        check(fits, "times is 2 to 8")?;
        Ok(Clause::Repeated {
            of: self.channels(of)?,
            bound: sides(*below, *above, *hysteresis)?,
            lasts: Span::from_secs((*lasts_s).into()),
            times: *times,
            within: seconds(*within_s)?,
            memory: self.remember(Memory::Episodes(Episodes::default())),
        })
    }

    fn single_red(&mut self, score: &str) -> Built<Clause> {
        let of = Quantity::ScoreRed(score_code(score)?);
        let of = vec![self.rules.channel_or_new(of)];
        Ok(Clause::Level {
            of,
            bound: sides(None, Some(0.5), 0.0)?,
            memory: self.remember(Memory::On(false)),
        })
    }

    fn remember(&mut self, memory: Memory) -> usize {
        self.memory.push(memory);
        self.memory.len() - 1
    }

    fn channels(&mut self, ids: &[String]) -> Built<Vec<usize>> {
        check(!ids.is_empty() && ids.len() <= 8, "name 1 to 8 values")?;
        ids.iter().map(|id| self.channel(id)).collect()
    }

    fn channel(&mut self, id: &str) -> Built<usize> {
        let of = match id.strip_suffix(".high") {
            Some(score) => Quantity::ScoreHigh(score_code(score)?),
            None => Quantity::Value(vital(id)?.code),
        };
        Ok(self.rules.channel_or_new(of))
    }

    /// Channels, each with its window.
    fn windowed(
        &mut self,
        ids: &[String],
        span: Span,
        bound: Option<Bound>,
    ) -> Built<Vec<(usize, usize)>> {
        let of = self.channels(ids)?;
        let mut window = |channel| {
            let spec = WindowSpec {
                channel,
                span,
                bound,
            };
            let windows = &mut self.rules.windows;
            let known = windows.iter().position(|known| *known == spec);
            let place = known.unwrap_or_else(|| {
                windows.push(spec);
                windows.len() - 1
            });
            if let Some(channel) = self.rules.channels.get_mut(channel)
                && !channel.windows.contains(&place)
            {
                channel.windows.push(place);
            }
            (channel, place)
        };
        Ok(of.into_iter().map(&mut window).collect())
    }
}

fn timing(row: &Row) -> Timing {
    Timing {
        priority: match row.priority {
            Some(Level::High) => Priority::High,
            Some(Level::Medium) => Priority::Medium,
            Some(Level::Low) | None => Priority::Low,
        },
        on_delay: Span::from_secs(row.on_delay_s.into()),
        off_delay: Span::from_secs(row.off_delay_s.into()),
        latching: row.latching,
    }
}

fn vital(id: &str) -> Built<&'static VitalSign> {
    let found = catalogue().vital_by_id(id);
    found.ok_or_else(|| format!("{id:?} is not in the catalogue of vital signs"))
}

fn score_code(id: &str) -> Built<Code> {
    let known = ["news2", "mews", "qsofa"].contains(&id);
    check(known, "the scores are news2, mews and qsofa")?;
    Ok(vital(id)?.code)
}

fn bound(value: &Value) -> Built<Bound> {
    sides(value.below, value.above, value.hysteresis)
}

fn sides(below: Option<f64>, above: Option<f64>, hysteresis: f64) -> Built<Bound> {
    let (side, limit, inwards) = match (below, above) {
        (Some(limit), None) => (Side::Low, limit, hysteresis),
        (None, Some(limit)) => (Side::High, limit, -hysteresis),
        _ => return Err("give one bound, on one side".to_owned()),
    };
    let fits = limit.is_finite() && hysteresis.is_finite() && hysteresis >= 0.0;
    check(fits, "bounds are numbers, and hysteresis is not negative")?;
    Ok(Bound {
        side,
        limit,
        // So that 41 - 0.2 is the number that "40.8" reads as.
        clears_at: ((limit + inwards) * 1e6).round() / 1e6,
    })
}

fn seconds(seconds: i64) -> Built<Span> {
    let fits = (1..=TIME_S_MAX).contains(&seconds);
    check(fits, "a time is 1 to 14,400 seconds, a baseline included")?;
    Ok(Span::from_secs(seconds))
}

fn positive(number: f64) -> Built<()> {
    check(
        number.is_finite() && number > 0.0,
        "an amount is more than 0",
    )
}

fn check(fits: bool, otherwise: &str) -> Built<()> {
    if fits {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

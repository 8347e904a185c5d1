//! The tables of scores in a book: rows to ranges, with everything that is wrong.
//!
//! A table that a book does not have is the built-in one. So books that were
//! recorded before tables could stand in them are still in order.

use super::check::{Page, Said};
use super::file::{EscalationTable, ScoreRow, ScoreTable};
use super::{Escalation, Problem, text};
use crate::score::{Item, Judged, Row, Scores, Table};
use enroute_model::reading::Decimal;
use enroute_model::time::Span;
use std::sync::LazyLock;
use toml::Spanned;

/// More points than an item of any score has.
const POINTS_MAX: u8 = 20;
/// Fewer items are no score.
const ITEMS_MIN: usize = 2;
/// The times of an escalation, seconds.
const ESCALATION_S: std::ops::RangeInclusive<u32> = 10..=3_600;

/// The scores by the names that a book uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ScoreName {
    News2,
    News2Scale2,
    Mews,
    Qsofa,
    Rems,
}

const NAMES: [(&str, ScoreName); 5] = [
    ("news2", ScoreName::News2),
    ("news2_scale2", ScoreName::News2Scale2),
    ("mews", ScoreName::Mews),
    ("qsofa", ScoreName::Qsofa),
    ("rems", ScoreName::Rems),
];

const ITEMS: [(&str, Item); 10] = [
    ("respiration", Item::Respiration),
    ("saturation", Item::Saturation),
    ("oxygen", Item::Oxygen),
    ("systolic", Item::Systolic),
    ("mean_pressure", Item::MeanPressure),
    ("pulse", Item::Pulse),
    ("consciousness", Item::Consciousness),
    ("coma_scale", Item::ComaScale),
    ("temperature", Item::Temperature),
    ("age", Item::Age),
];

/// Those of `rules/scores.toml`.
static BUILT_IN: LazyLock<Scores> = LazyLock::new(|| {
    let mut files = text::built_in();
    files.retain(|file| file.name == "scores.toml");
    let mut said = Said::default();
    for file in &files {
        Page::new(file).read_all(&mut said);
    }
    said.scores(&mut Vec::new())
});

impl Page<'_> {
    pub(super) fn score(&mut self, name: &Spanned<String>, table: &ScoreTable, said: &mut Said) {
        let known = NAMES.iter().find(|(known, _)| known == name.get_ref());
        let Some((_, score)) = known else {
            let names = NAMES.map(|(name, _)| name).join(", ");
            let reason = format!("{:?} is no score; there are {names}", name.get_ref());
            self.wrong(&name.span(), reason);
            return;
        };
        let items = table.items.iter();
        let items: Vec<Judged> = items
            .filter_map(|(item, rows)| self.judged(item, rows))
            .collect();
        let place = self.place(&name.span());
        let only_saturation = *score == ScoreName::News2Scale2;
        let is_saturation = |judged: &Judged| judged.item == Item::Saturation;
        let fits = if only_saturation {
            items.len() == 1 && items.iter().all(is_saturation)
        } else {
            items.len() >= ITEMS_MIN
        };
        if !fits && table.items.len() == items.len() {
            let reason = if only_saturation {
                "news2_scale2 has the saturation and nothing else: all other items are those of news2"
                    .to_owned()
            } else {
                format!("a score has {ITEMS_MIN} items at the least")
            };
            self.wrong(&name.span(), reason);
        }
        if let Some((_, first)) = said.scores.insert(*score, (Table { items }, place)) {
            let reason = format!("this score is there already, in {first}");
            self.wrong(&name.span(), reason);
        }
    }

    fn judged(&mut self, name: &Spanned<String>, rows: &[Spanned<ScoreRow>]) -> Option<Judged> {
        let known = ITEMS.iter().find(|(known, _)| known == name.get_ref());
        let Some((_, item)) = known else {
            let names = ITEMS.map(|(name, _)| name).join(", ");
            let reason = format!(
                "{:?} is no item of a score; there are {names}",
                name.get_ref()
            );
            self.wrong(&name.span(), reason);
            return None;
        };
        let wrong = self.problems.len();
        let read = rows.iter().filter_map(|row| self.row(*item, row));
        let read: Vec<Row> = read.collect();
        if self.problems.len() == wrong {
            self.cover(name, *item, &read);
        }
        (self.problems.len() == wrong).then_some(Judged {
            item: *item,
            rows: read,
        })
    }

    fn row(&mut self, item: Item, row: &Spanned<ScoreRow>) -> Option<Row> {
        let ScoreRow {
            from,
            to,
            is,
            on,
            points,
        } = row.get_ref();
        let told = match (words(item), is, from.or(*to)) {
            (Some(words), Some(word), None) => {
                let code = words.iter().position(|known| known == word);
                let code = code.and_then(|code| u8::try_from(code).ok()).map(f64::from);
                code.map(|code| code..=code)
                    .ok_or_else(|| format!("{word:?} is not one of {}", words.join(", ")))
            }
            (Some(words), _, _) => Err(format!("a row here is = one of {}", words.join(", "))),
            (None, None, Some(_)) => range(item, *from, *to),
            (None, _, _) => Err("a row has from, to, or both".to_owned()),
        };
        let oxygen = match on.as_deref() {
            None => Ok(None),
            Some("air") if item == Item::Saturation => Ok(Some(false)),
            Some("oxygen") if item == Item::Saturation => Ok(Some(true)),
            Some(_) => Err("on is of the saturation, \"air\" or \"oxygen\"".to_owned()),
        };
        let points = if *points > POINTS_MAX {
            Err(format!("an item has at most {POINTS_MAX} points"))
        } else {
            Ok(*points)
        };
        let row_of = || -> Result<Row, String> {
            Ok(Row {
                oxygen: oxygen?,
                range: told?,
                points: points?,
            })
        };
        row_of()
            .map_err(|reason| self.wrong(&row.span(), reason))
            .ok()
    }

    /// Every value has one row and no more. Letters may be missing: such a
    /// value is as unknown.
    fn cover(&mut self, name: &Spanned<String>, item: Item, rows: &[Row]) {
        for oxygen in [false, true] {
            let here = rows
                .iter()
                .filter(|row| row.oxygen.is_none_or(|on| on == oxygen));
            let mut ranges: Vec<_> = here
                .map(|row| (*row.range.start(), *row.range.end()))
                .collect();
            ranges.sort_by(|a, b| a.0.total_cmp(&b.0));
            let step = if item.decimals() == 1 { 0.1 } else { 1.0 };
            let pairs = ranges.iter().zip(ranges.iter().skip(1));
            for ((_, end), (start, _)) in pairs {
                let reason = if start <= end {
                    format!("the rows overlap at {start}")
                } else if words(item).is_none() && start - end > step * 1.5 {
                    format!("no row says what is between {end} and {start}")
                } else {
                    continue;
                };
                self.wrong(&name.span(), reason);
                return;
            }
            let ends = ranges.first().zip(ranges.last());
            let open =
                ends.is_some_and(|((start, _), (_, end))| start.is_infinite() && end.is_infinite());
            let all = item != Item::Oxygen || ranges.len() == 2;
            if ranges.is_empty() || !all || words(item).is_none() && !open {
                self.wrong(&name.span(), "the rows do not cover every value");
                return;
            }
        }
    }

    pub(super) fn escalation(&mut self, table: &Spanned<EscalationTable>, said: &mut Said) {
        let EscalationTable {
            on_call_after_s,
            unattended_after_s,
            ..
        } = table.get_ref();
        let (first, last) = (ESCALATION_S.start(), ESCALATION_S.end());
        for seconds in [on_call_after_s, unattended_after_s] {
            if !ESCALATION_S.contains(seconds) {
                let reason =
                    format!("{seconds} s: an alert is passed on after {first} to {last} s");
                self.wrong(&table.span(), reason);
            }
        }
        if on_call_after_s >= unattended_after_s {
            let reason = "those on call are asked before an alert is told as unattended";
            self.wrong(&table.span(), reason);
        }
        let escalation = Escalation {
            on_call_after: Span::from_secs((*on_call_after_s).into()),
            unattended_after: Span::from_secs((*unattended_after_s).into()),
        };
        let place = self.place(&table.span());
        if let Some((_, first)) = said.escalation.replace((escalation, place)) {
            let reason = format!("there is an [escalation] already, in {first}");
            self.wrong(&table.span(), reason);
        }
    }
}

/// The words that stand for codes, from 0.
fn words(item: Item) -> Option<&'static [&'static str]> {
    match item {
        Item::Oxygen => Some(&["air", "oxygen"]),
        Item::Consciousness => Some(&["A", "C", "V", "P", "U"]),
        Item::Respiration
        | Item::Saturation
        | Item::Systolic
        | Item::MeanPressure
        | Item::Pulse
        | Item::ComaScale
        | Item::Temperature
        | Item::Age => None,
    }
}

fn range(
    item: Item,
    from: Option<f64>,
    to: Option<f64>,
) -> Result<std::ops::RangeInclusive<f64>, String> {
    for end in [from, to].into_iter().flatten() {
        let shown = Decimal::from_f64(end, item.decimals());
        if shown.is_none_or(|shown| (shown.value() - end).abs() > 0.0) {
            return Err(format!("{end} is no value that a monitor shows here"));
        }
    }
    let range = from.unwrap_or(f64::NEG_INFINITY)..=to.unwrap_or(f64::INFINITY);
    if range.is_empty() {
        return Err("from is above to".to_owned());
    }
    Ok(range)
}

impl Said {
    pub(super) fn scores(&mut self, problems: &mut Vec<Problem>) -> Scores {
        let mut of = |name| self.scores.remove(&name);
        let said = [
            of(ScoreName::News2),
            of(ScoreName::Mews),
            of(ScoreName::Qsofa),
            of(ScoreName::Rems),
        ];
        let scale2 = of(ScoreName::News2Scale2);
        let [news2, mews, qsofa, rems] = said.map(|said| said.map(|(table, _)| table));
        // Where everything is said nothing is looked up, or the built-in book
        // would ask for itself.
        let built_in = |of: fn(&Scores) -> &Table| of(&BUILT_IN).clone();
        let news2 = news2.unwrap_or_else(|| built_in(|scores| &scores.news2));
        let mut news2_scale2 = news2.clone();
        let place = scale2.as_ref().map(|(_, place)| place.clone());
        let scale2 = scale2.map_or_else(
            || built_in(|scores| &scores.news2_scale2),
            |(table, _)| table,
        );
        let mut theirs = scale2.items.into_iter();
        let theirs = theirs.find(|judged| judged.item == Item::Saturation);
        let mut ours = news2_scale2.items.iter_mut();
        let ours = ours.find(|judged| judged.item == Item::Saturation);
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            *ours = theirs;
        } else {
            let reason = "news2 has no saturation that a second scale could judge";
            problems.extend(place.map(|place| place.wrong(reason)));
        }
        Scores {
            news2,
            news2_scale2,
            mews: mews.unwrap_or_else(|| built_in(|scores| &scores.mews)),
            qsofa: qsofa.unwrap_or_else(|| built_in(|scores| &scores.qsofa)),
            rems: rems.unwrap_or_else(|| built_in(|scores| &scores.rems)),
        }
    }
}

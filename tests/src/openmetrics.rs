//! A strict reader of the `OpenMetrics` text format, version 1.0.0, as far as
//! counters, gauges and histograms go; what the format does not allow is a panic.
//!
//! Checked: the order of HELP, TYPE and UNIT before the samples of a family, that
//! no family comes twice or in two pieces, names and label names, escapes, the
//! suffixes that a type allows, that a family's name ends with its unit, finite
//! values, counters not below 0, that no series comes twice, buckets that grow up
//! to `+Inf` which is the count, and the end mark.

use std::collections::{BTreeMap, BTreeSet};

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// What a page says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// By name, without the suffixes of samples.
    pub families: BTreeMap<String, Family>,
}

/// One family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `histogram`.
    pub kind: String,
    /// Its HELP.
    pub help: String,
    /// Its UNIT, empty if none.
    pub unit: String,
    /// By full name and labels.
    pub samples: BTreeMap<(String, Labels), f64>,
}

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// When it is not in the format.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
        assert!(text.is_empty() || text.ends_with('\n'), "lines end");
        let mut metrics = Self::default();
        let mut current = String::new();
        for line in text.lines() {
            metrics.line(line, &mut current);
        }
        for (name, family) in &metrics.families {
            family.check(name);
        }
        metrics
    }

    fn line(&mut self, line: &str, current: &mut String) {
        let Some(comment) = line.strip_prefix("# ") else {
            let (name, labels, value) = sample(line);
            let family = self.families.get_mut(current.as_str());
            let family = family.unwrap_or_else(|| panic!("no family before {line}"));
            assert!(family.allows(current, &name), "{name} is not of {current}");
            let before = family.samples.insert((name, labels), value);
            assert_eq!(before, None, "twice: {line}");
            return;
        };
        let mut words = comment.splitn(3, ' ');
        let (keyword, name, rest) = (words.next(), words.next(), words.next());
        let (keyword, name) = (keyword.expect("a keyword"), name.expect("a name"));
        let rest = rest.unwrap_or_else(|| panic!("nothing behind the name: {line}"));
        assert!(is_name(name), "{name}");
        if name != current {
            let known = self.families.insert(name.to_owned(), Family::default());
            assert_eq!(known, None, "{name} comes in two pieces");
            name.clone_into(current);
        }
        let family = self.families.get_mut(name).unwrap();
        assert!(family.samples.is_empty(), "behind a sample: {line}");
        let field = match keyword {
            "HELP" => &mut family.help,
            "TYPE" => &mut family.kind,
            "UNIT" => &mut family.unit,
            other => panic!("{other} is no keyword"),
        };
        assert!(field.is_empty(), "twice: {line}");
        rest.clone_into(field);
    }

    /// The value of one series, by its full name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let wanted: Labels = labels.iter().map(own).collect();
        let all = self.all(name);
        let found = all.iter().find(|(labels, _)| *labels == wanted);
        found
            .unwrap_or_else(|| panic!("no {name}{wanted:?}: {all:?}"))
            .1
    }

    /// The sum of all series of a full name.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        self.all(name).iter().map(|(_, value)| value).sum()
    }

    fn all(&self, name: &str) -> Vec<(Labels, f64)> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        let named = samples.filter(|((sample, _), _)| sample == name);
        named
            .map(|((_, labels), value)| (labels.clone(), *value))
            .collect()
    }

    /// Every full name that a query may use, with the labels its series have.
    #[must_use]
    pub fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, family) in &self.families {
            for suffix in family.suffixes() {
                names.entry(format!("{name}{suffix}")).or_default();
            }
            for (sample, labels) in family.samples.keys() {
                names
                    .entry(sample.clone())
                    .or_default()
                    .extend(labels.keys().cloned());
            }
        }
        names
    }

    /// Holds a later page of the same process against this one.
    ///
    /// # Panics
    /// When a family or series has gone, or what only grows has not.
    pub fn goes_on_in(&self, later: &Self) {
        for (name, family) in &self.families {
            let now = later
                .families
                .get(name)
                .unwrap_or_else(|| panic!("{name} has gone"));
            assert_eq!(
                (&now.kind, &now.help, &now.unit),
                (&family.kind, &family.help, &family.unit)
            );
            if family.kind == "gauge" {
                continue;
            }
            for (series, before) in &family.samples {
                let after = now
                    .samples
                    .get(series)
                    .unwrap_or_else(|| panic!("{series:?} has gone"));
                assert!(after >= before, "{series:?} went from {before} to {after}");
            }
        }
    }
}

impl Family {
    fn suffixes(&self) -> &'static [&'static str] {
        match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("type {other:?}"),
        }
    }

    fn allows(&self, family: &str, sample: &str) -> bool {
        let suffix = sample.strip_prefix(family);
        suffix.is_some_and(|suffix| self.suffixes().contains(&suffix))
    }

    fn check(&self, name: &str) {
        assert!(!self.help.is_empty(), "{name} has no HELP");
        assert!(
            self.unit.is_empty() || name.ends_with(&format!("_{}", self.unit)),
            "{name}"
        );
        assert!(!self.suffixes().is_empty());
        for ((sample, labels), value) in &self.samples {
            assert!(value.is_finite(), "{sample}{labels:?} is {value}");
            assert!(
                self.kind == "gauge" || *value >= 0.0,
                "{sample}{labels:?} is {value}"
            );
        }
        if self.kind == "histogram" {
            self.check_buckets(name);
        }
    }

    fn check_buckets(&self, name: &str) {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((sample, labels), value) in &self.samples {
            if sample.ends_with("_bucket") {
                let mut labels = labels.clone();
                let le = labels.remove("le").expect("a bucket has its bound");
                let le = if le == "+Inf" {
                    f64::INFINITY
                } else {
                    le.parse().unwrap()
                };
                series.entry(labels).or_default().push((le, *value));
            }
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(
                buckets.is_sorted_by(|a, b| a.1 <= b.1),
                "{name}{labels:?}: {buckets:?}"
            );
            let last = buckets.last().copied().expect("buckets");
            let count = self.samples[&(format!("{name}_count"), labels.clone())];
            assert_eq!(last, (f64::INFINITY, count), "{name}{labels:?}");
            assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)));
        }
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line
        .find(['{', ' '])
        .unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, behind) = inside.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label), "label {label:?} of {line}");
            let (value, behind) = quoted(behind, line);
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            if let Some(next) = behind.strip_prefix(',') {
                inside = next;
            } else {
                rest = behind.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                break;
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let number = value
        .parse()
        .unwrap_or_else(|_| panic!("{value:?} is no number: {line}"));
    (name.to_owned(), labels, number)
}

/// Up to the closing quote, and what is behind it.
fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => panic!("an escape that is none: {line}"),
            },
            _ => value.push(c),
        }
    }
    panic!("a value without an end: {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_seconds A.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
        a_seconds_sum{s=\"x\"} 1.5\na_seconds_count{s=\"x\"} 2\na_seconds_bucket{s=\"x\",le=\"1.0\"} 1\n\
        a_seconds_bucket{s=\"x\",le=\"+Inf\"} 2\n# HELP b B.\n# TYPE b counter\nb_total 3\n# EOF\n";

    #[test]
    fn a_good_page_is_read() {
        let page = Metrics::read(GOOD);
        assert!((page.value("b_total", &[]) - 3.0).abs() < 1e-9);
        assert_eq!(page.names().len(), 4);
    }

    #[test]
    fn a_page_that_is_not_in_the_format_is_refused() {
        for (what, with) in [
            ("# EOF\n", ""),
            ("b_total 3", "b 3"),
            ("b_total 3", "b_total -3"),
            ("b_total 3", "b_total NaN"),
            ("b_total 3", "b_total 3\nb_total 3"),
            ("b_total 3", "b_total{9=\"x\"} 3"),
            ("b_total 3", "b_total{c=\"x} 3"),
            ("} 2\n#", "} 1\n#"),
            ("le=\"1.0\"} 1", "le=\"1.0\"} 3"),
            ("# UNIT a_seconds seconds", "# UNIT a_seconds bytes"),
            ("# TYPE b counter", "# TYPE b sum"),
            ("# HELP b B.\n", ""),
        ] {
            let bad = GOOD.replacen(what, with, 1);
            assert_ne!(bad, GOOD, "{what}");
            let read = std::panic::catch_unwind(|| Metrics::read(&bad));
            assert!(read.is_err(), "{what} as {with}");
        }
    }
}

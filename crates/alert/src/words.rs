//! The catalogue of messages: what the conditions of the built-in book say, in
//! the languages that viewers read. The browser console has the same table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A language of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The terminal's.
    English,
    /// The console's other one.
    Chinese,
}

/// What a condition says beside what it is shown with, such as `fell by 20 % or
/// more`; `None`: it is named by its id.
#[must_use]
pub fn rule(id: &str, language: Language) -> Option<&'static str> {
    let [english, chinese] = WORDS.get(id)?;
    Some(match language {
        Language::English => english,
        Language::Chinese => chinese,
    })
}

/// All conditions that have words.
pub fn rules() -> impl Iterator<Item = &'static str> {
    WORDS.keys().map(String::as_str)
}

static WORDS: LazyLock<BTreeMap<String, [String; 2]>> = LazyLock::new(|| {
    let table = include_str!("../data/rule_words.csv");
    let rows = csv::Reader::from_reader(table.as_bytes()).into_deserialize();
    // A test reads every row.
    rows.flatten()
        .map(|(rule, english, chinese)| (rule, [english, chinese]))
        .collect()
});

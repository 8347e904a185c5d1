//! What the page says, in the reader's language.
//!
//! A language is a [`Words`] with every phrase in it, so that one that lacks any does
//! not compile. A phrase may have `{places}`, filled by [`fill`]; the test below holds
//! the places of all languages against the English ones.

mod en;
mod zh;

use enroute_model::catalogue::VitalSign;

macro_rules! words {
    ($($key:ident,)*) => {
        /// Every phrase of the page.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $key: &'static str,)*
        }

        #[cfg(test)]
        impl Words {
            fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($key), self.$key),)*]
            }
        }
    };
}

words! {
    exercise,
    primary,
    receiving,
    not_confirmed,
    no_connection,
    ended,
    full,
    failed,
    since,
    waiting,
    thin_link,
    shed,
    damaged,
    lost,
    page_lost,
    transfer,
    transfer_is,
    none,
    start,
    hand_over,
    end,
    short_code,
    join,
    patient,
    age,
    unknown,
    neonate,
    infant,
    child,
    adolescent,
    adult,
    weight,
    save,
    consciousness,
    alert,
    confusion,
    voice,
    pain,
    unresponsive,
    breathing,
    air,
    oxygen,
    events,
    remark,
    intubation,
    ventilation_change,
    defibrillation,
    cpr_start,
    cpr_stop,
    rosc,
    drug,
    fluid,
    blood,
    line,
    position,
    other,
    notes,
    note_to,
    note_send,
    note_read,
    seen,
    you,
    on_board,
    arrived,
    read_by,
    read,
    new,
    low,
    high,
    stale,
    sensor_off,
    link_lost,
    clock_wrong,
    spool_filling,
    battery_low,
    history_incomplete,
    technical,
    acknowledged,
    utc,
    pin,
    open,
    lock,
    pin_wrong,
    pin_wait,
    not_let_in,
    wrong_code,
    wrong_acvpu,
    wrong_oxygen,
    wrong_event,
    wrong_age,
    wrong_weight,
    empty_note,
    too_long,
    not_shown,
    no_transfer,
    not_recorded,
    no_action,
    no_quantity,
}

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    En,
    /// Chinese, simplified characters.
    Zh,
}

impl Language {
    /// All, in the order in which they are offered.
    pub(super) const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// The tag of BCP 47.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-Hans",
        }
    }

    /// What it calls itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Zh => "中文",
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::En => &en::EN,
            Self::Zh => &zh::ZH,
        }
    }

    /// The language of a tag: of `zh-TW` too, which is nearer than English.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        let main = tag.split('-').next().unwrap_or_default();
        let known = |language: &Self| language.tag().split('-').next() == Some(main);
        Self::ALL.into_iter().find(known)
    }

    /// The first one of a browser's list (`Accept-Language`) that there is, without its
    /// weights: browsers send the best first.
    pub(super) fn of_list(list: &str) -> Option<Self> {
        let tags = list.split(',').filter_map(|one| one.split(';').next());
        tags.map(str::trim).find_map(Self::of_tag)
    }

    /// What a quantity is called.
    pub(super) fn name_of(self, vital: &VitalSign) -> &str {
        let known = match self {
            Self::En => None,
            Self::Zh => zh::NAMES.iter().find(|(id, _)| *id == vital.id),
        };
        known.map_or(vital.label.as_str(), |(_, name)| *name)
    }
}

/// A phrase with its places filled. What is filled in is not searched for places.
pub(super) fn fill(phrase: &str, places: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(phrase.len());
    let mut rest = phrase;
    while let Some((before, more)) = rest.split_once('{') {
        let Some((place, after)) = more.split_once('}') else {
            break;
        };
        filled.push_str(before);
        let known = places.iter().find(|(name, _)| *name == place);
        filled.push_str(known.map_or("", |(_, text)| text));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use enroute_model::catalogue::catalogue;
    use std::collections::BTreeSet;

    fn places(phrase: &str) -> BTreeSet<&str> {
        let open = phrase.split('{').skip(1);
        open.map(|rest| rest.split('}').next().unwrap()).collect()
    }

    #[test]
    fn every_language_has_every_phrase_with_the_same_places() {
        let english = Language::En.words().all();
        for language in Language::ALL {
            for ((key, phrase), (_, model)) in language.words().all().iter().zip(&english) {
                assert!(!phrase.trim().is_empty(), "{language:?} {key}");
                assert_eq!(places(phrase), places(model), "{language:?} {key}");
                assert!(
                    !phrase.contains(['<', '>', '&', '"', '\'']),
                    "{language:?} {key} would need escaping"
                );
            }
        }
    }

    #[test]
    fn nothing_is_left_in_english() {
        let same = ["pin", "utc"];
        let english = Language::En.words().all();
        for ((key, phrase), (_, model)) in Language::Zh.words().all().iter().zip(&english) {
            assert!(phrase != model || same.contains(key), "{key}: {phrase}");
        }
        for vital in catalogue().vitals() {
            let named = zh::NAMES.iter().any(|(id, _)| *id == vital.id);
            assert!(named, "{} has no Chinese name", vital.id);
        }
    }

    #[test]
    fn places_are_filled_once() {
        assert_eq!(
            fill("{a} of {b}{c}.", &[("a", "{b}"), ("b", "2")]),
            "{b} of 2."
        );
        assert_eq!(fill("nothing {", &[]), "nothing {");
    }

    #[test]
    fn the_browsers_first_known_language_counts() {
        let of = Language::of_list;
        assert_eq!(of("fr-FR,zh-CN;q=0.8,en;q=0.5"), Some(Language::Zh));
        assert_eq!(of("en-GB,en;q=0.9,zh;q=0.8"), Some(Language::En));
        assert_eq!(of("de"), None);
    }
}

//! What the crew can do on the page: checked here, then recorded.

use super::Page;
use super::words::{Words, fill};
use crate::desk::Item;
use crate::spool::SpoolError;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::ShortCode;
use enroute_model::reading::Decimal;
use enroute_model::registry::{AgeBand, Population};
use enroute_wire::limits::TEXT_CHARS_MAX;
use std::collections::BTreeMap;

/// A phrase of the page in any language.
pub(super) type Phrase = fn(&Words) -> &'static str;

/// Age bands by the word in the form.
pub(super) const AGE_BANDS: [(&str, Phrase, AgeBand); 5] = [
    ("neonate", |w| w.neonate, AgeBand::Neonate),
    ("infant", |w| w.infant, AgeBand::Infant),
    ("child", |w| w.child, AgeBand::Child),
    ("adolescent", |w| w.adolescent, AgeBand::Adolescent),
    ("adult", |w| w.adult, AgeBand::Adult),
];

/// Levels of consciousness; the value is the place in the list, as in NEWS2.
pub(super) const ACVPU: [(&str, Phrase); 5] = [
    ("A", |w| w.alert),
    ("C", |w| w.confusion),
    ("V", |w| w.voice),
    ("P", |w| w.pain),
    ("U", |w| w.unresponsive),
];

/// Interventions of the contract.
pub(super) const INTERVENTIONS: [(&str, Phrase); 12] = [
    ("intubation", |w| w.intubation),
    ("ventilation_change", |w| w.ventilation_change),
    ("defibrillation", |w| w.defibrillation),
    ("cpr_start", |w| w.cpr_start),
    ("cpr_stop", |w| w.cpr_stop),
    ("rosc", |w| w.rosc),
    ("drug", |w| w.drug),
    ("fluid", |w| w.fluid),
    ("blood", |w| w.blood),
    ("line", |w| w.line),
    ("position", |w| w.position),
    ("other", |w| w.other),
];

/// Body weights that can be, in kilograms.
const WEIGHT_KG: std::ops::RangeInclusive<f64> = 0.2..=500.0;

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A new transfer.
    Start,
    /// Something to record.
    Enter(CrewEvent),
    /// All notes of the hospital have been read.
    ReadNotes,
}

type Fields = BTreeMap<String, String>;

/// Reads a form; what is wrong with it is said in these words.
pub(super) fn parse(action: &str, fields: &Fields, words: &Words) -> Result<Action, String> {
    let field = |name: &str| fields.get(name).map_or("", |text| text.trim());
    let event = match action {
        "start" => return Ok(Action::Start),
        "read-notes" => return Ok(Action::ReadNotes),
        "join" => CrewEvent::Join {
            short_code: ShortCode::parse(field("short_code"))
                .ok_or(words.wrong_code)?
                .to_string(),
        },
        "hand-over" => CrewEvent::HandOver,
        "end" => CrewEvent::End,
        "population" => population(field("age_band"), field("weight_kg"), words)?,
        "acvpu" => {
            let place = ACVPU
                .iter()
                .position(|(letter, _)| *letter == field("value"));
            let place = place.ok_or(words.wrong_acvpu)?;
            observation("acvpu", i64::try_from(place).unwrap_or(0), words)?
        }
        "oxygen" => match field("value") {
            "air" => observation("o2_supp", 0, words)?,
            "oxygen" => observation("o2_supp", 1, words)?,
            _ => return Err(words.wrong_oxygen.to_owned()),
        },
        "intervention" => {
            let kind = INTERVENTIONS
                .iter()
                .find(|(kind, _)| *kind == field("kind"));
            CrewEvent::Intervention {
                kind: kind.ok_or(words.wrong_event)?.0.to_owned(),
                text: free_text(field("text"), words)?,
            }
        }
        "note" => match free_text(field("text"), words)? {
            text if text.is_empty() => return Err(words.empty_note.to_owned()),
            text => CrewEvent::Note(text),
        },
        _ => return Err(words.no_action.to_owned()),
    };
    Ok(Action::Enter(event))
}

fn population(age_band: &str, weight: &str, words: &Words) -> Result<CrewEvent, String> {
    let band = AGE_BANDS.iter().find(|(word, _, _)| *word == age_band);
    if band.is_none() && !age_band.is_empty() {
        return Err(words.wrong_age.to_owned());
    }
    let weight_g = if weight.is_empty() {
        None
    } else {
        let kilograms = weight.replace(',', ".").parse::<f64>().ok();
        let kilograms = kilograms.filter(|kg| WEIGHT_KG.contains(kg));
        let grams = kilograms.and_then(|kg| Decimal::from_f64(kg * 1_000.0, 0));
        let grams = grams.and_then(|g| u32::try_from(g.mantissa()).ok());
        Some(grams.ok_or(words.wrong_weight)?)
    };
    Ok(CrewEvent::Population(Population {
        age_band: band.map(|(_, _, band)| *band),
        weight_g,
    }))
}

fn observation(id: &str, value: i64, words: &Words) -> Result<CrewEvent, String> {
    let vital = catalogue().vital_by_id(id).ok_or(words.no_quantity)?;
    let value = Decimal::new(value, 0).ok_or(words.no_quantity)?;
    Ok(CrewEvent::Observation {
        code: vital.code,
        value,
    })
}

fn free_text(text: &str, words: &Words) -> Result<String, String> {
    let text = text.replace("\r\n", "\n");
    let count = text.chars().count();
    if count > TEXT_CHARS_MAX {
        let (n, most) = (count.to_string(), TEXT_CHARS_MAX.to_string());
        return Err(fill(words.too_long, &[("n", &n), ("most", &most)]));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(words.not_shown.to_owned());
    }
    Ok(text)
}

impl Page {
    /// Does it; the error is for the crew.
    pub(super) async fn act(
        &self,
        action: &str,
        fields: &Fields,
        words: &Words,
    ) -> Result<(), String> {
        let action = parse(action, fields, words)?;
        let status = self.desk.status().borrow().clone();
        let event = match action {
            Action::Start => return recorded(self.desk.start_transfer().await, words),
            Action::Enter(event) => event,
            Action::ReadNotes => {
                let board = self.desk.board().borrow().clone();
                let notes = board.unread(status.transfer.as_ref());
                if notes.is_empty() {
                    return Ok(());
                }
                CrewEvent::NotesTaken { notes, read: true }
            }
        };
        let ending = matches!(event, CrewEvent::HandOver | CrewEvent::End);
        let joining = matches!(event, CrewEvent::Join { .. });
        if status.transfer.is_none() && (ending || status.ended && !joining) {
            return Err(words.no_transfer.to_owned());
        }
        let item = Item {
            body: Body::Crew(event),
            observed_at: None,
        };
        recorded(self.desk.record(vec![item]).await, words)
    }
}

fn recorded(done: Result<(), SpoolError>, words: &Words) -> Result<(), String> {
    done.map_err(|error| fill(words.not_recorded, &[("why", &error.to_string())]))
}

//! What the crew can do on the page: checked here, then recorded.

use super::Page;
use crate::desk::Item;
use crate::spool::SpoolError;
use enroute_model::catalogue::catalogue;
use enroute_model::frame::{Body, CrewEvent};
use enroute_model::ids::ShortCode;
use enroute_model::reading::Decimal;
use enroute_model::registry::{AgeBand, Population};
use enroute_wire::limits::TEXT_CHARS_MAX;
use std::collections::BTreeMap;

/// Age bands by the word in the form.
pub(super) const AGE_BANDS: [(&str, &str, AgeBand); 5] = [
    ("neonate", "Neonate (to 28 days)", AgeBand::Neonate),
    ("infant", "Infant (to 1 year)", AgeBand::Infant),
    ("child", "Child (1 to 12 years)", AgeBand::Child),
    ("adolescent", "Adolescent (13 to 15)", AgeBand::Adolescent),
    ("adult", "Adult (from 16)", AgeBand::Adult),
];

/// Levels of consciousness; the value is the place in the list, as in NEWS2.
pub(super) const ACVPU: [(&str, &str); 5] = [
    ("A", "Alert"),
    ("C", "New confusion"),
    ("V", "Responds to voice"),
    ("P", "Responds to pain"),
    ("U", "Unresponsive"),
];

/// Interventions of the contract.
pub(super) const INTERVENTIONS: [(&str, &str); 12] = [
    ("intubation", "Intubation"),
    ("ventilation_change", "Ventilation changed"),
    ("defibrillation", "Defibrillation"),
    ("cpr_start", "CPR started"),
    ("cpr_stop", "CPR stopped"),
    ("rosc", "Circulation returned"),
    ("drug", "Drug given"),
    ("fluid", "Fluid given"),
    ("blood", "Blood given"),
    ("line", "Line placed"),
    ("position", "Position changed"),
    ("other", "Other"),
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

/// Reads a form.
pub(super) fn parse(action: &str, fields: &Fields) -> Result<Action, String> {
    let field = |name: &str| fields.get(name).map_or("", |text| text.trim());
    let event = match action {
        "start" => return Ok(Action::Start),
        "read-notes" => return Ok(Action::ReadNotes),
        "join" => CrewEvent::Join {
            short_code: ShortCode::parse(field("short_code"))
                .ok_or("A short code has six letters or digits, such as 7K2M9X: ask the hospital.")?
                .to_string(),
        },
        "hand-over" => CrewEvent::HandOver,
        "end" => CrewEvent::End,
        "population" => population(field("age_band"), field("weight_kg"))?,
        "acvpu" => {
            let place = ACVPU
                .iter()
                .position(|(letter, _)| *letter == field("value"));
            let place = place.ok_or("Choose one of A, C, V, P and U.")?;
            observation("acvpu", i64::try_from(place).unwrap_or(0))?
        }
        "oxygen" => match field("value") {
            "air" => observation("o2_supp", 0)?,
            "oxygen" => observation("o2_supp", 1)?,
            _ => return Err("Choose air or oxygen.".to_owned()),
        },
        "intervention" => {
            let kind = INTERVENTIONS
                .iter()
                .find(|(kind, _)| *kind == field("kind"));
            CrewEvent::Intervention {
                kind: kind
                    .ok_or("Choose an intervention from the list.")?
                    .0
                    .to_owned(),
                text: free_text(field("text"))?,
            }
        }
        "note" => match free_text(field("text"))? {
            text if text.is_empty() => return Err("Write something into the note.".to_owned()),
            text => CrewEvent::Note(text),
        },
        _ => return Err("There is no such action on this page.".to_owned()),
    };
    Ok(Action::Enter(event))
}

fn population(age_band: &str, weight: &str) -> Result<CrewEvent, String> {
    let band = AGE_BANDS.iter().find(|(word, _, _)| *word == age_band);
    if band.is_none() && !age_band.is_empty() {
        return Err("Choose an age band from the list, or leave it unknown.".to_owned());
    }
    let weight_g = if weight.is_empty() {
        None
    } else {
        let kilograms = weight.replace(',', ".").parse::<f64>().ok();
        let kilograms = kilograms.filter(|kg| WEIGHT_KG.contains(kg));
        let grams = kilograms.and_then(|kg| Decimal::from_f64(kg * 1_000.0, 0));
        let grams = grams.and_then(|g| u32::try_from(g.mantissa()).ok());
        Some(grams.ok_or("The weight is in kilograms, from 0.2 to 500, such as 72 or 3.4.")?)
    };
    Ok(CrewEvent::Population(Population {
        age_band: band.map(|(_, _, band)| *band),
        weight_g,
    }))
}

fn observation(id: &str, value: i64) -> Result<CrewEvent, String> {
    let vital = catalogue()
        .vital_by_id(id)
        .ok_or("The catalogue lacks this quantity.")?;
    let value = Decimal::new(value, 0).ok_or("This value is too large.")?;
    Ok(CrewEvent::Observation {
        code: vital.code,
        value,
    })
}

fn free_text(text: &str) -> Result<String, String> {
    let text = text.replace("\r\n", "\n");
    let count = text.chars().count();
    if count > TEXT_CHARS_MAX {
        return Err(format!(
            "The text has {count} characters, at most {TEXT_CHARS_MAX} can be sent."
        ));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("The text has characters that cannot be shown.".to_owned());
    }
    Ok(text)
}

impl Page {
    /// Does it; the error is for the crew.
    pub(super) async fn act(&self, action: &str, fields: &Fields) -> Result<(), String> {
        let action = parse(action, fields)?;
        let status = self.desk.status().borrow().clone();
        let event = match action {
            Action::Start => return self.start().await,
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
            return Err("No transfer is going on: start one or join one first.".to_owned());
        }
        let item = Item {
            body: Body::Crew(event),
            observed_at: None,
        };
        recorded(self.desk.record(vec![item]).await)
    }

    async fn start(&self) -> Result<(), String> {
        recorded(self.desk.start_transfer().await)
    }
}

fn recorded(done: Result<(), SpoolError>) -> Result<(), String> {
    done.map_err(|error| format!("Not recorded: {error}."))
}

//! What is stored of one transfer's patient, and how it changes. Pure.

use crate::person::{Invalid, Person, text};
use enroute_model::time::ServerTime;
use serde::{Deserialize, Serialize};

/// Characters of a remark.
pub const REMARK_CHARS_MAX: usize = 500;
/// Statements that are kept of one transfer; beyond it the oldest goes.
pub const STATEMENTS_MAX: usize = 64;

/// On what the handling of somebody's data rests, in the words of articles 6 and 9 of
/// the General Data Protection Regulation (EU 2016/679).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The person agreed: article 9(2)(a).
    Consent,
    /// Life is at stake, and the person cannot agree: 9(2)(c).
    VitalInterests,
    /// Diagnosis and treatment: 9(2)(h).
    HealthCare,
    /// Public health: 9(2)(i).
    PublicHealth,
    /// A law demands it: 6(1)(c).
    LegalObligation,
}

/// What the person, or who may speak for that one, said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Agreed.
    Given,
    /// Did not agree.
    Refused,
    /// Agreed once, and does not any more.
    Withdrawn,
    /// Could not be asked, such as somebody who is unconscious.
    Unable,
}

/// What a statement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// On what the handling rests from now on.
    Basis(Basis),
    /// What was said to it.
    Consent(Consent),
}

/// Something that somebody stated at some time; never changed, only followed by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// What.
    pub says: Says,
    /// In which words, of whom, on which paper.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remark: String,
    /// Who stated it.
    pub by: String,
    /// When, by the server's clock.
    pub at: ServerTime,
}

/// All that is stored of one transfer's patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who it is.
    pub person: Person,
    /// Who said so last.
    pub set_by: String,
    /// When.
    pub set_at: ServerTime,
    /// Oldest first.
    pub statements: Vec<Statement>,
}

/// What somebody wants to be otherwise; the rest stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Who it is, whole.
    pub person: Option<Person>,
    /// What is stated, with a remark.
    pub statements: Vec<(Says, String)>,
}

impl Entry {
    /// What there is after a change. `None` before: nothing was stored.
    ///
    /// # Errors
    /// Which field is wrong; then nothing is taken.
    pub fn after(
        before: Option<Self>,
        change: Change,
        by: &str,
        now: ServerTime,
    ) -> Result<Self, Invalid> {
        let mut entry = before.unwrap_or_else(|| Self {
            person: Person::default(),
            set_by: by.to_owned(),
            set_at: now,
            statements: Vec::new(),
        });
        if let Some(person) = change.person {
            entry.person = person.checked(now)?;
            by.clone_into(&mut entry.set_by);
            entry.set_at = now;
        }
        for (says, remark) in change.statements {
            let remark = text("remark", &remark, REMARK_CHARS_MAX)?;
            let by = by.to_owned();
            entry.statements.push(Statement {
                says,
                remark,
                by,
                at: now,
            });
        }
        let over = entry.statements.len().saturating_sub(STATEMENTS_MAX);
        entry.statements.drain(..over);
        Ok(entry)
    }

    /// The basis that is in force.
    #[must_use]
    pub fn basis(&self) -> Option<&Statement> {
        let newest = self.statements.iter().rev();
        { newest }.find(|one| matches!(one.says, Says::Basis(_)))
    }

    /// The consent that is in force.
    #[must_use]
    pub fn consent(&self) -> Option<&Statement> {
        let newest = self.statements.iter().rev();
        { newest }.find(|one| matches!(one.says, Says::Consent(_)))
    }
}

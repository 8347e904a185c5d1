//! Who the patients are, in the contract's words and out of them.

use enroute_identity::{Basis, BirthDate, Change, Consent, Entry, Person, Says, Statement};
use enroute_model::ids::TransferId;
use enroute_wire::v1;
use tonic::Status;
use v1::statement::Says as Said;

/// Statements in one request.
const STATEMENTS_MAX: usize = 8;

/// What is to be stored.
///
/// # Errors
/// What is wrong with the request.
pub fn change_from(request: v1::SetIdentityRequest) -> Result<Change, Status> {
    if request.statement.len() > STATEMENTS_MAX {
        return Err(Status::invalid_argument(format!(
            "statement: give at most {STATEMENTS_MAX}"
        )));
    }
    let person = request.person.map(person_from).transpose()?;
    let statements = request.statement.into_iter().map(|one| {
        let says = one.says.and_then(says_from);
        let unknown = || Status::invalid_argument("statement: of no known kind");
        Ok((says.ok_or_else(unknown)?, one.remark))
    });
    let statements = statements.collect::<Result<Vec<_>, Status>>()?;
    if person.is_none() && statements.is_empty() {
        let nothing = "person, statement: give one of them";
        return Err(Status::invalid_argument(nothing));
    }
    Ok(Change { person, statements })
}

fn person_from(person: v1::Person) -> Result<Person, Status> {
    let birth_date = match person.birth_date.trim() {
        "" => None,
        date => {
            let date = BirthDate::parse(date);
            Some(date.map_err(|error| Status::invalid_argument(error.to_string()))?)
        }
    };
    Ok(Person {
        family_name: person.family_name,
        given_name: person.given_name,
        birth_date,
        record_number: person.record_number,
    })
}

fn says_from(says: Said) -> Option<Says> {
    Some(match says {
        Said::LegalBasis(basis) => Says::Basis(match v1::LegalBasis::try_from(basis).ok()? {
            v1::LegalBasis::Unspecified => return None,
            v1::LegalBasis::Consent => Basis::Consent,
            v1::LegalBasis::VitalInterests => Basis::VitalInterests,
            v1::LegalBasis::HealthCare => Basis::HealthCare,
            v1::LegalBasis::PublicHealth => Basis::PublicHealth,
            v1::LegalBasis::LegalObligation => Basis::LegalObligation,
        }),
        Said::Consent(consent) => Says::Consent(match v1::Consent::try_from(consent).ok()? {
            v1::Consent::Unspecified => return None,
            v1::Consent::Given => Consent::Given,
            v1::Consent::Refused => Consent::Refused,
            v1::Consent::Withdrawn => Consent::Withdrawn,
            v1::Consent::Unable => Consent::Unable,
        }),
    })
}

fn says_to(says: Says) -> Said {
    match says {
        Says::Basis(basis) => Said::LegalBasis(i32::from(match basis {
            Basis::Consent => v1::LegalBasis::Consent,
            Basis::VitalInterests => v1::LegalBasis::VitalInterests,
            Basis::HealthCare => v1::LegalBasis::HealthCare,
            Basis::PublicHealth => v1::LegalBasis::PublicHealth,
            Basis::LegalObligation => v1::LegalBasis::LegalObligation,
        })),
        Says::Consent(consent) => Said::Consent(i32::from(match consent {
            Consent::Given => v1::Consent::Given,
            Consent::Refused => v1::Consent::Refused,
            Consent::Withdrawn => v1::Consent::Withdrawn,
            Consent::Unable => v1::Consent::Unable,
        })),
    }
}

/// All of an entry.
pub(crate) fn identity_to(transfer: &TransferId, entry: Entry) -> v1::Identity {
    let statement = |one: Statement| v1::Statement {
        says: Some(says_to(one.says)),
        remark: one.remark,
        by: one.by,
        at_us: one.at.0,
    };
    let date = entry.person.birth_date.map(|date| date.to_string());
    v1::Identity {
        transfer: transfer.to_string(),
        person: Some(v1::Person {
            family_name: entry.person.family_name,
            given_name: entry.person.given_name,
            birth_date: date.unwrap_or_default(),
            record_number: entry.person.record_number,
        }),
        set_by: entry.set_by,
        set_at_us: entry.set_at.0,
        statement: entry.statements.into_iter().map(statement).collect(),
    }
}

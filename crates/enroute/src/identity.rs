//! `enroute identity`: who a patient is. What identifies somebody comes from a file or
//! from standard input, never from the arguments.

use crate::args::{IdentityAction, IdentityArgs};
use crate::client::{self, Wire};
use crate::log::{self, Screen};
use crate::watch::words;
use crate::{out, utc};
use anyhow::{Context, Result, anyhow, bail};
use enroute_wire::v1;
use enroute_wire::v1::delete_identity_request::Whose;
use enroute_wire::v1::identities_client::IdentitiesClient;
use enroute_wire::v1::statement::Says;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longer than all fields together.
const INPUT_BYTES_MAX: u64 = 64 << 10;

/// Runs the command.
pub(crate) async fn run(args: IdentityArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    // What is wrong with the input is said before anybody is called.
    let wanted = match &args.action {
        IdentityAction::Set { from, .. }
        | IdentityAction::Export { from }
        | IdentityAction::Delete {
            person: true, from, ..
        } => Some(read(from)?),
        IdentityAction::Show { .. } | IdentityAction::Delete { .. } => None,
    };
    let wanted = wanted.unwrap_or_default();
    let server = &args.server;
    let endpoint = client::endpoint(server)?.timeout(ANSWER_WITHIN);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|_| anyhow!("{server} is not reached: is a server there?"))?;
    let mut asked = Asked {
        server: server.clone(),
        client: IdentitiesClient::new(channel),
    };
    match args.action {
        IdentityAction::Set { transfer, .. } => asked.set(transfer, wanted).await?,
        IdentityAction::Show { transfer, json } => asked.show(transfer, json).await?,
        IdentityAction::Export { .. } => asked.export(wanted.number()?).await?,
        IdentityAction::Delete { transfer, .. } => {
            let whose = match transfer {
                Some(transfer) => Whose::Transfer(transfer),
                None => Whose::RecordNumber(wanted.number()?),
            };
            asked.delete(whose).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What somebody wrote down.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    family_name: Option<String>,
    given_name: Option<String>,
    birth_date: Option<String>,
    record_number: Option<String>,
    legal_basis: Option<String>,
    legal_basis_remark: String,
    consent: Option<String>,
    consent_remark: String,
}

/// Reads a file or standard input. What is wrong is said by field and line, without what
/// stands there.
fn read(from: &Path) -> Result<Wanted> {
    let name = from.display();
    let mut text = String::new();
    let mut take = |input: &mut dyn Read| input.take(INPUT_BYTES_MAX).read_to_string(&mut text);
    let taken = if from == Path::new("-") {
        take(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(from).and_then(|mut file| take(&mut file))
    };
    taken.with_context(|| format!("{name}: cannot be read"))?;
    if text.trim_start().starts_with('{') {
        let wanted = serde_json::from_str(&text);
        return wanted.map_err(|wrong| {
            let (line, column) = (wrong.line(), wrong.column());
            anyhow!("{name}: is not as it should be at line {line}, column {column}: every value is a text in quotes; see --help")
        });
    }
    toml::from_str(&text).map_err(|wrong| {
        let before = wrong.span().and_then(|span| text.get(..span.start));
        let line = before.unwrap_or_default().matches('\n').count() + 1;
        anyhow!("{name}: is not as it should be at line {line}: every value is a text in quotes; see --help")
    })
}

impl Wanted {
    fn number(self) -> Result<String> {
        let number = self
            .record_number
            .filter(|number| !number.trim().is_empty());
        number.context("record_number: give one, as TOML or JSON")
    }

    /// What is given, in the place of what is known.
    fn person(&self, known: Option<v1::Person>) -> Option<v1::Person> {
        let given = [
            &self.family_name,
            &self.given_name,
            &self.birth_date,
            &self.record_number,
        ];
        given.iter().any(|field| field.is_some()).then(|| {
            let known = known.unwrap_or_default();
            let or = |given: &Option<String>, known| given.clone().unwrap_or(known);
            v1::Person {
                family_name: or(&self.family_name, known.family_name),
                given_name: or(&self.given_name, known.given_name),
                birth_date: or(&self.birth_date, known.birth_date),
                record_number: or(&self.record_number, known.record_number),
            }
        })
    }

    fn statements(self) -> Result<Vec<v1::Statement>> {
        let mut statements = Vec::new();
        let mut state = |says, remark| {
            statements.push(v1::Statement {
                says: Some(says),
                remark,
                ..Default::default()
            });
        };
        if let Some(word) = self.legal_basis {
            let name = format!("LEGAL_BASIS_{}", word.to_uppercase());
            let basis = v1::LegalBasis::from_str_name(&name);
            let basis = basis.context("legal_basis: is none of those that --help lists")?;
            state(Says::LegalBasis(basis.into()), self.legal_basis_remark);
        }
        if let Some(word) = self.consent {
            let name = format!("CONSENT_{}", word.to_uppercase());
            let consent = v1::Consent::from_str_name(&name);
            let consent = consent.context("consent: is none of those that --help lists")?;
            state(Says::Consent(consent.into()), self.consent_remark);
        }
        Ok(statements)
    }
}

struct Asked {
    server: String,
    client: IdentitiesClient<Wire>,
}

impl Asked {
    fn refused(&self, status: &tonic::Status) -> anyhow::Error {
        anyhow!("{} says: {}", self.server, client::reason(status))
    }

    async fn get(&mut self, transfer: String) -> Result<Option<v1::Identity>> {
        let got = self.client.get(v1::GetIdentityRequest { transfer }).await;
        let got = got.map_err(|status| self.refused(&status))?;
        Ok(got.into_inner().identity)
    }

    async fn set(&mut self, transfer: String, wanted: Wanted) -> Result<()> {
        let known = self.get(transfer.clone()).await?;
        let person = wanted.person(known.and_then(|known| known.person));
        let statement = wanted.statements()?;
        let asked = v1::SetIdentityRequest {
            transfer,
            person,
            statement,
        };
        let set = self.client.set(asked).await;
        let set = set.map_err(|status| self.refused(&status))?.into_inner();
        let transfer = set.identity.unwrap_or_default().transfer;
        out::line(format!("{transfer}: is stored"))?;
        Ok(())
    }

    async fn show(&mut self, transfer: String, as_json: bool) -> Result<()> {
        let Some(identity) = self.get(transfer).await? else {
            bail!("nothing is stored of who is on this transfer");
        };
        if as_json {
            out::line(json_of(&identity).to_string())?;
            return Ok(());
        }
        for line in lines(&identity) {
            out::line(line)?;
        }
        Ok(())
    }

    async fn export(&mut self, record_number: String) -> Result<()> {
        let asked = v1::ExportIdentityRequest { record_number };
        let exported = self.client.export(asked).await;
        let exported = exported.map_err(|status| self.refused(&status))?;
        let exported = exported.into_inner();
        let transfers = exported.transfer.iter().map(|one| {
            json!({
                "transfer": one.transfer,
                "started_at": utc::rfc3339(one.started_at_us),
                "closed": one.closed,
                "hospital": one.info.as_ref().map(|info| &info.hospital),
                "identity": one.identity.as_ref().map(json_of),
            })
        });
        let all = json!({
            "transfers": transfers.collect::<Vec<_>>(),
            "unreadable": exported.unreadable,
        });
        out::line(serde_json::to_string_pretty(&all)?)?;
        Ok(())
    }

    async fn delete(&mut self, whose: Whose) -> Result<()> {
        let asked = v1::DeleteIdentityRequest { whose: Some(whose) };
        let deleted = self.client.delete(asked).await;
        let deleted = deleted.map_err(|status| self.refused(&status))?;
        let deleted = deleted.into_inner();
        match deleted.transfer.as_slice() {
            [] => out::line("nothing was stored")?,
            transfers => out::line(format!("deleted, of {}", transfers.join(", ")))?,
        }
        if deleted.unreadable > 0 {
            let count = deleted.unreadable;
            out::line(format!(
                "of {count} more nobody can say who was on them: they cannot be opened"
            ))?;
        }
        Ok(())
    }
}

/// The word of an enum's value, without what all of them begin with.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

fn said(statement: &v1::Statement) -> Option<(&'static str, String)> {
    Some(match statement.says? {
        Says::LegalBasis(basis) => {
            let basis = v1::LegalBasis::try_from(basis).unwrap_or_default();
            ("legal_basis", word(basis.as_str_name(), "LEGAL_BASIS_"))
        }
        Says::Consent(consent) => {
            let consent = v1::Consent::try_from(consent).unwrap_or_default();
            ("consent", word(consent.as_str_name(), "CONSENT_"))
        }
    })
}

fn json_of(identity: &v1::Identity) -> Value {
    let person = identity.person.clone().unwrap_or_default();
    let statements = identity.statement.iter().filter_map(|one| {
        let (kind, said) = said(one)?;
        let at = utc::rfc3339(one.at_us);
        Some(json!({ kind: said, "remark": one.remark, "by": one.by, "at": at }))
    });
    json!({
        "stored_under": identity.transfer,
        "family_name": person.family_name,
        "given_name": person.given_name,
        "birth_date": person.birth_date,
        "record_number": person.record_number,
        "set_by": identity.set_by,
        "set_at": utc::rfc3339(identity.set_at_us),
        "statements": statements.collect::<Vec<_>>(),
    })
}

/// Who it is in one line.
pub(crate) fn short(identity: &v1::Identity) -> String {
    let person = identity.person.clone().unwrap_or_default();
    let names = [person.family_name, person.given_name];
    let names: Vec<_> = { names.into_iter() }
        .filter(|name| !name.is_empty())
        .collect();
    let with = |word: &str, text: &str| match text {
        "" => String::new(),
        text => format!("  {word} {text}"),
    };
    let names = match names.join(", ") {
        none if none.is_empty() => "name not known".to_owned(),
        names => names,
    };
    let born = with("born", &person.birth_date);
    let number = with("record", &person.record_number);
    words::printable(&format!("{names}{born}{number}"))
}

fn lines(identity: &v1::Identity) -> Vec<String> {
    let person = identity.person.clone().unwrap_or_default();
    let mut lines = Vec::new();
    let mut say = |key: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("{key:<15}{}", words::printable(text)));
        }
    };
    say("family name", &person.family_name);
    say("given name", &person.given_name);
    say("born", &person.birth_date);
    say("record number", &person.record_number);
    let at = utc::rfc3339(identity.set_at_us);
    say("said by", &format!("{}, {at}", identity.set_by));
    for one in &identity.statement {
        let Some((kind, said)) = said(one) else {
            continue;
        };
        let at = utc::rfc3339(one.at_us);
        let remark = match one.remark.as_str() {
            "" => String::new(),
            remark => format!(": {remark}"),
        };
        let said = said.replace('_', " ");
        say(
            &kind.replace('_', " "),
            &format!("{said}{remark} ({}, {at})", one.by),
        );
    }
    lines
}

//! The file of tokens: read when the server starts, read again while it runs, and
//! changed by `enroute token`.

use crate::args::{TokenAction, TokenArgs, TokenRole, WantedToken};
use crate::clock::SystemClock;
use crate::{audit, out, utc};
use anyhow::{Context, Result, bail};
use enroute_access::{Role, SECRET_BYTES, Scope, Tokens, Wanted};
use enroute_audit::Audit;
use enroute_model::time::Clock;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often the file is read again: so long a revoked token still works.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Largest file; one with all the tokens that it may hold is smaller.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads the file.
///
/// # Errors
/// Which file, what is wrong, and what to do.
pub(crate) fn read(file: &Path) -> Result<Tokens> {
    let name = file.display();
    let size = std::fs::metadata(file)
        .with_context(|| format!("{name}: cannot be read; `enroute token create` makes one"))?;
    if size.len() > FILE_BYTES_MAX {
        bail!("{name}: is no file of tokens, it is too large");
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("{name}: cannot be read"))?;
    Tokens::parse(&text).with_context(|| format!("{name}: is no file of tokens"))
}

/// Reads the file again and again, for as long as the server runs. What is wrong with
/// it is said when it begins, and what was read before stays in force.
pub(crate) async fn keep(file: PathBuf, tokens: watch::Sender<Arc<Tokens>>, audit: Audit) {
    let mut said = String::new();
    let mut looks = tokio::time::interval(READ_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let wrong = match read(&file) {
            Ok(new) => {
                let is_taken = tokens.send_if_modified(|old| {
                    let is_other = **old != new;
                    if is_other {
                        audit::tell_tokens(&audit, old, &new);
                        *old = Arc::new(new);
                    }
                    is_other
                });
                if is_taken {
                    tracing::info!("took the tokens that have changed");
                }
                String::new()
            }
            Err(error) => format!("{error:#}"),
        };
        if !wrong.is_empty() && wrong != said {
            tracing::error!(error = wrong, "kept the tokens that were read before");
        }
        said = wrong;
    }
}

/// Runs `enroute token`.
pub(crate) fn run(args: TokenArgs) -> Result<ExitCode> {
    let file = args.file;
    match args.action {
        TokenAction::Create(wanted) => create(&file, wanted)?,
        TokenAction::Revoke { id } => {
            let mut tokens = read(&file)?;
            let revoked = tokens.revoke(&id)?;
            write(&file, &tokens)?;
            out::line(format!(
                "revoked {id} of {}, {}",
                revoked.name,
                revoked.role.as_str()
            ))?;
        }
        TokenAction::List => {
            for token in read(&file)?.iter() {
                out::line(line(token))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(file: &Path, wanted: WantedToken) -> Result<()> {
    let mut tokens = if file.exists() {
        read(file)?
    } else {
        Tokens::default()
    };
    let days = wanted.days.map(i64::from);
    let now = SystemClock::new().wall();
    let expires_us =
        days.map(|days| now.saturating_add(days.saturating_mul(24 * 60 * 60 * 1_000_000)));
    let mut random = [0u8; SECRET_BYTES];
    getrandom::fill(&mut random).context("failed to get random bytes")?;
    let token = Wanted {
        name: wanted.name,
        role: role(wanted.role),
        certificate: wanted.certificate,
        break_glass: wanted.break_glass,
        region: wanted.region,
        expires_us,
        scope: Scope {
            hospitals: wanted.hospitals,
            transfers: wanted.transfers,
        },
    };
    let shown = tokens.add(token, &random)?;
    write(file, &tokens)?;
    out::line(shown)?;
    Ok(())
}

fn role(role: TokenRole) -> Role {
    match role {
        TokenRole::Wall => Role::Wall,
        TokenRole::Viewer => Role::Viewer,
        TokenRole::Clinician => Role::Clinician,
        TokenRole::Operator => Role::Operator,
        TokenRole::Administrator => Role::Administrator,
    }
}

fn line(token: &enroute_access::Token) -> String {
    let scope = &token.scope;
    let hospitals = scope.hospitals.iter().map(|name| ("hospital", name));
    let transfers = scope.transfers.iter().map(|name| ("transfer", name));
    let certificate = token.certificate.iter().map(|name| ("certificate", name));
    let more = hospitals.chain(transfers).chain(certificate);
    let mut parts: Vec<String> = more
        .map(|(what, name)| format!("; {what} {name}"))
        .collect();
    let region = token.region.as_ref();
    parts.extend(region.map(|region| format!("; region {region}")));
    let breaks = token
        .break_glass
        .then(|| "; may break the glass".to_owned());
    parts.extend(breaks);
    let until = token.expires_us.map(utc::rfc3339);
    parts.extend(until.map(|until| format!("; until {until}")));
    let (id, role) = (&token.id, token.role.as_str());
    format!("{id}  {role:13}  {}{}", token.name, parts.concat())
}

/// Written beside and renamed, so that a server never reads half a file; for its
/// owner alone.
fn write(file: &Path, tokens: &Tokens) -> Result<()> {
    let beside = file.with_extension("new");
    let written = write_new(&beside, &tokens.to_text()?)
        .and_then(|()| std::fs::rename(&beside, file))
        .with_context(|| format!("failed to write {}", file.display()));
    if written.is_err() {
        // The error that counts is the one above.
        drop(std::fs::remove_file(&beside));
    }
    written
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()
}

//! `enroute certs`: authorities, certificates and revocations, as files.

use crate::args::CertsArgs;
use crate::clock::SystemClock;
use crate::out;
use anyhow::{Context, Result, bail};
use enroute_model::ids::GatewayId;
use enroute_model::time::Clock;
use enroute_tls::authority::{Authority, AuthorityError, Issued, Purpose};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The directories, and the names of the authorities in them.
const AUTHORITIES: [(&str, &str); 3] = [
    ("hospital", "enroute hospital"),
    ("vehicles", "enroute vehicles"),
    ("viewers", "enroute viewers"),
];

/// Name of the server at an external broker, as the shipped rules for brokers have it.
const AT_BROKER: &str = "enroute-server";

/// Runs the command.
pub(crate) fn run(args: &CertsArgs) -> Result<ExitCode> {
    let now = now()?;
    let open = |(dir, name)| Authority::open(&args.dir.join(dir), name, now);
    let [hospital, vehicles, viewers] = AUTHORITIES.map(open);
    let (hospital, vehicles, viewers) = (hospital?, vehicles?, viewers?);
    for authority in [&hospital, &vehicles, &viewers] {
        say("authority", &authority.certificate())?;
    }
    if let Some(name) = args.servers.first() {
        let purpose = Purpose::Server(args.servers.clone());
        say_issued("server", &hospital.issue(name, purpose)?)?;
        match vehicles.issue(AT_BROKER, Purpose::Client) {
            Ok(at_broker) => say_issued("at broker", &at_broker)?,
            // It came with an earlier one.
            Err(AuthorityError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for gateway in &args.gateways {
        GatewayId::new(gateway).with_context(|| format!("--gateway {gateway}"))?;
        if gateway == AT_BROKER {
            bail!("--gateway {gateway}: this is the server's own name at a broker");
        }
        say_issued("gateway", &vehicles.issue(gateway, Purpose::Client)?)?;
    }
    if let Some(name) = args.pages.first() {
        let purpose = Purpose::Server(args.pages.clone());
        say_issued("page", &vehicles.issue(name, purpose)?)?;
    }
    for viewer in &args.viewers {
        say_issued("viewer", &viewers.issue(viewer, Purpose::Client)?)?;
    }
    for named in &args.revoked {
        let (authority, name) = match named.split_once('/') {
            Some(("hospital", name)) => (&hospital, name),
            Some(("vehicles", name)) => (&vehicles, name),
            Some(("viewers", name)) => (&viewers, name),
            Some(_) | None => bail!("--revoke {named}: name it as vehicles/amb-12"),
        };
        authority.revoke(name)?;
        say("revoked", &authority.revoked())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> Result<SystemTime> {
    let micros = u64::try_from(SystemClock::new().wall())
        .context("the machine's clock is before 1970: set it, certificates have dates")?;
    Ok(UNIX_EPOCH + Duration::from_micros(micros))
}

fn say_issued(what: &str, issued: &Issued) -> Result<()> {
    say(what, &issued.certificate)?;
    say("its key", &issued.key)
}

fn say(what: &str, file: &Path) -> Result<()> {
    Ok(out::line(format!("{what:9} {}", file.display()))?)
}

//! `enroute transfer …`: the registry of a server from the command line.

mod limits;
mod notes;
mod simulated;

use crate::args::{
    Age, AlertArgs, BaselineArgs, Grams, InfoArgs, LegArg, LimitsArgs, PlaceArg, TransferAction,
    TransferArgs,
};
use crate::client::Wire;
use crate::client::{self, RESPONSE_BYTES_MAX};
use crate::log::{self, Screen};
use crate::watch::{account, json, notes as thread, rules, words};
use crate::{out, utc};
use anyhow::{Context, Result, anyhow};
use enroute_wire::v1;
use enroute_wire::v1::alert_action;
use enroute_wire::v1::live_client::LiveClient;
use enroute_wire::v1::registry_action::Action;
use enroute_wire::v1::transfers_client::TransfersClient;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) use simulated::introduce;

/// Takes back what was said of regions.
const DEFAULT_REGIONS: &str = "default";
/// No unary call takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Runs the command.
pub(crate) async fn run(args: TransferArgs, log: Option<&str>) -> Result<ExitCode> {
    log::start(log, None, Some("warn"), Screen::Free)?;
    let server = Server::connect(&args.server).await?;
    match args.action {
        TransferAction::Add(info) => server.add(info).await?,
        TransferAction::List { closed, json } => server.list(closed, json).await?,
        TransferAction::Show { transfer, json } => server.show(&transfer, json).await?,
        TransferAction::Close { transfer } => {
            server
                .act(&transfer, Action::Close(v1::Close {}), "closed")
                .await?;
        }
        TransferAction::Reopen { transfer } => {
            let action = Action::Reopen(v1::Reopen {});
            server.act(&transfer, action, "open again").await?;
        }
        TransferAction::Assign { transfer, info } => server.assign(&transfer, info).await?,
        TransferAction::Join { transfer, into } => {
            let into = server.find(&into).await?.transfer;
            let done = format!("is a leg of {into} now");
            server.act(&transfer, Action::JoinInto(into), &done).await?;
        }
        TransferAction::HandOver { transfer, to } => {
            let done = format!("follows {to} now");
            server.act(&transfer, Action::HandOverTo(to), &done).await?;
        }
        TransferAction::Alert(args) => server.attend(args).await?,
        TransferAction::Limits(args) => server.limits(args).await?,
        TransferAction::Baseline(args) => server.baseline(args).await?,
        TransferAction::Note(args) => server.note(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A connection to a server.
struct Server {
    name: String,
    channel: Wire,
}

impl Server {
    async fn connect(server: &str) -> Result<Self> {
        let endpoint = client::endpoint(server)?.timeout(ANSWER_WITHIN);
        let channel = endpoint.connect().await.map_err(|_| {
            anyhow!("{server} is not reached: is a server running there? (enroute serve, or enroute demo)")
        })?;
        Ok(Self {
            name: server.to_owned(),
            channel,
        })
    }

    fn refused(&self, status: &tonic::Status) -> anyhow::Error {
        anyhow!("{} says: {}", self.name, client::reason(status))
    }

    async fn all(&self, closed: bool) -> Result<Vec<v1::TransferState>> {
        let mut client =
            LiveClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let response = client
            .list(v1::ListRequest { closed })
            .await
            .map_err(|status| self.refused(&status))?;
        Ok(response.into_inner().transfer)
    }

    /// The transfer that a person named, by id, alias or short code.
    async fn find(&self, named: &str) -> Result<v1::TransferState> {
        client::named(self.all(true).await?, named)
    }

    async fn add(&self, info: InfoArgs) -> Result<()> {
        let request = v1::AddRequest {
            action_id: action_id()?,
            info: Some(changed(v1::TransferInfo::default(), info)),
        };
        let response = TransfersClient::new(self.channel.clone())
            .add(request)
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        let code = words::short_code(&response.short_code);
        out::line(format!("{}  short code {code}", response.transfer))?;
        Ok(())
    }

    async fn assign(&self, named: &str, info: InfoArgs) -> Result<()> {
        let known = self.find(named).await?;
        let info = changed(known.info.unwrap_or_default(), info);
        let done = if info.hospital.is_empty() {
            "changed; no hospital yet".to_owned()
        } else {
            format!("goes to {}", words::printable(&info.hospital))
        };
        self.act(&known.transfer, Action::Put(info), &done).await
    }

    /// Speaks of the alert as the server shows it at this moment.
    async fn attend(&self, args: AlertArgs) -> Result<()> {
        let state = self.find(&args.transfer).await?;
        let alert = state.alert.iter().find(|a| a.alert_id == args.alert);
        let alert = alert.with_context(|| {
            format!(
                "alert {} is over or never was; `enroute transfer show {}` lists those that are open",
                args.alert, args.transfer
            )
        })?;
        let (doing, done) = if let Some(seconds) = args.pause {
            let done = format!("rests for {seconds} s");
            (alert_action::Action::PauseS(seconds), done)
        } else if let Some(note) = args.note {
            (alert_action::Action::Note(note), "has a remark".to_owned())
        } else {
            let action = alert_action::Action::Acknowledge(v1::Acknowledge {});
            (action, "acknowledged".to_owned())
        };
        let action = Action::Alert(v1::AlertAction {
            alert_id: alert.alert_id,
            seen_ordinal: alert.raised_ordinal,
            action: Some(doing),
        });
        let done = format!("alert {} {done}: {}", alert.alert_id, words::alert(alert));
        self.act_as(&state.transfer, action, &done, args.actor)
            .await
    }

    async fn limits(&self, args: LimitsArgs) -> Result<()> {
        let (action, done) = limits::action(&args)?;
        self.act_as(&args.transfer, action, &done, args.actor).await
    }

    async fn baseline(&self, args: BaselineArgs) -> Result<()> {
        let (action, done) = limits::baseline(&args)?;
        self.act_as(&args.transfer, action, &done, args.actor).await
    }

    async fn act(&self, transfer: &str, action: Action, done: &str) -> Result<()> {
        self.act_as(transfer, action, done, String::new()).await
    }

    async fn act_as(
        &self,
        transfer: &str,
        action: Action,
        done: &str,
        actor: String,
    ) -> Result<()> {
        let known = self.done(transfer, action, actor).await?;
        out::line(format!("{known}: {done}"))?;
        Ok(())
    }

    /// Does it; gives the present name of the transfer.
    async fn done(&self, transfer: &str, action: Action, actor: String) -> Result<String> {
        let request = v1::ActRequest {
            transfer: transfer.to_owned(),
            action_id: action_id()?,
            action: Some(v1::RegistryAction {
                action: Some(action),
            }),
            actor,
        };
        let response = TransfersClient::new(self.channel.clone())
            .act(request)
            .await
            .map_err(|status| self.refused(&status))?
            .into_inner();
        Ok(response.transfer)
    }

    async fn list(&self, closed: bool, as_json: bool) -> Result<()> {
        let all = self.all(closed).await?;
        if as_json {
            for state in &all {
                out::line(json::transfer(state).to_string())?;
            }
            return Ok(());
        }
        if all.is_empty() {
            out::line("no transfers")?;
            return Ok(());
        }
        out::line(format!(
            "{:<9}{:<9}{:<11}{:<22}{:<26}{:<16}{}",
            "code", "state", "link", "hospital", "concern", "arrives", "transfer"
        ))?;
        for state in &all {
            out::line(list_line(state))?;
        }
        Ok(())
    }

    async fn show(&self, named: &str, as_json: bool) -> Result<()> {
        let state = self.find(named).await?;
        if as_json {
            out::line(json::transfer(&state).to_string())?;
            return Ok(());
        }
        for line in show_lines(&state) {
            out::line(line)?;
        }
        Ok(())
    }
}

/// An id of 128 random bits: the same request sent twice changes things once.
/// A name that no other action has.
pub(crate) fn action_id() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("failed to get random bytes: {error}"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// What is known, with what was given in its place.
fn changed(mut info: v1::TransferInfo, given: InfoArgs) -> v1::TransferInfo {
    if let Some(hospital) = given.hospital {
        info.hospital = hospital;
    }
    if let Some(concern) = given.concern {
        info.concern = concern;
    }
    if !given.regions.is_empty() {
        info.region = given.regions;
        info.region.retain(|region| region != DEFAULT_REGIONS);
    }
    if !given.conditions.is_empty() {
        info.condition = given.conditions;
    }
    if !given.legs.is_empty() {
        info.leg = given.legs.into_iter().map(leg).collect();
    }
    if given.age.is_some() || given.weight.is_some() {
        let mut population = info.population.unwrap_or_default();
        if let Some(age) = given.age {
            population.set_age_band(match age {
                Age::Neonate => v1::AgeBand::Neonate,
                Age::Infant => v1::AgeBand::Infant,
                Age::Child => v1::AgeBand::Child,
                Age::Adolescent => v1::AgeBand::Adolescent,
                Age::Adult => v1::AgeBand::Adult,
            });
        }
        if let Some(Grams(grams)) = given.weight {
            population.weight_g = grams;
        }
        info.population = Some(population);
    }
    info
}

fn leg(leg: LegArg) -> v1::Leg {
    let place = |place: PlaceArg| v1::Place {
        name: place.name,
        latitude_e7: place.latitude_e7,
        longitude_e7: place.longitude_e7,
    };
    let mode = if leg.air {
        v1::Mode::Air
    } else {
        v1::Mode::Road
    };
    v1::Leg {
        vehicle: leg.vehicle,
        mode: mode.into(),
        gateway: leg.gateway,
        from: Some(place(leg.from)),
        to: Some(place(leg.to)),
        departs_at_us: leg.departs_at_us,
        arrives_at_us: leg.arrives_at_us,
    }
}

fn list_line(state: &v1::TransferState) -> String {
    let info = state.info.clone().unwrap_or_default();
    let cut = |text: &str, width: usize| {
        let text = words::printable(text);
        text.chars().take(width).collect::<String>()
    };
    let phase = if state.closed { "closed" } else { "open" };
    let active: Vec<_> = state.source.iter().filter(|source| source.active).collect();
    let link = match (
        active.is_empty(),
        active.iter().any(|source| source.link_up),
    ) {
        (true, _) => "-",
        (false, true) => "up",
        (false, false) => "lost",
    };
    let hospital = if info.hospital.is_empty() {
        "unassigned".to_owned()
    } else {
        cut(&info.hospital, 20)
    };
    let eta = state.travel.as_ref().and_then(|travel| travel.eta_us);
    let eta = eta.map_or_else(
        || "-".to_owned(),
        |eta| format!("{}Z", utc::time_of_day(eta)),
    );
    let exercise = if state.exercise { "  EXERCISE" } else { "" };
    format!(
        "{:<9}{phase:<9}{link:<11}{hospital:<22}{:<26}{eta:<16}{}{exercise}",
        words::short_code(&state.short_code),
        cut(&info.concern, 24),
        state.transfer
    )
}

fn show_lines(state: &v1::TransferState) -> Vec<String> {
    let info = state.info.clone().unwrap_or_default();
    let notes = thread::entries(state);
    let mut lines = vec![
        format!("transfer    {}", state.transfer),
        format!("short code  {}", words::short_code(&state.short_code)),
        format!(
            "state       {}",
            if state.closed { "closed" } else { "open" }
        ),
        format!("started     {}", utc::rfc3339(state.started_at_us)),
    ];
    let mut say = |key: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{key:<12}{}", words::printable(&text)));
        }
    };
    say(
        "marked",
        if state.exercise { "EXERCISE" } else { "" }.into(),
    );
    say("also", state.alias.join(", "));
    say("hospital", info.hospital.clone());
    say("regions", info.region.join(", "));
    say("concern", info.concern.clone());
    say("conditions", info.condition.join(", "));
    say("patient", words::population(state));
    for leg in &info.leg {
        let place = |place: &Option<v1::Place>| {
            place
                .as_ref()
                .map(|place| place.name.clone())
                .unwrap_or_default()
        };
        let mode = json::word(leg.mode().as_str_name());
        let way = format!("{} → {}", place(&leg.from), place(&leg.to));
        say(
            "leg",
            format!("{mode} {} {} {way}", leg.vehicle, leg.gateway),
        );
    }
    if let Some(travel) = &state.travel {
        let distance = travel.distance_m.map(words::distance);
        say("to go", distance.unwrap_or_default());
        say(
            "arrives",
            travel.eta_us.map(utc::rfc3339).unwrap_or_default(),
        );
    }
    for line in rules::lines(state) {
        say("rules", line);
    }
    for alert in &state.alert {
        let since = utc::rfc3339(alert.since_us);
        let mark = words::priority_mark(alert.priority()).trim();
        let text = words::alert(alert);
        say(
            "alert",
            format!("{} {mark} {text} since {since}", alert.alert_id),
        );
        say("", words::attention(alert));
    }
    for note in notes.iter().filter(|entry| entry.is_note) {
        let at = utc::rfc3339(note.at_us);
        say("note", format!("{at} {}", note.text));
    }
    for source in &state.source {
        let link = match (source.active, source.link_up) {
            (false, _) => "handed over",
            (true, true) => "link up",
            (true, false) => "link lost",
        };
        say("source", format!("{} {link}", source.gateway));
        for line in account::lines(source) {
            say("", line);
        }
    }
    for time in &state.unrecorded {
        let (from, to) = (utc::rfc3339(time.since_us), utc::rfc3339(time.until_us));
        say("unrecorded", format!("{from} to {to}: {}", time.reason));
    }
    lines
}

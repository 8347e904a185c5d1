//! `enroute.v1.Replay`: recordings listed, played and steered.

use crate::caller::{Caller, Concern, Named};
use crate::convert;
use crate::guarded::Guarded;
use crate::identities::Identities;
use crate::live_service::name;
use crate::transfers_service::actor;
use enroute_access::Action;
use enroute_live::replay::{
    Command, Controls, Order, Play, PlayError, Playback, Replayed, Response as Played, Speed, State,
};
use enroute_live::{Live, Page};
use enroute_model::ids::Position;
use enroute_model::state::TransferState;
use enroute_model::time::EngineTime;
use enroute_wire::v1;
use enroute_wire::v1::control_request::Command as Asked;
use enroute_wire::v1::replay_server::Replay as Service;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tonic::{Request, Response, Status};

/// Messages between a playback and its HTTP/2 stream; the playback waits when full.
const AHEAD: usize = 1;
/// Recordings in one answer.
const PAGE_MAX: usize = 1_000;
/// Bytes in the id of a playback: nobody guesses another's.
const ID_BYTES: usize = 12;

/// Playbacks that run, by id; as many as `enroute_live::Options::playbacks_max`.
type Running = Arc<Mutex<BTreeMap<String, (Caller, Controls)>>>;
type Out = mpsc::Sender<Result<v1::PlayResponse, Status>>;

pub(crate) struct ReplayService {
    live: Live,
    closing: watch::Receiver<bool>,
    running: Running,
    identities: Identities,
}

impl ReplayService {
    pub(crate) fn new(live: Live, closing: watch::Receiver<bool>, identities: Identities) -> Self {
        let running = Running::default();
        Self {
            live,
            closing,
            running,
            identities,
        }
    }
}

/// Which recordings are asked for.
fn page(asked: v1::ListRecordingsRequest) -> Result<Page, Status> {
    let before = match asked.page_token.as_str() {
        "" => None,
        token => {
            let wrong = |_| Status::invalid_argument("page_token: give that of the last response");
            Some(Position(token.parse().map_err(wrong)?))
        }
    };
    let max = match usize::try_from(asked.page_size) {
        Ok(size @ 1..PAGE_MAX) => size,
        Ok(_) | Err(_) => PAGE_MAX,
    };
    let one = Some(asked.transfer).filter(|name| !name.is_empty());
    Ok(Page { one, before, max })
}

#[tonic::async_trait]
impl Service for ReplayService {
    async fn list_recordings(
        &self,
        request: Request<v1::ListRecordingsRequest>,
    ) -> Result<Response<v1::ListRecordingsResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.admit(Action::SeeRecordings, Concern::Own)?;
        let asked = request.into_inner();
        if !asked.transfer.is_empty() {
            name("transfer", &asked.transfer)?;
        }
        let mut deleted = self.live.deleted_recordings().await;
        let deleted = deleted.as_mut().map_err(|error| convert::history(error))?;
        deleted.retain(|one| caller.sees_named(None, &one.transfer, &one.alias));
        let deleted_count = u64::try_from(deleted.len()).unwrap_or(u64::MAX);
        if asked.deleted {
            deleted.truncate(PAGE_MAX);
            return Ok(Response::new(v1::ListRecordingsResponse {
                deleted: std::mem::take(deleted),
                deleted_count,
                ..Default::default()
            }));
        }
        let (recording, next) = (self.live.recordings_page(page(asked)?).await)
            .map_err(|error| convert::history(&error))?;
        let mut recording = recording;
        recording.retain(|one| {
            let gateways = one.gateway.iter().map(String::as_str);
            caller.sees_named(one.info.as_ref(), &one.transfer, &one.alias)
                && caller.is_inside_named(one.info.as_ref(), gateways)
        });
        Ok(Response::new(v1::ListRecordingsResponse {
            recording,
            next_page_token: next.map(|next| next.0.to_string()).unwrap_or_default(),
            deleted: Vec::new(),
            deleted_count,
        }))
    }

    async fn delete_recording(
        &self,
        request: Request<v1::DeleteRecordingRequest>,
    ) -> Result<Response<v1::DeleteRecordingResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        name("transfer", &asked.transfer)?;
        let actor = caller.actor(|| actor(&asked.actor))?;
        let state = self.state(&asked.transfer).await?;
        let concern = Concern::Transfer(&state);
        caller.admit_durably(Action::Delete, concern).await?;
        let deleted = self.live.delete_recording(&asked.transfer, &actor).await;
        let deleted = deleted.map_err(|error| convert::not_deleted(&error))?;
        // Who was on it goes with it; what does not go now goes with the next look.
        self.identities.follow(&self.live).await;
        Ok(Response::new(v1::DeleteRecordingResponse {
            deleted: Some(deleted),
        }))
    }

    type PlayStream = Guarded<v1::PlayResponse>;

    async fn play(
        &self,
        request: Request<v1::PlayRequest>,
    ) -> Result<Response<Self::PlayStream>, Status> {
        let caller = Caller::of(&request)?;
        let play = checked(request.into_inner())?;
        let state = self.state(&play.transfer).await?;
        let glass = caller.admit(Action::Replay, Concern::Transfer(&state))?;
        let transfer = state.transfer.to_string();
        let named = vec![Named {
            id: transfer,
            glass,
        }];
        let id = fresh_id()?;
        let (playback, controls) = self
            .live
            .play(play)
            .await
            .map_err(|error| refused(&error))?;
        lock(&self.running).insert(id.clone(), (caller.clone(), controls));
        let (out, responses) = mpsc::channel(AHEAD);
        let (running, closing) = (Arc::clone(&self.running), self.closing.clone());
        drop(tokio::spawn(async move {
            follow(playback, &id, &out, closing).await;
            lock(&running).remove(&id);
        }));
        let named = (Action::Replay, named);
        Ok(Response::new(Guarded::new(responses, caller, named, false)))
    }

    async fn control(
        &self,
        request: Request<v1::ControlRequest>,
    ) -> Result<Response<v1::ControlResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.admit(Action::Replay, Concern::Own)?;
        let v1::ControlRequest { playback, command } = request.into_inner();
        let command = command_from(command)?;
        let controls = lock(&self.running).get(&playback).cloned();
        let unknown = || Status::not_found("no playback with this id runs: start one with Play");
        // Another's is as good as none.
        let controls = controls.filter(|(whose, _)| caller.is(whose));
        let (_, controls) = controls.ok_or_else(unknown)?;
        let replayed = controls.control(command).await.map_err(|_| unknown())?;
        let replayed = Some(replayed_to(&playback, &replayed));
        Ok(Response::new(v1::ControlResponse { replayed }))
    }
}

impl ReplayService {
    async fn state(&self, name: &str) -> Result<Arc<TransferState>, Status> {
        let state = self.live.state(name).await;
        state.map_err(|error| convert::lookup(&error))
    }
}

fn lock(running: &Running) -> MutexGuard<'_, BTreeMap<String, (Caller, Controls)>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fresh_id() -> Result<String, Status> {
    let mut id = [0u8; ID_BYTES];
    getrandom::fill(&mut id).map_err(|_| Status::internal("no random numbers for an id"))?;
    Ok(format!(
        "{:024x}",
        id.iter()
            .fold(0u128, |id, byte| (id << 8) | u128::from(*byte))
    ))
}

/// Passes a playback on until either side ends.
async fn follow(mut playback: Playback, id: &str, out: &Out, mut closing: watch::Receiver<bool>) {
    let stops = || Status::unavailable("the server stops; play from this moment when it is back");
    loop {
        let next = tokio::select! {
            next = playback.next() => next,
            () = out.closed() => return,
            _ = closing.wait_for(|closing| *closing) => None,
        };
        let (response, last) = match next {
            Some(Ok(played)) => (Ok(response(id, &played)), false),
            Some(Err(error)) => (Err(convert::unread(&error)), true),
            None => (Err(stops()), true),
        };
        // A viewer that has gone is not told.
        if out.send(response).await.is_err() || last {
            return;
        }
    }
}

fn response(id: &str, played: &Played) -> v1::PlayResponse {
    let server_time_us = played.replayed.at.0;
    v1::PlayResponse {
        replayed: Some(replayed_to(id, &played.replayed)),
        recorded: played.update.as_ref().map(|update| v1::WatchResponse {
            server_time_us,
            not_recorded: None,
            resume_token: Vec::new(),
            update: Some(convert::update(update)),
        }),
    }
}

fn replayed_to(id: &str, replayed: &Replayed) -> v1::Replayed {
    let state = match replayed.state {
        State::Playing => v1::ReplayState::Playing,
        State::Paused => v1::ReplayState::Paused,
        State::Ended => v1::ReplayState::Ended,
        State::CaughtUp => v1::ReplayState::CaughtUp,
    };
    let order = match replayed.order {
        Order::Arrival => v1::ReplayOrder::Arrival,
        Order::Device => v1::ReplayOrder::Device,
    };
    let times = replayed.speed.as_times();
    v1::Replayed {
        playback: id.to_owned(),
        recorded_at_us: replayed.at.0,
        speed: times.unwrap_or(0.0),
        fastest: times.is_none(),
        order: order.into(),
        state: state.into(),
        starts_at_us: replayed.starts_at.0,
        ends_at_us: replayed.ends_at.0,
        open: replayed.open,
        jump: replayed.jump,
        note: replayed.note.unwrap_or_default().to_owned(),
    }
}

/// What is to be played.
///
/// # Errors
/// What is wrong with the request.
pub fn checked(request: v1::PlayRequest) -> Result<Play, Status> {
    name("transfer", &request.transfer)?;
    if request.waveforms && !request.samples {
        return Err(Status::invalid_argument(
            "waveforms: come as samples; set `samples` as well",
        ));
    }
    let order = order_from(request.order());
    let speed = match (request.fastest, request.speed) {
        (true, _) => Speed::FASTEST,
        (false, 0.0) => Speed::REAL,
        (false, times) => speed_from(times)?,
    };
    Ok(Play {
        transfer: request.transfer,
        order,
        from: request.from_us.map(EngineTime),
        speed,
        paused: request.paused,
        samples: request.samples,
        waveforms: request.waveforms,
    })
}

fn speed_from(times: f64) -> Result<Speed, Status> {
    Speed::times(times).ok_or_else(|| {
        Status::invalid_argument(format!(
            "speed: {times} times real time; give 0.1 to 10000, or set `fastest`"
        ))
    })
}

fn order_from(order: v1::ReplayOrder) -> Order {
    match order {
        v1::ReplayOrder::Unspecified | v1::ReplayOrder::Arrival => Order::Arrival,
        v1::ReplayOrder::Device => Order::Device,
    }
}

/// What a playback is told.
///
/// # Errors
/// What is wrong with the request.
pub fn command_from(command: Option<Asked>) -> Result<Command, Status> {
    let unknown = |what: &str| Status::invalid_argument(format!("{what}: of no known kind"));
    let command = command.ok_or_else(|| Status::invalid_argument("command: give one"))?;
    Ok(match command {
        Asked::Pause(v1::ReplayPause {}) => Command::Pause,
        Asked::Resume(v1::ReplayResume {}) => Command::Resume,
        Asked::Speed(times) => Command::Speed(speed_from(times)?),
        Asked::Fastest(v1::ReplayFastest {}) => Command::Speed(Speed::FASTEST),
        Asked::Step(step) => match v1::ReplayStep::try_from(step) {
            Ok(v1::ReplayStep::Frame) => Command::StepFrame,
            Ok(v1::ReplayStep::Second) => Command::StepSecond,
            Ok(v1::ReplayStep::Unspecified) | Err(_) => return Err(unknown("step")),
        },
        Asked::SeekToUs(at) => Command::Seek(EngineTime(at)),
        Asked::Alert(which) => match v1::ReplayAlert::try_from(which) {
            Ok(v1::ReplayAlert::Next) => Command::NextAlert,
            Ok(v1::ReplayAlert::Previous) => Command::PreviousAlert,
            Ok(v1::ReplayAlert::Unspecified) | Err(_) => return Err(unknown("alert")),
        },
        Asked::Order(order) => {
            let order = v1::ReplayOrder::try_from(order).map_err(|_| unknown("order"))?;
            Command::Order(order_from(order))
        }
    })
}

fn refused(error: &PlayError) -> Status {
    match error {
        PlayError::Lookup(inner) => convert::lookup(inner),
        PlayError::Unreadable { .. } => Status::unavailable(error.to_string()),
        PlayError::Read(inner) => convert::unread(inner),
        PlayError::Full { .. } => Status::resource_exhausted(error.to_string()),
        PlayError::TooLong { .. } => Status::failed_precondition(error.to_string()),
    }
}

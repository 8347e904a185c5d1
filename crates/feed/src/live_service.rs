//! `enroute.v1.Live`: list, watch, history.

use crate::caller::{Caller, Concern, Named};
use crate::convert;
use crate::guarded::Guarded;
use crate::options::Options;
use crate::view::View;
use crate::watching;
use enroute_access::Action;
use enroute_journal::{ReadError, Reader};
use enroute_live::{History, Live, Subscription, Token, Watch};
use enroute_model::ids::{ID_BYTES_MAX, Position, TransferId};
use enroute_model::state::TransferState;
use enroute_wire::limits::TOKEN_BYTES_MAX;
use enroute_wire::v1::live_server::Live as Service;
use enroute_wire::{Message, v1};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::{Request, Response, Status};

/// Messages between a subscription and its HTTP/2 stream; the subscription
/// waits when full, and what it has not taken is conflated behind it.
const AHEAD: usize = 1;

pub(crate) struct LiveService {
    pub(crate) live: Live,
    pub(crate) options: Options,
    pub(crate) closing: watch::Receiver<bool>,
}

/// Histories of alerts that are read at a time, each on a thread; more are refused.
const ALERT_HISTORIES_MAX: usize = 8;
static ALERT_HISTORIES: Semaphore = Semaphore::const_new(ALERT_HISTORIES_MAX);

/// Steps of alerts in one message of their history.
const ALERTS_MAX: usize = 256;

type Out<T> = mpsc::Sender<Result<T, Status>>;

#[tonic::async_trait]
impl Service for LiveService {
    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let caller = Caller::of(&request)?;
        caller.admit(Action::SeeBoard, Concern::Own)?;
        let closed = request.into_inner().closed;
        let states = self.live.list(closed).await;
        let states = states.map_err(|error| convert::lookup(&error))?;
        let own = states.iter().filter(|state| caller.lists(state));
        let transfer = own.map(|state| {
            let mut state = enroute_wire::state::transfer_to(state);
            caller.show(&mut state);
            state
        });
        Ok(Response::new(v1::ListResponse {
            transfer: transfer.collect(),
        }))
    }

    type WatchStream = Guarded<v1::WatchResponse>;

    /// [`watching::route`] stands before it.
    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::internal(
            "a watch is answered by a route of its own",
        ))
    }

    type HistoryStream = Guarded<v1::HistoryResponse>;

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<Self::HistoryStream>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        name("transfer", &request.transfer)?;
        // The whole of a recording goes out of the house; a screen takes no waveforms.
        let action = if request.waveforms {
            Action::Export
        } else {
            Action::SeePatient
        };
        caller.check(action, Concern::Own)?;
        let state = self.state(&request.transfer).await?;
        let concern = Concern::Transfer(&state);
        let glass = if request.waveforms {
            caller.call().is_about("with waveforms");
            caller.admit_durably(action, concern).await?;
            None
        } else {
            caller.admit(action, concern)?
        };
        let id = state.transfer.to_string();
        let named = vec![Named { id, glass }];
        let after = Position(request.after_position);
        let history = self
            .live
            .history(&request.transfer, after, request.waveforms)
            .await;
        let history = history.map_err(|error| convert::history(&error))?;
        let (out, responses) = mpsc::channel(AHEAD);
        drop(tokio::spawn(tell(history, out, self.options.clone())));
        let named = (action, named);
        Ok(Response::new(Guarded::new(responses, caller, named, false)))
    }

    type AlertHistoryStream = Guarded<v1::AlertHistoryResponse>;

    async fn alert_history(
        &self,
        request: Request<v1::AlertHistoryRequest>,
    ) -> Result<Response<Self::AlertHistoryStream>, Status> {
        let caller = Caller::of(&request)?;
        let transfer = request.into_inner().transfer;
        name("transfer", &transfer)?;
        let state = self.state(&transfer).await?;
        let glass = caller.admit(Action::SeePatient, Concern::Transfer(&state))?;
        let mut members = vec![state.transfer.clone()];
        members.extend(state.aliases.iter().cloned());
        let permit = ALERT_HISTORIES.try_acquire().map_err(|_| {
            Status::resource_exhausted(format!(
                "{ALERT_HISTORIES_MAX} histories of alerts are being read: try again later"
            ))
        })?;
        let (reader, (out, responses)) = (self.live.reader(), mpsc::channel(AHEAD));
        drop(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            tell_alerts(&reader, &members, &out);
        }));
        let id = state.transfer.to_string();
        let named = (Action::SeePatient, vec![Named { id, glass }]);
        Ok(Response::new(Guarded::new(responses, caller, named, false)))
    }
}

impl LiveService {
    /// A subscription, and the responses that it gives.
    pub(crate) async fn open(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Guarded<watching::Response>>, Status> {
        let caller = Caller::of(&request)?;
        let mut wanted = checked(request.into_inner())?;
        wanted.role = caller.looks_as(wanted.role);
        if wanted.transfers.is_empty() || wanted.board {
            caller.check(Action::SeeBoard, Concern::Own)?;
        }
        let named = wanted.transfers.clone();
        if !named.is_empty() {
            caller.check(Action::SeePatient, Concern::Own)?;
        }
        let is_board = named.is_empty() || wanted.board;
        let subscription = self.live.watch(wanted).await;
        let subscription = subscription.map_err(|error| convert::watch(&error))?;
        // Behind it there are no more names than one may give.
        let named = self.admit_all(&caller, &named).await?;
        if is_board {
            caller.admit(Action::SeeBoard, Concern::Own)?;
        }
        let (out, responses) = mpsc::channel(AHEAD);
        let view = View::new(caller.clone(), &named, Arc::clone(self.live.stats()));
        let following = follow(subscription, view, out, self.closing.clone());
        let named = (Action::SeePatient, named);
        let guarded = Guarded::new(responses, caller, named, is_board);
        Ok(Response::new(guarded.driving(following)))
    }

    async fn state(&self, name: &str) -> Result<Arc<TransferState>, Status> {
        let state = self.live.state(name).await;
        state.map_err(|error| convert::lookup(&error))
    }

    /// Whether all of these patients are the caller's; gives their ids.
    async fn admit_all(&self, caller: &Caller, named: &[String]) -> Result<Vec<Named>, Status> {
        let mut states = Vec::new();
        for name in named {
            let state = self.state(name).await?;
            caller.check(Action::SeePatient, Concern::Transfer(&state))?;
            states.push(state);
        }
        // None is on record as seen because of which another was refused.
        let admitted = states.iter().map(|state| {
            let glass = caller.admit(Action::SeePatient, Concern::Transfer(state))?;
            let id = state.transfer.to_string();
            Ok(Named { id, glass })
        });
        admitted.collect()
    }
}

/// Reads the steps of alerts of a transfer and its aliases on a blocking thread.
fn tell_alerts(reader: &Reader, members: &[TransferId], out: &Out<v1::AlertHistoryResponse>) {
    for member in members {
        let mut alert = Vec::new();
        for row in reader.derived(member, 0) {
            let step = match row {
                Ok((_, bytes)) => v1::AlertTransition::decode(bytes).ok(),
                // As in a restart: as good as never there.
                Err(ReadError::Record { .. }) => None,
                Err(error @ (ReadError::Store(_) | ReadError::Failed(_))) => {
                    tracing::error!(%error, "alerts not read");
                    drop(out.blocking_send(Err(convert::unread(&error))));
                    return;
                }
            };
            alert.extend(step);
            if alert.len() == ALERTS_MAX {
                let response = v1::AlertHistoryResponse {
                    alert: std::mem::take(&mut alert),
                };
                if out.blocking_send(Ok(response)).is_err() {
                    return;
                }
            }
        }
        let rest = v1::AlertHistoryResponse { alert };
        if !rest.alert.is_empty() && out.blocking_send(Ok(rest)).is_err() {
            return;
        }
    }
}

/// Passes a subscription on until either side ends.
async fn follow(
    mut subscription: Subscription,
    mut view: View,
    out: Out<watching::Response>,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        let next = tokio::select! {
            next = subscription.next() => next,
            () = out.closed() => return,
            _ = closing.wait_for(|closing| *closing) => Err(enroute_live::Ended::Stopped),
        };
        let (response, last) = match next {
            Ok(delivery) => match view.of(delivery) {
                Ok(None) => continue,
                Ok(Some(response)) => (Ok(response), false),
                Err(status) => (Err(status), true),
            },
            Err(ended) => (Err(convert::ended(ended)), true),
        };
        // A viewer that has gone is not told.
        if out.send(response).await.is_err() || last {
            return;
        }
    }
}

/// Passes a history on, some frames to a message.
async fn tell(mut history: History, out: Out<v1::HistoryResponse>, options: Options) {
    let (mut samples, mut bytes) = (Vec::new(), 0usize);
    loop {
        let next = history.next().await;
        match next {
            Some(Ok(sample)) => {
                bytes = bytes.saturating_add(sample.frame.len());
                samples.push(convert::sample(&sample));
                if samples.len() < options.history_frames_max && bytes < options.history_bytes_max {
                    continue;
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "history not read");
                let status = convert::unread(&error);
                drop(out.send(Err(status)).await);
                return;
            }
            None if samples.is_empty() => return,
            None => {}
        }
        let last = samples.len() < options.history_frames_max && bytes < options.history_bytes_max;
        let response = v1::HistoryResponse {
            samples: std::mem::take(&mut samples),
        };
        bytes = 0;
        if out.send(Ok(response)).await.is_err() || last {
            return;
        }
    }
}

/// What is to be watched.
///
/// # Errors
/// What is wrong with the request.
pub fn checked(request: v1::WatchRequest) -> Result<Watch, Status> {
    for transfer in &request.transfer {
        name("transfer", transfer)?;
    }
    if request.samples && request.transfer.is_empty() {
        return Err(Status::invalid_argument(
            "samples: only for named transfers; name at least one in `transfer`",
        ));
    }
    if request.waveforms && !request.samples {
        return Err(Status::invalid_argument(
            "waveforms: come as samples; set `samples` as well",
        ));
    }
    if request.resume_token.len() > TOKEN_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "resume_token: {} bytes, more than {TOKEN_BYTES_MAX}; give the last token received, or none",
            request.resume_token.len()
        )));
    }
    let role = enroute_wire::registry::role_from(request.role)
        .map_err(|refusal| Status::invalid_argument(refusal.to_string()))?;
    let resume =
        (!request.resume_token.is_empty()).then(|| Token::new(request.resume_token.into()));
    Ok(Watch {
        transfers: request.transfer,
        samples: request.samples,
        waveforms: request.waveforms,
        board: request.board,
        role,
        resume,
    })
}

/// A name that could be an id, an alias or a short code.
pub(crate) fn name(field: &str, name: &str) -> Result<(), Status> {
    if name.is_empty() || name.len() > ID_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "{field}: give an id or a short code, 1 to {ID_BYTES_MAX} characters"
        )));
    }
    Ok(())
}

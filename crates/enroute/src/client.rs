//! The gRPC client side: one `Watch` stream kept open for ever by its resume token,
//! and the address of a server as typed.

use anyhow::{Context, Result, bail};
use enroute_model::ids::ShortCode;
use enroute_wire::v1;
use enroute_wire::v1::live_client::LiveClient;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Code;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A heartbeat comes each second; without a word for this long the stream is
/// opened anew.
const WORD_WITHIN: Duration = Duration::from_secs(6);
/// First and longest pause before the next try.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// A snapshot of a full board is larger than tonic's 4 MiB.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// PEM file of the authority that signed the server's certificate.
pub(crate) const AUTHORITY: &str = "ENROUTE_TLS_AUTHORITY";
/// PEM file of the certificate to show to a server that asks for one.
pub(crate) const CERTIFICATE: &str = "ENROUTE_TLS_CERTIFICATE";
/// PEM file of that one's private key.
pub(crate) const KEY: &str = "ENROUTE_TLS_KEY";

/// The token to show to a server that asks for one.
pub(crate) const TOKEN: &str = "ENROUTE_TOKEN";
/// A file that holds it.
pub(crate) const TOKEN_FILE: &str = "ENROUTE_TOKEN_FILE";

/// A connection on which every call shows the token.
pub(crate) type Wire = InterceptedService<Channel, Bearer>;

/// Writes the token into a call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<AsciiMetadataValue>);

impl Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Where a server is, and what is shown there.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    endpoint: Endpoint,
    bearer: Bearer,
}

impl Address {
    /// Connects.
    ///
    /// # Errors
    /// When nobody is there.
    pub(crate) async fn connect(&self) -> Result<Wire, tonic::transport::Error> {
        let channel = self.endpoint.connect().await?;
        Ok(InterceptedService::new(channel, self.bearer.clone()))
    }

    /// Connects with the first call.
    pub(crate) fn connect_lazy(&self) -> Wire {
        InterceptedService::new(self.endpoint.connect_lazy(), self.bearer.clone())
    }

    /// Whether a token is shown there.
    pub(crate) fn has_token(&self) -> bool {
        self.bearer.0.is_some()
    }

    /// Each call has to be answered within this time.
    pub(crate) fn timeout(self, within: Duration) -> Self {
        Self {
            endpoint: self.endpoint.timeout(within),
            ..self
        }
    }
}

/// What a followed stream says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A response.
    Response(Box<v1::WatchResponse>),
    /// The stream ended or could not be opened; it is tried again.
    Lost(String),
    /// The server will never answer this request; nothing more comes.
    Refused(String),
}

/// Reads `https://HOST:PORT`, `http://HOST:PORT`, or `HOST:PORT`, which is http.
pub(crate) fn endpoint(server: &str) -> Result<Address> {
    let url = if server.contains("://") {
        server.to_owned()
    } else {
        format!("http://{server}")
    };
    let form = || format!("{server:?} is no server address; use https://HOST:PORT");
    let host = { url.strip_prefix("http://") }.or_else(|| url.strip_prefix("https://"));
    if host.is_none_or(str::is_empty) {
        bail!(form());
    }
    let is_tls = url.starts_with("https://");
    let mut endpoint = Endpoint::from_shared(url).with_context(form)?;
    let bearer = Bearer(token()?);
    let is_near = { endpoint.uri().host() }.is_some_and(enroute_config::address::is_this_machine);
    if bearer.0.is_some() && !is_tls && !is_near {
        bail!("{server}: a token is shown over TLS only: use https://HOST:PORT");
    }
    if is_tls {
        endpoint = endpoint.tls_config(trust()?)?;
    }
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(3))
        .tcp_nodelay(true);
    Ok(Address { endpoint, bearer })
}

/// The token, as the header has it.
fn token() -> Result<Option<AsciiMetadataValue>> {
    let token = match (std::env::var(TOKEN), named_file(TOKEN_FILE)?) {
        (Ok(token), _) => token,
        (Err(_), Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        (Err(_), None) => return Ok(None),
    };
    let value = format!("Bearer {}", token.trim()).parse::<AsciiMetadataValue>();
    let mut value = value.with_context(|| format!("{TOKEN}: is no token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Whom to trust and what to show, from the environment, so that it is said once and
/// not at every command.
fn trust() -> Result<ClientTlsConfig> {
    let Some(authority) = named_file(AUTHORITY)? else {
        bail!(
            "TLS needs to know whom to trust: set {AUTHORITY} to the PEM file of the authority \
             that signed the server's certificate"
        );
    };
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    match (named_file(CERTIFICATE)?, named_file(KEY)?) {
        (Some(certificate), Some(key)) => Ok(tls.identity(Identity::from_pem(certificate, key))),
        (None, None) => Ok(tls),
        (Some(_), None) | (None, Some(_)) => bail!("{CERTIFICATE} and {KEY} go together"),
    }
}

/// What is in the file that a variable of the environment names.
fn named_file(variable: &str) -> Result<Option<Vec<u8>>> {
    let Some(file) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let read = std::fs::read(&file);
    read.map(Some)
        .with_context(|| format!("{variable}: cannot read {}", Path::new(&file).display()))
}

/// What a failed call says to a person: the status's own words, or that the server
/// is not there.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other code is the same here"
)]
pub(crate) fn reason(status: &tonic::Status) -> String {
    match status.code() {
        Code::Unavailable if status.message().contains("tcp connect") => {
            "not reached (is it running there?)".to_owned()
        }
        Code::Unavailable | Code::Unknown | Code::Cancelled
            if status.message().is_empty() || status.message().contains("h2 protocol error") =>
        {
            "the connection ended".to_owned()
        }
        _ => super::watch::words::printable(status.message()),
    }
}

/// The transfer with this id, alias or short code among those of a server.
pub(crate) fn named(states: Vec<v1::TransferState>, named: &str) -> Result<v1::TransferState> {
    let code = ShortCode::parse(named);
    let found = states.into_iter().find(|state| {
        state.transfer == named
            || state.alias.iter().any(|alias| alias == named)
            || code
                .as_ref()
                .is_some_and(|code| code.as_str() == state.short_code)
    });
    found.with_context(|| {
        format!("no transfer {named:?}; `enroute transfer list --closed` shows all")
    })
}

/// Keeps a `Watch` stream open until the receiver is dropped; resumes with the
/// last token. The channel is bounded: a viewer that falls behind holds the
/// stream back, and the server conflates.
pub(crate) async fn follow(
    endpoint: Address,
    mut request: v1::WatchRequest,
    to: mpsc::Sender<Heard>,
) {
    let mut pause = PAUSE.0;
    let mut answered = false;
    loop {
        let ended = once(&endpoint, &mut request, &to, &mut pause, &mut answered).await;
        let heard = match ended {
            Ended::NobodyListens => return,
            Ended::Refused(reason) => {
                // Whoever would read it is gone when this fails.
                drop(to.send(Heard::Refused(reason)).await);
                return;
            }
            Ended::Lost(reason) => Heard::Lost(reason),
        };
        if to.send(heard).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

enum Ended {
    NobodyListens,
    Refused(String),
    Lost(String),
}

async fn once(
    endpoint: &Address,
    request: &mut v1::WatchRequest,
    to: &mpsc::Sender<Heard>,
    pause: &mut Duration,
    answered: &mut bool,
) -> Ended {
    let Ok(channel) = endpoint.connect().await else {
        return Ended::Lost("not reached (is it running there?)".into());
    };
    let mut client = LiveClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let opened = timeout(WORD_WITHIN, client.watch(request.clone())).await;
    let mut stream = match opened {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => return refused_or_lost(&status, *answered),
        Err(_) => return Ended::Lost("no answer".into()),
    };
    loop {
        match timeout(WORD_WITHIN, stream.message()).await {
            Ok(Ok(Some(response))) => {
                request.resume_token.clone_from(&response.resume_token);
                *answered = true;
                *pause = PAUSE.0;
                let heard = Heard::Response(Box::new(response));
                if to.send(heard).await.is_err() {
                    return Ended::NobodyListens;
                }
            }
            Ok(Ok(None)) => return Ended::Lost("the server ended the stream".into()),
            Ok(Err(status)) => return refused_or_lost(&status, *answered),
            Err(_) => return Ended::Lost("it fell silent".into()),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every other code is the same here"
)]
fn refused_or_lost(status: &tonic::Status, answered: bool) -> Ended {
    match status.code() {
        // The token was read once: it works no more, and nothing of a patient stays.
        Code::Unauthenticated => Ended::Refused(reason(status)),
        Code::NotFound | Code::InvalidArgument | Code::PermissionDenied | Code::Unimplemented
            if !answered =>
        {
            Ended::Refused(reason(status))
        }
        _ => Ended::Lost(reason(status)),
    }
}

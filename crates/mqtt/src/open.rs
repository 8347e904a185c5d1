//! A connection's beginning: name, TCP, TLS, CONNECT and CONNACK.

use crate::link::{Link, LinkError};
use crate::options::Options;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Connect, ConnectProperties, ConnectReturnCode, LastWill, Login, Packet,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For name and TCP: a way that is not there is tried again soon.
const REACHED: Duration = Duration::from_secs(5);
/// For TLS and CONNACK, some three kilobytes: two connections share 2.4 kbit/s.
const OPENED: Duration = Duration::from_secs(30);

/// A plain stream or one with TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection over either.
pub(crate) type AnyLink = Link<Box<dyn Stream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("the broker refused the connection: {0:?}")]
    Refused(ConnectReturnCode),
    #[error("the broker did not begin with CONNACK")]
    NotConnack,
    #[error("the broker was not reached in {} s", REACHED.as_secs())]
    Unreached,
    #[error("the broker took the connection, and said nothing of use in {} s", OPENED.as_secs())]
    Late,
}

/// A connection that the broker took.
pub(crate) async fn open(options: &Options) -> Result<(AnyLink, ConnAck), OpenError> {
    let reached = timeout(REACHED, reach(options)).await;
    let stream = reached.map_err(|_elapsed| OpenError::Unreached)?;
    let stream = stream.map_err(LinkError::Io)?;
    let opened = timeout(OPENED, connect(options, stream)).await;
    opened.map_err(|_elapsed| OpenError::Late)?
}

async fn connect(options: &Options, stream: TcpStream) -> Result<(AnyLink, ConnAck), OpenError> {
    let stream = secured(options, stream).await.map_err(LinkError::Io)?;
    let mut link = Link::new(stream, options.packet_bytes_max);
    link.put(&hello(options))?;
    loop {
        match link.next()? {
            Some(Packet::ConnAck(connack)) if connack.code == ConnectReturnCode::Success => {
                return Ok((link, connack));
            }
            Some(Packet::ConnAck(connack)) => return Err(OpenError::Refused(connack.code)),
            Some(_) => return Err(OpenError::NotConnack),
            None => link.turn(true).await?,
        }
    }
}

/// An IPv6 address may stand in brackets.
fn host(options: &Options) -> &str {
    options.host.trim_matches(['[', ']'])
}

async fn reach(options: &Options) -> std::io::Result<TcpStream> {
    let stream = match options.via {
        None => TcpStream::connect((host(options), options.port)).await?,
        Some(via) => TcpStream::connect(via).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secured(options: &Options, stream: TcpStream) -> std::io::Result<Box<dyn Stream>> {
    Ok(match &options.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.over(host(options), stream).await?),
    })
}

fn hello(options: &Options) -> Packet {
    let keep_alive = options.keep_alive().as_secs();
    let connect = Connect {
        keep_alive: u16::try_from(keep_alive).unwrap_or(u16::MAX),
        client_id: options.client_id.clone(),
        clean_start: options.clean_start,
        properties: Some(ConnectProperties {
            session_expiry_interval: Some(whole_seconds(options.session_expiry)),
            receive_maximum: Some(options.receive_maximum()),
            max_packet_size: Some(options.packet_bytes_max),
            ..ConnectProperties::default()
        }),
    };
    let will = options.will.as_ref().map(|will| {
        let (message, retain) = (will.payload.to_vec(), will.retain);
        LastWill::new(&will.topic, message, QoS::AtLeastOnce, retain, None)
    });
    let login = options.credentials.as_ref();
    let login = login.map(|as_whom| Login::new(&as_whom.username, &as_whom.password));
    Packet::Connect(connect, will, login)
}

/// MQTT counts whole seconds; a part of one counts as one.
pub(crate) fn whole_seconds(span: Duration) -> u32 {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

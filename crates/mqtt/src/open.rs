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

/// For all of it together.
const OPEN: Duration = Duration::from_secs(5);

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
    #[error("the broker was not reached in {} s", OPEN.as_secs())]
    Late,
}

/// A connection that the broker took.
pub(crate) async fn open(options: &Options) -> Result<(AnyLink, ConnAck), OpenError> {
    let opened = tokio::time::timeout(OPEN, connect(options)).await;
    opened.map_err(|_elapsed| OpenError::Late)?
}

async fn connect(options: &Options) -> Result<(AnyLink, ConnAck), OpenError> {
    let stream = stream(options).await.map_err(LinkError::Io)?;
    let mut link = Link::new(stream, options.packet_bytes_max);
    link.put(&hello(options))?;
    loop {
        match link.next()? {
            Some(Packet::ConnAck(connack)) if connack.code == ConnectReturnCode::Success => {
                return Ok((link, connack));
            }
            Some(Packet::ConnAck(connack)) => return Err(OpenError::Refused(connack.code)),
            Some(_) => return Err(OpenError::NotConnack),
            None => link.turn().await?,
        }
    }
}

async fn stream(options: &Options) -> std::io::Result<Box<dyn Stream>> {
    // An IPv6 address may stand in brackets.
    let host = options.host.trim_matches(['[', ']']);
    let stream = match options.via {
        None => TcpStream::connect((host, options.port)).await?,
        Some(via) => TcpStream::connect(via).await?,
    };
    stream.set_nodelay(true)?;
    Ok(match &options.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.over(host, stream).await?),
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

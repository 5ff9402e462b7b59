//! From nothing to an open session: token, TCP, TLS, CONNECT; each with its time limit.

use std::io;
use std::net::SocketAddr;

use mqtt::{ConnectError, ConnectOptions, Session};
use percent_encoding::utf8_percent_encode;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ParcelId;
use super::Timeouts;
use super::credentials::{Credentials, CredentialsError};
use crate::edge::topics::ESCAPED;
use crate::edge::{Gateway, Identity, Secret, tls};

/// A session with edgeHub; its publishes are tagged with the messages' places in the spool.
pub(super) type HubSession = Session<TlsStream<TcpStream>, ParcelId>;

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("the gateway host {0} cannot be resolved")]
    Resolve(Gateway, #[source] io::Error),
    #[error("edgeHub at {0} cannot be reached")]
    Tcp(Gateway, #[source] io::Error),
    #[error("no TLS with edgeHub at {0}{1}")]
    Tls(Gateway, String, #[source] io::Error),
    #[error(
        "edgeHub does not know this module, or takes its token for invalid; check the module's identity and the clocks"
    )]
    NotAuthorized,
    #[error("edgeHub gave no session")]
    Mqtt(#[source] ConnectError),
}

impl OpenError {
    /// One word for the counter.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Credentials(_) => "credentials",
            Self::Resolve(..) => "resolve",
            Self::Tcp(..) => "tcp",
            Self::Tls(..) => "tls",
            Self::NotAuthorized => "not_authorized",
            Self::Mqtt(ConnectError::Silent) => "silent",
            Self::Mqtt(_) => "mqtt",
        }
    }
}

/// What all connections of a link have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub timeouts: Timeouts,
    pub window: usize,
    pub window_bytes: usize,
}

/// Opens a session with the token given, or with a fresh one.
pub(super) async fn open(
    credentials: &mut Credentials,
    token: Option<Secret>,
    terms: Terms,
) -> Result<HubSession, OpenError> {
    let token = match token {
        Some(token) => token,
        None => credentials.token().await?,
    };
    let gateway = credentials.identity().gateway.clone();
    let options = options(credentials.identity(), &token, terms);
    let stream = secure(credentials, &gateway, terms.timeouts).await?;
    // Before CONNACK there is nothing worth keeping of this connection.
    Session::connect(stream, &options)
        .await
        .map_err(|error| match error {
            ConnectError::Refused(mqtt::Refusal::NotAuthorized) => OpenError::NotAuthorized,
            other => OpenError::Mqtt(other),
        })
}

async fn secure(
    credentials: &mut Credentials,
    gateway: &Gateway,
    timeouts: Timeouts,
) -> Result<TlsStream<TcpStream>, OpenError> {
    let config = credentials.trusted().await?;
    let name = tls::server_name(&gateway.host).map_err(CredentialsError::from)?;
    let stream = reach(gateway, timeouts).await?;
    let handshake = timeout(
        timeouts.tls,
        TlsConnector::from(config).connect(name, stream),
    )
    .await;
    handshake
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| {
            credentials.distrust();
            let remedy = tls::remedy(&error).map(|remedy| format!(" ({remedy})"));
            OpenError::Tls(gateway.clone(), remedy.unwrap_or_default(), error)
        })
}

/// TCP to the first address that takes it.
async fn reach(gateway: &Gateway, timeouts: Timeouts) -> Result<TcpStream, OpenError> {
    let lookup = timeout(
        timeouts.tcp,
        lookup_host((gateway.host.as_str(), gateway.port)),
    )
    .await;
    let addresses = lookup
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| OpenError::Resolve(gateway.clone(), error))?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match reach_address(address, timeouts).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(OpenError::Tcp(gateway.clone(), last))
}

async fn reach_address(address: SocketAddr, timeouts: Timeouts) -> io::Result<TcpStream> {
    let stream = timeout(timeouts.tcp, TcpStream::connect(address)).await;
    let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn options(identity: &Identity, token: &Secret, terms: Terms) -> ConnectOptions {
    let client = concat!("edge-tcp-gateway/", env!("CARGO_PKG_VERSION"));
    ConnectOptions {
        client_id: format!("{}/{}", identity.device_id, identity.module_id),
        username: format!(
            "{}/{}/{}/?api-version=2021-04-12&DeviceClientType={}",
            identity.iot_hub,
            identity.device_id,
            identity.module_id,
            utf8_percent_encode(client, ESCAPED)
        ),
        password: String::from_utf8_lossy(token.expose()).into_owned(),
        clean_session: false,
        keep_alive: terms.timeouts.keep_alive,
        connack: terms.timeouts.connack,
        pingresp: terms.timeouts.pingresp,
        window: terms.window,
        window_bytes: terms.window_bytes,
        ..ConnectOptions::default()
    }
}

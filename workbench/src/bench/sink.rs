//! What stands for edgeHub in the benchmark, in a process of its own: fast, and without edgeHub's traps.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::broker::{self, Broker};
use super::part::{next_line, tell};

/// The options of the sink.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The desired properties.
    #[arg(long)]
    settings: PathBuf,
    /// Where to write the certificate that a client should trust.
    #[arg(long)]
    certificate: PathBuf,
}

/// Serves MQTT over TLS and over plain TCP; says its ports, then answers `report`, `latencies`, `away` and `back`.
///
/// # Errors
/// When a port cannot be opened or the benchmark is told nothing more.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let settings = std::fs::read(&options.settings).context("the settings cannot be read")?;
    let (tls, certificate) = tls()?;
    std::fs::write(&options.certificate, certificate)?;
    let broker = Arc::new(Mutex::new(Broker::new(serde_json::from_slice(&settings)?)));
    let secure = listen(0).await?;
    let plain = listen(0).await?;
    let port = secure.local_addr()?.port();
    tell(&json!({"tls": port, "plain": plain.local_addr()?.port()}))?;
    let mut naive = JoinSet::new();
    naive.spawn(accept(plain, None, Arc::clone(&broker)));
    let mut module = JoinSet::new();
    module.spawn(accept(secure, Some(tls.clone()), Arc::clone(&broker)));
    while let Some(words) = next_line().await? {
        let answer = match words.as_str() {
            "away" => {
                module.shutdown().await;
                Value::Null
            }
            "back" => {
                let secure = listen(port).await?;
                module.spawn(accept(secure, Some(tls.clone()), Arc::clone(&broker)));
                Value::Null
            }
            "latencies" => {
                let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
                serde_json::to_value(broker.tally.latencies())?
            }
            _ => {
                let broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
                serde_json::to_value(broker.tally.report())?
            }
        };
        tell(&answer)?;
    }
    Ok(())
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.context("the sink has no port")
}

/// TLS 1.3, with a certificate that is its own root.
fn tls() -> anyhow::Result<(TlsAcceptor, String)> {
    let own = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der());
    let key = key.map_err(|error| anyhow::anyhow!("the sink's own key: {error}"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), own.cert.pem()))
}

/// Serves each connection until this is dropped.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, broker: Arc<Mutex<Broker>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let serving = serve(stream, tls.clone(), Arc::clone(&broker));
        connections.spawn(async { drop(serving.await) });
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    broker: Arc<Mutex<Broker>>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => broker::serve(tls.accept(stream).await?, &broker).await,
        None => broker::serve(stream, &broker).await,
    }
}

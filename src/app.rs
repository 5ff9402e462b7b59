//! The wiring: every channel and every task of the module, and how they end.
//!
//! ```text
//! connections ═ submissions ═▶ forwarder ═ entries ═▶ link ══▶ edgeHub
//!      ▲                           ◀═ reports ═══════  │ │
//!  gateway ◀════════════════ inbound ══════════════════╯ │
//!      ╰═ methods ═▶ commands ═ outgoing ════════════════╯
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use crate::clock::Clock;
use crate::commands::Commands;
use crate::edge;
use crate::forwarder::{self, Forwarder, Undelivered};
use crate::gateway::{self, Gateway, Parts};
use crate::identity::DeviceMap;
use crate::northbound::dialect::Dialect;
use crate::northbound::{self, DesiredDocument, Link, LinkChannels, LinkSettings};
use crate::ops::health::Health;
use crate::ops::http;
use crate::ops::logging::{self, Throttle};
use crate::ops::metrics::Metrics;
use crate::outbox;
use crate::registry::Registry;
use crate::settings::SpoolSettings;
use crate::southbound::{self, South};
use crate::spool::{Condition, Disk, Folder, Whose};
use crate::storage::{Document, Storage, Stored};

/// How many tasks have their turn before sockets are looked at again. Under load this is how soon
/// edgeHub's acknowledgements are seen between the bytes of many devices.
const POLLS_BETWEEN_EVENTS: u32 = 8;

/// Every time limit of the process in one value, so that tests can shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the request to stop until the last connection has ended. edgeAgent kills after 10 s.
    pub connections: Duration,
    /// From then until what is spooled has been delivered.
    pub spool: Duration,
    /// From then until the link has taken leave of edgeHub.
    pub leave: Duration,
    /// Between attempts to bind a port that is taken.
    pub bind_again: Duration,
    /// Those of the side of the devices.
    pub south: southbound::Timeouts,
    /// Those of the link.
    pub link: northbound::Timeouts,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connections: Duration::from_secs(4),
            spool: Duration::from_secs(2),
            leave: Duration::from_secs(1),
            bind_again: Duration::from_secs(5),
            south: southbound::Timeouts::default(),
            link: northbound::Timeouts::default(),
        }
    }
}

/// What the process is told once, from outside.
#[derive(Debug)]
pub struct Environment {
    /// Who the module is and where edgeHub stands.
    pub identity: edge::Identity,
    /// Where documents are kept.
    pub storage: PathBuf,
    /// Where mounted protocol files are.
    pub protocols: PathBuf,
    /// What is logged.
    pub level: LevelFilter,
    /// Port of `/metrics` and `/healthz`; none if there is to be no such port.
    pub metrics_port: Option<u16>,
    /// Where messages are kept, if not in a folder of the storage directory.
    pub disk: Option<Box<dyn Disk>>,
}

impl Environment {
    /// Reads it through `variable`.
    ///
    /// # Errors
    /// When the module's identity is missing or wrong, or a word is not known: which one, and the remedy.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let word = variable("RuntimeLogLevel").unwrap_or_else(|| "info".into());
        let level = logging::level(&word).with_context(|| {
            format!(
                "RuntimeLogLevel is \"{word}\", expected error, warning, info, debug or verbose"
            )
        })?;
        let path =
            |name, default: &str| PathBuf::from(variable(name).unwrap_or_else(|| default.into()));
        let port = variable("METRICS_PORT").unwrap_or_else(|| http::DEFAULT_PORT.to_string());
        let port: u16 = port.trim().parse().with_context(|| {
            format!("METRICS_PORT is \"{port}\", expected a port, or 0 for none")
        })?;
        Ok(Environment {
            metrics_port: (port != 0).then_some(port),
            identity: edge::Identity::from_environment(variable)?,
            storage: path("STORAGE_DIR", "/data"),
            protocols: path("PROTOCOLS_DIR", "/data/protocols"),
            level,
            disk: None,
        })
    }
}

/// Runs the module until SIGTERM or SIGINT.
///
/// # Errors
/// When an essential task ended by itself.
pub fn start(environment: Environment) -> anyhow::Result<()> {
    logging::install(environment.level, || Clock::system().now().utc)?;
    if let Err(error) = southbound::raise_open_files() {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(POLLS_BETWEEN_EVENTS)
        .build()?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            shutdown.cancel();
        };
        let (result, ()) = tokio::join!(
            run(
                environment,
                Metrics::default(),
                Timeouts::default(),
                shutdown.clone()
            ),
            async {
                tokio::select! {
                    () = asked => {}
                    () = shutdown.cancelled() => {}
                }
            }
        );
        result
    })
}

/// Builds everything, and runs until `shutdown` is cancelled or an essential task has ended.
/// Everything is counted in `metrics`.
///
/// # Errors
/// When an essential task ended by itself.
pub async fn run(
    environment: Environment,
    metrics: Metrics,
    timeouts: Timeouts,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    let health = Health::new(clock.now().monotonic);
    let throttle = Throttle::default();
    let (storage, error) = Storage::open(&environment.storage);
    if let Some(error) = error {
        tracing::error!("{error}");
    }
    let desired = load(&storage, Document::Desired);
    let last_good = load(&storage, Document::LastGood);

    let disk = match environment.disk {
        Some(disk) => Ok(disk),
        None => open_disk(&environment.storage)?,
    };
    let (submitter, submissions) =
        outbox::channel(gateway::room(SpoolSettings::default()), metrics.clone());
    let (reports, link_reports) = mpsc::channel(256);
    let (inbound_tx, inbound) = mpsc::channel(64);
    let (outgoing, link_outgoing) = mpsc::channel(256);
    let (methods, method_calls) = mpsc::channel(64);

    let spool = SpoolSettings::default();
    let unsettled = forwarder::Terms {
        settled: false,
        ..gateway::delivery(spool, &BTreeMap::new())
    };
    let (delivery, terms) = watch::channel(Arc::new(unsettled));
    let (condition, how_disk_is) = watch::channel(Condition::Good);

    let registry = Registry::default();
    let devices = Arc::new(ArcSwap::from_pointee(DeviceMap::default()));
    let forwarder = forwarder::Parts {
        disk,
        whose: whose(&environment.identity),
        terms,
        dialect: Dialect::new(&environment.identity),
        level: submitter.level(),
        submissions,
        reports: link_reports,
        condition,
        metrics: metrics.clone(),
        health: health.clone(),
        throttle: throttle.clone(),
        clock,
    };
    let channels = LinkChannels {
        forwarder: reports,
        inbound: inbound_tx,
        outgoing: link_outgoing,
    };
    let link = LinkSettings {
        timeouts: timeouts.link,
        ..LinkSettings::new(environment.identity, desired.map(known))
    };
    let link = Link::new(link, channels, metrics.clone(), clock);
    let commands = Commands::new(
        registry.clone(),
        Arc::clone(&devices),
        metrics.clone(),
        clock,
    );
    let south = South {
        registry,
        submitter,
        metrics: metrics.clone(),
        throttle,
        clock,
        timeouts: timeouts.south,
    };
    let parts = Parts {
        south: Arc::new(south),
        devices,
        storage,
        protocols: environment.protocols,
        metrics: metrics.clone(),
        health: health.clone(),
        clock,
        methods,
        outgoing: outgoing.clone(),
        delivery,
        condition: how_disk_is,
        bind_again: timeouts.bind_again,
    };
    let gateway = Gateway::new(parts, shutdown.clone());
    let told = http::Told {
        metrics,
        health,
        clock,
    };

    let leave = CancellationToken::new();
    let mut essential: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
    let leaving = leave.clone();
    essential.spawn(async move { ("link", link.run(leaving).await.map_err(Into::into)) });
    essential.spawn(async move {
        gateway.run(last_good, inbound).await;
        ("gateway", Ok(()))
    });
    essential.spawn(async move {
        commands.run(method_calls, outgoing).await;
        ("commands", Ok(()))
    });
    essential.spawn(async move { ("forwarder", forward(forwarder).await) });
    let mut others = JoinSet::new();
    if let Some(port) = environment.metrics_port {
        match http::bind(port) {
            Ok(listener) => drop(others.spawn(http::serve(listener, told, leave.clone()))),
            Err(error) => tracing::error!(
                port,
                %error,
                "there is no /metrics and no /healthz: free the port, or set METRICS_PORT to another or to 0"
            ),
        }
    }
    let outcome = supervise(essential, shutdown, leave, timeouts).await;
    others.shutdown().await;
    outcome
}

/// Waits for the first task to end, then for the others in the order of the data's way.
async fn supervise(
    mut essential: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
    leave: CancellationToken,
    timeouts: Timeouts,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    tokio::select! {
        () = shutdown.cancelled() => tracing::info!("asked to stop"),
        Some(ended) = essential.join_next() => {
            outcome = Err(unasked(ended));
            shutdown.cancel();
        }
    }
    // No more input: the stages end in order because their senders drop.
    let drained = drain(&mut essential, timeouts.connections + timeouts.spool).await;
    leave.cancel();
    let left = drain(&mut essential, timeouts.leave).await;
    for ended in drained.into_iter().chain(left) {
        outcome = outcome.and(ended);
    }
    if !essential.is_empty() {
        tracing::warn!("not everything ended in time");
    }
    outcome
}

/// Joins tasks until all have ended or the time is over.
async fn drain(
    essential: &mut JoinSet<(&'static str, anyhow::Result<()>)>,
    within: Duration,
) -> Vec<anyhow::Result<()>> {
    let mut outcomes = Vec::new();
    let joined = async {
        while let Some(ended) = essential.join_next().await {
            outcomes.push(match ended {
                Ok((name, result)) => result.with_context(|| format!("the {name} failed")),
                Err(error) => Err(anyhow!(error).context("a task ended by a defect")),
            });
        }
    };
    // What has not ended by then is dropped with the process.
    drop(tokio::time::timeout(within, joined).await);
    outcomes
}

fn unasked(
    ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>,
) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("the {name} ended although nobody asked it to"),
        Ok((name, Err(error))) => error.context(format!("the {name} failed")),
        Err(error) => anyhow!(error).context("a task ended by a defect"),
    }
}

async fn forward(parts: forwarder::Parts) -> anyhow::Result<()> {
    let mut forwarder = Forwarder::new(parts).await?;
    let left = forwarder.run().await?;
    forwarder.end().await;
    say_undelivered(left);
    Ok(())
}

fn say_undelivered(left: Undelivered) {
    if left.spooled > 0 {
        tracing::info!(
            messages = left.spooled,
            "not delivered yet; the next start sends them"
        );
    }
    if left.lost > 0 {
        tracing::error!(
            messages = left.lost,
            "not delivered and not on disk; whoever was not answered must send again"
        );
    }
}

/// The spool's folder in the storage directory, or why there is none.
///
/// # Errors
/// When another process has it: two of them would send everything twice.
fn open_disk(storage: &Path) -> anyhow::Result<Result<Box<dyn Disk>, String>> {
    let path = storage.join("spool");
    match Folder::open(&path) {
        Ok(folder) => Ok(Ok(Box::new(folder))),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(anyhow!(
            "another process uses the storage directory {}; give each module a directory of its own",
            storage.display()
        )),
        Err(error) => Ok(Err(format!(
            "the spool {} cannot be written ({error})",
            path.display()
        ))),
    }
}

fn whose(identity: &edge::Identity) -> Whose {
    Whose {
        hub: identity.iot_hub.clone(),
        device: identity.device_id.clone(),
        module: identity.module_id.clone(),
    }
}

fn load(storage: &Storage, which: Document) -> Option<Stored> {
    storage.load(which).unwrap_or_else(|error| {
        tracing::warn!("{error}");
        None
    })
}

fn known(stored: Stored) -> DesiredDocument {
    DesiredDocument {
        document: stored.document,
        version: stored.version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// edgeAgent kills after 10 s.
    #[test]
    fn a_stop_takes_eight_seconds_at_most_and_leaves_the_link_its_time() {
        let Timeouts {
            connections,
            spool,
            leave,
            south,
            link,
            ..
        } = Timeouts::default();
        assert!(connections + spool + leave <= Duration::from_secs(8));
        assert!(link.last_drain + link.disconnect < leave);
        assert!(south.shutdown < connections);
    }
}

//! The wiring: every channel and every task of the module, and how they end.
//!
//! ```text
//! connections ═ submissions ═▶ forwarder ═ parcels ═▶ link ══▶ edgeHub
//!      ▲                           ◀═ reports ═══════  │ │
//!  gateway ◀════════════════ inbound ══════════════════╯ │
//!      ╰═ methods ═▶ commands ═ outgoing ════════════════╯
//! ```

mod environment;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::commands::{Channels, Commands, MOST_COMMANDS, Told};
use crate::edge;
use crate::forwarder::{self, Forwarder, Undelivered};
use crate::gateway::{self, Gateway, Parts};
use crate::journal::{Found, Store};
use crate::message::{COMMANDS_INPUT, Name};
use crate::northbound::dialect::Dialect;
use crate::northbound::{self, DesiredDocument, Link, LinkChannels, LinkSettings};
use crate::ops::health::{BEAT, Health};
use crate::ops::http;
use crate::ops::logging::{self, Throttle};
use crate::ops::metrics::Metrics;
use crate::outbox;
use crate::presence::{self, Presence};
use crate::quarantine::Quarantine;
use crate::registry::Registry;
use crate::settings::SpoolSettings;
use crate::southbound::{self, Lookups, South};
use crate::spool::{Condition, Note, Whose, free_bytes};
use crate::storage::{Document, Storage, Stored};

use environment::open_disk;
pub use environment::{Environment, StorageTaken};

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
    /// Between two words to the twin of devices that come and go.
    pub tell_again: Duration,
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
            tell_again: Duration::from_secs(30),
            south: southbound::Timeouts::default(),
            link: northbound::Timeouts::default(),
        }
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
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut running = std::pin::pin!(run(
            environment,
            Metrics::default(),
            Timeouts::default(),
            Clock::system(),
            shutdown.clone(),
        ));
        tokio::select! {
            result = &mut running => return result,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
        running.await
    });
    // A disk that hangs must not keep the process.
    runtime.shutdown_background();
    ended
}

/// Builds everything, and runs until `shutdown` is cancelled or an essential task has ended.
/// Everything is counted in `metrics`, and `clock` tells the time.
///
/// # Errors
/// When an essential task ended by itself; [`StorageTaken`] before anything is begun.
pub async fn run(
    environment: Environment,
    metrics: Metrics,
    timeouts: Timeouts,
    clock: Clock,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let disk = match environment.disk {
        Some(disk) => Ok(disk),
        None => open_disk(&environment.storage)?,
    };
    let health = Health::new(clock.now().monotonic);
    let throttle = Throttle::default();
    let (storage, error) = Storage::open(&environment.storage);
    if let Some(error) = error {
        tracing::error!("{error}");
    }
    let desired = load(&storage, Document::Desired);
    let last_good = load(&storage, Document::LastGood);

    let (submitter, submissions) =
        outbox::channel(gateway::room(SpoolSettings::default()), metrics.clone());
    let (reports, link_reports) = mpsc::channel(256);
    let (inbound_tx, inbound) = mpsc::channel(MOST_COMMANDS);
    let (inputs_tx, inputs) = mpsc::channel(16);
    let (outgoing, link_outgoing) = mpsc::channel(256);
    let (methods, method_calls) = mpsc::channel(MOST_COMMANDS);

    let spool = SpoolSettings::default();
    let unsettled = forwarder::Terms {
        settled: false,
        ..gateway::delivery(spool, &BTreeMap::new())
    };
    let (delivery, terms) = watch::channel(Arc::new(unsettled));
    let (condition, how_disk_is) = watch::channel(Condition::Good);
    let (notes, what_disk_had) = watch::channel(Vec::new());

    let presence = Presence::new(clock);
    let registry = Registry::telling(presence.clone());
    let told_commands = Arc::new(Told::default());
    let journal = open_journal(&environment.storage, &environment.identity);
    let module = Name::from(environment.identity.module_id.as_str());
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
        inputs: inputs_tx,
        outgoing: link_outgoing,
    };
    let link = LinkSettings {
        timeouts: timeouts.link,
        ..LinkSettings::new(environment.identity, desired.map(known))
    };
    let link = Link::new(link, channels, metrics.clone(), clock);
    let commands = Commands::new(
        registry.clone(),
        Arc::clone(&told_commands),
        metrics.clone(),
        throttle.clone(),
        clock,
    );
    let channels = Channels {
        calls: method_calls,
        inputs,
        outgoing: outgoing.clone(),
        submitter: submitter.clone(),
        shutdown: shutdown.clone(),
    };
    let south = South {
        registry,
        quarantine: Quarantine::default(),
        lookups: Lookups::default(),
        submitter: submitter.clone(),
        metrics: metrics.clone(),
        throttle,
        clock,
        timeouts: timeouts.south,
    };
    let parts = Parts {
        south: Arc::new(south),
        told: told_commands,
        storage,
        protocols: environment.protocols,
        metrics: metrics.clone(),
        health: health.clone(),
        clock,
        methods,
        outgoing,
        delivery,
        condition: how_disk_is,
        notes: what_disk_had,
        bind_again: timeouts.bind_again,
        tell_again: timeouts.tell_again,
    };
    let gateway = Gateway::new(parts, shutdown.clone());
    let told = http::Told {
        metrics,
        health,
        clock,
    };

    let leave = CancellationToken::new();
    let (mut essential, mut last) = (Tasks::new(), Tasks::new());
    let leaving = leave.clone();
    last.spawn(async move { ("link", link.run(leaving).await.map_err(Into::into)) });
    essential.spawn(async move {
        gateway.run(last_good, inbound).await;
        ("gateway", Ok(()))
    });
    essential.spawn(async move {
        commands.run(channels, journal, module).await;
        ("commands", Ok(()))
    });
    let (says, counts, stops) = (submitter, told.metrics.clone(), shutdown.clone());
    essential.spawn(async move {
        presence::run(presence, says, counts, stops).await;
        ("presence", Ok(()))
    });
    essential.spawn(async move { ("forwarder", forward(forwarder, notes).await) });
    let mut others = JoinSet::new();
    others.spawn(watch_disk(environment.storage, told.metrics.clone()));
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
    let outcome = supervise([essential, last], shutdown, leave, timeouts).await;
    others.shutdown().await;
    outcome
}

type Tasks = JoinSet<(&'static str, anyhow::Result<()>)>;

/// Waits for the first task to end, then for the others in the order of the data's way, the link
/// last: the forwarder needs it to its own end.
async fn supervise(
    [mut essential, mut last]: [Tasks; 2],
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
        Some(ended) = last.join_next() => {
            outcome = Err(unasked(ended));
            shutdown.cancel();
        }
    }
    // No more input: the stages end in order because their senders drop.
    let drained = drain(&mut essential, timeouts.connections + timeouts.spool).await;
    leave.cancel();
    let (link, left) = tokio::join!(
        drain(&mut last, timeouts.leave),
        drain(&mut essential, timeouts.leave)
    );
    for ended in drained.into_iter().chain(link).chain(left) {
        outcome = outcome.and(ended);
    }
    if !essential.is_empty() || !last.is_empty() {
        tracing::warn!("not everything ended in time");
    }
    outcome
}

/// Joins tasks until all have ended or the time is over.
async fn drain(essential: &mut Tasks, within: Duration) -> Vec<anyhow::Result<()>> {
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

async fn forward(parts: forwarder::Parts, notes: watch::Sender<Vec<Note>>) -> anyhow::Result<()> {
    let mut forwarder = Forwarder::new(parts).await?;
    notes.send_replace(forwarder.notes().to_vec());
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

/// Shows from time to time how much the disk has left. One that hangs is asked once.
async fn watch_disk(folder: PathBuf, metrics: Metrics) {
    let mut look = tokio::time::interval(BEAT);
    loop {
        look.tick().await;
        let folder = folder.clone();
        let free = tokio::task::spawn_blocking(move || free_bytes(&folder)).await;
        if let Ok(Ok(free)) = free {
            metrics.rooms().disk.level(free);
        }
    }
}

/// The journal of commands in the storage directory; none where it cannot be used.
fn open_journal(storage: &Path, identity: &edge::Identity) -> Option<(Store, Found)> {
    let folder = storage.join("commands");
    let owner = [&identity.iot_hub, &identity.device_id, &identity.module_id];
    let owner = owner.map(String::as_str).join("/");
    let (store, found) = match Store::open(&folder, &owner) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(
                %error,
                folder = %folder.display(),
                "there is no journal of commands: messages to the input \"{}\" are acknowledged at their outcome; mount a volume that the module's user owns",
                COMMANDS_INPUT
            );
            return None;
        }
    };
    if found.damaged > 0 {
        tracing::error!(
            bytes = found.damaged,
            folder = %folder.display(),
            "a part of the journal of commands could not be read and is kept as journal.damaged: commands in it are not reported, and could be executed again if edgeHub repeats them"
        );
    }
    if let Some(aside) = &found.set_aside {
        tracing::warn!(file = %aside.display(), "the journal of another module's commands was set aside");
    }
    Some((store, found))
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

    #[tokio::test]
    async fn the_link_takes_leave_as_soon_as_the_others_have_ended() {
        let never = Duration::from_secs(3600);
        let timeouts = Timeouts {
            connections: never,
            spool: never,
            leave: never,
            ..Timeouts::default()
        };
        let (shutdown, leave) = (CancellationToken::new(), CancellationToken::new());
        let ends = |name, asked: &CancellationToken| {
            let asked = asked.clone();
            async move {
                asked.cancelled().await;
                (name, Ok(()))
            }
        };
        let (mut essential, mut last) = (Tasks::new(), Tasks::new());
        essential.spawn(ends("forwarder", &shutdown));
        last.spawn(ends("link", &leave));
        shutdown.cancel();
        let ended = supervise([essential, last], shutdown, leave, timeouts);
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        ended.expect("no limit is waited for").unwrap();
    }
}

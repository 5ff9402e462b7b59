//! What an idle connection costs: opens many to a listener of this process and prints its resident
//! bytes for each. The devices are a process of their own, so that their side does not count.
//!
//! `cargo run --release --example idle_connections [CONNECTIONS]`

use std::env;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::message::Name;
use edge_tcp_gateway::ops::{logging::Throttle, metrics::Metrics};
use edge_tcp_gateway::outbox;
use edge_tcp_gateway::registry::Registry;
use edge_tcp_gateway::settings::{Presets, Settings};
use edge_tcp_gateway::southbound::{ListenerTask, South, Terms, Timeouts, bind, raise_open_files};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

fn main() -> anyhow::Result<()> {
    raise_open_files().context("raising the limit of open files")?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => measure(2000),
        [connections] => measure(connections.parse().context("a number of connections")?),
        [port, connections] => be_devices(port.parse()?, connections.parse()?),
        _ => Err(anyhow!("expected at most a number of connections")),
    }
}

/// Connects, and keeps silent until standard input ends.
fn be_devices(port: u16, connections: usize) -> anyhow::Result<()> {
    let devices = (0..connections).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
    let _devices = devices.collect::<Result<Vec<_>, _>>()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figure is what it is run for")]
fn measure(connections: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let metrics = Metrics::default();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let port = listen(connections, &metrics, &shutdown, &mut tasks)?;
        // The first connections pay for what all share.
        let few = open(port, 16, 16, &metrics).await?;
        let before = resident()?;
        let many = open(port, connections, connections + 16, &metrics).await?;
        let bytes = resident()?.saturating_sub(before);
        println!(
            "{connections} idle connections: {bytes} resident bytes, {} each",
            bytes / connections.max(1)
        );
        for mut devices in [few, many] {
            drop(devices.stdin.take());
            devices.wait()?;
        }
        shutdown.cancel();
        tasks.join_all().await;
        Ok(())
    })
}

fn listen(
    connections: usize,
    metrics: &Metrics,
    shutdown: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<u16> {
    let document = json!({
        "listeners": {"gt06": {"port": 5000, "protocol": "gt06", "maxConnections": connections + 16}},
        "protocols": {"gt06": {"preset": "gt06@1"}},
    });
    let (settings, _) = Settings::parse(&document, &Presets::built_in())
        .map_err(|problems| anyhow!("{problems:?}"))?;
    let (submitter, mut submissions) = outbox::channel(1 << 20, metrics.clone());
    let south = South {
        registry: Registry::default(),
        submitter,
        metrics: metrics.clone(),
        throttle: Throttle::default(),
        clock: Clock::system(),
        timeouts: Timeouts::default(),
    };
    let terms = Terms::of(&settings, &Name::from("gt06")).context("the listener")?;
    let socket = bind(Some(Ipv4Addr::LOCALHOST.into()), 0)?;
    let port = socket.local_addr()?.port();
    let (handle, listener) = ListenerTask::new(socket, terms, Arc::new(south));
    let shutdown = shutdown.clone();
    tasks.spawn(async move {
        listener.run(shutdown).await;
        drop(handle);
    });
    tasks.spawn(async move { while submissions.recv().await.is_some() {} });
    Ok(port)
}

/// Starts a process with so many devices, and waits until so many connections are open in all.
async fn open(
    port: u16,
    connections: usize,
    in_all: usize,
    metrics: &Metrics,
) -> anyhow::Result<std::process::Child> {
    let devices = Command::new(env::current_exe()?)
        .args([port.to_string(), connections.to_string()])
        .stdin(Stdio::piped())
        .spawn()?;
    let open = || metrics.sample("edge_tcp_gateway_connections{listener=\"gt06\"}");
    let opened = async {
        while open() < in_all as f64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(60), opened).await;
    opened.with_context(|| format!("only {} of {in_all} connections came", open()))?;
    Ok(devices)
}

/// Resident bytes of this process.
fn resident() -> anyhow::Result<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).context("statm has two numbers")?;
    Ok(pages.parse::<usize>()? * rustix::param::page_size())
}

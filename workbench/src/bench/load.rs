//! The devices of the benchmark, in a process of their own.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use super::line::{self, Mark};
use super::part::{next_line, tell};

/// Lines in one write when nothing holds the devices back.
const BURST: u64 = 16;
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// The options of the devices.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Options {
    /// Where the gateway listens.
    #[arg(long)]
    port: u16,
    #[arg(long)]
    connections: u32,
    /// Lines each second of all together; 0 is as many as the gateway takes.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Stop sending after so many lines of all together.
    #[arg(long, default_value_t = u64::MAX)]
    frames: u64,
}

/// Connects, says so, sends, says when all is sent, and keeps its connections until standard input ends.
///
/// # Errors
/// When the gateway takes no connection or ends one.
pub async fn run(options: Options) -> anyhow::Result<()> {
    edge_tcp_gateway::southbound::raise_open_files()?;
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        streams.push(connect(options.port).await?);
    }
    tell(&json!({"connected": streams.len()}))?;
    let mut senders = JoinSet::new();
    for (device, stream) in (0..).zip(streams) {
        senders.spawn(send(stream, device, options));
    }
    tokio::select! {
        sent = all(&mut senders) => {
            let _open = sent?;
            tell(&json!({"sent": options.frames}))?;
            while next_line().await?.is_some() {}
        }
        ended = next_line() => drop(ended?),
    }
    Ok(())
}

async fn connect(port: u16) -> anyhow::Result<TcpStream> {
    for _ in 1..ATTEMPTS {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
        sleep(PAUSE).await;
    }
    let last = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    last.context("the gateway takes no connection")
}

/// Waits until all have sent; gives their connections, still open.
async fn all(senders: &mut JoinSet<io::Result<TcpStream>>) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::new();
    while let Some(sent) = senders.join_next().await {
        streams.push(sent?.context("the gateway ended a connection")?);
    }
    Ok(streams)
}

async fn send(mut stream: TcpStream, device: u32, options: Options) -> io::Result<TcpStream> {
    let connections = options.connections.max(1);
    let burst = if options.rate == 0 { BURST } else { 1 };
    let second = Duration::from_secs(1);
    let mut pace = match options.rate {
        0 => None,
        rate => {
            // The devices are spread over the time, as real ones are.
            sleep(second * device / rate).await;
            Some(interval(second * connections / rate))
        }
    };
    let mut numbers = (u64::from(device)..options.frames).step_by(connections as usize);
    let mut lines = Vec::new();
    loop {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        lines.clear();
        let sent = line::monotonic();
        for _ in 0..burst {
            if let Some(number) = numbers.next() {
                line::push(&mut lines, device, Mark { number, sent });
            }
        }
        if lines.is_empty() {
            return Ok(stream);
        }
        stream.write_all(&lines).await?;
    }
}

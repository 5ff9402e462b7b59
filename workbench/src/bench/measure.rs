//! What a process costs, as the system counts it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PREFIX: &str = "edge_tcp_gateway_";
const PATIENCE: Duration = Duration::from_secs(20);

/// Nanoseconds of processor time by thread.
#[derive(Debug)]
pub struct Cpu(BTreeMap<String, u64>);

impl Cpu {
    #[cfg(test)]
    pub fn of(nanos: u64) -> Self {
        Cpu(BTreeMap::from([("1".to_owned(), nanos)]))
    }

    /// Nanoseconds that all threads used since then. A thread that has ended does not count: threads
    /// end after long idleness.
    pub fn since(&self, before: &Cpu) -> u64 {
        let used = self.0.iter().map(|(thread, now)| {
            let then = before.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(then)
        });
        used.sum()
    }
}

/// A process that is measured.
#[derive(Debug)]
pub struct Process(PathBuf);

impl Process {
    /// That process.
    ///
    /// # Errors
    /// When it has ended.
    pub fn new(id: Option<u32>) -> anyhow::Result<Self> {
        let id = id.context("what is to be measured has ended")?;
        Ok(Process(PathBuf::from(format!("/proc/{id}"))))
    }

    /// What it used until now, to the nanosecond, which the ticks of `stat` are too coarse for.
    ///
    /// # Errors
    /// When it has ended, or the system does not count.
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut threads = BTreeMap::new();
        for thread in self.0.join("task").read_dir().context("it has ended")? {
            let thread = thread?;
            let Ok(times) = std::fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let used = times
                .split_whitespace()
                .next()
                .and_then(|text| text.parse().ok());
            let name = thread.file_name().to_string_lossy().into_owned();
            threads.insert(name, used.unwrap_or_default());
        }
        if threads.values().all(|used| *used == 0) {
            return Err(anyhow!(
                "the system does not count processor time by thread"
            ));
        }
        Ok(Cpu(threads))
    }

    /// The most resident bytes that it ever had.
    ///
    /// # Errors
    /// When it has ended.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// Its resident bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(self.0.join("status")).context("it has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("the system does not say {name}"))? * 1024)
    }

    /// How many files and sockets it has open.
    ///
    /// # Errors
    /// When it has ended.
    pub fn open_files(&self) -> anyhow::Result<usize> {
        let files = self.0.join("fd").read_dir().context("it has ended")?;
        Ok(files.count())
    }
}

/// The sum of a metric of the module over all its labels, where it says it.
pub async fn sample(port: u16, metric: &str) -> Option<f64> {
    let text = timeout(PATIENCE, metrics(port)).await.ok()?.ok()?;
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(PREFIX)?.strip_prefix(metric)?;
        rest.starts_with([' ', '{']).then_some(rest)
    });
    let values = samples.filter_map(|sample| sample.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.reduce(|sum, value| sum + value)
}

async fn metrics(port: u16) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

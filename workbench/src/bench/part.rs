//! The processes of the benchmark: each is this program again, and they talk in lines of JSON.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use super::{load, naive, polled, sink};

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a process of the benchmark is.
#[derive(Debug, clap::Subcommand)]
pub enum Role {
    /// What stands for edgeHub.
    Sink(sink::Options),
    /// The devices.
    Load(load::Options),
    /// The yardstick.
    Naive(naive::Options),
    /// Devices that are polled.
    Meters,
    /// The yardstick that polls.
    NaivePoller(polled::Naive),
}

/// Is that part until standard input ends.
///
/// # Errors
/// When the part cannot do its work.
pub async fn run(role: Role) -> anyhow::Result<()> {
    match role {
        Role::Sink(options) => sink::run(options).await,
        Role::Load(options) => load::run(options).await,
        Role::Naive(options) => naive::run(options).await,
        Role::Meters => polled::meters().await,
        Role::NaivePoller(options) => polled::naive_poller(options).await,
    }
}

/// What the benchmark asks next; `None` when it is gone.
///
/// # Errors
/// When standard input is no pipe: only the benchmark starts a part.
pub async fn next_line() -> io::Result<Option<String>> {
    static INPUT: OnceCell<Mutex<Lines<BufReader<Receiver>>>> = OnceCell::const_new();
    let input = INPUT.get_or_try_init(async || {
        let pipe = io::stdin().as_fd().try_clone_to_owned()?;
        let pipe = Receiver::from_owned_fd(pipe)?;
        io::Result::Ok(Mutex::new(BufReader::new(pipe).lines()))
    });
    input.await?.lock().await.next_line().await
}

/// Says something to the benchmark.
pub fn tell(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// A part of the benchmark, seen from the benchmark.
#[derive(Debug)]
pub struct Part {
    name: &'static str,
    process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts this program again as that part.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start(name: &'static str, arguments: &[(&str, String)]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let mut command = Command::new(program);
        command.args(["bench-part", name]);
        for (option, value) in arguments {
            command.arg(option).arg(value);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.process_group(0).kill_on_drop(true).spawn();
        let mut process = process.with_context(|| format!("the {name} cannot start"))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("the {name} has no pipes");
        };
        Ok(Part {
            name,
            process,
            input,
            lines: BufReader::new(output).lines(),
        })
    }

    /// The process.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// What it says next.
    ///
    /// # Errors
    /// When it says nothing in time, or ends.
    pub async fn said(&mut self) -> anyhow::Result<Value> {
        self.said_within(PATIENCE).await?.with_context(|| {
            let (name, seconds) = (self.name, PATIENCE.as_secs());
            format!("the {name} did not answer within {seconds} s")
        })
    }

    /// What it says next; `None` when it says nothing in that time.
    ///
    /// # Errors
    /// When it ends.
    pub async fn said_within(&mut self, limit: Duration) -> anyhow::Result<Option<Value>> {
        let Ok(line) = timeout(limit, self.lines.next_line()).await else {
            return Ok(None);
        };
        let line = line?.with_context(|| format!("the {} ended by itself", self.name))?;
        Ok(Some(serde_json::from_str(&line)?))
    }

    /// Asks, and gives the answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ask(&mut self, words: &str) -> anyhow::Result<Value> {
        self.input
            .write_all(format!("{words}\n").as_bytes())
            .await?;
        self.said().await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the system does not.
    pub async fn end(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}

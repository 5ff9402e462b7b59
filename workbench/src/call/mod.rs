//! `call`: asks the module that runs under `up` or `hub`, as the cloud or another module would.

mod asked;
mod desk;

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use self::asked::{Answered, Asked, read, write};
use crate::say;

pub use self::desk::Desk;

/// What `--help` shows last.
pub const EXAMPLES: &str = r#"Examples:
  workbench call status
  workbench call command '{"device": "scale-07", "command": "tare"}'
  workbench call send '{"device": "scale-07", "bytes": "T\r\n", "answer": "next"}'
  workbench call --input commands '{"device": "scale-07", "command": "tare"}'

`workbench up` or `workbench hub` runs meanwhile. What the method gives is printed as JSON; a message to
an input has its outcome on the output commandResults, which they print.

Exit codes: 0 the status was 2xx, or the message is queued; 1 it was not."#;

/// How long the caller waits beyond what was asked for, until it gives the stand-in up.
const GRACE: Duration = Duration::from_secs(5);

/// The options of `call`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The direct method, such as status, devices, command or send; with --input the module's input.
    name: String,
    /// The payload, JSON; `-` is standard input.
    payload: Option<String>,
    /// Send a message to an input instead of calling a method.
    #[arg(long)]
    input: bool,
    /// The message's id: one that was there before is not executed again [default: a new one].
    #[arg(long, value_name = "ID", requires = "input")]
    message_id: Option<String>,
    /// The message's correlation id, which its result has too [default: none].
    #[arg(long, value_name = "ID", requires = "input")]
    correlation_id: Option<String>,
    /// How long the caller waits for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    within: u64,
    #[command(flatten)]
    socket: Socket,
}

/// Where a running workbench is asked.
#[derive(Clone, Debug, clap::Args)]
pub struct Socket {
    /// The socket of `workbench call` [default: one of yours in the temporary directory].
    #[arg(long = "socket", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl Socket {
    /// Its file.
    pub fn path(&self) -> PathBuf {
        let user = rustix::process::getuid().as_raw();
        let own = || std::env::temp_dir().join(format!("edge-tcp-workbench-{user}.sock"));
        self.path.clone().unwrap_or_else(own)
    }
}

/// Asks, and prints the answer.
///
/// # Errors
/// When no workbench runs, the payload is no JSON, or the status of the answer is no success.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let asked = options.asked()?;
    let path = options.socket.path();
    let stream = UnixStream::connect(&path).await;
    let stream = stream.with_context(|| {
        format!(
            "no workbench runs at {}: start `workbench up` or `workbench hub` first",
            path.display()
        )
    })?;
    let waited = Duration::from_secs(options.within).saturating_add(GRACE);
    let answered = timeout(waited, ask(stream, &asked));
    match answered.await.context("the workbench does not answer")?? {
        Answered::Method { status, payload } => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &payload).map_err(io::Error::from)?;
            writeln!(out)?;
            out.flush()?;
            match status {
                200..=299 => Ok(()),
                _ => bail!("status {status}"),
            }
        }
        Answered::Queued { message_id } => {
            say(format_args!("queued as message {message_id}"));
            Ok(())
        }
        Answered::Failed(why) => bail!(why),
    }
}

impl Options {
    fn asked(&self) -> anyhow::Result<Asked> {
        let mut text = String::new();
        let payload = match self.payload.as_deref() {
            Some("-") => {
                io::stdin().lock().read_to_string(&mut text)?;
                Some(text.as_str())
            }
            other => other,
        };
        if self.input {
            let body = payload.context("a message has a body: give it behind the input's name")?;
            return Ok(Asked::Input {
                name: self.name.clone(),
                body: body.to_owned(),
                message_id: self.message_id.clone(),
                correlation_id: self.correlation_id.clone(),
            });
        }
        let payload: Option<Value> = payload.map(serde_json::from_str).transpose().context(
            "the payload is no JSON; a shell wants it in single quotes: '{\"device\": \"…\"}'",
        )?;
        Ok(Asked::Method {
            name: self.name.clone(),
            payload,
            within_seconds: self.within,
        })
    }
}

async fn ask(mut stream: UnixStream, asked: &Asked) -> anyhow::Result<Answered> {
    write(&mut stream, asked).await?;
    let answered = read(&mut stream).await?;
    answered.context("the workbench has ended before it answered")
}

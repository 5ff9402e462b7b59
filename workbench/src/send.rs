//! `send`: plays bytes to a listener, as a device would.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_tcp_gateway::notation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::time::sleep;

use crate::say;

/// What `--help` shows last.
pub const EXAMPLES: &str = r#"Examples:
  workbench send localhost:5001 --text 'S S     12.34 kg\r\n'
  workbench send localhost:5000 --hex '7878 0d01 0123456789012345 0001 8cdd 0d0a'
  workbench send localhost:5000 --file capture.bin --chunk 1 --every 5    byte by byte
  cat capture.bin | workbench send localhost:5000 --wait 10"#;

/// Bytes of one line of what came back.
const LINE: usize = 16;

/// The options of `send`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to: HOST:PORT.
    address: String,
    /// Text, with JSON's escapes such as \r\n and \u0002.
    #[arg(long, group = "bytes")]
    text: Option<String>,
    /// Hex digits; spaces do not matter.
    #[arg(long, group = "bytes")]
    hex: Option<String>,
    /// A file. Without --text, --hex and --file: standard input.
    #[arg(long, group = "bytes")]
    file: Option<PathBuf>,
    /// So many bytes at a time instead of all at once.
    #[arg(long, value_name = "BYTES")]
    chunk: Option<std::num::NonZeroUsize>,
    /// Milliseconds between the pieces, and between repetitions.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    every: u64,
    /// How many times.
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    repeat: u32,
    /// Seconds of silence behind the last byte after which it ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    wait: u64,
}

impl Options {
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        if let Some(text) = &self.text {
            let quoted = format!("\"{}\"", text.replace('"', "\\\""));
            let text: String = serde_json::from_str(&quoted).context("--text")?;
            return Ok(text.into_bytes());
        }
        if let Some(hex) = &self.hex {
            let bytes = notation::bytes(&format!("0x{hex}"));
            return bytes.map_err(|error| anyhow::anyhow!("--hex: {}", error.message));
        }
        if let Some(file) = &self.file {
            return std::fs::read(file).with_context(|| format!("{}", file.display()));
        }
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Sends, and prints what comes back, until the listener closes or is silent.
///
/// # Errors
/// When there is nothing to send, or the connection cannot be made or is reset.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let bytes = options.bytes()?;
    if bytes.is_empty() {
        bail!("there is nothing to send");
    }
    let connected = TcpStream::connect(&options.address).await;
    let mut stream = connected.with_context(|| format!("{} cannot be reached", options.address))?;
    stream.set_nodelay(true)?;
    let (mut from, to) = stream.split();
    let mut sending = pin!(write(to, &bytes, &options));
    let (mut sent, mut received) = (None, 0);
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            written = &mut sending, if sent.is_none() => sent = Some(written.map_err(broke)?),
            read = from.read(&mut buffer) => match read.map_err(broke)? {
                0 => {
                    say(format_args!("the listener closed the connection"));
                    break;
                }
                count => {
                    received += count;
                    print(buffer.get(..count).unwrap_or_default())?;
                }
            },
            () = sleep(Duration::from_secs(options.wait)), if sent.is_some() => break,
        }
    }
    let sent = sent.unwrap_or_default();
    say(format_args!("{sent} bytes sent, {received} came back"));
    Ok(())
}

/// As text: an error of the socket is not one of standard output.
fn broke(error: io::Error) -> anyhow::Error {
    anyhow::anyhow!("the connection broke: {error}")
}

async fn write(mut to: WriteHalf<'_>, bytes: &[u8], options: &Options) -> io::Result<usize> {
    let pause = Duration::from_millis(options.every);
    let size = options.chunk.map_or(bytes.len(), usize::from);
    let mut sent = 0;
    for _ in 0..options.repeat {
        for piece in bytes.chunks(size) {
            if sent > 0 && !pause.is_zero() {
                sleep(pause).await;
            }
            to.write_all(piece).await?;
            sent += piece.len();
        }
    }
    Ok(sent)
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in bytes.chunks(LINE) {
        writeln!(out, "{}", dump(line))?;
    }
    out.flush()
}

/// Hex, and beside it what is printable.
fn dump(line: &[u8]) -> String {
    let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = line.iter().map(|byte| match *byte {
        printable @ 0x20..=0x7e => char::from(printable),
        _ => '.',
    });
    let (hex, text) = (hex.join(" "), text.collect::<String>());
    format!("{hex:width$}  {text}", width = LINE * 3 - 1)
}

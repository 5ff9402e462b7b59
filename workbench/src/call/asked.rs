//! What `call` and the workbench that runs say to each other: a line of JSON each.

use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Bytes of a line at most: a payload has 128 KiB, and its text is escaped.
const MOST: u64 = 1 << 20;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Asked {
    /// A direct method.
    Method {
        name: String,
        payload: Option<Value>,
        within_seconds: u64,
    },
    /// A message to an input.
    Input {
        name: String,
        body: String,
        message_id: Option<String>,
        correlation_id: Option<String>,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Answered {
    /// The method's answer.
    Method { status: i32, payload: Value },
    /// The message waits for the module.
    Queued { message_id: String },
    /// Why there is none.
    Failed(String),
}

/// Says one thing.
pub(super) async fn write(stream: &mut UnixStream, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Hears one thing; `None` if the other side left.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let mut bounded = BufReader::new(stream).take(MOST);
    bounded.read_until(b'\n', &mut line).await?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "more than 1 MiB, or cut short",
        )),
    }
}

//! The side of `up` and `hub`: a socket at which the stand-in is asked to call the module.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dev_hub::DevHub;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Socket;
use super::asked::{Answered, Asked, read, write};
use crate::say;
use crate::up::MODULE;

/// Callers that are served at a time; others wait at the socket.
const MOST_CALLERS: usize = 64;
/// How long a caller may take to say what is asked.
const ASKING: Duration = Duration::from_secs(5);
/// How long accepting pauses when the system has no room for a connection.
const FULL: Duration = Duration::from_millis(100);

/// The socket and whoever serves it, until it is dropped.
#[derive(Debug)]
pub struct Desk {
    path: PathBuf,
    _serving: JoinSet<()>,
}

impl Desk {
    /// Opens the socket. Without it everything else works: it is told why there is none.
    pub fn open(hub: &Arc<DevHub>, socket: &Socket) -> Option<Self> {
        let path = socket.path();
        match listen(&path) {
            Ok(listener) => {
                let mut serving = JoinSet::new();
                serving.spawn(serve(Arc::clone(hub), listener));
                Some(Desk {
                    path,
                    _serving: serving,
                })
            }
            Err(error) => {
                let place = path.display();
                say(format_args!(
                    "`workbench call` does not reach this one: {place}: {error}; --socket FILE gives it a socket of its own"
                ));
                None
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Whoever took it away before has done the same.
        drop(fs::remove_file(&self.path));
    }
}

/// A socket in place of one that nobody serves any more.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if Probe::connect(path).is_ok() {
                let why = "another workbench has it";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

async fn serve(hub: Arc<DevHub>, listener: UnixListener) {
    let mut callers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if callers.len() < MOST_CALLERS => match accepted {
                Ok((stream, _)) => {
                    let hub = Arc::clone(&hub);
                    callers.spawn(async move { answer(&hub, stream).await });
                }
                Err(_) => tokio::time::sleep(FULL).await,
            },
            Some(served) = callers.join_next(), if !callers.is_empty() => {
                if let Ok(Err(error)) = served {
                    say(format_args!("a call broke: {error}"));
                }
            }
        }
    }
}

async fn answer(hub: &DevHub, mut stream: UnixStream) -> io::Result<()> {
    match timeout(ASKING, read(&mut stream)).await?? {
        Some(asked) => write(&mut stream, &answered(hub, asked).await).await,
        None => Ok(()),
    }
}

async fn answered(hub: &DevHub, asked: Asked) -> Answered {
    match asked {
        Asked::Method {
            name,
            payload,
            within_seconds,
        } => {
            let within = Duration::from_secs(within_seconds);
            match hub.invoke_method(MODULE, &name, payload, within).await {
                Ok(answer) => Answered::Method {
                    status: answer.status,
                    payload: answer.payload,
                },
                Err(error) => Answered::Failed(error.to_string()),
            }
        }
        Asked::Input {
            name,
            body,
            message_id,
            correlation_id,
        } => {
            let new = || format!("call-{:016x}", fastrand::u64(..));
            let message_id = message_id.unwrap_or_else(new);
            let mut properties = vec![("$.mid", message_id.as_str())];
            if let Some(correlation_id) = &correlation_id {
                properties.push(("$.cid", correlation_id));
            }
            match hub.send_input(MODULE, &name, &properties, body) {
                Ok(()) => Answered::Queued { message_id },
                Err(error) => Answered::Failed(error.to_string()),
            }
        }
    }
}

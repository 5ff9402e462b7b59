//! One attempt to reach a device: the look-up of its name, and a connection to one of its addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::message::Text;
use crate::settings::HostPort;

/// Names looked up at once in the whole process: each takes a thread, for as long as a name server
/// that is away keeps it, whoever waits or not.
const MOST_LOOKUPS: usize = 16;
/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Looks up names of machines. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Lookups(Arc::new(Semaphore::new(MOST_LOOKUPS)))
    }
}

/// Why a device was not reached, with what an operator can do.
#[derive(Debug, Error)]
pub(super) enum Unreached {
    /// The name says nothing.
    #[error(
        "the name {0} cannot be looked up ({1}): correct it, see the name servers of the container, or write the address"
    )]
    Unresolved(Text, io::Error),
    /// Nobody takes the connection.
    #[error("{0} refuses the connection: see whether the device runs and the port is right")]
    Refused(SocketAddr),
    /// There was no answer in time.
    #[error(
        "no answer from {0} within {1:?} (connectMs): see the address, the network and whether the device is on"
    )]
    TimedOut(HostPort, Duration),
    /// Something else.
    #[error("{0} cannot be reached: {1}")]
    Failed(SocketAddr, io::Error),
}

impl Unreached {
    /// The word under which it is counted.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Unreached::Unresolved(..) => "unresolved",
            Unreached::Refused(_) => "refused",
            Unreached::TimedOut(..) => "timed_out",
            Unreached::Failed(..) => "failed",
        }
    }
}

/// Connects to a device within a time limit.
pub(super) async fn dial(
    address: HostPort,
    within: Duration,
    lookups: Lookups,
) -> Result<(TcpStream, SocketAddr), Unreached> {
    let reached = async {
        let addresses = match address.known {
            Some(known) => vec![known],
            None => lookups.look_up(&address).await?,
        };
        first_of(&addresses, within).await
    };
    let in_time = timeout(within, reached).await;
    match in_time {
        Ok(Ok(Some(reached))) => Ok(reached),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) | Err(_) => Err(Unreached::TimedOut(address, within)),
    }
}

/// The first address that takes a connection; each has its part of the time, so that one that says
/// nothing does not keep the others. `None`: none has answered.
async fn first_of(
    addresses: &[SocketAddr],
    within: Duration,
) -> Result<Option<(TcpStream, SocketAddr)>, Unreached> {
    let parts = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = None;
    for address in addresses {
        match timeout(within / parts, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Some((stream, *address))),
            Ok(Err(error)) => failed = Some(why(*address, error)),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(None), Err)
}

fn why(address: SocketAddr, error: io::Error) -> Unreached {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Unreached::Refused(address),
        _ => Unreached::Failed(address, error),
    }
}

impl Lookups {
    async fn look_up(&self, address: &HostPort) -> Result<Vec<SocketAddr>, Unreached> {
        let HostPort { host, port, .. } = address.clone();
        let unresolved = |error| Unreached::Unresolved(address.host.clone(), error);
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let permit = permit.map_err(|error| unresolved(io::Error::other(error)))?;
        // Goes on where its waiter is gone; its place is taken until it ends.
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = (host.as_str(), port).to_socket_addrs();
            drop(permit);
            found.map(|found| found.take(MOST_ADDRESSES).collect::<Vec<_>>())
        });
        let found = looked_up.await.map_err(io::Error::other).flatten();
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(unresolved(io::Error::other("it has no address"))),
            Err(error) => Err(unresolved(error)),
        }
    }
}

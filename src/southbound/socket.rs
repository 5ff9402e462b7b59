//! Makes listening sockets and sets what every accepted one needs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Connections that may wait in the kernel until they are accepted.
const BACKLOG: i32 = 1024;

/// After this silence the kernel asks whether the device is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Time between the kernel's questions when none is answered; nine in a row end the connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A port on which nothing can be accepted now.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// Listens on a port of one address, or with `None` on every address of IPv6 and IPv4 alike.
///
/// Port 0 lets the operating system choose.
///
/// # Errors
/// When the port is taken, not allowed, or the address is not one of this machine.
pub fn bind(address: Option<IpAddr>, port: u16) -> Result<TcpListener, BindError> {
    if let Some(address) = address {
        return listen(SocketAddr::new(address, port));
    }
    let dual = listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
    match dual {
        Err(error) if lacks_ipv6(&error.source) => {
            listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
        }
        bound => bound,
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    open(address).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A port whose old connections still linger must be usable again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn lacks_ipv6(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

/// Sets what a connection with a device needs: small frames leave at once, dead peers are noticed.
///
/// # Errors
/// When the connection is gone already.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reaches(listener: &TcpListener, ip: IpAddr) -> SocketAddr {
        let port = listener.local_addr().unwrap().port();
        let (client, accepted) = tokio::join!(TcpStream::connect((ip, port)), listener.accept());
        let (stream, peer) = accepted.unwrap();
        prepare(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        assert_eq!(
            SockRef::from(&stream).tcp_keepalive_time().unwrap(),
            KEEP_ALIVE
        );
        assert_eq!(
            SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            client.unwrap().local_addr().unwrap()
        );
        SocketAddr::new(peer.ip().to_canonical(), peer.port())
    }

    #[tokio::test]
    async fn one_socket_serves_both_families_and_shows_addresses_as_they_are_written() {
        let listener = bind(None, 0).unwrap();
        let peer = reaches(&listener, Ipv4Addr::LOCALHOST.into()).await;
        assert_eq!(peer.ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
        if listener.local_addr().unwrap().is_ipv6() {
            let peer = reaches(&listener, Ipv6Addr::LOCALHOST.into()).await;
            assert_eq!(peer.ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
        }
    }

    #[tokio::test]
    async fn a_named_address_is_the_only_one() {
        let listener = bind(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        assert_eq!(
            listener.local_addr().unwrap().ip(),
            IpAddr::from(Ipv4Addr::LOCALHOST)
        );
        reaches(&listener, Ipv4Addr::LOCALHOST.into()).await;
    }

    #[tokio::test]
    async fn a_taken_port_is_named_in_the_error() {
        let taken = bind(None, 0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(None, port).unwrap_err();
        assert_eq!(error.address.port(), port);
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        drop(taken);
        bind(None, port).unwrap();
    }

    #[test]
    fn only_a_missing_ipv6_falls_back_to_ipv4() {
        use rustix::io::Errno;
        for (errno, expected) in [
            (Errno::AFNOSUPPORT, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::ADDRINUSE, false),
            (Errno::ACCESS, false),
            (Errno::MFILE, false),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(lacks_ipv6(&error), expected, "{errno:?}");
        }
    }
}

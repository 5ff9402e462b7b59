//! The listening side: accepts, makes TLS, answers CONNECT, hands over to the connection.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use mqtt::{ConnAck, Packet, Refusal};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::admission::{self, Admitted, First};
use crate::clients::{Client, OUTBOX};
use crate::clock;
use crate::connection::{Connection, Lines};
use crate::counters::Count;
use crate::error::HubError;
use crate::faults::ConnectFault;
use crate::hub::Hub;

/// How long a refused client may take to read its CONNACK.
const FAREWELL: Duration = Duration::from_secs(1);
const BACKLOG: u32 = 200;

/// What the server shows; replaced when certificates are.
pub(crate) type SharedConfig = Arc<RwLock<Arc<ServerConfig>>>;

/// Opens the port; again, after it was closed, too.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, HubError> {
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(HubError::io(format!("cannot listen on {address}")))
}

/// Accepts until told to stop; then closes every connection.
pub(crate) async fn accept(
    hub: Arc<Hub>,
    listener: TcpListener,
    tls: SharedConfig,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let mut sweep = tokio::time::interval(hub.options.token_sweep);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                hub.count(Count::accepted);
                let config = tls.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                let connection = Box::pin(serve(Arc::clone(&hub), stream, TlsAcceptor::from(config), stop.child_token()));
                connections.spawn(connection);
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = sweep.tick() => {
                for _ in 0..hub.clients.close_expired(clock::utc().as_second()) {
                    hub.count(Count::token_expired);
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(hub: Arc<Hub>, stream: TcpStream, tls: TlsAcceptor, close: CancellationToken) {
    let greeted = tokio::time::timeout(hub.options.connect_within, greet(&hub, stream, tls));
    let greeted = tokio::select! {
        () = close.cancelled() => None,
        greeted = greeted => greeted.ok().flatten(),
    };
    if let Some((mut stream, first, input)) = greeted {
        match first {
            First::Admit(client, _) => welcome(&hub, &mut stream, *client, input, close).await,
            First::Refuse(refusal) => refuse(&mut stream, refusal).await,
            First::NeedsMore | First::Close => {}
        }
        // The other side may be gone already.
        drop(tokio::time::timeout(FAREWELL, stream.shutdown()).await);
    }
    hub.count(Count::closed);
}

type Greeted = (tokio_rustls::server::TlsStream<TcpStream>, First, BytesMut);

/// TLS, then the first packet.
async fn greet(hub: &Hub, stream: TcpStream, tls: TlsAcceptor) -> Option<Greeted> {
    stream.set_nodelay(true).ok()?;
    let Ok(mut stream) = tls.accept(stream).await else {
        hub.count(Count::tls_failed);
        return None;
    };
    let mut input = BytesMut::new();
    loop {
        match admission::look(hub, &input) {
            First::NeedsMore => {}
            First::Admit(client, used) => {
                input.advance(used);
                return Some((stream, First::Admit(client, used), input));
            }
            first => return Some((stream, first, input)),
        }
        if stream.read_buf(&mut input).await.ok()? == 0 {
            hub.count(Count::no_connect);
            return None;
        }
    }
}

async fn welcome<S>(
    hub: &Arc<Hub>,
    stream: &mut S,
    client: Admitted,
    input: BytesMut,
    close: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fault = hub.script.next_connect();
    if fault.is_some() {
        hub.count(Count::connects_disturbed);
    }
    let disturbed = async {
        match fault {
            Some(ConnectFault::Refuse(refusal)) => {
                refuse(stream, refusal).await;
                true
            }
            Some(ConnectFault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                false
            }
            Some(ConnectFault::Withhold) => {
                read_to_end(stream).await;
                true
            }
            None => false,
        }
    };
    let ended = tokio::select! {
        () = close.cancelled() => true,
        ended = disturbed => ended,
    };
    if !ended {
        admit(hub, stream, client, input, close).await;
    }
}

async fn admit<S>(
    hub: &Arc<Hub>,
    stream: &mut S,
    client: Admitted,
    input: BytesMut,
    close: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let dead =
        hub.clients.find(&client.id).is_none() && hub.clients.count() >= hub.options.max_clients;
    let number = hub.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let (outbox, deliveries) = mpsc::channel(OUTBOX);
    let inputs = Arc::new(Notify::new());
    let lines = Lines {
        close: close.clone(),
        outbox: deliveries,
        inputs: Arc::clone(&inputs),
        held: hub.script.held(),
    };
    let mut session_present = false;
    if !dead {
        let handle = Client {
            connection: number,
            close,
            outbox,
            inputs,
            token: client.token.clone(),
            password: client.password.clone(),
        };
        session_present = hub.sessions.open(&client.id, client.clean);
        if let Some(older) = hub.clients.insert(&client.id, handle) {
            older.close.cancel();
            hub.count(Count::taken_over);
        }
    }
    let id = client.id.clone();
    if send(
        stream,
        &Packet::ConnAck(ConnAck::Accepted { session_present }),
    )
    .await
    .is_err()
    {
        hub.clients.remove(&id, number);
        return;
    }
    hub.count(if dead {
        Count::connected_dead
    } else {
        Count::connected
    });
    Connection::new(Arc::clone(hub), client, number, dead, input)
        .run(stream, lines)
        .await;
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, refusal: Refusal) {
    let refused = send(stream, &Packet::ConnAck(ConnAck::Refused(refusal))).await;
    if refused.is_ok() && stream.shutdown().await.is_ok() {
        // Closing over unread bytes would reset the connection, and the CONNACK be lost.
        drop(tokio::time::timeout(FAREWELL, read_to_end(stream)).await);
    }
}

async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, packet: &Packet<'_>) -> std::io::Result<()> {
    let mut bytes = BytesMut::new();
    mqtt::encode(packet, &mut bytes).map_err(std::io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

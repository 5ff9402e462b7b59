//! `/metrics` and `/healthz`, over plain HTTP.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::metrics::Metrics;
use crate::clock::Clock;

/// The port where nothing else is said.
pub const DEFAULT_PORT: u16 = 9600;
/// Connections at once; one more is closed at once.
const MOST_CONNECTIONS: usize = 16;
/// How long a connection may take to ask.
const TO_ASK: Duration = Duration::from_secs(5);
/// How long it may take altogether.
const TO_LIVE: Duration = Duration::from_secs(30);
/// After an error of the listening socket.
const PAUSE: Duration = Duration::from_secs(1);

/// What is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Behind `/metrics`.
    pub metrics: Metrics,
    /// Behind `/healthz`.
    pub health: Health,
    /// Tells the time.
    pub clock: Clock,
}

/// Listens on a port of all addresses, both IP versions where the system has both.
///
/// # Errors
/// What the system says.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    let bound = socket(Domain::IPV6).and_then(|socket| {
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        Ok(socket)
    });
    let socket = match bound {
        Ok(socket) => socket,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        Err(_) => {
            let socket = socket(Domain::IPV4)?;
            socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into())?;
            socket
        }
    };
    socket.listen(16)?;
    TcpListener::from_std(socket.into())
}

fn socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Answers until it is told to stop.
pub async fn serve(listener: TcpListener, told: Told, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(answer(stream, told.clone()));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "no connection for metrics");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn answer(stream: TcpStream, told: Told) {
    let service = service_fn(|request| {
        let response = respond(&request, &told);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TO_ASK)
        .max_buf_size(16 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever asks badly or slowly gets no answer.
    drop(timeout(TO_LIVE, connection).await);
}

fn respond(request: &Request<Incoming>, told: &Told) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused = text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered\n".to_owned(),
        );
        let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        return refused;
    }
    match request.uri().path() {
        "/metrics" => match told.metrics.text() {
            Ok(metrics) => of_type(
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                metrics,
            ),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        "/healthz" => match told.health.hangs(told.clock.now().monotonic) {
            None => text(StatusCode::OK, "ok\n".to_owned()),
            Some(what) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("the {what} does not turn any more; restart the module\n"),
            ),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /metrics and /healthz\n".to_owned(),
        ),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = of_type("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn of_type(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

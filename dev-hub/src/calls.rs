//! Calls over HTTPS: a module invokes a direct method of another one, as edgeHub lets it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::auth::sas;
use crate::broker::SharedConfig;
use crate::clock;
use crate::error::HubError;
use crate::hub::{Hub, MethodAnswer};
use crate::identities::IdentityId;
use crate::methods::MethodError;

const MAX_BODY_BYTES: usize = 256 * 1024;

/// The port and whoever serves it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Calls {
    pub(crate) fn start(
        hub: Arc<Hub>,
        listener: TcpListener,
        tls: SharedConfig,
    ) -> Result<Self, HubError> {
        let address = listener.local_addr();
        let address = address.map_err(HubError::io("cannot ask for the port"))?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(hub, listener, tls));
        Ok(Calls {
            address,
            _serving: serving,
        })
    }
}

async fn serve(hub: Arc<Hub>, listener: TcpListener, tls: SharedConfig) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let config = Arc::clone(&tls.read().unwrap_or_else(PoisonError::into_inner));
                connections.spawn(answer_all(Arc::clone(&hub), stream, config.into()));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer_all(hub: Arc<Hub>, stream: TcpStream, tls: TlsAcceptor) {
    let greeted = tokio::time::timeout(hub.options.connect_within, tls.accept(stream));
    let Ok(Ok(stream)) = greeted.await else {
        return;
    };
    let service = service_fn(|request| answer(&hub, request));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for calls broke");
    }
}

async fn answer(
    hub: &Hub,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match call(hub, request).await {
        Ok(answer) => (
            StatusCode::OK,
            json!({ "status": answer.status, "payload": answer.payload }),
        ),
        Err((status, message)) => (status, json!({ "message": message })),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// What a caller says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    method_name: String,
    #[serde(default)]
    payload: Option<Value>,
    #[serde(default = "response_seconds")]
    response_timeout_in_seconds: u64,
    #[serde(default)]
    connect_timeout_in_seconds: u64,
}

fn response_seconds() -> u64 {
    30
}

type Refusal = (StatusCode, String);

async fn call(hub: &Hub, request: Request<Incoming>) -> Result<MethodAnswer, Refusal> {
    let (head, body) = request.into_parts();
    if !is_allowed(hub, &head.headers) {
        return Err((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned()));
    }
    let segments: Vec<String> = head.uri.path().split('/').skip(1).map(unescape).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let target = match *segments {
        ["twins", device, "modules", module, "methods"] => IdentityId::module(device, module),
        ["twins", device, "methods"] => IdentityId::device(device),
        _ => return Err((StatusCode::NOT_FOUND, "no such path".to_owned())),
    };
    if head.method != Method::POST {
        let message = "a call is a POST".to_owned();
        return Err((StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let wrong = |why: String| (StatusCode::BAD_REQUEST, why);
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| wrong(error.to_string()))?.to_bytes();
    let call: Call = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let answer = invoke(hub, &target, &call).await;
    answer.map_err(|error| match error {
        MethodError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, error.to_string()),
        MethodError::NotConnected | MethodError::UnknownIdentity(_) => {
            (StatusCode::NOT_FOUND, error.to_string())
        }
    })
}

async fn invoke(hub: &Hub, target: &IdentityId, call: &Call) -> Result<MethodAnswer, MethodError> {
    let connect = Duration::from_secs(call.connect_timeout_in_seconds);
    if !connect.is_zero() {
        hub.hold_method(target, connect).await?;
    }
    let within = Duration::from_secs(call.response_timeout_in_seconds);
    hub.invoke_method(target, &call.method_name, call.payload.as_ref(), within)
        .await
}

/// Whether the caller is the module that it says it is.
fn is_allowed(hub: &Hub, headers: &HeaderMap) -> bool {
    let text = |value: Option<&HeaderValue>| {
        value.and_then(|value| value.to_str().ok().map(str::to_owned))
    };
    let caller = text(headers.get("x-ms-edge-moduleId"));
    let caller = caller.as_deref().and_then(|caller| caller.split_once('/'));
    let token = text(headers.get(AUTHORIZATION)).and_then(|token| sas::parse(&token).ok());
    let (Some((device, module)), Some(token)) = (caller, token) else {
        return false;
    };
    let hosts = sas::Hosts {
        iot_hub: &hub.options.iot_hub,
        edge: &hub.options.edge_host,
    };
    let id = IdentityId::module(device, module);
    let now = clock::utc().as_second();
    sas::check(&token, &id, &hub.identities, hosts, now).is_ok()
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

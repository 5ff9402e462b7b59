//! The workload API on a unix socket: signing, and the trust bundle.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::counters::Count;
use crate::error::HubError;
use crate::hub::Hub;
use crate::identities::IdentityId;

const VERSIONS: [&str; 7] = [
    "2018-06-28",
    "2019-01-30",
    "2019-10-22",
    "2019-11-05",
    "2020-07-07",
    "2021-12-07",
    "2022-08-03",
];
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The socket and whoever serves it.
pub(crate) struct Workload {
    hub: Arc<Hub>,
    path: PathBuf,
    bundle: Arc<Mutex<String>>,
    refuse: Arc<AtomicBool>,
    running: Mutex<Option<JoinSet<()>>>,
}

impl Workload {
    pub(crate) fn new(hub: Arc<Hub>, path: PathBuf, bundle: Arc<Mutex<String>>) -> Self {
        Workload {
            hub,
            path,
            bundle,
            refuse: Arc::default(),
            running: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a fresh socket and serves it.
    pub(crate) fn start(&self) -> Result<(), HubError> {
        self.stop();
        let listener = UnixListener::bind(&self.path).map_err(HubError::io(format!(
            "cannot listen on {}",
            self.path.display()
        )))?;
        let mut tasks = JoinSet::new();
        let (hub, bundle, refuse) = (
            Arc::clone(&self.hub),
            Arc::clone(&self.bundle),
            Arc::clone(&self.refuse),
        );
        tasks.spawn(serve(
            listener,
            Api {
                hub,
                bundle,
                refuse,
            },
        ));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(tasks);
        Ok(())
    }

    /// Stops serving; the socket's file stays and refuses connections.
    pub(crate) fn leave_stale(&self) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Stops serving and takes the file away.
    pub(crate) fn stop(&self) {
        self.leave_stale();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "there was no socket to take away");
        }
    }

    /// From now on, or no longer, every request is answered with 403.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.refuse.store(refuse, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Api {
    hub: Arc<Hub>,
    bundle: Arc<Mutex<String>>,
    refuse: Arc<AtomicBool>,
}

async fn serve(listener: UnixListener, api: Api) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(answer_all(stream, api.clone()));
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer_all(stream: UnixStream, api: Api) {
    let service = service_fn(|request| api.answer(request));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a workload connection broke");
    }
}

/// A status that is no success, and what it says.
type Refusal = (u16, &'static str);

impl Api {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        self.hub.count(Count::workload_requests);
        let (status, body) = match self.route(request).await {
            Ok(body) => (200, body),
            Err((status, message)) => {
                self.hub.count(Count::workload_errors);
                (status, json!({ "message": message }))
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        let json = hyper::header::HeaderValue::from_static("application/json");
        response
            .headers_mut()
            .insert(hyper::header::CONTENT_TYPE, json);
        Ok(response)
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Value, Refusal> {
        if self.refuse.load(Ordering::Relaxed) {
            return Err((403, "forbidden"));
        }
        check_version(request.uri().query().unwrap_or_default())?;
        let path = request.uri().path().to_owned();
        let segments: Vec<String> = path.split('/').skip(1).map(unescape).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = request.method().clone();
        match *segments {
            ["trust-bundle"] if method == Method::GET => {
                let bundle = self
                    .bundle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                Ok(json!({ "certificate": bundle }))
            }
            ["modules", module, "genid", generation, "sign"] if method == Method::POST => {
                self.sign(module, generation, request).await
            }
            ["trust-bundle"] | ["modules", _, "genid", _, "sign"] => {
                Err((400, "method not allowed"))
            }
            _ => Err((404, "not found")),
        }
    }

    async fn sign(
        &self,
        module: &str,
        generation: &str,
        request: Request<Incoming>,
    ) -> Result<Value, Refusal> {
        let id = IdentityId::module(self.hub.identities.edge_device(), module);
        let identity = self.hub.identities.find(&id).ok_or((403, "forbidden"))?;
        if identity.generation != generation {
            return Err((404, "not found"));
        }
        let content = request.headers().get(hyper::header::CONTENT_TYPE);
        if content.is_some_and(|content| content != "application/json") {
            return Err((400, "missing body"));
        }
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
            .collect()
            .await;
        let body = body.map_err(|_| (400, "missing body"))?.to_bytes();
        if body.is_empty() {
            return Err((400, "missing body"));
        }
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| (422, "the body is no JSON"))?;
        let data = body
            .get("data")
            .and_then(Value::as_str)
            .ok_or((422, "missing field `data`"))?;
        let data = STANDARD.decode(data).map_err(|_| (400, "invalid base64"))?;
        Ok(json!({ "digest": STANDARD.encode(identity.primary.sign(&data)) }))
    }
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn check_version(query: &str) -> Result<(), Refusal> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    match pairs.find(|(name, _)| *name == "api-version") {
        None => Err((400, "api-version not specified")),
        Some((_, version)) if VERSIONS.contains(&version) => Ok(()),
        Some(_) => Err((400, "invalid api-version")),
    }
}

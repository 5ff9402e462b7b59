//! The workload API of the IoT Edge runtime: HTTP/1.1 on a unix socket (or TCP).

use std::io;
use std::pin::pin;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::environment::{WorkloadAddress, WorkloadIdentity};
use super::topics::ESCAPED;

const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The workload API could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The socket refuses or is not there: aziot-edged is away, or was restarted and the socket
    /// in this container is stale.
    #[error("the workload API at {address} refuses connections: is aziot-edged running?")]
    Refused {
        /// Where it should be.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection failed otherwise.
    #[error("the workload API at {address} cannot be reached")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// No answer in time.
    #[error("the workload API did not answer within {0:?}")]
    Timeout(Duration),
    /// HTTP went wrong.
    #[error("the workload API does not speak HTTP as expected")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered with an error.
    #[error("the workload API answered {status}: {message}{}", remedy(*status))]
    Status {
        /// HTTP status.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// It answered something else than documented.
    #[error("the workload API's answer lacks a usable `{0}`")]
    Answer(&'static str),
}

impl WorkloadError {
    /// Whether the socket refused or was absent, as a stale one does for ever.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

fn remedy(status: u16) -> &'static str {
    match status {
        403 => " (only the module's own container may ask: run it under IoT Edge)",
        404 => " (the module or its generation is not known: was it deployed anew?)",
        _ => "",
    }
}

/// A client of the workload API for one module.
#[derive(Clone, Debug)]
pub struct Workload {
    identity: WorkloadIdentity,
    module_id: String,
    deadline: Duration,
}

impl Workload {
    /// A client; each request has `deadline` from connecting to the last byte of its answer.
    pub fn new(identity: WorkloadIdentity, module_id: String, deadline: Duration) -> Self {
        Self {
            identity,
            module_id,
            deadline,
        }
    }

    /// The HMAC-SHA256 of the data by the module's own key.
    ///
    /// # Errors
    /// When the API cannot be reached, refuses, or answers something else.
    pub async fn sign(&self, data: &[u8]) -> Result<Vec<u8>, WorkloadError> {
        let base64 = base64::engine::general_purpose::STANDARD;
        let path = format!(
            "/modules/{}/genid/{}/sign",
            utf8_percent_encode(&self.module_id, ESCAPED),
            utf8_percent_encode(&self.identity.generation_id, ESCAPED)
        );
        let body = json!({"keyId": "primary", "algo": "HMACSHA256", "data": base64.encode(data)});
        let answer = self
            .ask(Method::POST, &path, body.to_string().into())
            .await?;
        let digest = answer.get("digest").and_then(Value::as_str);
        digest
            .and_then(|digest| base64.decode(digest).ok())
            .ok_or(WorkloadError::Answer("digest"))
    }

    /// The certificates to trust, PEM.
    ///
    /// # Errors
    /// When the API cannot be reached, refuses, or answers something else.
    pub async fn trust_bundle(&self) -> Result<String, WorkloadError> {
        let answer = self.ask(Method::GET, "/trust-bundle", Bytes::new()).await?;
        let certificate = answer.get("certificate").and_then(Value::as_str);
        certificate
            .map(str::to_owned)
            .ok_or(WorkloadError::Answer("certificate"))
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, WorkloadError> {
        let uri = format!(
            "{path}?api-version={}",
            utf8_percent_encode(&self.identity.api_version, ESCAPED)
        );
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, "workload")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| WorkloadError::Http(error.into()))?;
        match timeout(self.deadline, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(WorkloadError::Timeout(self.deadline)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Value, WorkloadError> {
        let (status, body) = match &self.identity.address {
            WorkloadAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                over(stream.map_err(|error| self.unreachable(error))?, request).await?
            }
            WorkloadAddress::Http { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                over(stream.map_err(|error| self.unreachable(error))?, request).await?
            }
        };
        let answer = serde_json::from_slice(&body);
        if !status.is_success() {
            return Err(refused(status, answer.ok()));
        }
        answer.map_err(|error| WorkloadError::Http(error.into()))
    }

    fn unreachable(&self, source: io::Error) -> WorkloadError {
        let address = self.identity.address.to_string();
        match source.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                WorkloadError::Refused { address, source }
            }
            _ => WorkloadError::Unreachable { address, source },
        }
    }
}

fn refused(status: StatusCode, answer: Option<Value>) -> WorkloadError {
    let message = answer.as_ref().and_then(|answer| answer.get("message"));
    WorkloadError::Status {
        status: status.as_u16(),
        message: message
            .and_then(Value::as_str)
            .unwrap_or("no reason given")
            .to_owned(),
    }
}

/// One request over one connection. The connection is driven here, not by a task of its own.
async fn over<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), WorkloadError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| WorkloadError::Http(error.into()))?;
    let mut connection = pin!(connection);
    let mut exchange = pin!(async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| WorkloadError::Http(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await;
        Ok((status, body.map_err(WorkloadError::Http)?.to_bytes()))
    });
    tokio::select! {
        answer = &mut exchange => answer,
        // What has arrived is still to be read; what has not is an error there.
        _ended = &mut connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    fn client(path: &std::path::Path) -> Workload {
        let identity = WorkloadIdentity {
            address: WorkloadAddress::Unix(path.into()),
            generation_id: "6 37".to_owned(),
            api_version: "2022-08-03".to_owned(),
        };
        Workload::new(identity, "$gw".to_owned(), Duration::from_secs(20))
    }

    /// Answers one request with canned bytes; gives the request's text.
    async fn serve(listener: UnixListener, answer: String) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") && !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    fn http(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn signs_with_the_encoded_module_and_generation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workload.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = client(&path);
        let (request, digest) = tokio::join!(
            serve(listener, http("200 OK", r#"{"digest":"AQI="}"#)),
            client.sign(b"text")
        );
        assert_eq!(digest.unwrap(), [1, 2]);
        assert!(
            request.starts_with("POST /modules/%24gw/genid/6%2037/sign?api-version=2022-08-03 "),
            "{request}"
        );
        assert!(request.contains(r#""data":"dGV4dA==""#), "{request}");
    }

    #[tokio::test]
    async fn an_error_says_what_the_api_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workload.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = client(&path);
        let (_, answer) = tokio::join!(
            serve(
                listener,
                http("403 Forbidden", r#"{"message":"forbidden"}"#)
            ),
            client.trust_bundle()
        );
        let error = answer.unwrap_err();
        assert!(!error.is_refusal());
        assert!(
            error
                .to_string()
                .contains("403: forbidden (only the module's own"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_absent_and_a_stale_socket_are_refusals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workload.sock");
        assert!(
            client(&path).trust_bundle().await.unwrap_err().is_refusal(),
            "absent"
        );
        drop(UnixListener::bind(&path).unwrap());
        assert!(
            client(&path).trust_bundle().await.unwrap_err().is_refusal(),
            "stale"
        );
    }
}

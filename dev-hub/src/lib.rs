//! A stand-in for edgeHub and the workload API: for tests, and for runs without Azure.
//!
//! It speaks MQTT 3.1.1 over TLS with certificates it makes itself, knows twins, direct methods,
//! module inputs and routes, and keeps a record of what arrived upstream. It behaves as edgeHub's
//! sources say, traps included: what edgeHub loses in silence is lost here too, and counted.
//!
//! ```
//! # async fn show() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! let hub = dev_hub::DevHub::builder().module("gateway").start().await?;
//! for (name, value) in hub.module_env("gateway")? {
//!     println!("{name}={value}"); // what a module needs to connect
//! }
//! hub.set_desired("gateway", serde_json::json!({ "listeners": {} }))?;
//! hub.faults().refuse_connects(2, 5);
//! let message = hub.upstream().wait_for(Duration::from_secs(10), |_| true).await?;
//! println!("{message:?}");
//! hub.stop().await;
//! # Ok(())
//! # }
//! ```

mod admission;
mod auth;
mod broker;
mod builder;
mod calls;
mod certificates;
mod clients;
mod clock;
mod connection;
mod counters;
mod error;
mod fault_switches;
mod faults;
mod hub;
mod identities;
mod inputs;
mod message;
mod methods;
mod routes;
mod sessions;
mod topics;
mod twin;
mod upstream;
mod wait;
mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use builder::Builder;
pub use counters::Counters;
pub use error::{HubError, TimedOut};
pub use fault_switches::Faults;
pub use hub::MethodAnswer;
pub use identities::IdentityId;
pub use methods::MethodError;
pub use routes::RouteError;
pub use upstream::{Upstream, UpstreamMessage};

use hub::Hub;
use workload::Workload;

/// The port that SDKs take for granted.
const MQTT_PORT: u16 = 8883;

/// A running hub. Dropping it ends everything it runs.
pub struct DevHub {
    hub: Arc<Hub>,
    address: SocketAddr,
    bundle: Arc<Mutex<String>>,
    tls: broker::SharedConfig,
    workload: Workload,
    listening: tokio::sync::Mutex<Option<Listening>>,
    calls: Option<calls::Calls>,
    folder: TempDir,
    host_names: Vec<String>,
}

impl std::fmt::Debug for DevHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevHub")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The task that accepts, with all connections in it.
struct Listening {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Listening {
    fn start(hub: Arc<Hub>, listener: TcpListener, tls: broker::SharedConfig) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(broker::accept(hub, listener, tls, stop.clone()));
        Listening { stop, tasks }
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl DevHub {
    /// Begins a hub.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Where MQTT over TLS is spoken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host name of the gateway, with its port unless that is 8883.
    pub fn gateway_host_name(&self) -> String {
        match self.address.port() {
            MQTT_PORT => self.hub.options.edge_host.clone(),
            port => format!("{}:{port}", self.hub.options.edge_host),
        }
    }

    /// Where calls over HTTPS are taken, as a host name of the gateway with its port; `None` without
    /// [`Builder::calls_port`].
    pub fn calls_host_name(&self) -> Option<String> {
        let port = self.calls.as_ref()?.address.port();
        Some(format!("{}:{port}", self.hub.options.edge_host))
    }

    /// URI of the workload API, `unix://…`.
    pub fn workload_uri(&self) -> String {
        format!("unix://{}", self.workload.path().display())
    }

    /// The certificates that a client should trust.
    pub fn trust_bundle_pem(&self) -> String {
        self.bundle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A file with [`Self::trust_bundle_pem`]; it goes when the hub does.
    pub fn trust_bundle_path(&self) -> PathBuf {
        self.folder.path().join("trust-bundle.pem")
    }

    /// The environment that the IoT Edge runtime gives to a module.
    ///
    /// # Errors
    /// When no module has that name.
    pub fn module_env(&self, module: &str) -> Result<Vec<(String, String)>, HubError> {
        let identity = self.hub.identities.resolve(module)?;
        let variables = [
            ("IOTEDGE_WORKLOADURI", self.workload_uri()),
            ("IOTEDGE_AUTHSCHEME", "sasToken".into()),
            ("IOTEDGE_MODULEGENERATIONID", identity.generation.clone()),
            ("IOTEDGE_IOTHUBHOSTNAME", self.hub.options.iot_hub.clone()),
            ("IOTEDGE_GATEWAYHOSTNAME", self.gateway_host_name()),
            ("IOTEDGE_DEVICEID", identity.id.device.to_string()),
            ("IOTEDGE_MODULEID", module.to_owned()),
            ("IOTEDGE_APIVERSION", "2022-08-03".into()),
        ];
        Ok(variables
            .map(|(name, value)| (name.to_owned(), value))
            .into())
    }

    /// The connection string of a module, for `EdgeHubConnectionString`.
    ///
    /// # Errors
    /// When no module has that name.
    pub fn module_connection_string(&self, module: &str) -> Result<String, HubError> {
        let identity = self.hub.identities.resolve(module)?;
        let (hub, gateway, device) = (
            &self.hub.options.iot_hub,
            self.gateway_host_name(),
            &identity.id.device,
        );
        let key = identity.primary.to_base64();
        Ok(format!(
            "HostName={hub};GatewayHostName={gateway};DeviceId={device};ModuleId={module};SharedAccessKey={key}"
        ))
    }

    /// The connection string of a leaf device that connects through this gateway.
    ///
    /// # Errors
    /// When no device has that name.
    pub fn leaf_connection_string(&self, device: &str) -> Result<String, HubError> {
        let identity = self.hub.identities.resolve(device)?;
        let (hub, gateway) = (&self.hub.options.iot_hub, self.gateway_host_name());
        let key = identity.primary.to_base64();
        Ok(format!(
            "HostName={hub};GatewayHostName={gateway};DeviceId={device};SharedAccessKey={key}"
        ))
    }

    /// Makes `desired` the desired properties of a module or device. The client gets a patch
    /// with the differences, `null` for what is gone.
    ///
    /// # Errors
    /// When nobody has that name, or `desired` is no object.
    pub fn set_desired(&self, name: &str, desired: Value) -> Result<(), HubError> {
        let id = &self.hub.identities.resolve(name)?.id;
        let desired = hub::members(desired)?;
        self.hub.change_desired(id, |twin| twin.set(desired));
        Ok(())
    }

    /// Merges a patch into the desired properties of a module or device.
    ///
    /// # Errors
    /// When nobody has that name, or `patch` is no object.
    pub fn patch_desired(&self, name: &str, patch: Value) -> Result<(), HubError> {
        let id = &self.hub.identities.resolve(name)?.id;
        let patch = hub::members(patch)?;
        self.hub.change_desired(id, |twin| twin.patch(patch));
        Ok(())
    }

    /// The desired properties, with `$version`.
    ///
    /// # Errors
    /// When nobody has that name.
    pub fn desired(&self, name: &str) -> Result<Value, HubError> {
        let id = &self.hub.identities.resolve(name)?.id;
        Ok(self.hub.read_twin(id, |twin| twin.desired_document()))
    }

    /// The reported properties.
    ///
    /// # Errors
    /// When nobody has that name.
    pub fn reported(&self, name: &str) -> Result<Value, HubError> {
        let id = &self.hub.identities.resolve(name)?.id;
        Ok(self.hub.read_twin(id, |twin| twin.reported_document()))
    }

    /// Waits until the reported properties are as wanted.
    ///
    /// # Errors
    /// When they are not in time; it says what they are.
    pub async fn wait_for_reported(
        &self,
        name: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, TimedOut> {
        let now = || self.reported(name).ok();
        let probe = || now().filter(|reported| wanted(reported));
        let waited = self
            .hub
            .changes
            .wait(within, "reported properties", probe)
            .await;
        waited.map_err(|error| {
            let what = format!(
                "reported properties as wanted; they are {}",
                now().unwrap_or_default()
            );
            TimedOut { what, ..error }
        })
    }

    /// Waits until a module or device is connected.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_connected(&self, name: &str, within: Duration) -> Result<(), TimedOut> {
        let probe = || self.is_connected(name).then_some(());
        self.hub
            .changes
            .wait(within, &format!("{name} connected"), probe)
            .await
    }

    /// Whether a module or device is connected.
    pub fn is_connected(&self, name: &str) -> bool {
        let identity = self.hub.identities.resolve(name).ok();
        identity.is_some_and(|identity| self.hub.clients.find(&identity.id).is_some())
    }

    /// What has been counted.
    pub fn counters(&self) -> Counters {
        self.hub.counting.snapshot()
    }

    /// Waits until the counters are as wanted.
    ///
    /// # Errors
    /// When they are not in time; it says what they are.
    pub async fn wait_for_counters(
        &self,
        within: Duration,
        wanted: impl Fn(&Counters) -> bool,
    ) -> Result<Counters, TimedOut> {
        let probe = || Some(self.counters()).filter(|counters| wanted(counters));
        let waited = self.hub.changes.wait(within, "counters", probe).await;
        waited.map_err(|error| TimedOut {
            what: format!("counters as wanted; they are {:?}", self.counters()),
            ..error
        })
    }

    /// Calls a direct method; without payload the client gets an empty one.
    ///
    /// # Errors
    /// When nobody is there to answer, or does not in time.
    pub async fn invoke_method(
        &self,
        name: &str,
        method: &str,
        payload: Option<Value>,
        within: Duration,
    ) -> Result<MethodAnswer, MethodError> {
        let identity = self.hub.identities.resolve(name);
        let identity = identity.map_err(|_| MethodError::UnknownIdentity(name.to_owned()))?;
        self.hub
            .invoke_method(&identity.id, method, payload.as_ref(), within)
            .await
    }

    /// Waits for a client to connect and to subscribe to methods, before [`DevHub::invoke_method`]:
    /// what a caller with a connection time-out asks for. edgeHub holds such a call until 3 s after
    /// the subscription.
    ///
    /// # Errors
    /// When nobody has come in time.
    pub async fn hold_method(
        &self,
        name: &str,
        connect_within: Duration,
    ) -> Result<(), MethodError> {
        let identity = self.hub.identities.resolve(name);
        let identity = identity.map_err(|_| MethodError::UnknownIdentity(name.to_owned()))?;
        self.hub.hold_method(&identity.id, connect_within).await
    }

    /// Queues a message for an input of a module, as if a module `sender` had sent it.
    ///
    /// # Errors
    /// When no module has that name.
    pub fn send_input(
        &self,
        module: &str,
        input: &str,
        properties: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<(), HubError> {
        self.hub.identities.resolve(module)?;
        let pairs = properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
        let message = message::Message {
            sender: IdentityId::module(self.hub.identities.edge_device(), "sender"),
            properties: pairs.collect(),
            system: [].into(),
            body: body.into(),
            twin_change: false,
        };
        self.hub.queue_input(&message, module, input);
        Ok(())
    }

    /// The record of what arrived upstream.
    pub fn upstream(&self) -> Upstream {
        self.hub.upstream.clone()
    }

    /// Disturbs what runs.
    pub fn faults(&self) -> Faults<'_> {
        Faults { hub: self }
    }

    /// What someone needs to know who wants to connect, in lines.
    pub fn summary(&self) -> String {
        let mut lines = vec![
            format!("MQTT over TLS   {}", self.address),
            format!("workload API    {}", self.workload_uri()),
            format!("trust bundle    {}", self.trust_bundle_path().display()),
        ];
        for module in self.hub.identities.modules() {
            let name = module.id.module.as_deref().unwrap_or_default();
            let string = self.module_connection_string(name).unwrap_or_default();
            lines.push(format!("module          {string}"));
        }
        for leaf in self.hub.identities.leaf_devices() {
            let string = self
                .leaf_connection_string(&leaf.id.device)
                .unwrap_or_default();
            lines.push(format!("leaf device     {string}"));
        }
        lines.join("\n")
    }

    /// Closes everything and waits for its end.
    pub async fn stop(&self) {
        self.workload.stop();
        if let Some(listening) = self.listening.lock().await.take() {
            listening.end().await;
        }
    }
}

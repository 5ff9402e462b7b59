//! What a hub is made of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::broker;
use crate::calls::Calls;
use crate::certificates::Certificates;
use crate::error::HubError;
use crate::hub::{Hub, Options};
use crate::identities::Identities;
use crate::routes::Routes;
use crate::workload::Workload;
use crate::{DevHub, Listening};

/// Collects what a hub is to be, then starts it.
#[derive(Clone, Debug)]
pub struct Builder {
    edge_device: String,
    modules: Vec<String>,
    leaf_devices: Vec<String>,
    routes: BTreeMap<String, String>,
    host_names: Vec<String>,
    address: IpAddr,
    port: u16,
    calls_port: Option<u16>,
    record: usize,
    options: Options,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let options = Options {
            iot_hub: "dev-hub.azure-devices.net".into(),
            edge_host: String::new(),
            max_clients: 100,
            token_sweep: Duration::from_secs(300),
            method_hold: Duration::from_secs(3),
            connect_within: Duration::from_secs(60),
            input_ack_within: Duration::from_secs(30),
        };
        Builder {
            edge_device: "edge-device".into(),
            modules: Vec::new(),
            leaf_devices: Vec::new(),
            routes: BTreeMap::new(),
            host_names: Vec::new(),
            address: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            calls_port: None,
            record: 100_000,
            options,
        }
    }

    /// Id of the edge device; default `edge-device`.
    pub fn edge_device(mut self, id: impl Into<String>) -> Self {
        self.edge_device = id.into();
        self
    }

    /// Adds a module of the edge device, with fresh keys.
    pub fn module(mut self, id: impl Into<String>) -> Self {
        self.modules.push(id.into());
        self
    }

    /// Adds a child device of the edge device, with fresh keys.
    pub fn leaf_device(mut self, id: impl Into<String>) -> Self {
        self.leaf_devices.push(id.into());
        self
    }

    /// Adds a route; without any it is `FROM /* INTO $upstream`.
    pub fn route(mut self, name: impl Into<String>, route: impl Into<String>) -> Self {
        self.routes.insert(name.into(), route.into());
        self
    }

    /// Host name of the IoT Hub behind; it stands in user names and tokens only.
    pub fn iot_hub(mut self, host_name: impl Into<String>) -> Self {
        self.options.iot_hub = host_name.into();
        self
    }

    /// Adds a name to the server's certificate. The first one is the gateway host name; without
    /// any it is the address.
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_names.push(name.into());
        self
    }

    /// Address to listen on; default 127.0.0.1. It stands in the server's certificate.
    pub fn address(mut self, address: impl Into<IpAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Port to listen on; default 0, any free one. SDKs know no other than 8883.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Takes calls over HTTPS on this port, 0 for any free one: a module invokes direct methods of
    /// others. SDKs know no other than that of the gateway's host name, else 443. Without it nobody
    /// takes them.
    pub fn calls_port(mut self, port: u16) -> Self {
        self.calls_port = Some(port);
        self
    }

    /// How many messages the record remembers; default 100,000.
    pub fn record(mut self, messages: usize) -> Self {
        self.record = messages;
        self
    }

    /// How many clients may be connected; the others are accepted and dead. Default 100.
    pub fn max_clients(mut self, clients: usize) -> Self {
        self.options.max_clients = clients;
        self
    }

    /// How often expired tokens are looked for; default 5 minutes.
    pub fn token_sweep(mut self, every: Duration) -> Self {
        self.options.token_sweep = every;
        self
    }

    /// How long after its subscription a client gets method calls that were held for it; default 3
    /// seconds.
    pub fn method_hold(mut self, after: Duration) -> Self {
        self.options.method_hold = after;
        self
    }

    /// How long a module may take to acknowledge an input message; default 30 seconds.
    pub fn input_ack_within(mut self, within: Duration) -> Self {
        self.options.input_ack_within = within;
        self
    }

    /// Makes keys and certificates, opens port and socket, and serves.
    ///
    /// # Errors
    /// When a route is wrong, a name is given twice, or a socket cannot be opened.
    #[expect(
        clippy::unused_async,
        reason = "sockets are opened on the runtime that serves them"
    )]
    pub async fn start(mut self) -> Result<DevHub, HubError> {
        if self.routes.is_empty() {
            self.routes
                .insert("all".into(), "FROM /* INTO $upstream".into());
        }
        self.options.edge_host = self
            .host_names
            .first()
            .cloned()
            .unwrap_or_else(|| self.address.to_string());
        let routes = Routes::parse(&self.routes)?;
        let identities =
            Identities::generate(&self.edge_device, &self.modules, &self.leaf_devices)?;
        let certificates = Certificates::generate(&self.host_names, self.address)?;
        let listener = broker::listen(SocketAddr::new(self.address, self.port))?;
        let address = listener
            .local_addr()
            .map_err(HubError::io("cannot ask for the port"))?;
        let folder = tempfile::tempdir().map_err(HubError::io("cannot make a folder"))?;
        let bundle_path = folder.path().join("trust-bundle.pem");
        std::fs::write(&bundle_path, &certificates.trust_bundle)
            .map_err(HubError::io("cannot write the trust bundle"))?;
        let hub = Arc::new(Hub::new(self.options, identities, routes, self.record));
        let bundle = Arc::new(Mutex::new(certificates.trust_bundle));
        let socket = folder.path().join("workload.sock");
        let workload = Workload::new(Arc::clone(&hub), socket, Arc::clone(&bundle));
        workload.start()?;
        let tls = Arc::new(RwLock::new(certificates.server));
        let calls = match self.calls_port {
            None => None,
            Some(port) => {
                let listener = broker::listen(SocketAddr::new(self.address, port))?;
                Some(Calls::start(Arc::clone(&hub), listener, tls.clone())?)
            }
        };
        let listening = Listening::start(Arc::clone(&hub), listener, tls.clone());
        let listening = tokio::sync::Mutex::new(Some(listening));
        Ok(DevHub {
            hub,
            address,
            bundle,
            tls,
            workload,
            listening,
            calls,
            folder,
            host_names: self.host_names,
        })
    }
}

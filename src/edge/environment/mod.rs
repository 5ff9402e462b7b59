//! Who this module is, out of the variables that the IoT Edge runtime sets.
//!
//! An explicit `EdgeHubConnectionString` wins, so that a developer can override the runtime's
//! variables; otherwise all `IOTEDGE_*` variables named in [`RUNTIME_VARIABLES`] are needed.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;

use super::secret::Secret;

/// The port on which edgeHub listens for MQTT over TLS; fixed there.
pub const MQTT_PORT: u16 = 8883;

/// What the runtime sets in a module's container and what this client needs of it.
pub const RUNTIME_VARIABLES: [&str; 7] = [
    "IOTEDGE_IOTHUBHOSTNAME",
    "IOTEDGE_GATEWAYHOSTNAME",
    "IOTEDGE_DEVICEID",
    "IOTEDGE_MODULEID",
    "IOTEDGE_MODULEGENERATIONID",
    "IOTEDGE_WORKLOADURI",
    "IOTEDGE_APIVERSION",
];

const CONNECTION_STRING: &str = "EdgeHubConnectionString";
const CA_FILE: &str = "EdgeModuleCACertificateFile";
const AUTH_SCHEME: &str = "IOTEDGE_AUTHSCHEME";
const GATEWAY_EXPECTED: &str = "expected a host name, an IP address, or host:port";

/// Looks a variable up; `None` when it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A module of an IoT Edge device and how it reaches its edgeHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Host name of the IoT Hub: stands in the user name and in tokens, is never connected to.
    pub iot_hub: String,
    /// Id of the IoT Edge device.
    pub device_id: String,
    /// Id of this module.
    pub module_id: String,
    /// Where edgeHub listens.
    pub gateway: Gateway,
    /// How tokens are signed and where the trusted roots come from.
    pub credentials: Credentials,
}

/// Where edgeHub listens, and the name its certificate must bear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Host name or IP address.
    pub host: String,
    /// TCP port, 8883 unless the variable says `host:port` (an extension of this client).
    pub port: u16,
}

/// What signs tokens and says which roots to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The runtime's workload API does both.
    Workload(WorkloadIdentity),
    /// A key of our own and a file of trusted certificates: development and tests.
    SharedKey {
        /// The module's key, decoded.
        key: Secret,
        /// PEM file with the trusted certificates.
        ca_file: PathBuf,
    },
}

/// What a request to the workload API needs besides the module's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadIdentity {
    /// Where the workload API listens.
    pub address: WorkloadAddress,
    /// The module's generation id, part of the path.
    pub generation_id: String,
    /// Version of the API to ask for.
    pub api_version: String,
}

/// Where the workload API listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadAddress {
    /// `unix:///path/to.sock`.
    Unix(PathBuf),
    /// `http://host:port`, as old installations and tests have it.
    Http {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl fmt::Display for WorkloadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http { host, port } => write!(f, "http://{host}:{port}"),
        }
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The environment does not say who the module is. Nothing but a changed environment helps.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// Variables of the runtime are missing and there is no connection string.
    #[error(
        "the environment does not say which module this is: {} not set. \
         IoT Edge sets every IOTEDGE_* variable in a module's container; \
         to run outside of one set EdgeHubConnectionString and EdgeModuleCACertificateFile",
        names.join(", ")
    )]
    Missing {
        /// Exactly those that are missing.
        names: Vec<&'static str>,
    },
    /// A connection string without the certificates to trust.
    #[error(
        "EdgeHubConnectionString is set but EdgeModuleCACertificateFile is not: \
         set it to the PEM file with the root certificate of the edge device, \
         or unset EdgeHubConnectionString to use the variables of IoT Edge"
    )]
    NoCertificateFile,
    /// The connection string cannot be used.
    #[error(
        "EdgeHubConnectionString {0}; expected HostName=…;GatewayHostName=…;DeviceId=…;ModuleId=…;SharedAccessKey=…"
    )]
    ConnectionString(String),
    /// A variable has a value that cannot be used.
    #[error("{name} is `{value}`: {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        expected: &'static str,
    },
}

impl Identity {
    /// Reads the identity; empty variables count as missing.
    ///
    /// # Errors
    /// Names every missing variable, or the one that cannot be used, and the remedy.
    pub fn from_environment(lookup: Lookup<'_>) -> Result<Self, EnvironmentError> {
        match present(lookup, CONNECTION_STRING) {
            Some(text) => Self::from_connection_string(&text, present(lookup, CA_FILE)),
            None => Self::from_runtime(lookup),
        }
    }

    fn from_connection_string(
        text: &str,
        ca_file: Option<String>,
    ) -> Result<Self, EnvironmentError> {
        let parts = ConnectionString::parse(text)?;
        let gateway = Gateway::parse(parts.gateway).ok_or_else(|| {
            EnvironmentError::ConnectionString(format!(
                "names the gateway `{}`, {GATEWAY_EXPECTED}",
                parts.gateway
            ))
        })?;
        let ca_file = ca_file.ok_or(EnvironmentError::NoCertificateFile)?;
        Ok(Self {
            iot_hub: parts.iot_hub.to_owned(),
            device_id: parts.device_id.to_owned(),
            module_id: parts.module_id.to_owned(),
            gateway,
            credentials: Credentials::SharedKey {
                key: parts.key,
                ca_file: ca_file.into(),
            },
        })
    }

    fn from_runtime(lookup: Lookup<'_>) -> Result<Self, EnvironmentError> {
        let values = RUNTIME_VARIABLES.map(|name| present(lookup, name));
        let [
            Some(iot_hub),
            Some(gateway),
            Some(device_id),
            Some(module_id),
            Some(generation_id),
            Some(workload),
            Some(api_version),
        ] = values
        else {
            return Err(missing(&values));
        };
        check_auth_scheme(lookup)?;
        Ok(Self {
            iot_hub,
            device_id,
            module_id,
            gateway: Gateway::parse(&gateway).ok_or(EnvironmentError::Invalid {
                name: "IOTEDGE_GATEWAYHOSTNAME",
                value: gateway,
                expected: GATEWAY_EXPECTED,
            })?,
            credentials: Credentials::Workload(WorkloadIdentity {
                address: WorkloadAddress::parse(&workload).ok_or(EnvironmentError::Invalid {
                    name: "IOTEDGE_WORKLOADURI",
                    value: workload,
                    expected: "expected unix:///path or http://host:port",
                })?,
                generation_id,
                api_version,
            }),
        })
    }
}

/// A variable that is set and not blank.
fn present(lookup: Lookup<'_>, name: &str) -> Option<String> {
    lookup(name).filter(|value| !value.trim().is_empty())
}

fn missing(values: &[Option<String>; 7]) -> EnvironmentError {
    let names = RUNTIME_VARIABLES.iter().zip(values);
    EnvironmentError::Missing {
        names: names
            .filter(|(_, value)| value.is_none())
            .map(|(name, _)| *name)
            .collect(),
    }
}

/// The scheme may be absent; another one than tokens is a runtime this client does not know.
fn check_auth_scheme(lookup: Lookup<'_>) -> Result<(), EnvironmentError> {
    match present(lookup, AUTH_SCHEME) {
        Some(value) if !value.eq_ignore_ascii_case("sasToken") => Err(EnvironmentError::Invalid {
            name: AUTH_SCHEME,
            value,
            expected: "expected sasToken, the only scheme this module speaks",
        }),
        _ => Ok(()),
    }
}

impl Gateway {
    /// Reads `host`, `host:port`, `address`, `[v6 address]:port`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = split_port(text)?;
        let port = port.map_or(Some(MQTT_PORT), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl WorkloadAddress {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(path.into()));
        }
        let (host, port) = split_port(text.strip_prefix("http://")?.trim_end_matches('/'))?;
        let port = port.map_or(Some(80), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Self::Http {
            host: host.to_owned(),
            port,
        })
    }
}

/// Splits a port off; more than one colon without brackets is a bare IPv6 address.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        return match tail.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => tail.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port))),
        _ => Some((text, None)),
    }
}

struct ConnectionString<'a> {
    iot_hub: &'a str,
    gateway: &'a str,
    device_id: &'a str,
    module_id: &'a str,
    key: Secret,
}

impl<'a> ConnectionString<'a> {
    fn parse(text: &'a str) -> Result<Self, EnvironmentError> {
        if text.contains('|') {
            return Err(refuse(
                "holds several modules joined with `|`: keep the one of this module",
            ));
        }
        let value = |key: &str| {
            value_of(text, key)
                .ok_or_else(|| EnvironmentError::ConnectionString(format!("lacks {key}")))
        };
        let key = base64::engine::general_purpose::STANDARD
            .decode(value("SharedAccessKey")?)
            .map_err(|_| refuse("has a SharedAccessKey that is not base64"))?;
        Ok(Self {
            iot_hub: value("HostName")?,
            gateway: value("GatewayHostName")?,
            device_id: value("DeviceId")?,
            module_id: value("ModuleId")?,
            key: Secret::new(key),
        })
    }
}

fn refuse(why: &str) -> EnvironmentError {
    EnvironmentError::ConnectionString(why.to_owned())
}

/// The value of a key; only the first `=` separates, base64 ends with some.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split(';')
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(key))
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;

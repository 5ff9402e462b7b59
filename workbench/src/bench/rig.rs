//! A gateway between the devices and the sink, each in a process of its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::line;
use super::measure::{Cpu, Process, sample};
use super::part::Part;
use super::tally::{Latencies, Report};
use crate::module::Module;
use crate::sample::free_port;

const LOOK: Duration = Duration::from_millis(50);
/// How often [`LOOK`] before settings or frames are given up.
const LOOKS: u32 = 400;
/// The sink looks at no token: any key signs.
const KEY: &str = "YW55IGtleSBzaWducw==";

/// This tree's module does not have what a variant asks for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAvailable(pub String);

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub enum Gateway {
    /// The module, with its settings changed so.
    Module(fn(&mut Value)),
    /// The yardstick.
    Naive,
}

/// The gateway's process.
#[derive(Debug)]
enum Running {
    Module(Module),
    Naive(Part),
}

/// A gateway and the sink, ready for devices.
#[derive(Debug)]
pub struct Rig {
    /// What stands for edgeHub.
    pub sink: Part,
    /// The gateway, for what the system knows of it.
    pub process: Process,
    /// Where the sink speaks plain MQTT.
    pub plain: u64,
    port: u16,
    metrics: u16,
    gateway: Running,
    _folder: TempDir,
}

/// Everything that is counted, at one moment.
#[derive(Debug)]
pub struct Sample {
    /// Nanoseconds.
    pub at: u64,
    /// What has arrived.
    pub arrived: Report,
    /// What the gateway has used.
    pub cpu: Cpu,
    /// How often the module's spool was synced, where it says so.
    pub syncs: Option<f64>,
}

impl Rig {
    /// Starts sink and gateway, and waits until the module has applied its settings.
    ///
    /// # Errors
    /// When one cannot start; [`NotAvailable`] when the module refuses the settings.
    pub async fn start(gateway: Gateway) -> anyhow::Result<Rig> {
        let port = free_port()?;
        let mut settings = settings(port);
        if let Gateway::Module(change) = gateway {
            change(&mut settings);
        }
        Self::begin(gateway, settings, port).await
    }

    /// The module with these settings.
    ///
    /// # Errors
    /// As [`Rig::start`].
    pub async fn with_settings(settings: Value) -> anyhow::Result<Rig> {
        Self::begin(Gateway::Module(|_| {}), settings, 0).await
    }

    async fn begin(gateway: Gateway, settings: Value, port: u16) -> anyhow::Result<Rig> {
        let folder = tempfile::tempdir().context("there is no temporary folder")?;
        let metrics = free_port()?;
        let path = |name| folder.path().join(name).display().to_string();
        let (document, certificate) = (path("settings.json"), path("certificate.pem"));
        std::fs::write(&document, settings.to_string())?;
        let arguments = [
            ("--settings", document),
            ("--certificate", certificate.clone()),
        ];
        let mut sink = Part::start("sink", &arguments)?;
        let ports = sink.said().await?;
        let (gateway, id) = match gateway {
            Gateway::Module(_) => {
                let connection = connection_string(&ports["tls"]);
                let variables = vec![
                    ("EdgeHubConnectionString".into(), connection),
                    ("EdgeModuleCACertificateFile".into(), certificate),
                    ("METRICS_PORT".into(), metrics.to_string()),
                ];
                let module = Module::start(variables, folder.path())?;
                applied(&mut sink).await?;
                let id = module.id();
                (Running::Module(module), id)
            }
            Gateway::Naive => {
                let broker = ports["plain"].to_string();
                let arguments = [("--port", port.to_string()), ("--broker", broker)];
                let naive = Part::start("naive", &arguments)?;
                let id = naive.id();
                (Running::Naive(naive), id)
            }
        };
        Ok(Rig {
            sink,
            process: Process::new(id)?,
            plain: ports["plain"].as_u64().unwrap_or_default(),
            port,
            metrics,
            gateway,
            _folder: folder,
        })
    }

    /// Connects devices, which send at once; see `load.rs` for the options.
    ///
    /// # Errors
    /// When the gateway does not take them.
    pub async fn devices(&self, connections: u32, more: &[(&str, u64)]) -> anyhow::Result<Part> {
        let mut arguments = vec![
            ("--port", self.port.to_string()),
            ("--connections", connections.to_string()),
        ];
        arguments.extend(more.iter().map(|(name, value)| (*name, value.to_string())));
        let mut load = Part::start("load", &arguments)?;
        load.said().await?;
        Ok(load)
    }

    /// What has arrived until now.
    ///
    /// # Errors
    /// When the sink has ended.
    pub async fn arrived(&mut self) -> anyhow::Result<Report> {
        report(&mut self.sink).await
    }

    /// Waits until something has arrived.
    ///
    /// # Errors
    /// When nothing does, or the sink has ended.
    pub async fn first_frame(&mut self) -> anyhow::Result<()> {
        for _ in 0..LOOKS {
            if self.arrived().await?.distinct > 0 {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        anyhow::bail!("no frame has arrived");
    }

    /// What the module says of itself; the yardstick says nothing.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        match &self.gateway {
            Running::Module(_) => sample(self.metrics, name).await,
            Running::Naive(_) => None,
        }
    }

    /// How long lines took since the last time this was asked.
    ///
    /// # Errors
    /// When the sink has ended.
    pub async fn latencies(&mut self) -> anyhow::Result<Latencies> {
        Ok(serde_json::from_value(self.sink.ask("latencies").await?)?)
    }

    /// Everything that is counted, now.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn sample(&mut self) -> anyhow::Result<Sample> {
        Ok(Sample {
            syncs: self.metric("spool_syncs_total").await,
            at: line::monotonic(),
            arrived: self.arrived().await?,
            cpu: self.process.cpu()?,
        })
    }

    /// Ends all of it.
    ///
    /// # Errors
    /// When the system does not.
    pub async fn end(self) -> anyhow::Result<()> {
        match self.gateway {
            Running::Module(module) => module.kill().await?,
            Running::Naive(part) => part.end().await?,
        }
        Ok(self.sink.end().await?)
    }
}

async fn report(sink: &mut Part) -> anyhow::Result<Report> {
    Ok(serde_json::from_value(sink.ask("report").await?)?)
}

async fn applied(sink: &mut Part) -> anyhow::Result<()> {
    for _ in 0..LOOKS {
        let settings = report(sink).await?.settings;
        match settings.get("ac").and_then(Value::as_i64) {
            Some(200) => return Ok(()),
            Some(400) => return Err(NotAvailable(refusal(&settings.into())).into()),
            _ => sleep(LOOK).await,
        }
    }
    anyhow::bail!("the module did not apply its settings in time");
}

fn refusal(settings: &Value) -> String {
    let errors = settings["errors"].as_array().into_iter().flatten();
    let text = |error: &Value, member: &str| error[member].as_str().unwrap_or_default().to_owned();
    let errors =
        errors.map(|error| format!("{}: {}", text(error, "pointer"), text(error, "message")));
    let all = errors.collect::<Vec<_>>().join("; ");
    format!("the module refuses the settings: {all}")
}

fn connection_string(port: &Value) -> String {
    let host = Ipv4Addr::LOCALHOST;
    format!(
        "HostName=bench.azure-devices.net;GatewayHostName={host}:{port};DeviceId=edge-device;\
         ModuleId=tcpgateway;SharedAccessKey={KEY}"
    )
}

fn settings(port: u16) -> Value {
    json!({
        "schemaVersion": 1,
        "listeners": {"lines": {"port": port, "protocol": "lines"}},
        "protocols": {
            "lines": {
                "framing": {"type": "delimiter", "end": "\n", "maxBytes": 1024},
                "decode": {"type": "json"},
                "identity": {"field": "id", "scope": "message"}
            }
        }
    })
}

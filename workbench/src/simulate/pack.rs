//! What is simulated: a protocol, its golden streams, and what its devices answer when they are called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use edge_tcp_gateway::notation;
use edge_tcp_gateway::settings::Presets;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A protocol and what is known of its devices.
#[derive(Debug)]
pub struct Pack {
    /// Its name without a version.
    pub name: String,
    /// What the settings say under `protocols`.
    pub document: Value,
    /// The settings' `devices` that the streams are for, where devices have secrets.
    pub devices: Map<String, Value>,
    /// What devices say, each stream on a connection of its own.
    pub streams: Vec<Vec<u8>>,
    /// The text of `simulate.json`, where there is one.
    pub answers: Option<String>,
}

/// What of a golden file is played.
#[derive(Debug, Default, Deserialize)]
struct Golden {
    #[serde(default)]
    devices: Map<String, Value>,
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    bytes: Vec<String>,
    /// Why the gateway ends the connection; such a stream is not played.
    closed: Option<String>,
}

macro_rules! shipped {
    ($file:literal: $($folder:literal)*) => {
        &[$((
            $folder,
            include_str!(concat!("../../../protocols/", $folder, "/", $file)),
        )),*]
    };
}

/// The golden streams of every protocol that is shipped, in the order of their names.
const GOLDEN: &[(&str, &str)] = shipped!("golden.json":
    "astm" "barcode" "contact-id" "dc09" "dnp3" "fins" "galileosky" "gbt32960" "gt06" "h02" "hl7"
    "iec104" "jt808" "mbus" "meitrack" "modbus-rtu" "modbus-tcp" "mt-sics" "nmea" "queclink"
    "ruptela" "s7" "stomp" "syslog" "teltonika" "tk103" "toledo" "wialon-ips"
);

/// What devices answer that are called, where the protocol's folder says it.
const ANSWERS: &[(&str, &str)] = shipped!("simulate.json": "iec104" "mbus" "mt-sics" "s7");

impl Pack {
    /// The protocol that is shipped under that name, or a folder with `protocol.json`, golden files
    /// and perhaps `simulate.json`.
    ///
    /// # Errors
    /// When there is no such protocol, or a file of it is not what it should be.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        let folder = Path::new(name);
        if name.contains('/') || folder.is_dir() {
            return Pack::of_folder(folder).with_context(|| format!("{}", folder.display()));
        }
        let short = name.split('@').next().unwrap_or(name);
        let known = |preset: &&&str| **preset == name || preset.split('@').next() == Some(name);
        let names = Presets::names();
        let Some(preset) = names.iter().find(known) else {
            let known: Vec<&str> = GOLDEN.iter().map(|(name, _)| *name).collect();
            bail!(notation::unknown_word("protocol", name, &known));
        };
        let find = |files: &[(&str, &'static str)]| {
            let found = files.iter().find(|(known, _)| *known == short);
            found.map(|(_, text)| *text)
        };
        let golden = find(GOLDEN).unwrap_or_default();
        let mut pack = Pack::new(short, json!({ "preset": preset }));
        pack.add(golden)?;
        pack.answers = find(ANSWERS).map(str::to_owned);
        Ok(pack)
    }

    fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
        };
        if !folder.is_dir() {
            bail!("there is no such folder");
        }
        let protocol = folder.join("protocol.json");
        if !protocol.exists() {
            bail!(
                "there is no protocol.json in it; a folder that is simulated has the protocol, as under `protocols` of the settings, in protocol.json, and what its devices say in golden.json, as the folders in protocols/ have"
            );
        }
        let document = read(protocol)?;
        let document = serde_json::from_str(&document).context("protocol.json")?;
        let name = folder.canonicalize()?;
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        let mut pack = Pack::new(&name, document);
        let mut golden: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("golden") && name.ends_with(".json") {
                golden.push(path);
            }
        }
        golden.sort();
        for path in golden {
            pack.add(&read(path)?)?;
        }
        let answers = folder.join("simulate.json");
        pack.answers = match answers.exists() {
            true => Some(read(answers)?),
            false => None,
        };
        Ok(pack)
    }

    fn new(name: &str, document: Value) -> Self {
        Pack {
            name: name.to_owned(),
            document,
            devices: Map::new(),
            streams: Vec::new(),
            answers: None,
        }
    }

    /// Adds the streams of a golden file.
    fn add(&mut self, golden: &str) -> anyhow::Result<()> {
        let golden: Golden = serde_json::from_str(golden).context("the golden streams")?;
        self.devices.extend(golden.devices);
        for stream in golden.streams {
            if stream.closed.is_some() {
                continue;
            }
            let mut content = Vec::new();
            for piece in &stream.bytes {
                let bytes = notation::bytes(piece);
                content.extend(bytes.map_err(|error| anyhow::anyhow!("{piece:?}: {error}"))?);
            }
            self.streams.push(content);
        }
        Ok(())
    }
}

//! Where a protocol starts from: a preset shipped with the module, a file of the mounted folder, or nothing.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::merge::{Merged, merge};
use crate::document::{Problems, Section, name_of, nearest, unknown_word};
use crate::identity::Secrets;
use crate::schema::FileName;

/// A protocol shipped with the module: the folder of its name in `protocols/`.
#[derive(Debug)]
pub struct BuiltIn {
    /// Name and major version, such as `gt06@1`; within it messages never change.
    pub name: &'static str,
    /// What it is, in a few words: the heading of its page.
    pub title: &'static str,
    /// The document as it is written; it is parsed only where it is used.
    pub text: &'static str,
}

/// Lines of folder, major version and title.
macro_rules! built_in {
    ($($folder:literal @ $version:literal $title:literal;)*) => {
        &[$(BuiltIn {
            name: concat!($folder, "@", $version),
            title: $title,
            text: include_str!(concat!("../../protocols/", $folder, "/protocol.json")),
        }),*]
    };
}

/// In the order of their names.
const BUILT_IN: &[BuiltIn] = built_in! {
    "astm" @ 1 "ASTM E1381 and E1394 laboratory analyzers";
    "barcode" @ 1 "Barcode and RFID readers, a line each";
    "contact-id" @ 1 "Contact ID of alarm receivers";
    "dc09" @ 1 "SIA DC-09 alarm panels";
    "dnp3" @ 1 "DNP3 outstations";
    "fins" @ 1 "Omron FINS/TCP";
    "galileosky" @ 1 "Galileosky trackers";
    "gbt32960" @ 1 "GB/T 32960 electric vehicles";
    "gt06" @ 1 "GT06 and Concox trackers";
    "h02" @ 1 "H02 trackers";
    "hl7" @ 1 "HL7 v2 over MLLP";
    "iec104" @ 1 "IEC 60870-5-104";
    "jt808" @ 1 "JT/T 808 vehicle terminals";
    "mbus" @ 1 "M-Bus meters";
    "meitrack" @ 1 "Meitrack trackers";
    "modbus-rtu" @ 1 "Modbus RTU over TCP";
    "modbus-tcp" @ 1 "Modbus TCP";
    "mt-sics" @ 1 "MT-SICS scales";
    "nmea" @ 1 "NMEA 0183";
    "queclink" @ 1 "Queclink @Track trackers";
    "ruptela" @ 1 "Ruptela trackers";
    "s7" @ 1 "Siemens S7 (ISO on TCP)";
    "stomp" @ 1 "STOMP 1.2";
    "syslog" @ 1 "Syslog over TCP";
    "teltonika" @ 1 "Teltonika trackers";
    "tk103" @ 1 "TK103 trackers";
    "toledo" @ 1 "Toledo continuous output";
    "wialon-ips" @ 1 "Wialon IPS 1.1 and 2.0";
};

/// Member `script` of a protocol where it is a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "script-file")]
pub(super) struct ScriptFile {
    /// A plain name in the mounted folder.
    #[schemars(with = "FileName")]
    file: String,
}

/// The documents that protocols can start from.
#[derive(Clone, Default)]
pub struct Presets {
    /// The secrets that stand in files of the mounted folder.
    pub secrets: Secrets,
    mounted: BTreeMap<String, Result<Value, String>>,
    scripts: BTreeMap<String, Result<String, String>>,
}

impl fmt::Debug for Presets {
    /// Without what the files hold, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mounted: Vec<_> = self.mounted.keys().collect();
        let mut shown = f.debug_struct("Presets");
        shown.field("mounted", &mounted).finish_non_exhaustive()
    }
}

impl Presets {
    /// The presets shipped with the module.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The presets shipped with the module, in the order of their names.
    pub fn all() -> &'static [BuiltIn] {
        BUILT_IN
    }

    /// Names of the presets shipped with the module, with their major versions.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|preset| preset.name).collect()
    }

    /// The files of the mounted folder that the settings ask for; only names that stay in the folder.
    pub fn files_named(document: &Value) -> Vec<String> {
        let protocols = document.get("protocols").and_then(Value::as_object);
        let names = protocols
            .into_iter()
            .flatten()
            .filter_map(|(_, protocol)| protocol.get("file")?.as_str());
        names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect()
    }

    /// The files of the mounted folder that hold secrets: those that the settings name, and those
    /// that protocol files name which have been added.
    pub fn secret_files(&self, document: &Value) -> Vec<String> {
        let mounted = self.mounted.values().filter_map(|read| read.as_ref().ok());
        let named = mounted.chain([document]).flat_map(Secrets::files_named);
        let plain = named.filter(|name| is_plain(name));
        plain.map(str::to_owned).collect()
    }

    /// Adds a file of the mounted folder, or why it could not be read.
    pub fn mount(&mut self, name: String, document: Result<Value, String>) {
        self.mounted.insert(name, document);
    }

    /// The scripts of the mounted folder that the settings ask for, and the files that are mounted.
    pub fn scripts_named(&self, document: &Value) -> Vec<String> {
        let protocols = document.get("protocols").and_then(Value::as_object);
        let own = protocols
            .into_iter()
            .flatten()
            .map(|(_, protocol)| protocol);
        let mounted = self.mounted.values().filter_map(|file| file.as_ref().ok());
        let names = own
            .chain(mounted)
            .filter_map(|protocol| protocol.get("script")?.get("file")?.as_str());
        names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect()
    }

    /// Adds a script of the mounted folder, or why it could not be read.
    pub fn mount_script(&mut self, name: String, source: Result<String, String>) {
        self.scripts.insert(name, source);
    }

    /// The protocol that results from an entry of `protocols`.
    pub fn resolve(&self, protocol: &Section<'_>, problems: &mut Problems) -> Option<Resolved> {
        let mut resolved = self.started(protocol, problems)?;
        let section = Section {
            value: &resolved.merged.value,
            pointer: protocol.pointer.clone(),
        };
        let script = section.member("script");
        if let Some(script) = script.filter(|script| script.value.is_object()) {
            let source = self.script(&script, problems)?;
            if let Some(script) = resolved.merged.value.get_mut("script") {
                *script = Value::String(source);
            }
        }
        Some(resolved)
    }

    /// The text of a script that is a file.
    fn script(&self, section: &Section<'_>, problems: &mut Problems) -> Option<String> {
        let file: ScriptFile = section.read(&[], problems)?;
        let wrong = match self.scripts.get(&file.file) {
            Some(Ok(source)) => return Some(source.clone()),
            Some(Err(why)) => why.as_str(),
            None if is_plain(&file.file) => {
                "there is no such file in the folder for protocol files"
            }
            None => "expected a file name without folders, such as \"scale.js\"",
        };
        problems.member(section, "file", format!("{}: {wrong}", file.file));
        None
    }

    /// The protocol over what it starts from.
    fn started(&self, protocol: &Section<'_>, problems: &mut Problems) -> Option<Resolved> {
        let preset = protocol.member("preset");
        let file = protocol.member("file");
        let (base, origin) = match (preset, file) {
            (None, None) => return Some(Resolved::plain(protocol)),
            (Some(preset), None) => self.built_in_named(&preset, problems)?,
            (None, Some(file)) => self.mounted_named(&file, problems)?,
            (Some(_), Some(file)) => {
                problems.add(
                    &file,
                    "a protocol starts from \"preset\" or from \"file\", not from both",
                );
                return None;
            }
        };
        let own = without_origin(protocol.value);
        let own = Section {
            value: &own,
            pointer: protocol.pointer.clone(),
        };
        Some(Resolved {
            merged: merge(&base, &own, problems),
            origin: Some(origin),
        })
    }

    fn built_in_named(
        &self,
        preset: &Section<'_>,
        problems: &mut Problems,
    ) -> Option<(Value, Origin)> {
        let Some(name) = preset.value.as_str() else {
            problems.add(
                preset,
                format!(
                    "expected a preset such as \"gt06@1\", found {}",
                    name_of(preset.value)
                ),
            );
            return None;
        };
        let Some(found) = BUILT_IN.iter().find(|known| known.name == name) else {
            problems.add(preset, unknown_preset(name));
            return None;
        };
        let document = serde_json::from_str(found.text).ok()?;
        Some((document, Origin::Preset(name.to_owned())))
    }

    fn mounted_named(
        &self,
        file: &Section<'_>,
        problems: &mut Problems,
    ) -> Option<(Value, Origin)> {
        let name = file.value.as_str().filter(|name| is_plain(name));
        let Some(name) = name else {
            let found = name_of(file.value);
            problems.add(
                file,
                format!(
                    "expected a file name without folders, such as \"scale.json\", found {found}"
                ),
            );
            return None;
        };
        let wrong = match self.mounted.get(name) {
            Some(Ok(document)) if !document.is_object() => {
                "its content is no JSON object".to_owned()
            }
            Some(Ok(document)) => match ["preset", "file"]
                .iter()
                .find(|member| document.get(member).is_some())
            {
                Some(member) => {
                    format!("it has \"{member}\"; a file cannot start from another document")
                }
                None => return Some((document.clone(), Origin::File(name.to_owned()))),
            },
            Some(Err(why)) => why.clone(),
            None => "there is no such file in the folder for protocol files".to_owned(),
        };
        problems.add(file, format!("{name}: {wrong}"));
        None
    }
}

/// What a protocol starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A preset shipped with the module, with its major version.
    Preset(String),
    /// A file of the mounted folder.
    File(String),
}

impl Origin {
    /// The name that the settings give it.
    pub fn name(&self) -> &str {
        match self {
            Origin::Preset(name) | Origin::File(name) => name,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Preset(name) => write!(f, "preset {name}"),
            Origin::File(name) => write!(f, "file {name}"),
        }
    }
}

/// A protocol as it results.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The document, and which parts the settings gave.
    pub merged: Merged,
    /// Where the other parts are from.
    pub origin: Option<Origin>,
}

impl Resolved {
    fn plain(protocol: &Section<'_>) -> Self {
        Resolved {
            merged: Merged::plain(protocol),
            origin: None,
        }
    }

    /// Where the value at that pointer is from, if not from the settings themselves.
    pub fn origin_of(&self, pointer: &str) -> Option<&Origin> {
        self.origin
            .as_ref()
            .filter(|_| !self.merged.is_overridden(pointer))
    }
}

fn unknown_preset(name: &str) -> String {
    let known = Presets::names();
    let versioned = known
        .iter()
        .find(|known| known.split('@').next() == name.split('@').next());
    match versioned {
        Some(right) if name.contains('@') => {
            format!("preset \"{name}\" is not shipped with this version, \"{right}\" is")
        }
        Some(right) => format!("a preset is named with its major version: \"{right}\""),
        None if nearest(name, &known).is_none() => format!(
            "unknown preset \"{name}\", expected one of {}; for documents of your own write \"file\"",
            known.join(", ")
        ),
        None => unknown_word("preset", name, &known),
    }
}

/// Whether a file name cannot lead out of its folder.
fn is_plain(name: &str) -> bool {
    let separator = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(separator)
}

fn without_origin(protocol: &Value) -> Value {
    let mut own = protocol.clone();
    if let Some(object) = own.as_object_mut() {
        object.shift_remove("preset");
        object.shift_remove("file");
    }
    own
}

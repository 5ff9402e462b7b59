//! Desired properties to [`Settings`]: valid once built, all mistakes at once.
//!
//! [`Settings::parse`] reads the document, [`Plan::between`] says what a reload has to do. The
//! limits of a twin stand in [`limits`], presets and what is merged onto them in [`presets`] and
//! [`merge`].

mod bounds;
mod cross;
mod doubts;
mod functions;
mod later;
pub mod limits;
mod listener;
pub mod manifest;
pub mod merge;
mod outbound;
mod output;
mod plan;
mod presence;
pub mod presets;
mod protocol;
pub mod schema;
mod spool;
#[cfg(test)]
pub(crate) mod tests;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::conversation::{BodyForm, Bounds, ConversationSettings, Protocol, UnknownDevices};
use crate::document::{Problem, Problems, Section, unknown_word};
use crate::identity::{DeviceMap, DeviceOptions, RuleOptions};
use crate::message::Name;
use crate::schema::{DeviceName, Entries, Key};
use outbound::OutboundEntry;

pub use listener::{Listener, ListenerOptions};
pub use outbound::{Dialled, HostPort, Outbound, OutboundOptions};
pub use output::{BatchOptions, DEFAULT_OUTPUT, Output, PriorityOption};
pub use plan::{OutboundPlan, Plan};
pub use presence::{PRESENCE_OUTPUT, PresenceSettings};
pub use presets::{BuiltIn, Origin, Presets, Resolved};
pub use protocol::ProtocolOptions;
pub use spool::{SpoolSettings, WhenFull};

/// What a document should say differently although it can run as it is.
pub type Warning = Problem;

/// The version of the language that this module reads.
const SCHEMA_VERSION: u32 = 1;

/// What the module is to do. A value of this type is valid.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The TCP ports, by the names of their entries.
    pub listeners: BTreeMap<Name, Arc<Listener>>,
    /// The devices that are dialled, by the names of their entries.
    pub outbound: BTreeMap<Name, Arc<Outbound>>,
    /// How devices speak, also where nothing uses it.
    pub protocols: BTreeMap<Name, Arc<Protocol>>,
    /// Who is who.
    pub devices: Arc<DeviceMap>,
    /// Outputs with an entry; see [`Settings::output`].
    pub outputs: BTreeMap<Name, Output>,
    /// What is kept while edgeHub takes nothing.
    pub spool: SpoolSettings,
    /// Whether it is said which devices are there.
    pub presence: Option<PresenceSettings>,
    /// Whether commands may say bytes (`send`).
    pub allow_raw: bool,
    /// Bytes that a twin counts for the document.
    pub bytes: usize,
    bodies: Arc<BTreeMap<Name, BodyForm>>,
    resolved: BTreeMap<Name, Resolved>,
    device_documents: DeviceDocuments,
}

/// `devices` and `deviceRules` as they were written, to be compared. They may hold secrets.
#[derive(Clone, Default, PartialEq)]
struct DeviceDocuments([Option<Value>; 2]);

impl fmt::Debug for DeviceDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(devices)")
    }
}

/// What the module does: the desired properties of its twin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "settings", extend(
    "patternProperties" = { "^\\$(?:version|metadata)$": true },
    "anyOf" = [{ "required": ["listeners"] }, { "required": ["outbound"] }],
))]
struct SettingsOptions {
    /// Version of this language.
    #[serde(default = "schema_version")]
    #[schemars(range(min = SCHEMA_VERSION, max = SCHEMA_VERSION))]
    schema_version: u32,
    /// Whether the method `send`, and messages like it, may write bytes to devices.
    #[serde(default = "allow_raw")]
    #[schemars(extend("default" = true))]
    allow_raw: bool,
    /// The TCP ports, by name.
    #[serde(rename = "listeners")]
    #[schemars(with = "Option<Entries<ListenerOptions>>")]
    _listeners: Option<IgnoredAny>,
    /// The devices that wait to be dialled, by name.
    #[serde(rename = "outbound")]
    #[schemars(with = "Option<Entries<OutboundOptions>>")]
    _outbound: Option<IgnoredAny>,
    /// How devices speak, by name.
    #[serde(rename = "protocols")]
    #[schemars(with = "Option<Entries<schema::ProtocolEntry>>")]
    _protocols: Option<IgnoredAny>,
    /// Who is who: devices by name. They come before all rules.
    #[serde(rename = "devices")]
    #[schemars(with = "Option<Entries<DeviceOptions, DeviceName>>")]
    _devices: Option<IgnoredAny>,
    /// Who is who: rules for many devices, by name. The first that matches counts, by `order`.
    #[serde(rename = "deviceRules")]
    #[schemars(with = "Option<Entries<RuleOptions, Key>>")]
    _device_rules: Option<IgnoredAny>,
    /// Outputs that differ from the defaults, by name.
    #[serde(rename = "outputs")]
    #[schemars(with = "Option<Entries<Output>>")]
    _outputs: Option<IgnoredAny>,
    /// What is kept while edgeHub takes nothing.
    #[serde(rename = "spool")]
    #[schemars(with = "Option<SpoolSettings>")]
    _spool: Option<IgnoredAny>,
    /// Whether it is said which devices are there.
    #[serde(rename = "presence")]
    #[schemars(with = "Option<PresenceSettings>")]
    _presence: Option<IgnoredAny>,
}

fn allow_raw() -> bool {
    true
}

fn schema_version() -> u32 {
    SCHEMA_VERSION
}

impl Settings {
    /// Reads a document of desired properties; `$version` in it is the twin's.
    ///
    /// # Errors
    /// Every mistake in it, with JSON pointers. There are no settings then.
    pub fn parse(document: &Value, presets: &Presets) -> Result<(Self, Vec<Warning>), Problems> {
        let mut reader = Reader {
            document: Section::root(document),
            presets,
            problems: Problems::new(),
        };
        let settings = reader.read();
        tell_nulls_once(document, &mut reader.problems);
        match settings {
            Some((settings, warnings)) if reader.problems.is_empty() => Ok((settings, warnings)),
            _ => Err(reader.problems),
        }
    }

    /// How an output's messages are made; the defaults where it has no entry.
    pub fn output(&self, name: &str) -> Output {
        self.outputs.get(name).copied().unwrap_or_default()
    }

    /// What a conversation goes by that no listener has accepted.
    pub fn conversation_without_listener(&self) -> ConversationSettings {
        ConversationSettings {
            devices: Arc::clone(&self.devices),
            unknown_devices: UnknownDevices::default(),
            output: None,
            bodies: Arc::clone(&self.bodies),
            idle_timeout: None,
            units: Arc::from([]),
            bounds: Bounds::default(),
        }
    }

    /// What the conversations of a listener go by.
    pub fn conversation(&self, listener: &Listener) -> ConversationSettings {
        ConversationSettings {
            unknown_devices: listener.unknown_devices,
            output: listener.output.clone(),
            idle_timeout: Some(listener.idle_timeout),
            units: Arc::clone(&listener.units),
            ..self.conversation_without_listener()
        }
    }

    /// What the conversations with the devices of an entry of `outbound` go by.
    pub fn conversation_with_dialled(&self, outbound: &Outbound) -> ConversationSettings {
        ConversationSettings {
            output: outbound.output.clone(),
            units: Arc::clone(&outbound.units),
            idle_timeout: outbound.idle_timeout,
            ..self.conversation_without_listener()
        }
    }

    /// Outputs that messages can have.
    pub fn outputs_in_use(&self) -> BTreeSet<Name> {
        let mut outputs: BTreeSet<Name> = self.devices.outputs().cloned().collect();
        for (protocol, output) in self.speaking() {
            outputs.extend(protocol.decoder.outputs().cloned());
            outputs.insert(output.cloned().unwrap_or_else(|| DEFAULT_OUTPUT.into()));
        }
        if self.presence.is_some_and(|presence| presence.messages) {
            outputs.insert(PRESENCE_OUTPUT.into());
        }
        outputs
    }

    /// The protocol and output of each entry over which devices speak.
    fn speaking(&self) -> impl Iterator<Item = (&Arc<Protocol>, Option<&Name>)> {
        let accepted = self.listeners.values();
        let accepted = accepted.map(|listener| (&listener.protocol, listener.output.as_ref()));
        let dialled = self.outbound.values();
        let dialled = dialled.map(|outbound| (&outbound.protocol, outbound.output.as_ref()));
        accepted.chain(dialled)
    }

    /// The whole document of a protocol, what it starts from merged in.
    pub fn protocol_document(&self, name: &str) -> Option<&Value> {
        self.resolved
            .get(name)
            .map(|resolved| &resolved.merged.value)
    }

    /// What a place in a protocol is from, if not from the settings themselves; the pointer begins with `/protocols`.
    pub fn origin_of(&self, protocol: &str, pointer: &str) -> Option<&Origin> {
        self.resolved.get(protocol)?.origin_of(pointer)
    }

    /// What protocols start from, for those that start from something.
    pub fn origins(&self) -> impl Iterator<Item = (&Name, &Origin)> {
        self.resolved
            .iter()
            .filter_map(|(name, resolved)| Some((name, resolved.origin.as_ref()?)))
    }
}

/// Reads one document and collects what is wrong in it.
struct Reader<'a> {
    document: Section<'a>,
    presets: &'a Presets,
    problems: Problems,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Option<(Settings, Vec<Warning>)> {
        let bytes = limits::check(&self.document, &mut self.problems);
        let allow_raw = self.members();
        let mut warnings = Vec::new();
        let (resolved, protocols) = self.protocols(&mut warnings);
        let listeners = self.listeners(&protocols);
        let outbound = self.outbound(&protocols);
        let devices = self.document.member("devices");
        let rules = self.document.member("deviceRules");
        let secrets = &self.presets.secrets;
        let map = DeviceMap::read(
            devices.as_ref(),
            rules.as_ref(),
            secrets,
            &mut self.problems,
        );
        for collection in [&devices, &rules] {
            cross::output_names(collection.as_ref(), &mut self.problems);
        }
        let outputs = self.outputs();
        let spool = self.document.member("spool");
        let spool = spool.map_or(Some(SpoolSettings::default()), |spool| {
            SpoolSettings::read(&spool, &mut self.problems)
        });
        let presence = self.document.member("presence");
        let presence =
            presence.and_then(|presence| PresenceSettings::read(&presence, &mut self.problems));
        let settings = Settings {
            presence,
            listeners,
            outbound,
            protocols,
            devices: Arc::new(map?),
            bodies: Arc::new(bodies(&outputs)),
            outputs,
            allow_raw,
            spool: spool?,
            bytes,
            resolved,
            device_documents: DeviceDocuments(
                [devices, rules].map(|section| section.map(|section| section.value.clone())),
            ),
        };
        warnings.extend(cross::unused(&settings));
        warnings.extend(cross::hidden_devices(&settings));
        Some((settings, warnings))
    }

    /// Reads the members that are no sections; gives `allowRaw`.
    fn members(&mut self) -> bool {
        let later = later::members(&self.document, later::SETTINGS, &mut self.problems);
        let without: Vec<&str> = later.into_iter().chain(["$version", "$metadata"]).collect();
        let options: Option<SettingsOptions> = self.document.read(&without, &mut self.problems);
        let has = |name: &str| self.document.member(name).is_some();
        if self.document.value.is_object() && !has("listeners") && !has("outbound") {
            let message = "\"listeners\" is missing, or \"outbound\"";
            self.problems.add(&self.document, message);
        }
        let allow_raw = options.as_ref().is_none_or(|options| options.allow_raw);
        if let Some(version) = options
            .map(|options| options.schema_version)
            .filter(|version| *version != SCHEMA_VERSION)
        {
            let message = format!(
                "this module reads version {SCHEMA_VERSION} of the settings, not {version}"
            );
            self.problems
                .member(&self.document, "schemaVersion", message);
        }
        allow_raw
    }

    fn entries(&mut self, collection: &str) -> Vec<(&'a str, Section<'a>)> {
        let collection = self.document.member(collection);
        collection
            .map(|collection| bounds::entries(&collection, &mut self.problems))
            .unwrap_or_default()
    }

    fn protocols(
        &mut self,
        warnings: &mut Vec<Warning>,
    ) -> (BTreeMap<Name, Resolved>, BTreeMap<Name, Arc<Protocol>>) {
        let (mut documents, mut protocols) = (BTreeMap::new(), BTreeMap::new());
        for (name, entry) in self.entries("protocols") {
            let name = Name::from(name);
            let Some(resolved) = self.presets.resolve(&entry, &mut self.problems) else {
                continue;
            };
            let protocol = protocol::read(
                &name,
                &entry.pointer,
                (&resolved, &self.presets.secrets),
                (&mut self.problems, warnings),
            );
            protocols.extend(protocol.map(|protocol| (name.clone(), Arc::new(protocol))));
            documents.insert(name, resolved);
        }
        (documents, protocols)
    }

    fn listeners(
        &mut self,
        protocols: &BTreeMap<Name, Arc<Protocol>>,
    ) -> BTreeMap<Name, Arc<Listener>> {
        let known = self.protocol_names();
        let mut listeners = BTreeMap::new();
        let mut ports = cross::Ports::default();
        for (name, entry) in self.entries("listeners") {
            let Some(options) = ListenerOptions::read(&entry, &mut self.problems) else {
                continue;
            };
            ports.claim(&entry, name, &options, &mut self.problems);
            if !known.contains(&options.protocol.as_str()) {
                let message = unknown_protocol(&options.protocol, &known);
                self.problems.member(&entry, "protocol", message);
            }
            let Some(protocol) = protocols.get(options.protocol.as_str()) else {
                continue;
            };
            let listener = options.build(
                &entry,
                (name.into(), Arc::clone(protocol)),
                &mut self.problems,
            );
            listeners.insert(Name::from(name), Arc::new(listener));
        }
        listeners
    }

    fn outbound(
        &mut self,
        protocols: &BTreeMap<Name, Arc<Protocol>>,
    ) -> BTreeMap<Name, Arc<Outbound>> {
        let known = self.protocol_names();
        let listeners = self.document.member("listeners");
        let mut outbound = BTreeMap::new();
        let mut claims = outbound::Claims::default();
        for (name, entry) in self.entries("outbound") {
            if listeners
                .as_ref()
                .is_some_and(|all| all.member(name).is_some())
            {
                let message = format!(
                    "a listener is named \"{name}\" too; messages, metrics and \"match\" tell them by their names"
                );
                self.problems.add(&entry, message);
            }
            let Some(read) = OutboundEntry::read(name, &entry, &mut self.problems) else {
                continue;
            };
            let protocol = read.options.protocol.as_str();
            if !known.contains(&protocol) {
                let message = unknown_protocol(protocol, &known);
                self.problems.member(&entry, "protocol", message);
            }
            if let Some(protocol) = protocols.get(protocol) {
                let built = read.build(name.into(), Arc::clone(protocol));
                let built = Arc::new(built);
                units::check(&entry, protocol, &mut self.problems);
                claims.claim(&entry, &built, &mut self.problems);
                outbound.insert(Name::from(name), built);
            }
        }
        outbound
    }

    /// The names of all protocols, also of those in which something is wrong: that is one mistake.
    fn protocol_names(&self) -> Vec<&'a str> {
        let protocols = self.document.member("protocols");
        let entries = protocols.iter().flat_map(Section::members);
        entries.map(|(name, _)| name).collect()
    }

    fn outputs(&mut self) -> BTreeMap<Name, Output> {
        let mut outputs = BTreeMap::new();
        for (name, entry) in self.entries("outputs") {
            outputs.extend(
                Output::read(&entry, &mut self.problems).map(|output| (Name::from(name), output)),
            );
        }
        outputs
    }
}

/// That a member is null has been told; what it should have been instead is no second mistake.
fn tell_nulls_once(document: &Value, problems: &mut Problems) {
    let mut told = BTreeSet::new();
    problems.retain(|problem| {
        let null = document
            .pointer(&problem.pointer)
            .is_some_and(Value::is_null);
        !null || told.insert(problem.pointer.clone())
    });
}

fn unknown_protocol(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("protocol \"{name}\" is not defined; add it to \"protocols\"");
    }
    unknown_word("protocol", name, known)
}

fn bodies(outputs: &BTreeMap<Name, Output>) -> BTreeMap<Name, BodyForm> {
    let special = outputs
        .iter()
        .filter(|(_, output)| output.body != BodyForm::Message);
    special
        .map(|(name, output)| (name.clone(), output.body))
        .collect()
}

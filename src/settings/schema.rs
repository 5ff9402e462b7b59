//! The schema of the settings.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::presets::ScriptFile;
use super::{Presets, ProtocolOptions, SettingsOptions};
use crate::schema::{FileName, document, overrides};

/// The schema of the desired properties, in JSON Schema 2020-12.
pub fn schema() -> Value {
    document::<SettingsOptions>()
}

/// Functions in JavaScript: a text, the lines of one, or a file.
#[derive(JsonSchema)]
#[schemars(rename = "script", untagged)]
#[expect(dead_code, reason = "only the schema of it is made")]
pub(super) enum ScriptSource {
    /// The text.
    Text(String),
    /// Its lines.
    Lines(Vec<String>),
    /// A file that holds it.
    File(ScriptFile),
}

/// An entry of `protocols`: whole, or what differs from a preset or file.
#[derive(Debug)]
pub struct ProtocolEntry;

impl JsonSchema for ProtocolEntry {
    fn schema_name() -> Cow<'static, str> {
        "protocol".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let whole = generator.subschema_for::<ProtocolOptions>();
        let differing = overrides("protocol-whole", generator);
        let preset = json!({
            "description": "Start from a protocol shipped with the module. Within a major version its messages never change.",
            "enum": Presets::names(),
        });
        let file = generator.subschema_for::<FileName>().to_value();
        let from = [("preset", preset), ("file", file)];
        let [preset, file] =
            from.map(|(member, value)| starting(member, value, &differing, generator));
        json_schema!({
            "title": "protocol",
            "description": "How devices of one kind speak: the whole, or what differs from a preset or file. Beside these objects merge member by member, everything else replaces, a section of another `type` replaces the section, and `false` takes an entry or section away.",
            "anyOf": [whole, preset, file],
        })
    }
}

/// A protocol that starts from something.
fn starting(
    member: &str,
    value: Value,
    differing: &Schema,
    generator: &mut SchemaGenerator,
) -> Value {
    let place = differing
        .get("$ref")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let definition = place.rsplit('/').next().unwrap_or_default();
    let mut schema = generator
        .definitions()
        .get(definition)
        .cloned()
        .unwrap_or_default();
    if let Some(members) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        members.shift_insert(0, member.to_owned(), value);
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".into(), format!("protocol from a {member}").into());
        schema.insert("required".into(), json!([member]));
    }
    let name = format!("protocol-from-{member}");
    let place = json!({ "$ref": format!("#/$defs/{name}") });
    generator.definitions_mut().insert(name, schema);
    place
}

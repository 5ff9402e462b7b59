//! What may stand beside a preset: any part of a section, and `false` in the place of what is taken away.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

const DEFINITIONS: &str = "#/$defs/";
/// Behind the name of what is overridden.
const SUFFIX: &str = "-override";
/// What a part need not keep: it counts for the whole that results.
const OF_THE_WHOLE: [&str; 7] = [
    "required",
    "dependentRequired",
    "not",
    "minProperties",
    "allOf",
    "if",
    "then",
];

/// The definition of that name as it may stand beside a preset; those that it needs are defined.
pub fn overrides(name: &str, generator: &mut SchemaGenerator) -> Schema {
    let place = format!("{DEFINITIONS}{name}");
    let mut making = Making(generator.definitions_mut());
    let part = making.reference(&place, &Map::new());
    part.try_into().unwrap_or_default()
}

struct Making<'a>(&'a mut Map<String, Value>);

impl Making<'_> {
    fn target(&self, place: &str) -> Option<Value> {
        let mut parts = place.strip_prefix(DEFINITIONS)?.split('/');
        let mut value = self.0.get(parts.next()?)?;
        for part in parts {
            value = value.get(part)?;
        }
        Some(value.clone())
    }

    /// Whether parts of it can be given: an object, or a choice with one.
    fn has_parts(&self, schema: &Value) -> bool {
        if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
            return self
                .target(place)
                .is_some_and(|target| self.has_parts(&target));
        }
        let choices = ["anyOf", "oneOf"]
            .iter()
            .filter_map(|word| schema.get(word));
        let mut choices = choices.filter_map(Value::as_array).flatten();
        schema.get("properties").is_some()
            || schema
                .get("additionalProperties")
                .is_some_and(Value::is_object)
            || choices.any(|choice| self.has_parts(choice))
    }

    fn part(&mut self, schema: &Value) -> Value {
        let Some(object) = schema.as_object().filter(|_| self.has_parts(schema)) else {
            return schema.clone();
        };
        if let Some(place) = object.get("$ref").and_then(Value::as_str) {
            return self.reference(place, object);
        }
        let mut part = Map::new();
        for (keyword, value) in object {
            if OF_THE_WHOLE.contains(&keyword.as_str()) {
                continue;
            }
            match keyword.as_str() {
                "properties" => {
                    part.insert(keyword.clone(), self.members(value));
                }
                "additionalProperties" if value.is_object() => {
                    part.insert(keyword.clone(), self.or_false(value));
                }
                "oneOf" | "anyOf" => {
                    let choices = value.as_array().into_iter().flatten();
                    let choices: Vec<&Value> = choices
                        .filter(|choice| choice.get("required").is_none() || self.has_parts(choice))
                        .collect();
                    let choices: Vec<Value> = choices
                        .into_iter()
                        .map(|choice| self.part(choice))
                        .collect();
                    if !choices.is_empty() {
                        part.insert("anyOf".into(), choices.into());
                    }
                }
                _ => {
                    part.insert(keyword.clone(), value.clone());
                }
            }
        }
        part.into()
    }

    fn reference(&mut self, place: &str, siblings: &Map<String, Value>) -> Value {
        let name = place.strip_prefix(DEFINITIONS).unwrap_or(place);
        let name = format!("{}{SUFFIX}", name.replace('/', "-"));
        if !self.0.contains_key(&name) {
            // There before it is made: sections may hold themselves.
            self.0.insert(name.clone(), Value::Null);
            let part = self.target(place).map(|target| self.part(&target));
            self.0
                .insert(name.clone(), part.unwrap_or(Value::Bool(true)));
        }
        let mut reference = siblings.clone();
        reference.insert("$ref".into(), format!("{DEFINITIONS}{name}").into());
        reference.into()
    }

    fn members(&mut self, members: &Value) -> Value {
        let members = members.as_object().into_iter().flatten();
        let parts = members.map(|(name, member)| {
            // The word that says the kind stays as it is.
            let part = match name.as_str() {
                "type" => member.clone(),
                _ => self.or_false(member),
            };
            (name.clone(), part)
        });
        parts.collect::<Map<_, _>>().into()
    }

    fn or_false(&mut self, member: &Value) -> Value {
        if member.get("type").and_then(Value::as_str) == Some("boolean") {
            return member.clone();
        }
        let mut part = self.part(member);
        let mut outer = Map::new();
        if let Some(description) = part
            .as_object_mut()
            .and_then(|part| part.shift_remove("description"))
        {
            outer.insert("description".into(), description);
        }
        outer.insert("anyOf".into(), json!([part, { "const": false }]));
        outer.into()
    }
}

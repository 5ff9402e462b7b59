//! The schema says what the reader of the settings takes, member by member.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::corpus::{documents, parse};
use crate::settings::schema::schema;

/// A member that no section has.
const UNKNOWN: &str = "zzz";

/// An object of a document, and what the schema says of it.
#[derive(Debug)]
pub struct Place<'s> {
    pub pointer: String,
    pub definition: String,
    pub members: &'s Map<String, Value>,
}

/// The schema beside a document.
pub struct Reading<'s> {
    definitions: &'s Map<String, Value>,
    pub places: Vec<Place<'s>>,
}

/// The objects of a document for which the schema has members.
pub fn places<'s>(schema: &'s Value, document: &Value) -> Vec<Place<'s>> {
    let mut reading = Reading {
        definitions: schema["$defs"].as_object().unwrap(),
        places: Vec::new(),
    };
    reading.walk(schema, document, "", "settings");
    reading.places
}

impl<'s> Reading<'s> {
    fn target(&self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let place = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        let mut parts = place.split('/');
        let first = &self.definitions[parts.next()?];
        Some((place, parts.fold(first, |value, part| &value[part])))
    }

    /// Whether a value can be meant by a schema: the kind and the members fit.
    fn fits(&self, schema: &'s Value, value: &Value) -> bool {
        if let Some((_, target)) = self.target(schema) {
            return self.fits(target, value);
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            return choices.iter().any(|choice| self.fits(choice, value));
        }
        let kind = schema["type"].as_str().unwrap_or_default();
        let Some(object) = value.as_object() else {
            return match value {
                Value::Array(_) => kind == "array",
                Value::String(_) => kind == "string",
                Value::Number(_) => kind == "integer",
                _ => kind == "boolean" || schema.get("const") == Some(value),
            };
        };
        let Some(members) = schema["properties"].as_object() else {
            return kind == "object";
        };
        let said = object.get("type");
        let right = |word: &Value| said.is_none() || said == Some(word);
        let fits = members
            .get("type")
            .and_then(|kind| kind.get("const"))
            .is_none_or(right);
        let not = members
            .get("type")
            .and_then(|kind| kind["not"]["enum"].as_array());
        let other = not.is_none_or(|words| said.is_none_or(|said| !words.contains(said)));
        let open = schema.get("oneOf").is_some() && members.len() == 1;
        kind == "object"
            && fits
            && other
            && (open
                || object
                    .keys()
                    .all(|name| members.contains_key(name) || name.starts_with('$')))
    }

    fn walk(&mut self, schema: &'s Value, value: &Value, pointer: &str, definition: &str) {
        if let Some((name, target)) = self.target(schema) {
            return self.walk(target, value, pointer, name);
        }
        for word in ["anyOf", "oneOf"] {
            let mut choices = schema[word].as_array().into_iter().flatten();
            if let Some(choice) = choices.find(|choice| {
                choice.get("$ref").or_else(|| choice.get("type")).is_some()
                    && self.fits(choice, value)
            }) {
                return self.walk(choice, value, pointer, definition);
            }
        }
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
                self.walk(items, element, &format!("{pointer}/{index}"), definition);
            }
        }
        let Some(object) = value.as_object() else {
            return;
        };
        let members = schema["properties"].as_object();
        if let Some(members) = members {
            self.places.push(Place {
                pointer: pointer.to_owned(),
                definition: definition.to_owned(),
                members,
            });
        }
        for (name, member) in object {
            let entry = schema
                .get("additionalProperties")
                .filter(|entry| entry.is_object());
            if let Some(schema) = members.and_then(|members| members.get(name)).or(entry) {
                self.walk(schema, member, &format!("{pointer}/{name}"), definition);
            }
        }
    }
}

pub fn set(document: &Value, pointer: &str, member: &str, value: Value) -> Value {
    let mut changed = document.clone();
    changed.pointer_mut(pointer).unwrap()[member] = value;
    changed
}

#[test]
fn it_is_a_schema_and_every_valid_document_is_valid_by_it() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (from, document) in documents() {
        let found: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(found.is_empty(), "{from}: {found:#?} in {document}");
        assert_eq!(parse(&document), [], "{from}: {document}");
    }
}

#[test]
fn the_documents_reach_every_definition_with_members() {
    let schema = schema();
    let mut reached = BTreeSet::new();
    for (_, document) in documents() {
        reached.extend(
            places(&schema, &document)
                .into_iter()
                .map(|place| place.definition),
        );
    }
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let all = definitions.filter(|(_, definition)| definition.get("properties").is_some());
    // Members that kinds have in common are reached with these; what stands beside a preset is
    // reached where a preset is changed so.
    let missed: Vec<_> = all
        .map(|(name, _)| name)
        .filter(|name| !name.ends_with("-common") && !name.ends_with("-override"))
        .filter(|name| !reached.contains(*name) && schema["$defs"][*name].get("oneOf").is_none())
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// The words that the reader names where it does not know a member.
fn known(message: &str) -> Option<BTreeSet<String>> {
    let unknown = message.strip_prefix(&format!("unknown member \"{UNKNOWN}\""))?;
    if unknown == ": there is none" {
        return Some(BTreeSet::new());
    }
    let list = unknown.strip_prefix(", expected one of ")?;
    let list = list.split(" (from ").next()?;
    Some(list.split(", ").map(str::to_owned).collect())
}

/// Whether the reader knows a member only to say that it has no place there.
fn is_refused(document: &Value, place: &Place<'_>, member: &str) -> bool {
    let words = [
        "belongs to the ",
        "this framing knows how its frames start",
        "an entry of \"devices\" has ",
    ];
    let pointer = format!("{}/{member}", place.pointer);
    [json!(1), json!("x")].into_iter().all(|value| {
        let problems = parse(&set(document, &place.pointer, member, value));
        let mut here = problems.iter().filter(|problem| problem.pointer == pointer);
        here.any(|problem| words.iter().any(|words| problem.message.starts_with(words)))
            || problems
                .iter()
                .any(|problem| problem.pointer == pointer && problem.message.starts_with("found "))
    })
}

#[test]
fn the_schema_and_the_reader_know_the_same_members() {
    let schema = schema();
    let (mut done, mut different) = (BTreeSet::new(), BTreeMap::new());
    for (_, document) in documents() {
        for place in places(&schema, &document) {
            if !done.insert(place.definition.clone()) {
                continue;
            }
            let beside_preset = place.definition.ends_with("-override")
                || place.definition.starts_with("protocol-from");
            let inherits = place.definition == "layout-inherits";
            let changed = set(&document, &place.pointer, UNKNOWN, json!(1));
            let problems = parse(&changed);
            let known = problems.iter().find_map(|problem| known(&problem.message));
            let Some(known) = known else {
                different.insert(place.definition.clone(), format!("{problems:?}"));
                continue;
            };
            let said: BTreeSet<String> = place.members.keys().cloned().collect();
            // A part of a preset has the members of its kind, which is not said there; what the
            // sections of others read is named by their own.
            let strange = known.difference(&said).filter(|member| !member.is_empty());
            let strange: Vec<_> = strange
                .filter(|member| !is_refused(&document, &place, member))
                .collect();
            if !strange.is_empty() && !beside_preset && !inherits {
                different.insert(place.definition.clone(), format!("{strange:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn the_reader_takes_every_member_of_the_schema() {
    let schema = schema();
    let (mut done, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for (_, document) in documents() {
        for place in places(&schema, &document) {
            if place.definition.ends_with("-override") || place.definition == "layout-inherits" {
                continue;
            }
            if !done.insert(place.definition.clone()) {
                continue;
            }
            for member in place.members.keys().filter(|member| *member != "type") {
                let changed = set(&document, &place.pointer, member, json!(1));
                let here = parse(&changed).into_iter().filter(|problem| {
                    problem.message.starts_with("unknown member")
                        || problem.message.contains("not available")
                });
                refused.extend(
                    here.map(|problem| format!("{} {member}: {problem}", place.definition)),
                );
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

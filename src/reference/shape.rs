//! What a schema allows, in the words of the reference page.

use serde_json::{Map, Value};

/// The largest whole number of a twin.
const MOST: i64 = 4_503_599_627_370_495;
const DEFINITIONS: &str = "#/$defs/";

/// The definitions of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Definitions<'a>(pub &'a Map<String, Value>);

impl<'a> Definitions<'a> {
    /// A schema with what its reference says; its own words go before.
    pub fn resolve(self, schema: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![schema];
        let mut at = schema;
        while let Some(target) = reference(at).and_then(|place| self.at(place)) {
            found.push(target);
            at = target;
        }
        found
    }

    /// A keyword of a schema, its own or that of what it refers to.
    pub fn keyword(self, schema: &'a Value, keyword: &str) -> Option<&'a Value> {
        self.resolve(schema)
            .into_iter()
            .find_map(|schema| schema.get(keyword))
    }

    fn at(self, place: &str) -> Option<&'a Value> {
        let mut parts = place.strip_prefix(DEFINITIONS)?.split('/');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// The definition that a schema refers to by name.
    pub fn named(self, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
        let name = reference(schema)?.strip_prefix(DEFINITIONS)?;
        Some((name, self.0.get(name)?))
    }

    /// What values it allows, in words.
    pub fn shape(self, schema: &'a Value) -> String {
        if let Some((name, target)) = self.named(schema) {
            let like = target.get("$comment").and_then(Value::as_str);
            return link(
                like.and_then(|like| like.strip_prefix("as "))
                    .unwrap_or(name),
            );
        }
        if let Some(target) = reference(schema).and_then(|place| self.at(place)) {
            return self.shape(target);
        }
        if let Some(value) = schema.get("const") {
            return code(value);
        }
        if let Some(words) = words(schema) {
            return words
                .iter()
                .map(|(word, _)| code(word))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(choices) = choices(schema) {
            let mut shapes: Vec<String> = choices.map(|choice| self.shape(choice)).collect();
            shapes.dedup();
            return shapes.join(", or ");
        }
        self.typed(schema)
    }

    fn typed(self, schema: &'a Value) -> String {
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => bounds(schema),
            Some("string") => "text".to_owned(),
            Some("array") => self.list(schema),
            Some("object") => match schema.get("additionalProperties") {
                Some(entry @ Value::Object(_)) => format!("by name: {}", self.shape(entry)),
                _ => "object".to_owned(),
            },
            _ => "any value".to_owned(),
        }
    }

    fn list(self, schema: &'a Value) -> String {
        if let Some(Value::Array(parts)) = schema.get("prefixItems") {
            let parts: Vec<String> = parts.iter().map(|part| self.shape(part)).collect();
            return format!("[{}]", parts.join(", "));
        }
        let items = schema.get("items").map(|items| self.shape(items));
        format!("list of {}", items.unwrap_or_default())
    }
}

/// The words that it allows, with what they mean.
pub fn words(schema: &Value) -> Option<Vec<(&Value, Option<&str>)>> {
    if let Some(Value::Array(words)) = schema.get("enum") {
        return Some(words.iter().map(|word| (word, None)).collect());
    }
    let choices = schema.get("oneOf")?.as_array()?.iter();
    let words = choices.map(|choice| {
        let meaning = choice.get("description").and_then(Value::as_str);
        Some((choice.get("const")?, meaning))
    });
    words.collect()
}

/// The alternatives of a schema.
pub fn choices(schema: &Value) -> Option<impl Iterator<Item = &Value>> {
    let choices = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    Some(choices.as_array()?.iter())
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

/// A JSON value as it is written.
pub fn code(value: &Value) -> String {
    format!(
        "`{}`",
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    )
}

/// A link to the section of a definition.
pub fn link(name: &str) -> String {
    format!("[{}](#{name})", name.replace('-', " "))
}

fn bounds(schema: &Value) -> String {
    let bound = |word: &str| schema.get(word).and_then(Value::as_i64);
    // What no twin can hold is no bound of ours.
    let told = |bound: Option<i64>| bound.filter(|bound| bound.abs() < MOST);
    match (told(bound("minimum")), told(bound("maximum"))) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        _ => "whole number".to_owned(),
    }
}

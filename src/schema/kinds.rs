//! Sections of which a member `type` says the kind.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Keywords of an options' schema that are put together here; all others are taken over.
const COMPOSED: [&str; 6] = [
    "$schema",
    "title",
    "type",
    "properties",
    "required",
    "additionalProperties",
];

/// One kind: its word, and its options' schema.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The word of `type`.
    pub word: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
    without: &'static [&'static str],
}

impl Kind {
    /// The kind whose own members are those of `T`.
    pub const fn of<T: JsonSchema>(word: &'static str) -> Self {
        Kind {
            word,
            schema: T::json_schema,
            without: &[],
        }
    }

    /// Refuses some of the common members.
    pub const fn without(self, members: &'static [&'static str]) -> Self {
        Kind {
            without: members,
            ..self
        }
    }
}

/// Members of an object, by their names.
pub type Members = Map<String, Value>;

/// A section that has kinds.
#[derive(Debug)]
pub struct Family<'a> {
    /// Its definition's name; a kind's is that and the word: `framing-length`.
    pub name: &'a str,
    /// The family whose kinds have the same members of their own, where it is not the first of them.
    pub like: Option<&'a str>,
    /// The kinds.
    pub kinds: &'a [Kind],
    /// Members that every kind has.
    pub common: Members,
}

/// The members of an options' definition, each as a reference to it.
pub fn members_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Members {
    generator.subschema_for::<T>();
    let name = T::schema_name();
    let schema = T::json_schema(generator).to_value();
    references(&name, &schema)
}

fn references(definition: &str, schema: &Value) -> Members {
    let members = schema.get("properties").and_then(Value::as_object);
    let refer = |name: &String| {
        let place = format!("#/$defs/{definition}/properties/{name}");
        (name.clone(), json!({ "$ref": place }))
    };
    members.into_iter().flat_map(Map::keys).map(refer).collect()
}

impl Family<'_> {
    /// Defines its kinds; gives a reference to each.
    pub fn define(&self, generator: &mut SchemaGenerator) -> Vec<Value> {
        let define = |kind: &Kind| {
            let schema = self.kind(kind, generator);
            let name = format!("{}-{}", self.name, kind.word);
            generator.definitions_mut().insert(name.clone(), schema);
            json!({ "$ref": format!("#/$defs/{name}") })
        };
        self.kinds.iter().map(define).collect()
    }

    fn kind(&self, kind: &Kind, generator: &mut SchemaGenerator) -> Value {
        let own = (kind.schema)(generator).to_value();
        let mut schema = Map::new();
        schema.insert(
            "title".into(),
            format!("{} {}", self.name, kind.word).into(),
        );
        if let Some(like) = self.like {
            schema.insert("$comment".into(), format!("as {like}-{}", kind.word).into());
        }
        schema.insert("type".into(), "object".into());
        let mut members = Members::new();
        members.insert("type".into(), json!({ "const": kind.word }));
        members.extend(self.own(kind, &own));
        for (name, member) in &self.common {
            if !kind.without.contains(&name.as_str()) && !members.contains_key(name) {
                members.insert(name.clone(), member.clone());
            }
        }
        schema.insert("properties".into(), members.into());
        let mut required = vec![Value::from("type")];
        let list = own.get("required").and_then(Value::as_array);
        required.extend(list.into_iter().flatten().cloned());
        schema.insert("required".into(), required.into());
        schema.insert("additionalProperties".into(), false.into());
        let others = own.as_object().into_iter().flatten();
        let others = others.filter(|(name, _)| !COMPOSED.contains(&name.as_str()));
        schema.extend(others.map(|(name, value)| (name.clone(), value.clone())));
        schema.into()
    }

    fn own(&self, kind: &Kind, own: &Value) -> Members {
        match self.like {
            Some(like) => references(&format!("{like}-{}", kind.word), own),
            None => match own.get("properties") {
                Some(Value::Object(members)) => members.clone(),
                _ => Members::new(),
            },
        }
    }

    /// The words of its kinds.
    pub fn words(&self) -> Vec<&str> {
        self.kinds.iter().map(|kind| kind.word).collect()
    }
}

/// A section of one of a family's kinds.
pub fn one_of(family: &Family<'_>, description: &str, generator: &mut SchemaGenerator) -> Schema {
    let kinds = family.define(generator);
    schemars::json_schema!({
        "title": family.name,
        "description": description,
        "type": "object",
        "properties": { "type": { "enum": family.words() } },
        "required": ["type"],
        "oneOf": kinds,
    })
}

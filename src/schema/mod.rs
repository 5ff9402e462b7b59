//! What the schema of the settings is made of, beside what is derived from the options: notations,
//! lists, named entries, kinds that a member `type` chooses, and what may stand beside a preset.
//!
//! Every room says the schema of its own section; `settings` puts them together.

mod kinds;
mod notations;
mod overrides;
mod tidy;

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

pub use kinds::{Family, Kind, Members, members_of, one_of};
pub use notations::{
    Address, ArgumentText, BinaryField, Byte, Bytes, ChecksumText, ConditionText, DeviceName,
    EntryName, FileName, HoleText, HostPort, Key, LengthField, Marker, Network, NumberText,
    PatternText, Range, RegisterText, Scalar, SecretText, TextField, TypeText, UnitName,
    ValueField,
};
pub use overrides::overrides;

/// One, or a list of them.
#[derive(Debug)]
pub struct OneOrMore<T, const LEAST: usize = 0>(PhantomData<T>);

impl<T: JsonSchema, const LEAST: usize> JsonSchema for OneOrMore<T, LEAST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}-or-list", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        let list = match LEAST {
            0 => json_schema!({ "type": "array", "items": one }),
            least => json_schema!({ "type": "array", "items": one, "minItems": least }),
        };
        json_schema!({ "anyOf": [one, list] })
    }
}

/// Entries by names of their author's choice.
#[derive(Debug)]
pub struct Entries<T, N = EntryName>(PhantomData<(T, N)>);

impl<T: JsonSchema, N: JsonSchema> JsonSchema for Entries<T, N> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}-by-name", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<N>(),
            "additionalProperties": generator.subschema_for::<T>(),
        })
    }
}

/// The schema of a whole document, in JSON Schema 2020-12.
pub fn document<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy::tidy(&mut schema);
    schema
}

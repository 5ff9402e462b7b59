//! The schema of the member `checksum`, and the names of all algorithms.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::catalogue;
use super::custom::CustomOptions;
use crate::schema::{ChecksumText, OneOrMore};

/// The member `checksum`.
#[derive(Debug)]
pub struct Checksums;

/// One checksum: a text, or the parameters of a CRC.
struct Checksum;

impl JsonSchema for Checksums {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "checksums".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OneOrMore::<Checksum>::json_schema(generator)
    }
}

impl JsonSchema for Checksum {
    fn schema_name() -> Cow<'static, str> {
        "checksum".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<ChecksumText>();
        let object = generator.subschema_for::<CustomOptions>();
        json_schema!({
            "description": "What a frame is checked with: a text with the name of an algorithm, or an object for a CRC that has no name.",
            "anyOf": [text, object],
        })
    }
}

/// Every algorithm with its other names.
pub fn names() -> Vec<(&'static str, Vec<&'static str>)> {
    catalogue::with_aliases()
}

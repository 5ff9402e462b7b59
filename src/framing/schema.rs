//! The schema of the section `framing`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::bounded::{CommonOptions, OUTER};
use super::cobs::CobsOptions;
use super::delimiter::DelimiterOptions;
use super::fixed::FixedOptions;
use super::header::HeaderOptions;
use super::idle::IdleOptions;
use super::length::LengthOptions;
use super::nested::BalancedOptions;
use super::regex::RegexOptions;
use super::script::ScriptOptions;
use super::stuffed::StuffedOptions;
use super::walk::WalkOptions;
use crate::schema::{ConditionText, Family, Kind, members_of, one_of};

/// Common members of kinds that know how their frames start.
const START: &[&str] = &["start"];

/// The kinds that can be a part of another, in the order in which they are explained.
const PARTS: [Kind; 15] = [
    Kind::of::<DelimiterOptions>("delimiter"),
    Kind::of::<LengthOptions>("length"),
    Kind::of::<FixedOptions>("fixed"),
    Kind::of::<HeaderOptions>("header"),
    Kind::of::<WalkOptions>("walk"),
    Kind::of::<ScriptOptions>("script"),
    Kind::of::<StuffedOptions>("stuffed"),
    Kind::of::<SlipOptions>("slip").without(START),
    Kind::of::<CobsOptions>("cobs").without(START),
    Kind::of::<JsonOptions>("json").without(START),
    Kind::of::<BalancedOptions>("balanced").without(START),
    Kind::of::<RegexOptions>("regex"),
    Kind::of::<IdleOptions>("idle"),
    Kind::of::<ConnectionOptions>("connection"),
    Kind::of::<SwitchOptions>("switch"),
];
/// The one that speaks of a connection.
const FIRST: Kind = Kind::of::<FirstOptions>("first");

/// RFC 1055: frames end with `C0`, `DB DC` stands for `C0` and `DB DD` for `DB`.
#[derive(JsonSchema)]
struct SlipOptions {}

/// A whole JSON object or array, at most 128 deep. What comes between is skipped and counted.
#[derive(JsonSchema)]
struct JsonOptions {}

/// All that comes until the device closes is one frame. Without `incompleteTimeoutMs` only the
/// listener's `idleTimeoutSeconds` limits it.
#[derive(JsonSchema)]
struct ConnectionOptions {}

/// Several framings, of which the first bytes of each frame choose one.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema of it is made")]
struct SwitchOptions {
    /// The framings, tried in their order; each has a `start` or a `when`, the last may have
    /// neither. One that cannot be decided yet waits for more bytes.
    #[schemars(length(min = 1))]
    cases: Vec<Case>,
}

/// Another framing for the first frame of a connection.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema of it is made")]
struct FirstOptions {
    /// The framing of the first frame, up to and with it.
    first: Part,
    /// The framing of all others, and of what is sent.
    then: Part,
}

/// Members of a case.
#[derive(JsonSchema)]
#[schemars(rename = "framing-case-common")]
#[expect(dead_code, reason = "only the schema of it is made")]
struct CaseOptions {
    /// A condition on the frame's first bytes, `TYPE at N` with offsets from its first byte.
    /// Instead of `start`.
    #[schemars(with = "Option<ConditionText>")]
    when: Option<String>,
}

/// The section `framing`.
#[derive(Debug)]
pub struct Framing;

/// A framing inside of `first`.
struct Part;

/// A case of `switch`.
struct Case;

impl JsonSchema for Framing {
    fn schema_name() -> Cow<'static, str> {
        "framing".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Kind> = PARTS.iter().copied().chain([FIRST]).collect();
        let family = Family {
            name: "framing",
            like: None,
            kinds: &kinds,
            common: members_of::<CommonOptions>(generator),
        };
        let description = "How bytes are cut into frames. Offsets count from the frame's first byte, negative ones back from its end.";
        one_of(&family, description, generator)
    }
}

impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        "framing-part".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let description = "A framing inside of another: `ignore`, `onTooLong` and `incompleteTimeoutMs` belong to the whole.";
        one_of(&inner("framing-part", generator), description, generator)
    }
}

impl JsonSchema for Case {
    fn schema_name() -> Cow<'static, str> {
        "framing-case".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut family = inner("framing-case", generator);
        family.common.extend(members_of::<CaseOptions>(generator));
        let description = "A framing inside of a `switch`, and what chooses it.";
        let mut schema = one_of(&family, description, generator);
        let both = serde_json::json!({ "required": ["start", "when"] });
        schema.insert("not".into(), both);
        schema
    }
}

fn inner(name: &'static str, generator: &mut SchemaGenerator) -> Family<'static> {
    let mut common = members_of::<CommonOptions>(generator);
    common.retain(|member, _| !OUTER.contains(&member.as_str()));
    Family {
        name,
        like: Some("framing"),
        kinds: &PARTS,
        common,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_schema() {
        let words: Vec<&str> = PARTS.iter().chain([&FIRST]).map(|kind| kind.word).collect();
        assert_eq!(words, super::super::KINDS);
    }
}

//! Valid documents with one thing changed, as the schema and as the reader of the settings see them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::corpus::{documents, parse};
use super::schema::{places, set};
use crate::document::Problem;
use crate::settings::schema::schema;

/// What only the reader of the settings can know beside the notations inside of texts and what a
/// preset or file says: names that refer to each other, and members that fit together only by what they say.
const ONLY_THE_READER: [&str; 42] = [
    "unknown protocol",
    "unknown layout",
    // Of outbound.
    "a listener is named",
    "is no IPv4 address",
    "is no IPv6 address",
    "is not 1 to 65535",
    "is no name of a machine",
    "unknown reply",
    "unknown field",
    "unknown group",
    "is not defined; add it to",
    // A layout has the members of the kind that it inherits.
    "expected one of fields, endian",
    "expected one of separator, quote, encoding, fields",
    "only the last case may have neither",
    "only `TYPE at N` from the first byte is known",
    "does not stand in the header",
    // A frame of fixed length is as long as its start.
    "/bytes: must be at least",
    "is more than \"maxBytes\"",
    "less than \"incompleteTimeoutMs\"",
    "without \"size\" a tag has a size",
    "is for frames;",
    "the script has no function",
    "the protocol has no \"script\"",
    "there is no such file in the folder",
    "a framing by script has",
    "a secret needs a login that is required",
    "not a pattern",
    "the pattern matches nothing at all",
    "expected one group around",
    "a polynomial is written without its highest term",
    "does not fit into",
    "the offset is out of range",
    // A question and its answer: what they name, patterns, and what needs what.
    "is not declared: add it to \"arguments\"",
    "so no answer repeats it",
    "a refusal is an answer",
    "expected `where`, `layout`, or both",
    "expected a pattern on the frame's bytes",
    "missing: the bytes that ask",
    "and there is none here: add \"units\"",
    "does not fit `{",
    "it is empty: expected the bytes to send",
    "is entry \"",
];

/// Whether only the reader can know of a mistake.
fn is_the_readers(problem: &Problem, document: &Value) -> bool {
    let protocol = problem.pointer.strip_prefix("/protocols/");
    let protocol = protocol.and_then(|rest| rest.split('/').next());
    let starts = protocol.is_some_and(|name| {
        let protocol = &document["protocols"][name];
        protocol
            .get("preset")
            .or_else(|| protocol.get("file"))
            .is_some()
    });
    let problem_text = problem.to_string();
    problem.column.is_some()
        || starts
        || ONLY_THE_READER
            .iter()
            .any(|words| problem_text.contains(words))
}

/// What stands in the place of a member.
fn values() -> Vec<Value> {
    vec![
        json!(0),
        json!(-1),
        json!(7),
        json!(70_000),
        json!(5_000_000_000_000_i64),
        json!(true),
        json!(false),
        json!(""),
        json!("zz"),
        json!("0x1"),
        json!("it's"),
        json!("{"),
        json!("a b"),
        json!([]),
        json!([1]),
        json!(["x", 1]),
        json!([[]]),
        json!({}),
        json!({"zzz": 1}),
    ]
}

/// Documents that differ from a valid one in one member, each member of each definition once.
fn changed(document: &Value, schema: &Value, done: &mut BTreeSet<String>) -> Vec<Value> {
    let mut changed = Vec::new();
    for place in places(schema, document) {
        let mut first = |member: &str| done.insert(format!("{} {member}", place.definition));
        let object = document
            .pointer(&place.pointer)
            .unwrap()
            .as_object()
            .unwrap();
        for member in object.keys().filter(|member| !member.starts_with('$')) {
            if !first(member) {
                continue;
            }
            let mut without = document.clone();
            let at = without.pointer_mut(&place.pointer).unwrap();
            at.as_object_mut().unwrap().shift_remove(member);
            changed.push(without);
            changed.extend(
                values()
                    .into_iter()
                    .map(|value| set(document, &place.pointer, member, value)),
            );
        }
        if first("zzz") {
            changed.push(set(document, &place.pointer, "zzz", json!(1)));
        }
    }
    changed
}

/// A message without what it quotes.
fn class(problem: &Problem) -> String {
    let mut quoted = false;
    let mut class = String::new();
    for character in problem.message.chars() {
        match character {
            '"' | '`' => quoted = !quoted,
            _ if quoted || character.is_ascii_digit() => {}
            _ => class.push(character),
        }
    }
    class
}

#[test]
fn what_the_schema_refuses_the_reader_refuses_and_the_other_way_round_what_is_not_its_own() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (mut done, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let (mut wrong, mut missed) = (BTreeMap::new(), BTreeMap::new());
    for (_, document) in documents() {
        for changed in changed(&document, &schema, &mut done) {
            if !seen.insert(changed.to_string()) {
                continue;
            }
            let problems = parse(&changed);
            let valid = validator.is_valid(&changed);
            if problems.is_empty() && !valid {
                let first = validator.iter_errors(&changed).next();
                let why = first.map(|error| format!("{}: {error}", error.instance_path()));
                wrong.insert(why.unwrap_or_default(), changed.to_string());
            } else if valid {
                let unknown = problems
                    .iter()
                    .find(|problem| !is_the_readers(problem, &changed));
                if let Some(problem) = unknown {
                    missed.insert(class(problem), format!("{problem} in {changed}"));
                }
            }
        }
    }
    assert!(seen.len() > 1000, "{}", seen.len());
    assert!(
        wrong.is_empty() && missed.is_empty(),
        "only the schema refuses: {wrong:#?}\nonly the reader refuses: {missed:#?}"
    );
}

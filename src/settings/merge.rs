//! A protocol of the settings over the preset or file it starts from.
//!
//! Objects merge member by member and anything else replaces; a section of another `type` replaces
//! the section; `false` takes away what is no true-or-false itself.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use crate::decoding;
use crate::document::{Problems, Section, unknown_word};

/// Sections of a protocol whose members are entries that the author named.
const COLLECTIONS: [&str; 4] = ["layouts", "replies", "commands", "polls"];

/// A protocol as it results, and which parts of it are not from its base.
#[derive(Clone)]
pub struct Merged {
    /// The resulting protocol.
    pub value: Value,
    /// JSON pointers of what the settings gave; everything below such a place is from there too.
    overridden: BTreeSet<String>,
}

impl fmt::Debug for Merged {
    /// Without the protocol, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Merged");
        shown.field("overridden", &self.overridden);
        shown.finish_non_exhaustive()
    }
}

impl Merged {
    /// A protocol that starts from nothing.
    pub fn plain(section: &Section<'_>) -> Self {
        Merged {
            value: section.value.clone(),
            overridden: BTreeSet::from([section.pointer.clone()]),
        }
    }

    /// Whether the value at that pointer was given by the settings.
    pub fn is_overridden(&self, pointer: &str) -> bool {
        let mut at = pointer;
        loop {
            if self.overridden.contains(at) {
                return true;
            }
            match at.rfind('/') {
                Some(cut) => at = at.get(..cut).unwrap_or_default(),
                None => return false,
            }
        }
    }
}

/// Merges what the settings say onto the base. Pointers are those of `over`.
pub fn merge(base: &Value, over: &Section<'_>, problems: &mut Problems) -> Merged {
    let mut merge = Merge {
        overridden: BTreeSet::new(),
        problems,
    };
    let decoder = base.pointer("/decode/type").and_then(Value::as_str);
    let base = base.as_object().cloned().unwrap_or_default();
    let value = Value::Object(merge.object(
        base,
        over,
        &Place {
            path: Vec::new(),
            decoder,
        },
    ));
    Merged {
        value,
        overridden: merge.overridden,
    }
}

/// Where in the protocol a merge stands.
struct Place<'a> {
    path: Vec<&'a str>,
    /// The kind the base's layouts inherit.
    decoder: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn child(&self, name: &'a str) -> Self {
        Place {
            path: self.path.iter().copied().chain([name]).collect(),
            decoder: self.decoder,
        }
    }

    /// Whether names here are entries or whole sections, so that `false` can only mean "take it away".
    fn holds_entries(&self) -> bool {
        match self.path.as_slice() {
            [] => true,
            [collection] => COLLECTIONS.contains(collection),
            _ => false,
        }
    }

    /// Whether a section here is replaced whole because it is now of another kind.
    fn changes_kind(&self, base: &Map<String, Value>, over: &Value) -> bool {
        let Some(kind) = over.get("type").and_then(Value::as_str) else {
            return false;
        };
        let known = base.get("type").and_then(Value::as_str);
        match self.path.as_slice() {
            ["layouts", _] => {
                let inherited = known
                    .filter(|kind| decoding::is_kind(kind))
                    .or(self.decoder);
                decoding::is_kind(kind) && inherited != Some(kind)
            }
            _ => known != Some(kind),
        }
    }
}

struct Merge<'p> {
    overridden: BTreeSet<String>,
    problems: &'p mut Problems,
}

impl Merge<'_> {
    fn object(
        &mut self,
        mut base: Map<String, Value>,
        over: &Section<'_>,
        place: &Place<'_>,
    ) -> Map<String, Value> {
        for (name, member) in over.members() {
            match (base.get_mut(name), member.value) {
                (Some(known), Value::Bool(false)) if !known.is_boolean() => {
                    base.shift_remove(name);
                }
                (None, Value::Bool(false)) if place.holds_entries() => {
                    let known: Vec<&str> = base.keys().map(String::as_str).collect();
                    let message = unknown_word("entry to take away", name, &known);
                    self.problems.add(&member, message);
                }
                (Some(Value::Object(known)), Value::Object(_))
                    if !place.child(name).changes_kind(known, member.value) =>
                {
                    let merged = self.object(std::mem::take(known), &member, &place.child(name));
                    base.insert(name.to_owned(), Value::Object(merged));
                }
                _ => {
                    self.overridden.insert(member.pointer.clone());
                    base.insert(name.to_owned(), member.value.clone());
                }
            }
        }
        base
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(base: Value, over: Value, expected: Value, overridden: &[&str]) {
        let mut problems = Problems::new();
        let merged = merge(&base, &Section::root(&over), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(merged.value, expected, "{base} + {over}");
        let found: Vec<_> = merged.overridden.iter().map(String::as_str).collect();
        assert_eq!(found, overridden, "{base} + {over}");
    }

    #[test]
    fn overrides_merge_replace_and_take_away() {
        let base = json!({"framing": {"type": "delimiter", "end": "\n", "keep": true}, "replies": {"a": "A", "b": "B"}, "checksum": "xor"});
        check(base.clone(), json!({}), base.clone(), &[]);
        check(
            base.clone(),
            json!({"framing": {"end": ["\r", "\n"], "keep": false}}),
            json!({"framing": {"type": "delimiter", "end": ["\r", "\n"], "keep": false}, "replies": {"a": "A", "b": "B"}, "checksum": "xor"}),
            &["/framing/end", "/framing/keep"],
        );
        check(
            base.clone(),
            json!({"framing": {"type": "fixed", "bytes": 4}, "replies": {"a": false, "c": "C"}, "checksum": false}),
            json!({"framing": {"type": "fixed", "bytes": 4}, "replies": {"b": "B", "c": "C"}}),
            &["/framing", "/replies/c"],
        );
    }

    #[test]
    fn a_layouts_type_replaces_it_only_when_it_is_another_decoder() {
        let base = json!({"decode": {"type": "binary"}, "layouts": {"l": {"fields": ["a: u8"], "publish": true}}});
        let with = |layout: Value| json!({"decode": {"type": "binary"}, "layouts": {"l": layout}});
        check(
            base.clone(),
            json!({"layouts": {"l": {"publish": false}}}),
            with(json!({"fields": ["a: u8"], "publish": false})),
            &["/layouts/l/publish"],
        );
        check(
            base.clone(),
            json!({"layouts": {"l": {"type": "status"}}}),
            with(json!({"fields": ["a: u8"], "publish": true, "type": "status"})),
            &["/layouts/l/type"],
        );
        check(
            base.clone(),
            json!({"layouts": {"l": {"type": "binary"}}}),
            with(json!({"fields": ["a: u8"], "publish": true, "type": "binary"})),
            &["/layouts/l/type"],
        );
        check(
            base,
            json!({"layouts": {"l": {"type": "raw"}}}),
            with(json!({"type": "raw"})),
            &["/layouts/l"],
        );
    }

    #[test]
    fn everything_below_an_overridden_place_is_overridden() {
        let merged = merge(
            &json!({"a": {"b": 1}}),
            &Section::root(&json!({"c": {"d": 1}})),
            &mut Problems::new(),
        );
        let found =
            ["/a/b", "/a", "", "/c", "/c/d", "/cc"].map(|pointer| merged.is_overridden(pointer));
        assert_eq!(found, [false, false, false, true, true, false]);
    }
}

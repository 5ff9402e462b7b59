//! A module twin: two documents with versions, merge patches, and edgeHub's limits.

use serde_json::{Map, Value, json};

/// Serialized reported patches may not be larger.
const MAX_PATCH_BYTES: usize = 32 * 1024;
const MAX_DEPTH: usize = 10;
const MAX_NAME_BYTES: usize = 1024;
const MAX_TEXT_BYTES: usize = 4096;
/// Integers lie between its negative and the number below it.
const INTEGER_BOUND: i64 = 4_503_599_627_370_496;

/// Desired and reported properties of one identity.
#[derive(Clone, Debug)]
pub(crate) struct Twin {
    desired: Map<String, Value>,
    version: i64,
    reported: Map<String, Value>,
    reported_version: i64,
    /// What the client was told last, and at which version.
    told: Option<(Map<String, Value>, i64)>,
}

/// A desired patch as it goes to the client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Patch {
    pub(crate) version: i64,
    /// With `$version` inside.
    pub(crate) body: Value,
}

impl Twin {
    pub(crate) fn new() -> Self {
        Twin {
            desired: Map::new(),
            version: 1,
            reported: Map::new(),
            reported_version: 1,
            told: None,
        }
    }

    /// The document that GET answers with.
    pub(crate) fn document(&self) -> Value {
        let reported = versioned(&self.reported, self.reported_version);
        json!({ "desired": self.desired_document(), "reported": reported })
    }

    pub(crate) fn desired_document(&self) -> Value {
        versioned(&self.desired, self.version)
    }

    pub(crate) fn reported_document(&self) -> Value {
        Value::Object(self.reported.clone())
    }

    /// Merges a patch into the desired properties; the next version.
    pub(crate) fn patch(&mut self, patch: Map<String, Value>) -> Patch {
        merge(&mut self.desired, &patch);
        self.version += 1;
        Patch {
            version: self.version,
            body: versioned(&patch, self.version),
        }
    }

    /// Makes `desired` the desired properties, by a patch that says the differences.
    pub(crate) fn set(&mut self, desired: Map<String, Value>) -> Patch {
        let patch = difference(&self.desired, &desired);
        self.patch(patch)
    }

    /// The client has been told everything up to now.
    pub(crate) fn mark_told(&mut self) {
        self.told = Some((self.desired.clone(), self.version));
    }

    /// What changed since the client was told last: edgeHub sends it after it was away itself,
    /// and its version may be several higher.
    pub(crate) fn missed(&self) -> Option<Patch> {
        let (told, version) = self.told.as_ref()?;
        if *version == self.version {
            return None;
        }
        let patch = difference(told, &self.desired);
        Some(Patch {
            version: self.version,
            body: versioned(&patch, self.version),
        })
    }

    /// Takes a reported patch, or says why not.
    pub(crate) fn report(&mut self, body: &[u8]) -> Result<(), ReportError> {
        let patch: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| ReportError::Unreadable)?;
        validate(&patch).map_err(ReportError::Refused)?;
        merge(&mut self.reported, &patch);
        self.reported_version += 1;
        Ok(())
    }
}

/// Why a reported patch is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReportError {
    /// Answered with 500.
    Unreadable,
    /// Answered with 400.
    Refused(&'static str),
}

fn versioned(document: &Map<String, Value>, version: i64) -> Value {
    let mut document = document.clone();
    document.insert("$version".into(), version.into());
    Value::Object(document)
}

/// Objects merge, `null` deletes, everything else replaces.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => {
                let member = target.entry(name.clone()).or_insert_with(|| json!({}));
                if !member.is_object() {
                    *member = json!({});
                }
                if let Value::Object(member) = member {
                    merge(member, inner);
                }
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

/// The patch that makes `new` out of `old`.
fn difference(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in new {
        match (old.get(name), value) {
            (Some(before), now) if before == now => {}
            (Some(Value::Object(before)), Value::Object(now)) => {
                patch.insert(name.clone(), Value::Object(difference(before, now)));
            }
            (_, now) => {
                patch.insert(name.clone(), now.clone());
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    patch
}

fn validate(patch: &Map<String, Value>) -> Result<(), &'static str> {
    let size = serde_json::to_vec(patch).map_or(usize::MAX, |bytes| bytes.len());
    if size > MAX_PATCH_BYTES {
        return Err("larger than 32 KiB");
    }
    object(patch, 1, false)
}

fn object(members: &Map<String, Value>, depth: usize, in_array: bool) -> Result<(), &'static str> {
    if depth > MAX_DEPTH {
        return Err("nested deeper than 10");
    }
    for (key, member) in members {
        name(key)?;
        value(member, depth, in_array)?;
    }
    Ok(())
}

fn name(name: &str) -> Result<(), &'static str> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '.' | '$' | '#');
    if name.len() > MAX_NAME_BYTES {
        return Err("a name longer than 1024 bytes");
    }
    if name.contains(bad) {
        Err("a name with a character that is not allowed")
    } else {
        Ok(())
    }
}

fn value(value: &Value, depth: usize, in_array: bool) -> Result<(), &'static str> {
    match value {
        Value::Null if in_array => Err("null in an array"),
        Value::String(text) if text.len() > MAX_TEXT_BYTES => Err("a text longer than 4096 bytes"),
        Value::Number(number) if !in_range(number) => Err("an integer out of range"),
        Value::Object(members) => object(members, depth + 1, in_array),
        Value::Array(_) if depth >= MAX_DEPTH => Err("nested deeper than 10"),
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| self::value(element, depth + 1, true)),
        _ => Ok(()),
    }
}

fn in_range(number: &serde_json::Number) -> bool {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => (-INTEGER_BOUND..INTEGER_BOUND).contains(&number),
        (None, Some(_)) => false,
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn patches_merge_and_count() {
        let mut twin = Twin::new();
        twin.mark_told();
        assert_eq!(
            twin.patch(members(json!({"a": {"b": 1, "c": 2}}))).version,
            2
        );
        let patch = twin.set(members(json!({"a": {"c": 3}, "d": [1]})));
        assert_eq!(
            patch.body,
            json!({"a": {"c": 3, "b": null}, "d": [1], "$version": 3})
        );
        assert_eq!(
            twin.desired_document(),
            json!({"a": {"c": 3}, "d": [1], "$version": 3})
        );
        let missed = twin.missed().unwrap();
        assert_eq!(
            missed.body,
            json!({"a": {"c": 3}, "d": [1], "$version": 3}),
            "two versions in one"
        );
    }

    #[test]
    fn what_may_be_reported() {
        let deep =
            |levels: usize| (1..levels).fold(json!({"x": 1}), |inner, _| json!({"x": inner}));
        let rows = [
            (json!({"a": 1, "b": null, "c": [1, {"d": 2}]}), Ok(())),
            (
                json!({"a.b": 1}),
                Err("a name with a character that is not allowed"),
            ),
            (
                json!({"a b": 1}),
                Err("a name with a character that is not allowed"),
            ),
            (json!({"a": [null]}), Err("null in an array")),
            (json!({"a": [{"b": null}]}), Err("null in an array")),
            (json!({"a": "x".repeat(4096)}), Ok(())),
            (
                json!({"a": "x".repeat(4097)}),
                Err("a text longer than 4096 bytes"),
            ),
            (json!({"a": 4503599627370495_i64}), Ok(())),
            (
                json!({"a": 4503599627370496_i64}),
                Err("an integer out of range"),
            ),
            (json!({"a": -4503599627370496_i64}), Ok(())),
            (json!({"a": 1e300}), Ok(())),
            (deep(10), Ok(())),
            (deep(11), Err("nested deeper than 10")),
            (
                json!({"k".repeat(1025): 1}),
                Err("a name longer than 1024 bytes"),
            ),
        ];
        for (patch, expected) in rows {
            let body = serde_json::to_vec(&patch).unwrap();
            assert_eq!(
                Twin::new().report(&body),
                expected.map_err(ReportError::Refused),
                "{patch}"
            );
        }
        assert_eq!(Twin::new().report(b"{"), Err(ReportError::Unreadable));
        assert_eq!(Twin::new().report(b"[1]"), Err(ReportError::Unreadable));
    }
}

//! The bounds of numbers, out of the schema of what is read.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// ` from A to B`, where the schema of `T` says both of the number at that path.
pub(super) fn of<T: JsonSchema>(path: &[String]) -> Option<String> {
    let root = SchemaGenerator::default().into_root_schema_for::<T>();
    let root = root.as_value();
    let place = path.iter().try_fold(root, |at, name| {
        resolved(root, at).get("properties")?.get(name)
    })?;
    let place = resolved(root, place);
    let (least, most) = (place.get("minimum")?, place.get("maximum")?);
    Some(format!(" from {least} to {most}"))
}

/// What stands where a reference leads, also one that may be null instead.
fn resolved<'a>(root: &'a Value, at: &'a Value) -> &'a Value {
    let choices = at.get("anyOf").and_then(Value::as_array);
    let mut all = std::iter::once(at).chain(choices.into_iter().flatten());
    let target = all.find_map(|choice| {
        let place = choice.get("$ref")?.as_str()?;
        root.pointer(place.strip_prefix('#')?)
    });
    target.unwrap_or(at)
}

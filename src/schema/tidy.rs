//! What editors and readers need not see, and what only a twin says.

use serde_json::{Map, Value, json};

/// The numbers that a twin holds.
const LEAST: i64 = -4_503_599_627_370_496;
const MOST: i64 = 4_503_599_627_370_495;

/// Takes out `null`, which no settings have, and formats that only say how we keep a number.
pub fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(object) => {
            object.values_mut().for_each(tidy);
            if object.get("default") == Some(&Value::Null) {
                object.shift_remove("default");
            }
            without_null(object);
            numbers(object);
        }
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| *choice != json!({ "type": "null" }));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.shift_remove("anyOf");
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
}

fn numbers(object: &mut Map<String, Value>) {
    if object.get("type").and_then(Value::as_str) != Some("integer") {
        return;
    }
    let most = match object
        .shift_remove("format")
        .as_ref()
        .and_then(Value::as_str)
    {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        _ => MOST,
    };
    object.entry("minimum").or_insert(LEAST.into());
    object.entry("maximum").or_insert(most.into());
}

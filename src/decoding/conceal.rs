//! Taking out what nothing behind decoding may show, wherever a frame brings it.

use super::json::{index, tokens};
use super::{Body, Decoder};
use crate::message::{Fields, Reading, Value};

impl Decoder {
    /// Takes a field out of a reading: out of the frame's fields, of those of split elements, and
    /// of the members that stay as they come and that it is read from. Whether it was there.
    pub fn conceal(&self, field: &str, reading: &mut Reading) -> bool {
        let parts = reading.parts.iter_mut().flatten();
        let all = parts.map(|part| &mut part.fields);
        let mut found = false;
        for fields in all.chain([&mut reading.fields]) {
            while fields.remove(field).is_some() {
                found = true;
            }
            for body in self
                .tree
                .layouts()
                .filter_map(|layout| layout.body.as_ref())
            {
                found |= body.conceal_source(field, fields);
            }
        }
        found
    }
}

impl Body {
    /// Takes out the members that a field is read from.
    fn conceal_source(&self, field: &str, fields: &mut Fields) -> bool {
        let keyed = self.keyed();
        let mut found = false;
        for source in keyed.iter().filter(|keyed| **keyed.field.name == *field) {
            found |= take_brought(fields, std::slice::from_ref(&source.key));
            let Some(path) = tokens(&source.key) else {
                continue;
            };
            found |= take_brought(fields, &path);
            // Another field may have what is around it.
            for around in &keyed {
                let place = tokens(&around.key).unwrap_or_else(|| vec![around.key.clone()]);
                let inside = path.strip_prefix(&*place).filter(|path| !path.is_empty());
                let value = fields.get_mut(&around.field.name);
                if let (Some(inside), Some(value)) = (inside, value) {
                    found |= take_member(value, inside);
                }
            }
        }
        found
    }
}

/// Takes out what stands below a name that the frame brought.
fn take_brought(fields: &mut Fields, path: &[String]) -> bool {
    let Some((first, inside)) = path.split_first() else {
        return false;
    };
    if !fields.own_names().any(|name| **name == **first) {
        return false;
    }
    match fields.get_mut(first) {
        _ if inside.is_empty() => fields.remove(first).is_some(),
        Some(value) => take_member(value, inside),
        None => false,
    }
}

fn take_member(value: &mut Value, path: &[String]) -> bool {
    let Some((first, inside)) = path.split_first() else {
        return false;
    };
    let member = match value {
        Value::Object(members) if inside.is_empty() => return members.remove(first).is_some(),
        Value::Object(members) => members.get_mut(first),
        Value::List(elements) => index(first).and_then(|at| elements.get_mut(at)),
        _ => None,
    };
    match member {
        None => false,
        // The others of a list keep their places.
        Some(member) if inside.is_empty() => std::mem::replace(member, Value::Null) != Value::Null,
        Some(member) => take_member(member, inside),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Problems, Section, read};
    use crate::message::Frame;

    #[test]
    fn a_field_is_taken_out_wherever_a_frame_brings_it() {
        let json = |fields: &[&str]| json!({"type": "json", "fields": fields});
        let layouts = json!({"next": {"type": "json", "fields": ["pass: at 'pw'"]}});
        let selects = json!({"type": "json", "select": {"by": "id", "cases": [["a", "next"]]}});
        let records = json!({"type": "tlv", "tag": "ascii 1", "size": "decimal 1", "again": "split",
            "cases": [["i", "id: ascii rest"], ["p", "pass: ascii rest"]]});
        for (decode, frame, expected) in [
            (json(&["pass"]), r#"{"pass":"geheim","x":1}"#, r#"{"x":1}"#),
            (
                json(&["pass: at '/auth/0/pw'"]),
                r#"{"auth":[{"pw":"geheim","x":1}],"y":2}"#,
                r#"{"auth":[{"x":1}],"y":2}"#,
            ),
            (
                json(&["pass: at '/auth/1'", "login: at 'auth'"]),
                r#"{"auth":[1,"geheim"]}"#,
                r#"{"login":[1,null]}"#,
            ),
            (
                json(&["x", "pass: at '/a/b' if x = 1", "c: at '/a'"]),
                r#"{"a":{"b":"geheim"},"x":2}"#,
                r#"{"x":2,"c":{},"a":{}}"#,
            ),
            // Here `id` is another field, and its member none that stays.
            (
                json(&["pass: at 'id'", "id: at 'x'"]),
                r#"{"id":"geheim","x":"a"}"#,
                r#"{"id":"a"}"#,
            ),
            (selects, r#"{"id":"a","pw":"geheim"}"#, r#"{"id":"a"}"#),
            (records, "i1ap6geheimi1bp6geheim", "{}"),
        ] {
            let mut problems = Problems::new();
            let (root, layouts) = (Section::root(&decode), Section::root(&layouts));
            let decoder = read(Some(&root), Some(&layouts), &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            let decoder = decoder.unwrap();
            let mut reading = decoder.decode(Frame {
                bytes: frame.as_bytes(),
                body: 0.into(),
            });
            assert_eq!(reading.undecoded, None, "{decode}");
            assert!(format!("{reading:?}").contains("geheim"), "{decode}");
            assert!(decoder.conceal("pass", &mut reading), "{decode}");
            assert!(!format!("{reading:?}").contains("geheim"), "{reading:?}");
            let left = serde_json::to_string(&reading.fields).unwrap();
            assert_eq!(left, expected, "{decode}");
            assert!(!decoder.conceal("pass", &mut reading), "{decode}");
        }
    }
}

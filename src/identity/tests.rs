use super::*;
use serde_json::json;

fn read(document: serde_json::Value) -> Result<IdentityRule, Vec<String>> {
    let mut problems = Problems::new();
    let rule = IdentityRule::read(Some(&Section::root(&document)), &mut problems);
    let found: Vec<_> = problems
        .as_slice()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.is_empty(), rule.is_some(), "{document}: {found:?}");
    rule.ok_or(found)
}

#[test]
fn rules_and_their_mistakes() {
    for (document, scope) in [
        (json!({"field": "imei"}), Some(Scope::Message)),
        (
            json!({"field": ["imei ltrim 0", "id"], "sub": "unit"}),
            Some(Scope::Message),
        ),
        (
            json!({"field": "imei", "scope": "connection", "secret": "password"}),
            Some(Scope::Connection),
        ),
        (json!({"from": "address", "sub": "unit & 0xff"}), None),
        (json!({"from": "listener"}), None),
        (
            json!({"script": "who ltrim 0", "scope": "connection", "sub": "unit", "secret": "password"}),
            Some(Scope::Connection),
        ),
    ] {
        assert_eq!(read(document.clone()).unwrap().scope(), scope, "{document}");
    }
    for (document, pointer) in [
        (json!({"from": "listener", "scope": "message"}), "/scope"),
        (json!({"from": "address", "field": "a"}), "/: "),
        (json!({}), "/: "),
        (json!({"script": "who", "field": "a"}), "/: "),
        (json!({"script": "who", "from": "address"}), "/: "),
        (json!({"script": 7}), "/script: "),
        (json!({"script": "who ltrimm 0"}), "/script column 5"),
        (json!({"field": []}), "/field: "),
        (json!({"field": 7}), "/field: "),
        (
            json!({"field": ["imei", "id ltrimm 0"]}),
            "/field/1 column 4",
        ),
        (json!({"field": "id", "sub": "unit drop"}), "/sub column 6"),
        (json!({"field": "id", "secret": "password"}), "/secret: "),
        (
            json!({"from": "address", "secret": "password"}),
            "/secret: ",
        ),
        (
            json!({"from": "address", "certificate": "cn"}),
            "/certificate",
        ),
    ] {
        let mistakes = read(document.clone()).unwrap_err();
        assert!(
            mistakes.iter().any(|mistake| mistake.starts_with(pointer)),
            "{document}: {mistakes:?}"
        );
    }
}

#[test]
fn what_a_frame_says() {
    let rule = read(json!({"field": "id"})).unwrap();
    for (value, expected) in [
        (Value::Text(" 35 ".into()), Some("35")),
        (Value::Text("  ".into()), None),
        (Value::integer(u64::MAX), Some("18446744073709551615")),
        (Value::Bytes(b"\x0a\xff"[..].into()), Some("0aff")),
        (Value::Null, None),
    ] {
        let fields: Fields = [("id".into(), value.clone())].into_iter().collect();
        assert_eq!(rule.spoken(&fields).as_deref(), expected, "{value:?}");
    }
    assert_eq!(rule.spoken(&Fields::new()), None);
}

#[test]
fn what_a_function_says_has_steps_and_units_are_the_frames() {
    let rule = read(json!({"script": "who ltrim 0", "sub": "unit"})).unwrap();
    assert_eq!(rule.function().map(|name| &**name), Some("who"));
    let said = [("who".into(), Value::Text("007".into()))];
    assert_eq!(
        rule.spoken(&said.into_iter().collect()).as_deref(),
        Some("7")
    );
    let fields = [("unit".into(), Value::integer(3))];
    assert_eq!(
        rule.sub(&fields.into_iter().collect()).as_deref(),
        Some("3")
    );
    assert_eq!(rule.spoken(&Fields::new()), None);
}

#[test]
fn of_several_fields_the_first_that_is_there_counts_after_its_steps() {
    let rule = read(json!({"field": ["imei ltrim 0", "id"], "sub": "unit"})).unwrap();
    let said = |pairs: &[(&str, &str)]| {
        let text = |(name, text): &(&str, &str)| (Name::from(*name), Value::Text((*text).into()));
        let fields: Fields = pairs.iter().map(text).collect();
        let said = [rule.spoken(&fields), rule.sub(&fields)];
        said.map(|said| said.map(Cow::into_owned).unwrap_or_default())
    };
    for (pairs, expected) in [
        (&[("imei", "0035"), ("id", "7")][..], ["35", ""]),
        (&[("imei", "000"), ("id", "7")], ["7", ""]),
        (&[("id", "007"), ("unit", "a/b")], ["007", "a_b"]),
        (&[("unit", "3")], ["", "3"]),
    ] {
        assert_eq!(said(pairs), expected, "{pairs:?}");
    }
}

#[test]
fn a_secret_is_said_byte_by_byte() {
    let document =
        json!({"field": "id", "scope": "connection", "secret": "password rtrim '\\u0000'"});
    let document: serde_json::Value =
        serde_json::from_str(&document.to_string().replace("\\\\", "\\")).unwrap();
    let rule = read(document).unwrap();
    for (value, expected) in [
        (Value::Text(" a b\0\0".into()), Some(&b" a b"[..])),
        (Value::Text("\0".into()), None),
        (Value::integer(7), Some(b"7")),
        (Value::Null, None),
    ] {
        let fields: Fields = [("password".into(), value.clone())].into_iter().collect();
        assert_eq!(rule.said_secret(&fields).as_deref(), expected, "{value:?}");
    }
}

#[test]
fn names_are_safe() {
    assert_eq!(safe_name("a\r\né b"), "a___ b");
    assert_eq!(safe_name(""), "_");
    assert_eq!(safe_name(&"x".repeat(200)).len(), 128);
}

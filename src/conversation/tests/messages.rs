//! The message contract: bodies and properties.

use bytes::Bytes;
use serde_json::json;

use crate::conversation::encode::{LastStamp, Source, reserved_property, stamp};
use crate::conversation::{BodyForm, Counted};
use crate::identity::Device;
use crate::message::{Body, Fields, Name, Reading, Value};

fn reading() -> Reading {
    let mut fields: Fields = [
        ("big".into(), Value::integer(u64::MAX)),
        ("low".into(), Value::integer(i64::MIN)),
        ("speed".into(), Value::Float(f64::NAN)),
        (
            "level".into(),
            Value::List([Value::Float(0.5), Value::Float(f64::INFINITY)].into()),
        ),
        ("flags".into(), Value::integer(7)),
    ]
    .into_iter()
    .collect();
    fields.hide(0, "flags");
    Reading {
        kind: Some("position".into()),
        fields,
        time: Some("2017-06-22T09:24:53Z".parse().unwrap()),
        publish: true,
        replaced: true,
        ..Reading::default()
    }
}

fn device(properties: &[(&str, &str)]) -> Device {
    let properties = properties
        .iter()
        .map(|(name, value)| (Name::from(*name), Name::from(*value)))
        .collect();
    Device {
        name: "trück".into(),
        properties,
        output: None,
    }
}

fn with<T>(
    reading: &Reading,
    device: &Device,
    unknown: bool,
    read: impl FnOnce(&Source<'_>) -> T,
) -> T {
    let (protocol, listener) = ("gt06".into(), "trackers".into());
    read(&Source {
        protocol: &protocol,
        listener: &listener,
        dialled: false,
        device,
        unknown,
        bad_checksum: unknown,
        received: &stamp("2026-01-31T12:00:00.0004Z".parse().unwrap()),
        frame: &Bytes::from_static(b"\x00\xff"),
        reading,
        part: None,
    })
}

fn check_body(reading: &Reading, form: BodyForm, expected: &Body, not_finite: &[Counted]) {
    let mut counted = Vec::new();
    let body = with(reading, &device(&[]), false, |source| {
        source.body(form, &mut counted)
    });
    assert_eq!(body, *expected);
    assert_eq!(counted, not_finite);
}

#[test]
fn the_body_is_what_the_contract_says() {
    let values = r#"{"big":18446744073709551615,"low":-9223372036854775808,"speed":null,"level":[0.5,null]}"#;
    let start = r#""device":"trück","protocol":"gt06","listener":"trackers","received":"2026-01-31T12:00:00.000Z""#;
    let whole = format!(
        "{{{start},\"time\":\"2017-06-22T09:24:53Z\",\"type\":\"position\",\"values\":{values}}}"
    );
    let two = [Counted::NotFinite(2)];
    check_body(
        &reading(),
        BodyForm::Message,
        &Body::Contract(whole.into()),
        &two,
    );
    check_body(
        &reading(),
        BodyForm::Values,
        &Body::Values(values.into()),
        &two,
    );
    check_body(
        &reading(),
        BodyForm::Raw,
        &Body::Raw(Bytes::from_static(b"\x00\xff")),
        &[],
    );
    let plain = format!("{{{start},\"values\":{{}}}}");
    check_body(
        &Reading::default(),
        BodyForm::Message,
        &Body::Contract(plain.into()),
        &[],
    );
}

#[test]
fn an_undecoded_frame_stands_beside_what_was_read() {
    let undecoded = Reading {
        fields: [
            ("seq".into(), Value::integer(1)),
            ("raw".into(), Value::integer(2)),
        ]
        .into_iter()
        .collect(),
        undecoded: Some("no rule".to_owned()),
        ..Reading::default()
    };
    check_body(
        &undecoded,
        BodyForm::Values,
        &Body::Values(r#"{"seq":1,"raw":"AP8="}"#.into()),
        &[],
    );
}

#[test]
fn properties_are_ascii_and_never_take_over_the_sender() {
    let long = "x".repeat(200);
    let device = device(&[
        ("line", "A\n1"),
        ("Line", "twice"),
        ("deviceId", "stolen"),
        ("Type", "hidden"),
        ("empty", ""),
        ("long", &long),
    ]);
    let mut counted = Vec::new();
    let properties = with(&reading(), &device, true, |source| {
        source.properties(&mut counted)
    });
    let shown: Vec<(&str, &str)> = properties
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        shown,
        [
            ("device", "tr_ck"),
            ("protocol", "gt06"),
            ("type", "position"),
            ("unknownDevice", "true"),
            ("badChecksum", "true"),
            ("textReplaced", "true"),
            ("iothub-creation-time-utc", "2017-06-22T09:24:53.000Z"),
            ("line", "A_1"),
            ("long", &"x".repeat(128)),
        ]
    );
    let left_out = ["Line", "deviceId", "Type"].map(|name| Counted::PropertyLeftOut(name.into()));
    assert_eq!(counted, left_out);
}

#[test]
fn reserved_property_names() {
    for name in [
        "deviceId",
        "DEVICEID",
        "moduleId",
        "$.mid",
        "ack",
        "iothub-operation",
        "",
        "a b",
        "ä",
        "protocol",
    ] {
        assert!(reserved_property(name), "{name}");
    }
    for name in ["line", "fleet", "iothub", "device2", "x-y_z.1"] {
        assert!(!reserved_property(name), "{name}");
    }
}

#[test]
fn the_message_names_its_output_and_its_id() {
    use super::script::{Play, protocol};
    use crate::conversation::Action;
    let rows = [
        (json!({}), "telemetry", Some("a-7")),
        (json!({"output": "lines"}), "lines", Some("a-7")),
        (
            json!({"output": "lines", "devices": {"a": {"match": {"id": "a"}, "output": "mine"}}}),
            "mine",
            Some("a-7"),
        ),
    ];
    for (listener, output, id) in rows {
        let mut play = Play::new(protocol(&json!({"messageId": "{device}-{seq}"})), &listener);
        play.play("open");
        let actions = play.act("data {'id':'a','seq':7}|");
        let messages = actions.iter().find_map(|action| match action {
            Action::Submit(_, messages, _) => Some(messages),
            _ => None,
        });
        let message = &messages.unwrap()[0];
        assert_eq!((&*message.output, message.id.as_deref()), (output, id));
        assert!(
            play.play("data {'id':'a'}|")
                .contains("count no_message_id")
        );
    }
}

#[test]
fn a_stamp_is_kept_for_its_moment_alone() {
    let moments = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.0015Z"];
    let [first, second] = moments.map(|moment| moment.parse().unwrap());
    let mut last = LastStamp::default();
    let stamps = [first, first, second, first].map(|moment| last.of(moment).to_string());
    assert_eq!(
        stamps,
        [
            "2026-01-31T12:00:00.000Z",
            "2026-01-31T12:00:00.000Z",
            "2026-01-31T12:00:00.001Z",
            "2026-01-31T12:00:00.000Z",
        ]
    );
}

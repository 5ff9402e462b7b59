//! Section `outbound`.

use serde_json::json;

use super::*;

#[test]
fn an_entry_says_who_is_dialled_where_and_how() {
    let settings = parsed(&json!({
        "outbound": {
            "press7": {"address": "plc.local:4305", "protocol": "lines", "device": "press-7", "connectMs": 500,
                "retrySeconds": 5, "idleTimeoutSeconds": 60, "output": "weights"},
            "meters": {"addresses": {"meter-1": "10.0.0.11:502", "meter-2": "[fd00::7]:502"}, "protocol": "lines",
                "units": [1, "b", 3]},
            "said": {"address": "10.0.0.9:5", "protocol": "says"}
        },
        "protocols": {
            "lines": {"framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "text"}, "identity": {"from": "outbound"}},
            "says": {"framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "json", "fields": ["id"]},
                "identity": {"field": "id"}}
        }
    }));
    let lines = |name: &str| {
        let lines = settings.outbound[name].dialled().into_iter();
        let lines = lines.map(|(name, line)| {
            let device = line.device.map(|device| device.to_string());
            (
                name.to_string(),
                line.address.to_string(),
                line.address.known.is_some(),
                device,
            )
        });
        lines.collect::<Vec<_>>()
    };
    let line = |name: &str, address: &str, known, device: Option<&str>| {
        (
            name.to_owned(),
            address.to_owned(),
            known,
            device.map(str::to_owned),
        )
    };
    assert_eq!(
        lines("press7"),
        [line("press-7", "plc.local:4305", false, Some("press-7"))]
    );
    assert_eq!(
        lines("meters"),
        [
            line("meter-1", "10.0.0.11:502", true, Some("meter-1")),
            line("meter-2", "[fd00::7]:502", true, Some("meter-2")),
        ]
    );
    assert_eq!(lines("said"), [line("said", "10.0.0.9:5", true, None)]);
    let press = &settings.outbound["press7"];
    let conversation = settings.conversation_with_dialled(press);
    assert_eq!(
        (
            press.connect.as_millis(),
            press.retry.as_secs(),
            press.idle_timeout
        ),
        (500, 5, conversation.idle_timeout)
    );
    assert_eq!(conversation.output.as_deref(), Some("weights"));
    let meters = &settings.outbound["meters"];
    let conversation = settings.conversation_with_dialled(meters);
    assert_eq!(*conversation.units, ["1", "b", "3"]);
    assert_eq!((meters.retry.as_secs(), meters.idle_timeout), (60, None));
    let outputs: Vec<_> = settings.outputs_in_use().into_iter().collect();
    assert_eq!(outputs, ["telemetry".into(), "weights".into()]);
}

#[test]
fn all_mistakes_of_an_entry_are_named() {
    check(
        &changed(json!({"outbound": {
            "a": {"protocol": "lines"},
            "b": {"protocol": "lines", "address": "h:1", "addresses": {"x": "h:1"}},
            "c": {"protocol": "linse", "addresses": {"x y": "h:1", "z": 5}, "device": "d", "units": [1, "1", 1.5, "a/b", true]},
            "d": {"address": 5, "connectMs": 1, "retrySeconds": 0, "idleTimeoutSeconds": 0, "output": "o o", "adress": 1},
            "e": {"protocol": "lines", "addresses": {}, "units": 3},
            "lines": {"protocol": "lines", "address": "h:1"}
        }})),
        &[
            (
                "/outbound/c/addresses/x y",
                None,
                "the key has ' '; a twin allows no . $ # space or control character in keys",
            ),
            (
                "/outbound/a",
                None,
                "expected one of \"address\" and \"addresses\"",
            ),
            (
                "/outbound/b",
                None,
                "expected one of \"address\" and \"addresses\"",
            ),
            ("/outbound/c/units/1", None, "unit 1 is already in the list"),
            (
                "/outbound/c/units/2",
                None,
                "unit 1.5 is no whole number from 0 to 4294967295",
            ),
            (
                "/outbound/c/units/3",
                None,
                "unit \"a/b\" is not 1 to 64 printable ASCII characters without / and spaces",
            ),
            (
                "/outbound/c/units/4",
                None,
                "expected a number or text, found true",
            ),
            (
                "/outbound/c/device",
                None,
                "belongs to \"address\"; in \"addresses\" each device has its name",
            ),
            (
                "/outbound/c/addresses/z",
                None,
                "expected HOST:PORT, found the number 5",
            ),
            (
                "/outbound/c/protocol",
                None,
                "unknown protocol \"linse\", did you mean \"lines\"?",
            ),
            (
                "/outbound/d/adress",
                None,
                "unknown member \"adress\", did you mean \"address\"?",
            ),
            ("/outbound/d", None, "\"protocol\" is missing"),
            (
                "/outbound/d/address",
                None,
                "expected HOST:PORT, found the number 5",
            ),
            (
                "/outbound/e/units",
                None,
                "expected a list of units, found the number 3",
            ),
            (
                "/outbound/e/addresses",
                None,
                "expected at least one address",
            ),
            (
                "/outbound/lines",
                None,
                "a listener is named \"lines\" too; messages, metrics and \"match\" tell them by their names",
            ),
        ],
    );
    check(
        &changed(json!({"outbound": {
            "d": {"address": "h:1", "protocol": "lines", "connectMs": 1, "retrySeconds": 0, "idleTimeoutSeconds": 0, "output": "o o", "device": ""},
        }})),
        &[
            (
                "/outbound/d/connectMs",
                None,
                "1 is outside of 100 to 120000",
            ),
            (
                "/outbound/d/retrySeconds",
                None,
                "0 is outside of 1 to 86400",
            ),
            (
                "/outbound/d/idleTimeoutSeconds",
                None,
                "0 is outside of 1 to 2592000",
            ),
            (
                "/outbound/d/device",
                None,
                "a name has 1 to 64 characters, this one 0",
            ),
            (
                "/outbound/d/output",
                None,
                "the name \"o o\" has ' '; letters, digits, - and _ are allowed",
            ),
        ],
    );
}

/// Units of an entry that asks these.
fn with_units(protocol: &Value, units: &Value) -> Value {
    changed(json!({
        "outbound": {"b": {"address": "h:1", "protocol": "asks", "units": units}},
        "listeners": {"own": {"port": 9, "protocol": "asks", "units": units}},
        "protocols": {"asks": protocol}
    }))
}

#[test]
fn units_fit_where_questions_say_them() {
    let lines = |members: Value| {
        let mut protocol = json!({"framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "binary", "fields": ["unit: u8"]}});
        merge_patch(&mut protocol, &members);
        protocol
    };
    let poll = |send: &str| lines(json!({"polls": {"x": {"everyMs": 100, "send": send}}}));
    let registers = json!({"preset": "modbus-tcp@1", "registers": ["a: u16 at 40001"]});
    let polled = json!({"preset": "modbus-tcp@1", "registers": ["a: u16 at 40001"],
        "polls": {"all": {"everyMs": 100, "registers": "all"}}});
    let byte = ": expected a whole number from 0 to 255";
    for (protocol, units, wrong) in [
        (poll("{unit}"), json!([1, "x", 300]), vec![]),
        (poll("0x {unit: u8}"), json!([0, 1, "2", 255]), vec![]),
        (
            poll("0x {unit: u8}"),
            json!([1, 256, "x", "x", "a b"]),
            vec![
                (1, format!("unit 256 does not fit `{{unit: u8}}` of poll \"x\"{byte}")),
                (2, format!("unit x does not fit `{{unit: u8}}` of poll \"x\"{byte}")),
            ],
        ),
        (
            poll("{unit - 1: u8}"),
            json!([0, 256]),
            vec![(0, "unit 0 does not fit `{unit - 1: u8}` of poll \"x\"".to_owned())],
        ),
        (
            poll("{unit: decimal 2}"),
            json!([100]),
            vec![(0, "unit 100 does not fit `{unit: decimal 2}` of poll \"x\": expected a whole number from -9 to 99".to_owned())],
        ),
        (
            poll("{unit: ascii 2}"),
            json!(["ab", "abc"]),
            vec![(1, "unit abc does not fit `{unit: ascii 2}` of poll \"x\": expected a text of ASCII, at most 2 bytes".to_owned())],
        ),
        (
            lines(json!({"commands": {"c": {"send": "0x {unit: u16}", "answer": "next"}}})),
            json!([70000]),
            vec![(0, "unit 70000 does not fit `{unit: u16}` of command \"c\": expected a whole number from 0 to 65535".to_owned())],
        ),
        (polled, json!([1, 300]), vec![(1, format!("unit 300 does not fit `{{unit: u8}}` of poll \"all\"{byte}"))]),
        (
            registers,
            json!([1, 300]),
            vec![(1, format!("unit 300 does not fit `{{unit: u8}}` of the commands `read` and `write`{byte}"))],
        ),
    ] {
        let document = with_units(&protocol, &units);
        let problems = Settings::parse(&document, &Presets::built_in()).err().unwrap_or_default();
        for entry in ["/listeners/own", "/outbound/b"] {
            let found = problems.as_slice().iter().filter(|problem| {
                problem.pointer.starts_with(entry) && problem.message.contains("does not fit")
            });
            let found: Vec<_> = found.map(ToString::to_string).collect();
            let expected = wrong.iter().map(|(at, message)| format!("{entry}/units/{at}: {message}"));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{protocol} {units}");
        }
    }
}

#[test]
fn what_is_no_list_of_units_is_told_once() {
    let asks = json!({"framing": {"type": "delimiter", "end": "\n"}, "polls": {"x": {"everyMs": 100, "send": "{unit}"}}});
    let none = "poll \"x\" of the protocol asks a `unit`, and there is none here: add \"units\", such as [1]";
    for (units, pointer, message) in [
        (
            json!("1,2"),
            "/units",
            "expected a list of units, found the text \"1,2\"",
        ),
        (
            json!(["a b"]),
            "/units/0",
            "unit \"a b\" is not 1 to 64 printable ASCII characters without / and spaces",
        ),
        (
            json!([null]),
            "/units/0",
            "null inside an array, which a twin does not allow",
        ),
        (json!([]), "", none),
    ] {
        let mut document = with_units(&asks, &units);
        document["listeners"].as_object_mut().unwrap().remove("own");
        check(
            &document,
            &[(&format!("/outbound/b{pointer}"), None, message)],
        );
    }
    let mut document = with_units(&asks, &json!([1]));
    document["listeners"].as_object_mut().unwrap().remove("own");
    document["outbound"]["b"]["units"] = Value::Null;
    let message = "null only deletes in a patch; leave the member out";
    check(&document, &[("/outbound/b/units", None, message)]);
}

#[test]
fn a_device_is_dialled_by_one_entry_or_unit_by_unit() {
    let said = json!({"framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "json", "fields": ["id"]}, "identity": {"field": "id"}});
    let message = "device \"x\" is entry \"a\"'s already: give it another name, or each of the two \"units\" of its own";
    for (a, b, place) in [
        (json!({"address": "h:1"}), json!({"address": "h:2"}), None),
        (
            json!({"address": "h:1", "device": "x"}),
            json!({"address": "h:2", "device": "x"}),
            Some("/device"),
        ),
        (
            json!({"addresses": {"y": "h:1", "x": "h:2"}}),
            json!({"addresses": {"z": "h:3", "x": "h:4"}}),
            Some("/addresses/x"),
        ),
        (
            json!({"address": "h:1", "device": "x", "units": [1, 2]}),
            json!({"address": "h:1", "device": "x", "units": [3]}),
            None,
        ),
        (
            json!({"address": "h:1", "device": "x", "units": [1, 2]}),
            json!({"address": "h:1", "device": "x", "units": [2, 3]}),
            Some("/device"),
        ),
        (
            json!({"address": "h:1", "device": "x", "units": [1, 2]}),
            json!({"address": "h:1", "device": "x"}),
            Some("/device"),
        ),
        (
            json!({"address": "h:1", "protocol": "said"}),
            json!({"address": "h:2", "device": "a", "protocol": "said"}),
            None,
        ),
    ] {
        let mut document =
            changed(json!({"protocols": {"said": said}, "outbound": {"a": a, "b": b}}));
        for name in ["a", "b"] {
            let entry = document["outbound"][name].as_object_mut().unwrap();
            entry.entry("protocol").or_insert(json!("lines"));
        }
        let place = place.map(|place| format!("/outbound/b{place}"));
        let expected: Vec<_> = place
            .iter()
            .map(|place| (place.as_str(), None, message))
            .collect();
        check(&document, &expected);
    }
}

#[test]
fn an_address_is_a_host_and_a_port() {
    const EXPECTED: &str = "expected HOST:PORT, such as \"10.0.0.7:4305\" or \"[fd00::7]:4305\"";
    let long = format!("{}:1", "a".repeat(254));
    for (text, expected) in [
        ("10.0.0.7:4305", Ok(true)),
        ("[fd00::7]:1", Ok(true)),
        ("plc:65535", Ok(false)),
        ("plc-1.factory.local.:502", Ok(false)),
        ("10.0.0.7", Err("has no port")),
        ("fd00::7", Err("stands in brackets before its port")),
        ("plc:", Err(EXPECTED)),
        ("plc:0", Err("is not 1 to 65535")),
        ("plc:+5", Err("is not 1 to 65535")),
        ("plc:65536", Err("is not 1 to 65535")),
        ("10.0.0.300:1", Err("is no IPv4 address")),
        ("[10.0.0.7]:1", Err("is no IPv6 address")),
        ("tcp://plc:1", Err("has ':'")),
        (":1", Err("is no name of a machine")),
        ("a..b:1", Err("is no name of a machine")),
        (&long, Err("is no name of a machine")),
    ] {
        match (HostPort::parse(text), expected) {
            (Ok(address), Ok(known)) => {
                assert_eq!(address.known.is_some(), known, "{text}");
                assert_eq!(address.to_string(), text);
            }
            (Err(wrong), Err(part)) => assert!(wrong.contains(part), "{text}: {wrong}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn without_a_port_to_listen_on_there_is_enough_to_do() {
    let document = json!({
        "outbound": {"press": {"address": "plc:1", "protocol": "lines"}},
        "protocols": {"lines": {"framing": {"type": "delimiter", "end": "\n"}}}
    });
    let (settings, warnings) = Settings::parse(&document, &Presets::built_in()).unwrap();
    assert_eq!(warnings, []);
    assert!(settings.listeners.is_empty());
    let (_, warnings) = Settings::parse(&json!({"outbound": {}}), &Presets::built_in()).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

mod outbound;
mod questions;
pub mod samples;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::document::merge_patch;

/// Settings with every section, from which the rows change one thing.
pub fn sample() -> Value {
    json!({
        "schemaVersion": 1,
        "listeners": {
            "lines": {"port": 5000, "protocol": "lines"},
            "trackers": {"port": 5001, "protocol": "gt06", "maxConnections": 2000, "idleTimeoutSeconds": 60,
                "allow": ["10.20.0.0/16", "192.0.2.1"], "unknownDevices": "reject", "output": "tracks"}
        },
        "protocols": {
            "gt06": {"preset": "gt06@1"},
            "lines": {"framing": {"type": "delimiter", "end": "\r\n", "maxBytes": 80}, "decode": {"type": "text"}}
        },
        "devices": {"scale-07": {"match": {"address": "10.0.0.71"}, "properties": {"line": "A"}, "output": "weights"}},
        "deviceRules": {"trucks": {"order": 10, "match": {"id": "35*", "listener": "trackers"}, "name": "truck-{id -6..}"}},
        "outputs": {"weights": {"body": "values"}},
        "spool": {"maxBytes": 4194304, "whenFull": "block"},
        "$version": 7
    })
}

pub fn changed(patch: Value) -> Value {
    let mut document = sample();
    merge_patch(&mut document, &patch);
    document
}

pub fn parsed(document: &Value) -> Settings {
    match Settings::parse(document, &Presets::built_in()) {
        Ok((settings, _)) => settings,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// Pointer, column and message of every problem.
fn check(document: &Value, expected: &[(&str, Option<usize>, &str)]) {
    let problems = Settings::parse(document, &Presets::built_in())
        .err()
        .unwrap_or_default();
    let found = problems
        .as_slice()
        .iter()
        .map(|p| (p.pointer.as_str(), p.column, p.message.as_str()));
    let found: Vec<_> = found.collect();
    assert_eq!(found, expected, "{document}");
}

#[cfg(feature = "script")]
#[test]
fn functions_that_are_called_must_be_there() {
    let protocol = |script: &Value| {
        let mut document = changed(json!({}));
        document["protocols"]["s"] = json!({
            "framing": {"type": "switch", "cases": [{"start": "#", "type": "script"}, {"type": "fixed", "bytes": 2}]},
            "decode": {"type": "script", "script": "one"},
            "layouts": {"l": {"script": "two", "type": "{script three}"}},
            "identity": {"script": "four ltrim 0"},
            "replies": {"ok": {"send": "{script five}", "when": "length > 1"}, "nak": "{script six}"},
            "session": {"heartbeat": {"seconds": 9, "send": "{script eight}"}},
            "messageId": "{script seven}"
        });
        document["protocols"]["s"]["script"] = script.clone();
        document
    };
    let all = "const frame = 0; function decode() {} function one() {} function two() {} function three() {}
        function four() {} function five() {} function six() {} function eight() {}";
    check(
        &protocol(&json!(all)),
        &[
            (
                "/protocols/s/framing/cases/0/type",
                None,
                "the script has no function `frame`",
            ),
            (
                "/protocols/s/messageId",
                None,
                "the script has no function `seven`",
            ),
        ],
    );
    let mut split = protocol(&json!(format!(
        "{all} function frame() {{}} function seven() {{}}"
    )));
    split["protocols"]["s"]["layouts"]["l"] = json!({"type": "json", "fields": ["list: split"]});
    check(
        &split,
        &[(
            "/protocols/s/messageId",
            None,
            "a script is called for whole frames, and one of them makes several messages",
        )],
    );
    let none = Settings::parse(&protocol(&json!("")), &Presets::built_in()).unwrap_err();
    assert_eq!(none.len(), 10, "{none:?}");
    check(
        &protocol(&json!({"file": "../a.js"})),
        &[(
            "/protocols/s/script/file",
            None,
            "../a.js: expected a file name without folders, such as \"scale.js\"",
        )],
    );
    let document = protocol(&json!({"file": "a.js"}));
    let mut presets = Presets::built_in();
    assert_eq!(presets.scripts_named(&document), ["a.js"]);
    for (source, pointer, message) in [
        (
            Err("gone".to_owned()),
            "/protocols/s/script/file",
            "a.js: gone",
        ),
        (
            Ok("let a;\nlet a;".to_owned()),
            "/protocols/s/script",
            "(line 2, column",
        ),
        (
            Ok(format!("{all} function seven() {{}}")),
            "/protocols/s/framing/cases/0/type",
            "`frame`",
        ),
    ] {
        presets.mount_script("a.js".to_owned(), source);
        let problems = Settings::parse(&document, &presets).unwrap_err();
        let [problem] = problems.as_slice() else {
            panic!("{problems:?}")
        };
        assert_eq!(problem.pointer, pointer);
        assert!(problem.message.contains(message), "{problem}");
    }
}

#[test]
fn every_member_is_read() {
    let settings = parsed(&sample());
    let trackers = &settings.listeners["trackers"];
    assert_eq!(
        (
            trackers.port,
            trackers.max_connections,
            trackers.idle_timeout.as_secs()
        ),
        (5001, 2000, 60)
    );
    assert_eq!(trackers.unknown_devices, UnknownDevices::Reject);
    let admitted = [
        "10.20.3.4",
        "::ffff:10.20.3.4",
        "192.0.2.1",
        "192.0.2.2",
        "::1",
    ];
    let admitted = admitted.map(|address| trackers.admits(address.parse().unwrap()));
    assert_eq!(admitted, [true, true, true, false, false]);
    assert_eq!(settings.spool.max_bytes, 4_194_304);
    assert_eq!(settings.output("weights").body, BodyForm::Values);
    assert_eq!(settings.output("telemetry"), Output::default());
    assert_eq!(settings.protocols["gt06"].preset.as_deref(), Some("gt06@1"));
    let outputs: Vec<_> = settings
        .outputs_in_use()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(outputs, ["telemetry", "tracks", "weights"]);
}

#[test]
fn defaults_are_those_of_a_careful_operator() {
    let settings = parsed(&sample());
    let lines = &settings.listeners["lines"];
    assert_eq!(
        (lines.max_connections, lines.idle_timeout.as_secs()),
        (1000, 900)
    );
    assert_eq!(
        (lines.unknown_devices, lines.address),
        (UnknownDevices::Forward, None)
    );
    assert!(lines.admits("203.0.113.9".parse().unwrap()));
}

#[test]
fn mistakes_are_named_with_their_place_and_the_nearest_right_word() {
    let neither = "\"listeners\" is missing, or \"outbound\"";
    check(&json!({}), &[("", None, neither)]);
    check(
        &json!([1]),
        &[("", None, "expected an object, found an array")],
    );
    check(
        &changed(json!({"listners": {}})),
        &[(
            "/listners",
            None,
            "unknown member \"listners\", did you mean \"listeners\"?",
        )],
    );
    check(
        &changed(json!({"schemaVersion": 2})),
        &[(
            "/schemaVersion",
            None,
            "this module reads version 1 of the settings, not 2",
        )],
    );
    check(
        &changed(
            json!({"listeners": {"lines": {"port": 0, "protocl": "x", "maxConnections": 0, "allow": ["10.0.0.0/33"], "output": "a b"}}}),
        ),
        &[
            (
                "/listeners/lines/protocl",
                None,
                "unknown member \"protocl\", did you mean \"protocol\"?",
            ),
            ("/listeners/lines/port", None, "0 is outside of 1 to 65535"),
            (
                "/listeners/lines/maxConnections",
                None,
                "0 is outside of 1 to 100000",
            ),
            (
                "/listeners/lines/allow/0",
                None,
                "\"10.0.0.0/33\" is no address or network, such as 10.20.0.5 or 10.20.0.0/16",
            ),
            (
                "/listeners/lines/output",
                None,
                "the name \"a b\" has ' '; letters, digits, - and _ are allowed",
            ),
        ],
    );
    check(
        &changed(json!({"listeners": {"lines": {"protocol": "gt60"}}})),
        &[(
            "/listeners/lines/protocol",
            None,
            "unknown protocol \"gt60\", did you mean \"gt06\"?",
        )],
    );
    check(
        &changed(json!({"listeners": {"lines": {"port": 5001}}})),
        &[(
            "/listeners/trackers/port",
            None,
            "port 5001 is already listener \"lines\"'s",
        )],
    );
    check(
        &changed(json!({"outputs": {"weights": {"body": "value"}}})),
        &[(
            "/outputs/weights/body",
            None,
            "unknown word \"value\", did you mean \"values\"?",
        )],
    );
    check(
        &changed(json!({"spool": {"maxBytes": 5}})),
        &[(
            "/spool/maxBytes",
            None,
            "5 is outside of 4194304 to 1099511627776",
        )],
    );
}

#[test]
fn listeners_of_different_addresses_share_a_port() {
    let listeners = json!({"listeners": {"lines": {"port": 5001, "address": "10.0.0.1"}, "trackers": {"address": "10.0.0.2"}}});
    check(&changed(listeners), &[]);
    let listeners = json!({"listeners": {"lines": {"port": 5001, "address": "10.0.0.1"}, "trackers": {"address": "::"}}});
    check(
        &changed(listeners),
        &[(
            "/listeners/trackers/port",
            None,
            "port 5001 is already listener \"lines\"'s",
        )],
    );
}

#[test]
fn words_of_later_versions_are_refused_by_name() {
    check(
        &changed(json!({
            "listeners": {"lines": {"tls": {}, "idleTimeoutSeconds": -1}},
            "outbound": {"o": {"address": "h:1", "protocol": "lines", "tls": {}, "connectMs": "10s"}},
            "protocols": {
                "lines": {"identity": {"from": "certificate"}}},
            "spool": {"whenFull": "dropNewest"}
        })),
        &[
            (
                "/protocols/lines/identity/from",
                None,
                "from \"certificate\" is not available in this version",
            ),
            (
                "/listeners/lines/tls",
                None,
                "\"tls\" is not available in this version",
            ),
            (
                "/listeners/lines/idleTimeoutSeconds",
                None,
                "found the number `-1`, expected a whole number from 1 to 2592000",
            ),
            (
                "/outbound/o/tls",
                None,
                "\"tls\" is not available in this version",
            ),
            (
                "/outbound/o/connectMs",
                None,
                "found the text \"10s\", expected a whole number from 100 to 120000",
            ),
            (
                "/spool/whenFull",
                None,
                "whenFull \"dropNewest\" is not available in this version",
            ),
        ],
    );
}

#[test]
fn templates_show_only_what_there_is_where_they_are() {
    check(
        &changed(json!({"protocols": {"lines": {
            "messageId": "{count tx}",
            "layouts": {"other": {"type": "at {now}"}},
            "replies": {"b": {"send": "{arg relay}", "when": "length > 3"}}}}})),
        &[
            (
                "/protocols/lines/layouts/other/type",
                None,
                "`now` is for what devices are sent, not for messages",
            ),
            (
                "/protocols/lines/replies/b/send",
                None,
                "`arg relay` is for commands: a reply has no arguments",
            ),
            (
                "/protocols/lines/messageId",
                None,
                "`count tx` is for what devices are sent, not for messages",
            ),
        ],
    );
    check(
        &changed(json!({"protocols": {"lines": {"replies": {
            "a": "a{checksum over 0..: u8}", "b": {"send": "{'checksum'}", "when": "length > 3"}}}}})),
        &[
            (
                "/protocols/lines/replies/a",
                None,
                "`checksum over` is the protocol's own checksum, and it has none",
            ),
            (
                "/protocols/lines/replies/b/send",
                None,
                "no field is called \"checksum\"; the protocol's own checksum is `checksum over A..B`, and it has none",
            ),
        ],
    );
    check(
        &changed(json!({"protocols": {"gt06": {"replies": {"ok": "{checksum}"}}}})),
        &[(
            "/protocols/gt06/replies/ok",
            None,
            "no field is called \"checksum\"; the protocol's own checksum is `checksum over A..B`",
        )],
    );
}

#[test]
fn a_protocol_whose_parts_do_not_meet_is_refused() {
    check(
        &changed(json!({"protocols": {"gt06": {
            "layouts": {"login": {"reply": "okay"}, "alarm": false},
            "onBadChecksum": "nak", "acknowledge": {"else": "nak"}, "framing": false}}})),
        &[
            (
                "/protocols/gt06/layouts/alarm",
                None,
                "unknown entry to take away \"alarm\", expected one of login, position, status",
            ),
            (
                "/protocols/gt06",
                None,
                "\"framing\" is missing: how the bytes are cut into frames (from preset gt06@1)",
            ),
        ],
    );
    check(
        &changed(json!({"protocols": {"gt06": {
            "layouts": {"login": {"reply": "okay"}}, "onBadChecksum": "nak", "acknowledge": {"else": "nak"}}}})),
        &[
            (
                "/protocols/gt06/layouts/login/reply",
                None,
                "unknown reply \"okay\", did you mean \"ok\"?",
            ),
            (
                "/protocols/gt06/onBadChecksum",
                None,
                "the protocol has no reply named \"nak\"",
            ),
            (
                "/protocols/gt06/acknowledge/else",
                None,
                "the protocol has no reply named \"nak\"",
            ),
        ],
    );
    // What is wrong in a reply is one mistake: it is there.
    check(
        &changed(json!({"protocols": {"gt06": {
            "replies": {"ok": "0x 7", "nak": {"send": "{seq", "frame": true}},
            "onBadChecksum": "nak", "acknowledge": {"else": "nak"}}}})),
        &[
            (
                "/protocols/gt06/replies/ok",
                Some(4),
                "a hex digit is missing: bytes are two digits each",
            ),
            (
                "/protocols/gt06/replies/nak/send",
                Some(1),
                "this `{` is not closed; a brace in text is written `{{`",
            ),
        ],
    );
}

#[test]
fn what_a_protocol_starts_from_must_be_there() {
    let rows = [
        (
            json!({"preset": "gt06"}),
            "/preset",
            "a preset is named with its major version: \"gt06@1\"",
        ),
        (
            json!({"preset": "gt06@2"}),
            "/preset",
            "preset \"gt06@2\" is not shipped with this version, \"gt06@1\" is",
        ),
        (
            json!({"preset": 6}),
            "/preset",
            "expected a preset such as \"gt06@1\", found the number 6",
        ),
        (json!({"file": "a.json"}), "/file", "\"a.json\": "),
        (
            json!({"file": "../a.json"}),
            "/file",
            "expected a file name without folders",
        ),
        (
            json!({"file": "broken.json"}),
            "/file",
            "broken.json: no such file",
        ),
        (
            json!({"preset": "gt06@1", "file": "a.json"}),
            "/file",
            "a protocol starts from",
        ),
    ];
    for (entry, place, message) in rows {
        let mut presets = Presets::built_in();
        presets.mount("broken.json".into(), Err("no such file".into()));
        let document = json!({"listeners": {}, "protocols": {"p": entry}});
        let problems = Settings::parse(&document, &presets)
            .err()
            .unwrap_or_default();
        let [problem] = problems.as_slice() else {
            panic!("{document}: {problems:?}")
        };
        assert_eq!(
            problem.pointer,
            format!("/protocols/p{place}"),
            "{document}"
        );
        let message = message
            .trim_matches(|c| c == '"' || c == ' ')
            .trim_end_matches("\":");
        assert!(
            problem.message.contains(message),
            "{document}: {}",
            problem.message
        );
    }
}

#[test]
fn a_mounted_file_is_a_protocol_to_start_from() {
    let document = json!({
        "listeners": {"a": {"port": 1, "protocol": "p"}},
        "protocols": {"p": {"file": "lines.json", "framing": {"maxBytes": 9}}}
    });
    assert_eq!(Presets::files_named(&document), ["lines.json"]);
    let mut presets = Presets::built_in();
    presets.mount(
        "lines.json".into(),
        Ok(json!({"framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "text"}})),
    );
    let (settings, _) = Settings::parse(&document, &presets).unwrap();
    let expected = json!({"framing": {"type": "delimiter", "end": "\n", "maxBytes": 9}, "decode": {"type": "text"}});
    assert_eq!(settings.protocol_document("p"), Some(&expected));
    let from = |pointer| settings.origin_of("p", pointer).map(ToString::to_string);
    assert_eq!(
        from("/protocols/p/framing/end").as_deref(),
        Some("file lines.json")
    );
    assert_eq!(from("/protocols/p/framing/maxBytes"), None);
}

#[test]
fn fields_that_no_frame_has_are_found_wherever_they_are_named() {
    let fields = json!({"type": "regex", "pattern": "^(?P<id>\\w+) (?P<weight>\\d+)"});
    for (protocol, expected) in [
        (
            json!({"identity": {"field": "di"}}),
            Some(("identity/field", "id")),
        ),
        (
            json!({"messageId": "{device}-{wieght}"}),
            Some(("messageId", "weight")),
        ),
        (
            json!({"replies": {"ok": {"send": "{idd}", "when": "weight > 3"}}}),
            Some(("replies/ok/send", "id")),
        ),
        (
            json!({"replies": {"ok": {"send": "{id}", "when": "weigth > 3"}}}),
            Some(("replies/ok/when", "weight")),
        ),
        (
            json!({"replies": {"nak": "NO {weigh}"}}),
            Some(("replies/nak", "weight")),
        ),
        (
            json!({"replies": {"ok": {"send": "{id} {device} {raw 0..2}", "when": "length > 3 and weight"}}}),
            None,
        ),
        (
            json!({"decode": {"type": "json"}, "identity": {"field": "any"}}),
            None,
        ),
    ] {
        let mut document = changed(json!({"protocols": {"lines": {"decode": fields}}}));
        merge_patch(&mut document["protocols"]["lines"], &protocol);
        if protocol.get("decode").is_some() {
            document["protocols"]["lines"]["decode"] = protocol["decode"].clone();
        }
        let problems = match Settings::parse(&document, &Presets::built_in()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.as_slice().to_vec(),
        };
        let Some((place, near)) = expected else {
            assert!(problems.is_empty(), "{protocol}: {problems:?}");
            continue;
        };
        assert_eq!(problems.len(), 1, "{protocol}: {problems:?}");
        assert_eq!(problems[0].pointer, format!("/protocols/lines/{place}"));
        assert!(
            problems[0].message.starts_with("unknown field"),
            "{problems:?}"
        );
        assert!(problems[0].message.contains(near), "{problems:?}");
    }
}

#[test]
fn what_nothing_refers_to_is_worth_a_warning() {
    let document = changed(json!({
        "listeners": {"trackers": null},
        "outputs": {"weight": {}},
        "protocols": {"lines": {"replies": {"ok": "OK", "nak": "NO"}}}
    }));
    let (_, warnings) = Settings::parse(&document, &Presets::built_in()).unwrap();
    let found: Vec<_> = warnings
        .iter()
        .map(|w| (w.pointer.as_str(), w.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (
                "/protocols/lines/replies/ok",
                "reply \"ok\" is never sent: no layout names it and it has no \"when\""
            ),
            (
                "/outputs/weight",
                "no layout, device, listener or outbound entry names output \"weight\", did you mean \"weights\"?"
            ),
            (
                "/protocols/gt06",
                "no listener and no outbound entry uses protocol \"gt06\""
            ),
        ]
    );
}

#[test]
fn what_can_never_be_framed_is_worth_a_warning() {
    let replies = |framing: Value| {
        changed(json!({"protocols": {"lines": {
            "framing": {"type": "length", "end": null, "length": framing["length"], "body": framing["body"]},
            "session": {"heartbeat": {"seconds": 20, "send": "P", "frame": true}},
            "replies": {"ok": {"send": "OK", "when": "text", "frame": true}, "no": {"send": "NO", "when": "text"}}}}}))
    };
    let warnings = |document: &Value| {
        let (_, warnings) = Settings::parse(document, &Presets::built_in()).unwrap();
        let found = warnings.iter().map(|found| found.pointer.clone());
        found.collect::<Vec<_>>()
    };
    for wrong in [
        json!({"length": "u8", "body": 4}),
        json!({"length": "u8 at 2"}),
    ] {
        let expected = [
            "/protocols/lines/replies/ok/frame",
            "/protocols/lines/session/heartbeat/frame",
        ];
        assert_eq!(warnings(&replies(wrong)), expected);
    }
    for right in [
        json!({"length": "u8"}),
        json!({"length": "u8", "body": "after"}),
    ] {
        assert!(warnings(&replies(right)).is_empty());
    }
}

#[test]
fn devices_that_others_hide_are_worth_a_warning() {
    let document = changed(json!({"devices": {"scale-06": {"match": {"address": "10.0.0.71"}}}}));
    let (_, warnings) = Settings::parse(&document, &Presets::built_in()).unwrap();
    let found: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "/devices/scale-07: its \"match\" finds nobody: /devices/scale-06 has the same and comes first",
        ]
    );
}

#[test]
fn outputs_have_names_that_iot_edge_takes() {
    let wrong = "the name \"a b\" has ' '; letters, digits, - and _ are allowed";
    check(
        &changed(json!({
            "protocols": {"lines": {"layouts": {"other": {"output": "a b"}}}},
            "devices": {"scale-07": {"output": "a b"}},
            "deviceRules": {"trucks": {"output": "a b"}}})),
        &[
            ("/protocols/lines/layouts/other/output", None, wrong),
            ("/devices/scale-07/output", None, wrong),
            ("/deviceRules/trucks/output", None, wrong),
        ],
    );
}

#[test]
fn a_type_does_not_show_the_secret() {
    let layouts = |kind: &str| {
        json!({"protocols": {"p": {
            "decode": {"type": "regex", "pattern": "(?P<id>.*),(?P<pass>.*),(?P<unit>.*)",
                "select": {"by": "id", "cases": [], "default": "all"}},
            "layouts": {"all": {"type": kind}}}}})
    };
    check(
        &with_login(layouts("{id}-{pass}")),
        &[(
            "/protocols/p/layouts/all/type",
            None,
            "`pass` is the secret of the identity, and messages would show it",
        )],
    );
    check(&with_login(layouts("{id}")), &[]);
}

#[test]
fn the_gt06_preset_is_small_enough_to_stand_in_a_twin() {
    let preset = include_str!("../../../protocols/gt06/protocol.json");
    let preset: Value = serde_json::from_str(preset).unwrap();
    let bytes = preset.to_string().len();
    assert!(bytes <= 1100, "{bytes} bytes");
}

fn pointers(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            pointers(value, crate::document::child_pointer(&pointer, name), found);
        }),
        Value::Array(array) => array.iter().enumerate().for_each(|(index, value)| {
            pointers(value, format!("{pointer}/{index}"), found);
        }),
        _ => {}
    }
    found.push(pointer);
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..70_000).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z0-9: @{}.|&/-]{0,24}".prop_map(Value::from),
        Just(json!({})),
        Just(json!({"type": "switch", "cases": [{"type": "length", "start": "0x00"}]})),
        Just(json!(["u8", 1, {}])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is changed, the document is either valid or its mistakes are named.
    #[test]
    fn mutated_documents_are_read_or_refused(places in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..4)) {
        let mut document = sample();
        document["protocols"]["own"] = serde_json::from_str(include_str!("../../../protocols/gt06/protocol.json")).unwrap();
        for (place, value) in places {
            let mut all = Vec::new();
            pointers(&document, String::new(), &mut all);
            if let Some(slot) = document.pointer_mut(&all[place.index(all.len())]) {
                *slot = value;
            }
        }
        if let Err(problems) = Settings::parse(&document, &Presets::built_in()) {
            prop_assert!(!problems.is_empty(), "refused without a reason: {document}");
        }
    }
}

#[test]
fn outputs_and_spool_say_how_messages_are_kept_and_sent() {
    let settings = parsed(&changed(json!({
        "outputs": {"weights": {"priority": "high"}, "telemetry": {"batch": {"maxDelayMs": 1000}}},
        "spool": {"minFreeBytes": 0, "maxAgeSeconds": 60, "whenFull": "dropOldest", "persist": "eachBatch"}
    })));
    let telemetry = settings.output("telemetry").batch.unwrap();
    assert_eq!((telemetry.max_bytes, telemetry.max_delay_ms), (4096, 1000));
    assert_eq!(settings.output("weights").priority, PriorityOption::High);
    assert_eq!(settings.output("tracks"), Output::default());
    assert_eq!(settings.spool.when_full, WhenFull::DropOldest);
    assert_eq!(settings.spool.persist, crate::spool::Persist::EachBatch);
    check(
        &changed(json!({"outputs": {"weights": {"body": "raw", "batch": {"maxBytes": 300000}}}})),
        &[
            (
                "/outputs/weights/batch/maxBytes",
                None,
                "300000 is outside of 512 to 261632",
            ),
            (
                "/outputs/weights/batch",
                None,
                "raw bytes cannot stand in a JSON array; take the body \"message\" or \"values\", or no batch",
            ),
        ],
    );
}

/// A protocol of JSON lines whose devices log in, with these members changed.
fn with_login(patch: Value) -> Value {
    let mut document = json!({
        "listeners": {"a": {"port": 5000, "protocol": "p", "unknownDevices": "quarantine"}},
        "protocols": {"p": {
            "framing": {"type": "delimiter", "end": "\n"},
            "decode": {"type": "regex", "pattern": "(?P<id>.*),(?P<pass>.*),(?P<unit>.*)"},
            "identity": {"field": "id", "scope": "connection", "sub": "unit", "secret": "pass"},
            "session": {"login": {"secret": "geheim"}, "silentSeconds": 30},
            "replies": {"denied": "no\n"}
        }},
        "devices": {"a": {"secret": "geheim"}},
        "deviceRules": {"r": {"match": {"id": "b*"}, "secret": "geheim", "name": "r-{sub}"}}
    });
    merge_patch(&mut document, &patch);
    document
}

#[test]
fn a_secret_is_never_shown_and_demands_a_login() {
    let (settings, warnings) =
        Settings::parse(&with_login(json!({})), &Presets::built_in()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(!format!("{settings:?}").contains("geheim"));
    let session = &settings.protocols["p"].session;
    assert_eq!(session.silent.map(|silent| silent.as_secs()), Some(30));
    let without = with_login(json!({"protocols": {"p": {"session": null}}}));
    assert!(parsed(&without).protocols["p"].session.login.is_some());
}

#[test]
fn identity_and_login_must_meet() {
    let pointers = |patch: Value| {
        let problems = Settings::parse(&with_login(patch), &Presets::built_in());
        let problems = problems.err().unwrap_or_default();
        let found = problems.as_slice().iter();
        let shown: Vec<_> = found.map(ToString::to_string).collect();
        assert!(!shown.concat().contains("geheim"), "{shown:?}");
        shown
    };
    let identity = |identity: Value| json!({"protocols": {"p": {"identity": identity}}});
    let session = |session: Value| json!({"protocols": {"p": {"session": session}}});
    for (patch, places) in [
        (
            identity(json!({"field": ["id", "idd ltrim 0"], "sub": "unitt", "secret": "pas"})),
            &[
                "/identity/field/1: ",
                "/identity/sub: ",
                "/identity/secret: ",
            ][..],
        ),
        (
            identity(json!({"secret": null})),
            &["/session/login/secret: "],
        ),
        (
            identity(json!({"scope": "message", "secret": null})),
            &["/session/login: ", "/session/login/secret: "],
        ),
        (
            session(json!({"login": {"required": false, "secret": null}})),
            &["/session/login/required: "],
        ),
        (
            session(json!({"login": {"secret": 7}})),
            &["/session/login/secret: "],
        ),
        (
            session(json!({"heartbeat": {"seconds": 1, "send": "{id}"}})),
            &["/session/heartbeat/send: "],
        ),
    ] {
        let found = pointers(patch.clone());
        let expected: Vec<_> = places
            .iter()
            .map(|place| format!("/protocols/p{place}"))
            .collect();
        assert_eq!(found.len(), expected.len(), "{patch}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&expected), "{patch}: {found}");
        }
    }
}

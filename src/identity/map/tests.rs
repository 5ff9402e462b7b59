use super::*;
use serde_json::json;

fn map() -> DeviceMap {
    let devices = json!({
        "scale-07": {"match": {"address": "10.0.0.71"}, "properties": {"line": "A"}, "output": "weights"},
        "truck-1": {"match": {"id": "350000000000001"}},
        "plain": {},
        "only-b": {"match": {"id": "x", "listener": "b"}},
    });
    let rules = json!({
        "late": {"order": 20, "match": {"id": "35*"}, "name": "late-{id}"},
        "trucks": {
            "order": 10, "match": {"id": "35*", "listener": "trackers"},
            "name": "truck-{id -6..}", "properties": {"fleet": "north"}
        },
        "net": {"order": 5, "match": {"address": "::ffff:10.20.0.0/112"}},
        "door": {"order": 30, "match": {"listener": "doors"}, "name": "{{{listener}-{address}"},
        "mid": {"order": 40, "match": {"id": "a*b*c"}},
    });
    let mut problems = Problems::new();
    let map = DeviceMap::read(
        Some(&Section::root(&devices)),
        Some(&Section::root(&rules)),
        &Secrets::default(),
        &mut problems,
    );
    assert!(problems.is_empty(), "{problems:?}");
    map.unwrap()
}

fn resolve(id: Option<&str>, address: &str, listener: &str) -> String {
    let peer = Peer::new(
        format!("{address}:4000").parse().unwrap(),
        listener.into(),
        None,
    );
    match map().resolve(&Spoken {
        id,
        sub: None,
        peer: &peer,
    }) {
        Resolved::Known(device) => device.name.to_string(),
        Resolved::Unknown(name) => format!("?{name}"),
    }
}

#[test]
fn exact_entries_first_then_rules_by_order() {
    for (id, address, listener, expected) in [
        (None, "10.0.0.71", "a", "scale-07"),
        (None, "[::ffff:10.0.0.71]", "a", "scale-07"),
        (Some("anything"), "10.0.0.71", "a", "scale-07"),
        (Some("350000000000001"), "10.9.9.9", "trackers", "truck-1"),
        (
            Some("350000000123456"),
            "10.9.9.9",
            "trackers",
            "truck-123456",
        ),
        (
            Some("350000000123456"),
            "10.9.9.9",
            "other",
            "late-350000000123456",
        ),
        (
            Some("350000000123456"),
            "10.20.3.4",
            "trackers",
            "350000000123456",
        ),
        (Some("plain"), "10.9.9.9", "a", "plain"),
        (Some("x"), "10.9.9.9", "b", "only-b"),
        (Some("x"), "10.9.9.9", "a", "?x"),
        (None, "10.20.9.9", "a", "10.20.9.9"),
        (None, "10.9.9.9", "a", "?10.9.9.9"),
        (Some("z\n"), "10.9.9.9", "a", "?z_"),
        (None, "10.9.9.9", "doors", "{doors-10.9.9.9"),
        (Some("a1b2c"), "10.9.9.9", "a", "a1b2c"),
        (Some("a1c2b"), "10.9.9.9", "a", "?a1c2b"),
        (Some("35"), "10.9.9.9", "trackers", "truck-35"),
    ] {
        assert_eq!(
            resolve(id, address, listener),
            expected,
            "{id:?} {address} {listener}"
        );
    }
}

/// A twin need not keep the order of members, so that it says nothing.
#[test]
fn of_several_entries_that_match_the_most_precise_counts() {
    let entries = [
        ("z-id", json!({"match": {"id": "x1"}})),
        ("z-id-here", json!({"match": {"id": "x1", "listener": "b"}})),
        ("m-long", json!({"match": {"id": "x2*"}})),
        (
            "m-short",
            json!({"match": {"id": "x*", "address": "10.1.0.7"}}),
        ),
        ("a-host", json!({"match": {"address": "10.1.0.7"}})),
        ("a-net", json!({"match": {"address": "10.1.0.0/16"}})),
        ("a-wide", json!({"match": {"address": "10.0.0.0/8"}})),
        ("a-b", json!({"match": {"listener": "b"}})),
        ("twin-2", json!({"match": {"id": "*t"}})),
        ("twin-1", json!({"match": {"id": "t*"}})),
        ("twin-3", json!({"match": {"id": "t*"}})),
    ];
    let read = |entries: &mut dyn Iterator<Item = &(&str, Value)>| {
        let entries = entries.map(|(name, entry)| ((*name).to_owned(), entry.clone()));
        let devices = Value::Object(entries.collect());
        let mut problems = Problems::new();
        let section = Section::root(&devices);
        let map = DeviceMap::read(Some(&section), None, &Secrets::default(), &mut problems);
        map.unwrap()
    };
    for map in [read(&mut entries.iter()), read(&mut entries.iter().rev())] {
        for (id, address, listener, expected) in [
            ("x1", "10.1.0.7", "a", "z-id"),
            ("x1", "10.1.0.7", "b", "z-id-here"),
            ("x23", "10.1.0.7", "b", "m-long"),
            ("x3", "10.1.0.7", "b", "m-short"),
            ("x3", "10.1.0.8", "b", "a-net"),
            ("y", "10.1.0.7", "b", "a-host"),
            ("y", "10.2.0.7", "b", "a-wide"),
            ("y", "192.0.2.1", "b", "a-b"),
            ("t and t", "192.0.2.1", "b", "twin-1"),
        ] {
            let address = format!("{address}:1").parse().unwrap();
            let spoken = Spoken {
                id: Some(id),
                sub: None,
                peer: &Peer::new(address, listener.into(), None),
            };
            let found = map.said_by(&spoken).map(|pointer| &**pointer);
            assert_eq!(
                found,
                Some(&*format!("/{expected}")),
                "{id} {address} {listener}"
            );
        }
        let hidden = map.hidden();
        assert_eq!(hidden, [(&Name::from("/twin-3"), &Name::from("/twin-1"))]);
    }
}

#[test]
fn properties_and_output_come_with_the_device() {
    let peer = Peer::new("10.0.0.71:1".parse().unwrap(), "a".into(), None);
    let Resolved::Known(device) = map().resolve(&Spoken {
        id: None,
        sub: None,
        peer: &peer,
    }) else {
        panic!("unknown");
    };
    assert_eq!(*device.properties, [("line".into(), "A".into())]);
    assert_eq!(device.output.as_deref(), Some("weights"));
}

#[test]
fn a_fixed_device_overrides_what_is_spoken() {
    for (fixed, properties) in [("scale-07", 1), ("not-listed", 0)] {
        let peer = Peer::new(
            "10.9.9.9:1".parse().unwrap(),
            "a".into(),
            Some(fixed.into()),
        );
        let id = Some("350000000000001");
        let Resolved::Known(device) = map().resolve(&Spoken {
            id,
            sub: None,
            peer: &peer,
        }) else {
            panic!("unknown");
        };
        assert_eq!(
            (&*device.name, device.properties.len()),
            (fixed, properties)
        );
    }
}

#[test]
fn mistakes_point_to_their_place() {
    let devices = json!({
        "a": {"match": {"address": "10.0.0"}, "name": "x"},
        "b\n": {},
        "c": {"match": {}, "properties": {"n": 3}},
        "d": {"match": {"certificate": "x", "id": "1"}},
        "e": {"secret": "sha256:12"},
    });
    let rules = json!({"r": {"name": "x{idd}"}, "s": {"match": {"id": "1"}, "name": "x{id"}});
    let mut problems = Problems::new();
    let map = DeviceMap::read(
        Some(&Section::root(&devices)),
        Some(&Section::root(&rules)),
        &Secrets::default(),
        &mut problems,
    );
    assert!(map.is_none());
    let found: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| (p.pointer.as_str(), p.column))
        .collect();
    for expected in [
        ("/a/match/address", None),
        ("/a/name", None),
        ("/b\n", None),
        ("/c/match", None),
        ("/c/properties/n", None),
        ("/d/match/certificate", None),
        ("/e/secret", None),
        ("/r", None),
        ("/r/name", Some(3)),
        ("/s/name", Some(3)),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
}

#[test]
fn a_unit_is_behind_its_identity() {
    let devices = json!({
        "pump": {"match": {"id": "10.0.0.7/3"}},
        "plc": {"match": {"address": "10.0.0.7"}, "secret": "p"},
        "gate": {}, "gate/2": {"output": "own"},
    });
    let rules = json!({
        "three": {"order": 1, "match": {"id": "*/33"}, "name": "third of {id 0..3}"},
        "named": {"order": 2, "match": {"listener": "m"}, "name": "m{sub}"},
        "whole": {"order": 3, "match": {"listener": "w"}, "name": "w-{id}"},
        "plain": {"order": 4, "match": {"listener": "p"}, "name": "p"},
        "spoken": {"order": 5, "match": {"listener": "s"}},
    });
    let mut problems = Problems::new();
    let map = DeviceMap::read(
        Some(&Section::root(&devices)),
        Some(&Section::root(&rules)),
        &Secrets::default(),
        &mut problems,
    );
    assert!(problems.is_empty(), "{problems:?}");
    let map = map.unwrap();
    for (id, address, listener, alone, expected) in [
        (None, "10.0.0.7", "a", "plc", "pump"),
        (Some("10.0.0.7"), "10.0.0.8", "a", "?10.0.0.7", "pump"),
        (Some("x"), "10.0.0.7", "a", "plc", "plc/3"),
        (Some("x"), "10.0.0.8", "m", "m", "m3"),
        (Some("x"), "10.0.0.8", "w", "w-x", "w-x/3"),
        (Some("x"), "10.0.0.8", "p", "p", "p/3"),
        (Some("x"), "10.0.0.8", "s", "x", "x/3"),
        (Some("x"), "10.0.0.8", "a", "?x", "?x/3"),
        (Some("abcd/3"), "10.0.0.8", "a", "?abcd/3", "?abcd/3/3"),
    ] {
        let peer = Peer::new(
            format!("{address}:1").parse().unwrap(),
            listener.into(),
            None,
        );
        let shown = |sub| match map.resolve(&Spoken {
            id,
            sub,
            peer: &peer,
        }) {
            Resolved::Known(device) => device.name.to_string(),
            Resolved::Unknown(name) => format!("?{name}"),
        };
        assert_eq!(
            [shown(None), shown(Some("3"))],
            [alone, expected],
            "{id:?} {address} {listener}"
        );
    }
    let peer = |fixed: Option<&str>| {
        Peer::new(
            "10.0.0.7:1".parse().unwrap(),
            "a".into(),
            fixed.map(Into::into),
        )
    };
    let (press, gate) = (peer(Some("press")), peer(Some("gate")));
    for (peer, sub, name, output) in [
        (&press, "3", "press/3", None),
        (&gate, "2", "gate/2", Some("own")),
        (&gate, "3", "gate/3", None),
    ] {
        let spoken = Spoken {
            id: None,
            sub: Some(sub),
            peer,
        };
        let Resolved::Known(device) = map.resolve(&spoken) else {
            panic!("unknown");
        };
        assert_eq!((&*device.name, device.output.as_deref()), (name, output));
    }
    let spoken = |id| Spoken {
        id,
        sub: None,
        peer: &press,
    };
    assert_eq!(
        map.secret(&spoken(None)),
        None,
        "the listener says who it is"
    );
    let plc = peer(None);
    let spoken = |id| Spoken {
        id,
        sub: None,
        peer: &plc,
    };
    assert_eq!(map.secret(&spoken(Some("any"))), Some(&Secret::of(b"p")));
    assert_eq!(
        map.secret(&spoken(Some("gate"))),
        None,
        "its own entry says more of it than that of its address"
    );
}

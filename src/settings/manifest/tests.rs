use serde_json::{Value, json};

use super::*;
use crate::document::merge_patch;
use crate::settings::{Presets, Settings};

fn manifest() -> Value {
    json!({"modulesContent": {
        "$edgeAgent": {"properties.desired": {
            "systemModules": {"edgeHub": {
                "env": {"storageFolder": {"value": "/storage"}},
                "settings": {"image": "edgehub:1.5", "createOptions": "{\"HostConfig\":{\"Binds\":[\"hub:/storage\"]}}"}}},
            "modules": {"gw": {"settings": {
                "image": "registry.example/edge-tcp-gateway:1.0-amd64",
                "createOptions": "{\"HostConfig\":{\"Binds\":[\"gw:/data\"],",
                "createOptions01": "\"PortBindings\":{\"5000/tcp\":[{\"HostPort\":\"5000\"}]}}}"}}}}},
        "$edgeHub": {"properties.desired": {
            "routes": {"up": "FROM /messages/modules/gw/outputs/* INTO $upstream"},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 604800}}},
        "gw": {"properties.desired": {
            "listeners": {"a": {"port": 5000, "protocol": "p"}},
            "protocols": {"p": {"framing": {"type": "delimiter", "end": "\n"}}}}}
    }})
}

/// Pointers of problems and warnings, and words that stand in their texts.
fn check(patch: Value, problems_at: &[(&str, &str)], warnings_at: &[(&str, &str)]) {
    let mut document = manifest();
    merge_patch(&mut document, &json!({ "modulesContent": patch }));
    let mut problems = Problems::new();
    let located = locate(&document, None, &mut problems).unwrap();
    let (settings, _) = Settings::parse(&located.desired, &Presets::built_in()).unwrap();
    let warnings = warnings(&located.deployment.unwrap(), &settings, &mut problems);
    expect(problems.as_slice(), problems_at);
    expect(&warnings, warnings_at);
}

fn expect(found: &[Problem], expected: &[(&str, &str)]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (pointer, words)) in found.iter().zip(expected) {
        assert_eq!(found.pointer, format!("/modulesContent/{pointer}"));
        assert!(found.message.contains(words), "{}", found.message);
    }
}

const OPTIONS: &str = "$edgeAgent/properties.desired/modules/gw/settings/createOptions";
const HUB_OPTIONS: &str =
    "$edgeAgent/properties.desired/systemModules/edgeHub/settings/createOptions";
const ROUTES: &str = "$edgeHub/properties.desired/routes";
const TIME: &str = "$edgeHub/properties.desired/storeAndForwardConfiguration/timeToLiveSecs";

fn agent(modules: Value) -> Value {
    json!({"$edgeAgent": {"properties.desired": modules}})
}

fn ours(settings: Value) -> Value {
    agent(json!({"modules": {"gw": {"settings": settings}}}))
}

fn hub(desired: Value) -> Value {
    json!({"$edgeHub": {"properties.desired": desired}})
}

#[test]
fn a_sound_deployment_has_nothing_to_complain_about() {
    check(json!({}), &[], &[]);
    check(
        ours(
            json!({"createOptions": {"HostConfig": {"NetworkMode": "host", "Mounts": [{"Type": "volume", "Target": "/data"}]}}, "createOptions01": null}),
        ),
        &[],
        &[],
    );
}

#[test]
fn what_a_deployment_would_lose_is_named() {
    check(
        ours(
            json!({"createOptions": {"HostConfig": {"PortBindings": {"5001/tcp": [{}]}}}, "createOptions01": null}),
        ),
        &[],
        &[
            (OPTIONS, "port 5000 is not published"),
            (OPTIONS, "nothing is mounted at /data"),
        ],
    );
    check(
        agent(json!({"modules": {"gw": {"env": {"STORAGE_DIR": {"value": "/kept"}}}}})),
        &[],
        &[(OPTIONS, "nothing is mounted at /kept")],
    );
    check(
        agent(json!({"systemModules": {"edgeHub": {"env": null}}})),
        &[],
        &[(HUB_OPTIONS, "no storage outside")],
    );
    check(
        agent(json!({"systemModules": {"edgeHub": {"settings": {"createOptions": "{}"}}}})),
        &[],
        &[(HUB_OPTIONS, "/storage is not mounted")],
    );
    check(
        hub(json!({"routes": {"up": "FROM /messages/modules/gw/outputs/other INTO $upstream"}})),
        &[],
        &[(ROUTES, "no route takes output \"telemetry\"")],
    );
    let up = "FROM /messages/modules/gw/outputs/telemetry INTO $upstream";
    let into =
        |input| format!("FROM /messages/* INTO BrokeredEndpoint(\"/modules/gw/inputs/{input}\")");
    check(
        hub(json!({"routes": {"up": up, "in": into("commands")}})),
        &[],
        &[],
    );
    let orders = into("commands").replace("/messages/*", "/messages/modules/planner/*");
    check(
        hub(json!({"routes": {"up": up, "in": orders}})),
        &[],
        &[(ROUTES, "no route takes output \"commandResults\"")],
    );
    check(
        hub(json!({"routes": {"up": up, "in": into("comands")}})),
        &[],
        &[(ROUTES, "a route leads into input \"comands\" of gw")],
    );
    check(
        hub(json!({"storeAndForwardConfiguration": {"timeToLiveSecs": 7200}})),
        &[],
        &[(TIME, "for 7200 seconds")],
    );
    check(
        hub(json!({"storeAndForwardConfiguration": null})),
        &[],
        &[(TIME, "for 7200 seconds")],
    );
    let own_time = json!({"storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        "routes": {"up": {"route": "FROM /messages/* INTO $upstream", "timeToLiveSecs": 86400}}});
    check(hub(own_time), &[], &[]);
    check(
        hub(json!({"storeAndForwardConfiguration": {"timeToLiveSecs": -1}})),
        &[],
        &[],
    );
}

#[test]
fn what_edge_agent_and_edge_hub_would_refuse_is_a_problem() {
    check(
        ours(json!({"createOptions": "x".repeat(513)})),
        &[(OPTIONS, "513 characters, a part holds 512")],
        &[],
    );
    check(
        ours(json!({"createOptions": "{"})),
        &[(OPTIONS, "the text is not JSON")],
        &[],
    );
    check(
        ours(json!({"createOptions02": "}"})),
        &[(OPTIONS, "the text is not JSON")],
        &[],
    );
    check(
        ours(json!({"createOptions03": ""})),
        &[(OPTIONS, "a part is missing")],
        &[],
    );
    check(
        ours(json!({"createOptions8": ""})),
        &[(&format!("{OPTIONS}8"), "the parts are")],
        &[],
    );
    check(
        hub(json!({"routes": {"bad": "FROM nowhere"}})),
        &[(&format!("{ROUTES}/bad"), "after FROM")],
        &[],
    );
}

#[test]
fn settings_are_found_where_people_have_them() {
    let desired = json!({"listeners": {}});
    let layered =
        json!({"content": {"modulesContent": {"gw": {"properties.desired.listeners": {}}}}});
    let rows = [
        (desired.clone(), None, "/listeners"),
        (json!({"desired": desired}), None, "/desired/listeners"),
        (
            json!({"deviceId": "d", "properties": {"desired": desired}}),
            None,
            "/properties/desired/listeners",
        ),
        (
            json!({"modulesContent": {"a": {"properties.desired": desired}}}),
            None,
            "/modulesContent/a/properties.desired/listeners",
        ),
        (
            layered,
            Some("gw"),
            "/content/modulesContent/gw/properties.desired.listeners",
        ),
    ];
    for (document, module, place) in rows {
        let mut problems = Problems::new();
        let located = locate(&document, module, &mut problems).unwrap();
        assert_eq!(located.desired, json!({"listeners": {}}), "{document}");
        assert_eq!(located.place("/listeners"), place, "{document}");
    }
}

#[test]
fn a_module_that_cannot_be_told_has_to_be_named() {
    let two = json!({"modulesContent": {"a": {"properties.desired": {"listeners": {}}}, "b": {"properties.desired": {"listeners": {}}}}});
    let rows = [
        (&two, None, "several modules could be meant: a, b"),
        (&two, Some("c"), "unknown module \"c\""),
        (
            &json!({"modulesContent": {"a": {}}}),
            None,
            "no module has an image",
        ),
        (
            &json!({"modulesContent": {"a": {}}}),
            Some("a"),
            "has no \"properties.desired\"",
        ),
    ];
    for (document, module, words) in rows {
        let mut problems = Problems::new();
        assert!(locate(document, module, &mut problems).is_none());
        assert!(
            problems.as_slice()[0].message.contains(words),
            "{problems:?}"
        );
    }
}

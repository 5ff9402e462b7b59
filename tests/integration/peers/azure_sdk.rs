//! Another module, on the official Azure IoT SDK, asks a device through the module: by direct method
//! and by message.

use std::net::Ipv4Addr;

use dev_hub::DevHub;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Peer;
use crate::rig::{MODULE, PATIENCE, Rig, free_port, lines};

/// The SDK knows no other port than 8883, so the stand-in has an address of its own.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 41);

fn settings(port: u16) -> Value {
    let mut protocol = lines();
    protocol["commands"] = json!({"set": {
        "send": "set {count seq} {arg to}\n",
        "arguments": {"to": "integer 0..999"},
        "answer": {"where": "seq = {count seq}"},
        "refused": {"where": "no"}
    }});
    json!({
        "listeners": {"a": {"port": port, "protocol": "asked", "device": "valve"}},
        "protocols": {"asked": protocol}
    })
}

/// A device that answers each question with its number and value, and refuses 13.
async fn valve(port: u16) {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    let (reading, mut writing) = stream.expect("the listener accepts").into_split();
    writing
        .write_all(b"{\"ready\":true}\n")
        .await
        .expect("taken");
    let mut questions = BufReader::new(reading).lines();
    while let Ok(Some(question)) = questions.next_line().await {
        let words: Vec<&str> = question.split(' ').collect();
        let no = words[2] == "13";
        let answer = format!("{{\"seq\":{},\"no\":{no},\"at\":{}}}\n", words[1], words[2]);
        writing.write_all(answer.as_bytes()).await.expect("taken");
    }
}

async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    let route = |from: &str, to: &str| {
        format!("FROM /messages/modules/{from} INTO BrokeredEndpoint(\"/modules/{to}\")")
    };
    let hub = DevHub::builder()
        .address(ADDRESS)
        .port(8883)
        .calls_port(0)
        .module(MODULE)
        .module("planner")
        .route(
            "up",
            "FROM /messages/modules/gateway/outputs/telemetry INTO $upstream",
        )
        .route(
            "orders",
            route("planner/outputs/orders", "gateway/inputs/commands"),
        )
        .route(
            "results",
            route("gateway/outputs/commandResults", "planner/inputs/results"),
        );
    rig.hub = hub.start().await.expect("the stand-in starts");
    rig.start();
    rig
}

fn set(to: u16) -> Value {
    json!({"device": "valve", "command": "set", "arguments": {"to": to}})
}

#[tokio::test]
async fn a_module_on_the_sdk_gets_the_devices_answers_by_method_and_by_message() {
    let rig = rig().await;
    let port = free_port();
    let outcome = rig.set(settings(port)).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let mut device = JoinSet::new();
    device.spawn(valve(port));
    rig.value("ready", true).await;

    let environment = rig.hub.module_env("planner").expect("a module");
    let find = |name: &str| {
        let mut variables = environment.iter();
        let found = variables.find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.clone()).expect("a variable")
    };
    let edge = find("IOTEDGE_DEVICEID");
    let calls = rig.hub.calls_host_name().expect("calls are taken");
    let mut planner = Peer::with("sdk_as_planner.py", &[&calls, &edge, MODULE], environment);
    assert_eq!(planner.hear().await, true, "it is connected");

    // By method, as another module invokes it and as a service does.
    for (payload, status, outcome, said) in [
        (
            set(7),
            200,
            "answered",
            json!({"seq": 0, "no": false, "at": 7}),
        ),
        (
            set(13),
            422,
            "refused",
            json!({"seq": 1, "no": true, "at": 13}),
        ),
        (set(1000), 400, "invalidArguments", Value::Null),
    ] {
        let answer = planner
            .ask(json!({"method": "command", "payload": payload}))
            .await;
        assert_eq!(answer["status"], status, "{answer}");
        assert_eq!(answer["payload"]["outcome"], outcome, "{answer}");
        assert_eq!(
            answer["payload"].get("values").cloned().unwrap_or_default(),
            said,
            "{answer}"
        );
    }
    let invoked = rig
        .hub
        .invoke_method(MODULE, "command", Some(set(8)), PATIENCE);
    let answer = invoked.await.expect("an answer");
    assert_eq!(
        (answer.status, &answer.payload["values"]),
        (200, &json!({"seq": 2, "no": false, "at": 8}))
    );

    // By message.
    for (number, to, status, outcome, said) in [
        (
            1,
            9,
            200,
            "answered",
            json!({"seq": 3, "no": false, "at": 9}),
        ),
        (
            2,
            13,
            422,
            "refused",
            json!({"seq": 4, "no": true, "at": 13}),
        ),
    ] {
        let (id, correlation) = (format!("order {number}"), format!("plan/{number} & more"));
        let order = json!({"order": set(to), "id": id, "correlation": correlation});
        let result = planner.ask(order).await;
        assert_eq!(result["input"], "results", "{result}");
        assert_eq!(result["correlation"], correlation, "{result}");
        let body = &result["body"];
        let found = (&body["status"], &body["outcome"], &body["values"]);
        assert_eq!(found, (&json!(status), &json!(outcome), &said), "{result}");
        let told = (&body["correlationId"], &body["messageId"], &body["device"]);
        assert_eq!(
            told,
            (&json!(correlation), &json!(id), &json!("valve")),
            "{result}"
        );
        assert_eq!(result["properties"]["outcome"], outcome, "{result}");
    }
    planner.finish().await;
    let counters = rig.hub.counters();
    assert_eq!(counters.silent_losses(), 0, "{counters:?}");
}

//! Commands through the stand-in: methods, and messages that routes lead into the input `commands`.

use std::time::Duration;

use dev_hub::{DevHub, UpstreamMessage};
use serde_json::{Value, json};

use crate::rig::{Device, MODULE, PATIENCE, RECORD, Rig, free_port, lines};

/// One listener, whose device is `scale`.
fn settings(port: u16) -> Value {
    json!({
        "listeners": {"a": {"port": port, "protocol": "lines", "device": "scale"}},
        "protocols": {"lines": lines()}
    })
}

fn tare() -> Value {
    json!({"device": "scale", "bytes": "T\r\n"})
}

async fn connected(rig: &Rig, port: u16) -> Device {
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n").await;
    rig.value("n", 1).await;
    device
}

async fn method(rig: &Rig, name: &str, payload: Value) -> (i32, Value) {
    let invoked = rig.hub.invoke_method(MODULE, name, Some(payload), PATIENCE);
    let answer = invoked.await.expect("an answer");
    (answer.status, answer.payload)
}

fn send_input(rig: &Rig, id: &str, body: &Value) {
    let properties = [("$.mid", id), ("$.cid", "order 7"), ("from", "a plan")];
    let sent = rig
        .hub
        .send_input(MODULE, "commands", &properties, body.to_string());
    sent.expect("a module");
}

/// The result of the command of that message.
async fn result(rig: &Rig, id: &str) -> (Value, std::sync::Arc<UpstreamMessage>) {
    let expected = format!("result-{id}");
    let message = rig.message(|message| message.message_id() == Some(&expected));
    let message = message.await;
    (message.json().expect("JSON"), message)
}

fn results(rig: &Rig) -> usize {
    let all = rig.hub.upstream().messages();
    let results = all.iter();
    results
        .filter(|message| message.output.as_deref() == Some("commandResults"))
        .count()
}

#[tokio::test]
async fn methods_reach_a_device_list_it_and_end_its_connection() {
    let port = free_port();
    let rig = Rig::with(settings(port)).await;
    let mut device = connected(&rig, port).await;
    let (status, answer) = method(&rig, "send", tare()).await;
    assert_eq!(
        (status, &answer["outcome"], &answer["written"]),
        (200, &json!("sent"), &json!(3))
    );
    assert_eq!(device.receive(3).await, b"T\r\n");
    let (status, answer) = method(&rig, "devices", json!({})).await;
    let number = &answer["devices"][0]["connection"];
    assert_eq!(
        (status, &answer["devices"][0]["device"]),
        (200, &json!("scale"))
    );
    let (_, answer) = method(&rig, "connections", json!({})).await;
    assert_eq!(answer["connections"][0]["connection"], *number);
    assert_eq!(answer["connections"][0]["listener"], "a");
    assert_eq!(answer["connections"][0]["devices"], json!(["scale"]));
    let (_, answer) = method(&rig, "status", json!({})).await;
    assert_eq!(answer["listeners"]["a"]["connections"], 1);
    assert_eq!(answer["settings"]["ac"], 200);
    let (status, answer) = method(&rig, "disconnect", json!({"connection": number})).await;
    assert_eq!((status, &answer["outcome"]), (200, &json!("disconnected")));
    assert_eq!(device.until_fin().await, b"");
    let closed = "connections_closed_total{listener=\"a\",reason=\"asked\"}";
    rig.counted(closed, |count| count == 1.0).await;
    let (status, _) = method(&rig, "send", tare()).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn raw_bytes_are_allowed_unless_the_settings_say_otherwise() {
    let port = free_port();
    let rig = Rig::with(settings(port)).await;
    let mut device = connected(&rig, port).await;
    let outcome = rig.patch(json!({"allowRaw": false})).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let (status, answer) = method(&rig, "send", tare()).await;
    assert_eq!((status, &answer["outcome"]), (403, &json!("notAllowed")));
    rig.patch(json!({"allowRaw": null})).await;
    assert_eq!(method(&rig, "send", tare()).await.0, 200);
    assert_eq!(device.receive(3).await, b"T\r\n");
}

#[tokio::test]
async fn a_message_that_a_route_leads_in_is_carried_out_and_its_result_goes_out() {
    let port = free_port();
    let mut rig = Rig::new().await;
    let hub = DevHub::builder()
        .module(MODULE)
        .route("up", "FROM /messages/* INTO $upstream")
        .route(
            "orders",
            "FROM /messages/modules/gateway/outputs/orders INTO BrokeredEndpoint(\"/modules/gateway/inputs/commands\")",
        )
        .record(RECORD);
    rig.hub = hub.start().await.expect("the stand-in starts");
    rig.start();
    let mut settings = settings(port);
    let orders = free_port();
    settings["listeners"]["b"] = json!({"port": orders, "protocol": "lines", "output": "orders"});
    settings["outputs"] = json!({"orders": {"body": "values"}});
    let outcome = rig.set(settings).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let mut device = connected(&rig, port).await;
    let mut other = Device::connect(orders).await;
    other.send(format!("{}\n", tare())).await;
    assert_eq!(device.receive(3).await, b"T\r\n");
    let order = rig
        .message(|message| message.output.as_deref() == Some("orders"))
        .await;
    let id = order.message_id().expect("an id");
    let (body, message) = result(&rig, id).await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("sent"), &json!(200))
    );
    assert_eq!(message.system.get("$.cid").map(String::as_str), Some(id));
}

#[tokio::test]
async fn an_input_is_acknowledged_before_its_outcome_and_not_executed_twice() {
    let port = free_port();
    let rig = Rig::with(settings(port)).await;
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    send_input(&rig, "m-1", &waits);
    let consumed = |count| move |counters: &dev_hub::Counters| counters.inputs_consumed == count;
    let waited = rig.hub.wait_for_counters(PATIENCE, consumed(1)).await;
    waited.expect("acknowledged");
    assert_eq!(results(&rig), 0, "it has no outcome");
    let mut device = connected(&rig, port).await;
    assert_eq!(device.receive(3).await, b"T\r\n");
    let (body, message) = result(&rig, "m-1").await;
    assert_eq!(
        (&body["outcome"], &body["messageId"]),
        (&json!("sent"), &json!("m-1"))
    );
    assert_eq!(message.system["$.cid"], "order 7");
    assert_eq!(body["correlationId"], "order 7");
    assert_eq!(body["id"], "result-m-1");
    send_input(&rig, "m-1", &waits);
    send_input(&rig, "m-2", &json!({"device": "scale", "bytes": "Z"}));
    result(&rig, "m-2").await;
    assert_eq!(device.receive(1).await, b"Z", "nothing in front of it");
    assert_eq!(results(&rig), 2);
    assert_eq!(rig.sample("inputs_total{result=\"duplicate\"}"), 1.0);
}

#[tokio::test]
async fn what_a_killed_module_had_accepted_is_interrupted_and_never_written() {
    let port = free_port();
    let mut rig = Rig::with(settings(port)).await;
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    send_input(&rig, "m-1", &waits);
    let consumed = |counters: &dev_hub::Counters| counters.inputs_consumed == 1;
    let waited = rig.hub.wait_for_counters(PATIENCE, consumed).await;
    waited.expect("acknowledged");
    rig.kill().await;
    rig.start();
    let (body, message) = result(&rig, "m-1").await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("interrupted"), &json!(503))
    );
    assert_eq!(message.system["$.cid"], "order 7");
    let mut device = connected(&rig, port).await;
    send_input(&rig, "m-1", &waits);
    send_input(&rig, "m-2", &json!({"device": "scale", "bytes": "Z"}));
    assert_eq!(device.receive(1).await, b"Z", "nothing in front of it");
    result(&rig, "m-2").await;
    // Neither is told again by a third run.
    rig.stop().await.expect("stops");
    rig.start();
    send_input(&rig, "m-3", &json!({"device": "scale", "bytes": "Z"}));
    result(&rig, "m-3").await;
    assert_eq!(results(&rig), 3);
}

#[tokio::test]
async fn without_storage_an_input_is_acknowledged_at_its_outcome() {
    let port = free_port();
    let mut rig = Rig::new().await;
    std::fs::write(rig.storage.path().join("commands"), "").expect("written");
    rig.start();
    rig.set(settings(port)).await;
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    send_input(&rig, "m-1", &waits);
    rig.counted("inputs_total{result=\"not_safe\"}", |count| count == 1.0)
        .await;
    // Methods are answered meanwhile.
    assert_eq!(method(&rig, "status", json!({})).await.0, 200);
    assert_eq!(rig.hub.counters().inputs_consumed, 0);
    let mut device = connected(&rig, port).await;
    assert_eq!(device.receive(3).await, b"T\r\n");
    let consumed = |counters: &dev_hub::Counters| counters.inputs_consumed == 1;
    let waited = rig.hub.wait_for_counters(PATIENCE, consumed).await;
    waited.expect("acknowledged");
    result(&rig, "m-1").await;
}

#[tokio::test]
async fn edge_hub_repeats_an_input_after_a_reconnect_and_it_is_done_once() {
    let port = free_port();
    let mut rig = Rig::new().await;
    std::fs::write(rig.storage.path().join("commands"), "").expect("written");
    rig.start();
    rig.set(settings(port)).await;
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    send_input(&rig, "m-1", &waits);
    rig.counted("inputs_total{result=\"accepted\"}", |count| count == 1.0)
        .await;
    rig.hub.faults().close_connections();
    rig.counted("inputs_total{result=\"duplicate\"}", |count| count == 1.0)
        .await;
    let mut device = connected(&rig, port).await;
    let consumed = |counters: &dev_hub::Counters| counters.inputs_consumed == 1;
    let waited = rig.hub.wait_for_counters(PATIENCE, consumed).await;
    waited.expect("acknowledged");
    send_input(&rig, "m-2", &json!({"device": "scale", "bytes": "Z"}));
    assert_eq!(device.receive(4).await, b"T\r\nZ");
    result(&rig, "m-2").await;
    assert_eq!(results(&rig), 2);
}

#[tokio::test]
async fn a_stop_answers_a_method_that_is_under_way() {
    let port = free_port();
    let mut rig = Rig::with(settings(port)).await;
    let waits = json!({"device": "other", "bytes": "T", "waitUntilConnected": true});
    let call = rig.hub.invoke_method(MODULE, "send", Some(waits), PATIENCE);
    let shutdown = async {
        rig.counted("methods_waiting", |count| count == 1.0).await;
        rig.ask_to_stop();
    };
    let (answer, ()) = tokio::join!(call, shutdown);
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status, &answer.payload["outcome"]),
        (503, &json!("interrupted"))
    );
    rig.stop().await.expect("stops");
}

#[tokio::test]
async fn five_hundred_commands_at_once_to_a_hundred_devices() {
    const DEVICES: usize = 100;
    let port = free_port();
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id", "scope": "connection"});
    let rig = Rig::with(json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol}
    }))
    .await;
    let mut devices = Vec::new();
    for n in 0..DEVICES {
        let mut device = Device::connect(port).await;
        device.send(format!("{{\"id\":\"d{n}\"}}\n")).await;
        devices.push(device);
    }
    rig.messages(DEVICES).await;
    let calls = (0..500).map(|n| {
        let payload = json!({"device": format!("d{}", n % DEVICES), "bytes": format!("{n:03};")});
        rig.hub
            .invoke_method(MODULE, "send", Some(payload), PATIENCE)
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    let mut answered = 0;
    let all = std::future::poll_fn(|context| {
        calls.retain_mut(|call| match call.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                let answer = answer.expect("an answer");
                assert_eq!(answer.status, 200, "{:?}", answer.payload);
                answered += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        match calls.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    let limit = tokio::time::timeout(2 * PATIENCE + Duration::from_secs(1), all);
    limit.await.expect("all are answered");
    assert_eq!(answered, 500);
    for (n, device) in devices.iter_mut().enumerate() {
        let text = String::from_utf8(device.receive(20).await).expect("text");
        let mut numbers: Vec<usize> = text
            .split_terminator(';')
            .map(|number| number.parse().expect("a number"))
            .collect();
        numbers.sort_unstable();
        let expected: Vec<usize> = (0..5).map(|round| round * DEVICES + n).collect();
        assert_eq!(numbers, expected, "d{n} gets what is its own");
    }
}

//! Devices that are dialled, and what is said of who is there.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::rig::{Device, PATIENCE, Rig, lines};

/// A device that waits to be dialled.
struct Waiting(TcpListener);

impl Waiting {
    async fn new() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        Waiting(socket.expect("a port"))
    }

    fn address(&self) -> String {
        self.0.local_addr().expect("its address").to_string()
    }

    async fn dialled(&self) -> Device {
        let accepted = timeout(PATIENCE, self.0.accept()).await;
        let (stream, _) = accepted.expect("dialled in time").expect("a connection");
        Device(stream)
    }
}

/// The first message about a device that says this of its presence and is not among those before.
async fn presence(rig: &Rig, device: &str, state: &str, before: &[&Value]) -> Value {
    let message = rig.message(|message| {
        let body = message.json().unwrap_or_default();
        let is = body["device"] == device && body["presence"] == state;
        is && !before.contains(&&body)
    });
    message.await.json().expect("a body")
}

#[tokio::test]
async fn without_a_listener_devices_are_dialled_and_their_presence_is_told_in_its_order() {
    let device = Waiting::new().await;
    let settings = json!({
        "outbound": {"press": {"address": device.address(), "protocol": "lines", "device": "press-7"}},
        "protocols": {"lines": lines()},
        "devices": {"press-7": {"properties": {"line": "A"}}},
        "presence": {"messages": true},
    });
    let mut rig = Rig::with(settings).await;
    let mut stream = device.dialled().await;
    stream.send("{\"n\":1}\n").await;
    let message = rig.value("n", 1).await;
    let body = message.json().expect("a body");
    assert_eq!(
        (&body["device"], &body["outbound"]),
        (&json!("press-7"), &json!("press")),
        "{body}"
    );
    assert!(body.get("listener").is_none(), "{body}");
    let connected = presence(&rig, "press-7", "connected", &[]).await;
    assert_eq!(connected["outbound"], "press", "{connected}");
    assert!(
        connected["id"].is_string() && connected["since"].is_string(),
        "{connected}"
    );
    let all = json!({"connected": 1, "of": 1});
    rig.reported(|reported| reported["outbound"]["press"] == all)
        .await;
    rig.reported(|reported| reported["presence"]["connected"] == 1)
        .await;

    // It cannot be reached before it is told that it is gone.
    let address = device.address();
    drop((device, stream));
    let gone = presence(&rig, "press-7", "disconnected", &[]).await;
    let device = Waiting(TcpListener::bind(address).await.expect("the port again"));
    let mut again = device.dialled().await;
    assert!(
        ["fin", "reset"].contains(&gone["reason"].as_str().unwrap_or_default()),
        "{gone}"
    );
    let back = presence(&rig, "press-7", "connected", &[&connected]).await;
    assert!(
        back["since"].as_str() >= gone["since"].as_str(),
        "{gone} {back}"
    );
    again.send("{\"n\":2}\n").await;
    rig.value("n", 2).await;

    rig.stop().await.expect("a clean end");
    assert!(again.until_fin().await.is_empty());
    let upstream = rig.hub.upstream();
    let states: Vec<_> = upstream
        .messages()
        .iter()
        .filter_map(|message| message.json()?.get("presence").cloned())
        .collect();
    assert_eq!(
        states,
        ["connected", "disconnected", "connected"],
        "the module went, not the device"
    );
}

#[tokio::test]
async fn what_becomes_of_the_first_attempt_and_that_nobody_is_left_is_reported_before_its_time() {
    let device = Waiting::new().await;
    let settings = json!({
        "outbound": {"press": {"address": device.address(), "protocol": "lines"}},
        "protocols": {"lines": lines()},
    });
    let mut rig = Rig::new().await;
    rig.tell_again = Duration::from_secs(3600);
    rig.start();
    assert_eq!(rig.set(settings).await["ac"], 200);
    let stream = device.dialled().await;
    let press = |wanted: Value| move |reported: &Value| reported["outbound"]["press"] == wanted;
    rig.reported(press(json!({"connected": 1, "of": 1}))).await;
    drop((device, stream));
    rig.reported(|reported| {
        let press = &reported["outbound"]["press"];
        press["connected"] == 0 && press["error"].is_string()
    })
    .await;
}

#[tokio::test]
async fn a_device_that_says_nothing_is_silent_until_it_speaks_and_one_that_comes_again_was_never_gone()
 {
    let port = crate::rig::free_port();
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id", "scope": "connection"});
    let settings = json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol},
        "presence": {"messages": true, "silentSeconds": 1},
    });
    let rig = Rig::with(settings).await;
    let mut old = Device::connect(port).await;
    old.send("{\"id\":\"d\"}\n").await;
    let connected = presence(&rig, "d", "connected", &[]).await;
    assert_eq!(connected["listener"], "a", "{connected}");
    let silent = presence(&rig, "d", "silent", &[]).await;
    assert!(silent.get("reason").is_none(), "{silent}");
    rig.counted("devices{presence=\"silent\"}", |count| count == 1.0)
        .await;
    rig.reported(|reported| reported["presence"]["away"]["d"].is_string())
        .await;
    old.send("{\"id\":\"d\"}\n").await;
    presence(&rig, "d", "connected", &[&connected]).await;

    let mut new = Device::connect(port).await;
    new.send("{\"id\":\"d\",\"n\":1}\n").await;
    rig.value("n", 1).await;
    assert!(old.until_fin().await.is_empty(), "superseded");
    drop(new);
    presence(&rig, "d", "disconnected", &[]).await;
    let none = rig.patch(json!({"presence": null})).await;
    assert_eq!(none["ac"], 200);
    rig.reported(|reported| reported.get("presence").is_none_or(Value::is_null))
        .await;
}

#[tokio::test]
async fn a_changed_address_is_dialled_and_the_other_connections_stay() {
    let (one, two, moved) = (
        Waiting::new().await,
        Waiting::new().await,
        Waiting::new().await,
    );
    let settings = json!({
        "outbound": {"meters": {"addresses": {"m-1": one.address(), "m-2": two.address()}, "protocol": "lines"}},
        "protocols": {"lines": lines()},
        "deviceRules": {"all": {"match": {"listener": "meters"}, "properties": {"site": "north"}}},
    });
    let rig = Rig::with(settings).await;
    let (mut kept, mut left) = (one.dialled().await, two.dialled().await);
    let patch = json!({"outbound": {"meters": {"addresses": {"m-2": moved.address()}}}});
    assert_eq!(rig.patch(patch).await["ac"], 200);
    let mut new = moved.dialled().await;
    assert!(left.until_fin().await.is_empty());
    for (number, device) in [&mut kept, &mut new].into_iter().enumerate() {
        device.send(format!("{{\"n\":{number}}}\n")).await;
        let message = rig.value("n", number).await;
        assert_eq!(message.property("site"), Some("north"));
        let name = message.json().expect("a body")["device"].clone();
        assert_eq!(name, format!("m-{}", number + 1));
    }
    let patch = json!({"outbound": null, "listeners": {}});
    assert_eq!(rig.patch(patch).await["ac"], 200);
    assert!(kept.until_fin().await.is_empty());
    assert_eq!(
        rig.sample("outbound_attempts_total{outbound=\"meters\",result=\"connected\"}"),
        3.0
    );
    rig.reported(|reported| reported.get("outbound").is_none_or(Value::is_null))
        .await;
}

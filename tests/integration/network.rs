//! The network between the module and edgeHub, and between devices and the module: slow, stalled,
//! half open, reset, in pieces of one byte. Nothing that was answered is lost, and what arrives
//! twice bears the same id.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::fleet::{self, Fleet, nothing_lost};
use crate::proxy::{Proxy, Weather};
use crate::rig::{Device, PATIENCE, Rig, free_port, lines};

/// A module whose way to edgeHub is subject to the weather, and devices that wait for edgeHub.
async fn in_the_weather() -> (Rig, Fleet) {
    let port = free_port();
    let mut rig = Rig::new().await;
    rig.proxy = Some(Proxy::before(rig.hub.address()).await);
    rig.link.puback = Duration::from_millis(700);
    rig.link.connack = Duration::from_millis(700);
    rig.link.suback = Duration::from_millis(700);
    rig.start();
    let outcome = rig.set(fleet::settings(port, "delivered")).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    (rig, Fleet::start(port, "d", 4))
}

/// Devices that were never cut off sent each line once: so each has exactly one id.
async fn ends_well(rig: &Rig, fleet: Fleet) {
    let logs = fleet.finish().await;
    let sends = logs.values().flat_map(|log| log.sends.values());
    assert!(
        sends.copied().all(|count| count == 1),
        "no device was cut off"
    );
    nothing_lost(&rig.hub.upstream().messages(), &logs);
}

#[tokio::test]
async fn weather_between_the_module_and_edgehub_loses_nothing() {
    let weathers = [
        Weather::Delay(Duration::from_millis(20)),
        Weather::OneByte,
        Weather::Narrow(200),
    ];
    let (rig, fleet) = in_the_weather().await;
    let proxy = rig.proxy.as_ref().expect("a proxy");
    for weather in weathers {
        fleet.answered(100).await;
        proxy.set(weather);
        fleet.answered(40).await;
        proxy.set(Weather::Fair);
    }
    ends_well(&rig, fleet).await;
}

#[tokio::test]
async fn a_stalled_or_half_open_way_to_edgehub_is_noticed_and_tried_again() {
    let (rig, fleet) = in_the_weather().await;
    let proxy = rig.proxy.as_ref().expect("a proxy");
    let ended = "link_sessions_ended_total{reason=\"closed\"}";
    for weather in [Weather::Stall, Weather::HalfOpen] {
        fleet.answered(100).await;
        let before = rig.sample(ended);
        proxy.set(weather);
        rig.counted(ended, |count| count > before).await;
        proxy.set(Weather::Fair);
        fleet.answered(100).await;
    }
    ends_well(&rig, fleet).await;
}

#[tokio::test]
async fn resets_at_random_moments_lose_nothing() {
    let (rig, fleet) = in_the_weather().await;
    let proxy = rig.proxy.as_ref().expect("a proxy");
    for _ in 0..30 {
        fleet.answered(fastrand::u64(1..80)).await;
        proxy.reset();
    }
    ends_well(&rig, fleet).await;
}

#[tokio::test]
async fn weather_between_devices_and_the_module_loses_nothing() {
    let port = free_port();
    let rig = Rig::with(fleet::settings(port, "stored")).await;
    let proxy = Proxy::before(([127, 0, 0, 1], port).into()).await;
    let fleet = Fleet::start(proxy.port(), "d", 4);
    let weathers = [
        Weather::Delay(Duration::from_millis(5)),
        Weather::OneByte,
        Weather::Narrow(30),
    ];
    for weather in weathers {
        proxy.set(weather);
        fleet.answered(60).await;
        for _ in 0..5 {
            fleet.answered(fastrand::u64(1..40)).await;
            proxy.reset();
        }
    }
    // What is on its way stays there until the network carries again.
    proxy.set(Weather::Stall);
    let stalled = timeout(PATIENCE, stands_still(&fleet, port)).await;
    stalled.expect("stalled in time");
    proxy.set(Weather::Fair);
    fleet.answered(60).await;
    let answered = fleet.finish().await;
    let spooled = "messages_spooled{output=\"telemetry\"}";
    rig.counted(spooled, |count| count == 0.0).await;
    let messages = rig.hub.upstream().messages();
    // A device that was cut off sends again what had arrived: numbers repeat, and none is missing.
    nothing_lost(&messages, &answered);
}

/// Until no device of the fleet gets an answer while another one, past the network, gets many.
async fn stands_still(fleet: &Fleet, port: u16) {
    let mut direct = Device::connect(port).await;
    let mut before = None;
    while before.replace(fleet.answers()) != Some(fleet.answers()) {
        for _ in 0..20 {
            direct.send("{\"id\":\"direct\",\"n\":1}\n").await;
            assert_eq!(direct.receive(2).await, b"1\n");
        }
    }
}

#[tokio::test]
async fn a_device_that_is_gone_without_a_word_ends_by_its_idle_timeout() {
    let port = free_port();
    let rig = Rig::with(json!({
        "listeners": {"a": {"port": port, "protocol": "lines", "idleTimeoutSeconds": 1}},
        "protocols": {"lines": lines()}
    }))
    .await;
    let proxy = Proxy::before(([127, 0, 0, 1], port).into()).await;
    let mut gone = Device::connect(proxy.port()).await;
    gone.send("{\"n\":1}\n{\"n\":").await;
    rig.value("n", 1).await;
    proxy.set(Weather::HalfOpen);
    gone.send("2}\n").await;
    let mut other = Device::connect(port).await;
    other.send("{\"n\":3}\n").await;
    rig.value("n", 3).await;
    let closed = "connections_closed_total{listener=\"a\",reason=\"idle\"}";
    rig.counted(closed, |count| count >= 1.0).await;
}

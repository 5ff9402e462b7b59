//! Whatever edgeHub or the workload API does, every message arrives.

use std::time::Duration;

use dev_hub::DevHub;
use edge_tcp_gateway::edge::Identity;
use edge_tcp_gateway::northbound::{LinkEnded, Timeouts};
use serde_json::json;
use tokio::time::timeout;

use super::*;

#[tokio::test]
async fn telemetry_arrives_as_the_contract_says_by_the_workload_api() {
    let hub = start_hub().await;
    arrives_whole(&hub, by_workload(&hub)).await;
}

#[tokio::test]
async fn telemetry_arrives_as_the_contract_says_by_connection_string() {
    let hub = start_hub().await;
    arrives_whole(&hub, by_connection_string(&hub)).await;
}

async fn arrives_whole(hub: &DevHub, identity: Identity) {
    let mut north = start(identity, quick_link());
    north.send(1).await;
    north.all_delivered().await;
    let arrived = hub.upstream().messages();
    let message = arrived.first().expect("one message");
    assert_eq!(
        (message.device.as_str(), message.module.as_deref()),
        ("edge", Some(MODULE))
    );
    assert_eq!(message.output.as_deref(), Some("telemetry"));
    assert_eq!(message.property("device"), Some("scale 1"));
    assert_eq!(
        message.system.get("$.ct").map(String::as_str),
        Some("application/json")
    );
    assert_eq!(
        message.system.get("$.ce").map(String::as_str),
        Some("utf-8")
    );
    nothing_lost(hub, 1);
    assert!(north.stopped().await.is_ok());
}

#[tokio::test]
async fn a_restart_of_edge_hub_loses_nothing() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    for _ in 0..3 {
        north.send(200).await;
        hub.faults().restart().await.expect("restarts on its port");
    }
    north.send(100).await;
    north.all_delivered().await;
    nothing_lost(&hub, 700);
}

#[tokio::test]
async fn acknowledgements_lost_on_the_way_make_repeats_that_can_be_told() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    hub.faults().lose_pubacks(3);
    north.send(300).await;
    north.all_delivered().await;
    assert!(hub.upstream().count() > 300, "something was repeated");
    nothing_lost(&hub, 300);
}

#[tokio::test]
async fn a_lost_session_is_subscribed_anew() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    north.connected().await;
    hub.faults().lose_sessions();
    hub.faults().close_connections();
    north.connected().await;
    hub.patch_desired(MODULE, json!({"after": true}))
        .expect("a module");
    while north.desired().await.0 != json!({"after": true}) {}
    north.send(10).await;
    north.all_delivered().await;
    nothing_lost(&hub, 10);
}

#[tokio::test]
async fn refused_connects_and_expired_tokens_are_tried_again_with_new_ones() {
    let hub = start_hub().await;
    hub.faults().refuse_connects(2, 5);
    hub.faults().refuse_connects(1, 3);
    let mut north = start(by_workload(&hub), quick_link());
    north.connected().await;
    hub.faults().expire_tokens();
    north.send(50).await;
    north.all_delivered().await;
    nothing_lost(&hub, 50);
}

#[tokio::test]
async fn withheld_acknowledgements_are_waited_for_and_repeated_in_the_next_session() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    north.connected().await;
    hub.faults().hold_pubacks();
    north.send(20).await;
    let upstream = hub.upstream();
    upstream
        .wait_for_count(1, PATIENCE)
        .await
        .expect("the first is stored");
    assert!(
        north.delivered.try_recv().is_err(),
        "nothing is delivered without PUBACK"
    );
    hub.faults().release_pubacks();
    hub.faults().close_connections();
    north.all_delivered().await;
    nothing_lost(&hub, 20);
}

#[tokio::test]
async fn a_connack_that_never_comes_is_given_up() {
    let hub = start_hub().await;
    hub.faults().withhold_connacks(1);
    let timeouts = Timeouts {
        connack: Duration::from_millis(300),
        ..quick_link()
    };
    let mut north = start(by_workload(&hub), timeouts);
    north.send(1).await;
    north.all_delivered().await;
    nothing_lost(&hub, 1);
}

#[tokio::test]
async fn a_late_connack_is_waited_for() {
    let hub = start_hub().await;
    hub.faults().delay_connacks(1, Duration::from_millis(500));
    let mut north = start(by_workload(&hub), quick_link());
    north.send(1).await;
    north.all_delivered().await;
    assert_eq!(hub.counters().connected, 1, "one attempt was enough");
}

#[tokio::test]
async fn a_token_is_renewed_by_a_planned_reconnect() {
    let hub = start_hub().await;
    let timeouts = Timeouts {
        renew_after: Duration::from_millis(200),
        ..quick_link()
    };
    let mut north = start(by_workload(&hub), timeouts);
    for _ in 0..3 {
        north.connected().await;
        north.send(100).await;
    }
    north.all_delivered().await;
    let arrived = hub.upstream().count();
    assert_eq!(arrived, 300, "a planned reconnect repeats nothing");
    nothing_lost(&hub, 300);
}

#[tokio::test]
async fn two_with_one_identity_fight_slower_and_slower_and_lose_nothing() {
    let hub = start_hub().await;
    let timeouts = Timeouts {
        longest_retry: Duration::from_secs(1),
        ..quick_link()
    };
    let mut one = start(by_workload(&hub), timeouts);
    one.send(50).await;
    one.all_delivered().await;
    let _other = start(by_workload(&hub), timeouts);
    hub.wait_for_counters(PATIENCE, |counters| counters.taken_over >= 4)
        .await
        .expect("they fight");
    one.send(50).await;
    one.all_delivered().await;
    nothing_lost(&hub, 100);
    assert!(hub.counters().connected < 200, "no busy loop");
}

#[tokio::test]
async fn a_workload_api_away_at_boot_is_waited_for_and_a_stale_socket_is_not() {
    let hub = start_hub().await;
    hub.faults().stop_workload();
    let mut north = start(by_workload(&hub), quick_link());
    north.send(5).await;
    hub.faults().start_workload().expect("starts again");
    north.all_delivered().await;
    nothing_lost(&hub, 5);

    hub.faults().leave_stale_socket();
    let impatient = Timeouts {
        stale_socket: Duration::from_millis(50),
        shortest_life: Duration::from_millis(100),
        ..quick_link()
    };
    let mut doomed = start(by_workload(&hub), impatient);
    let ended = timeout(PATIENCE, doomed.link.join_next())
        .await
        .expect("ends by itself");
    assert!(matches!(ended, Some(Ok(Err(LinkEnded::WorkloadStale(_))))));
}

#[tokio::test]
async fn a_rolled_root_certificate_is_read_again() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    north.connected().await;
    hub.faults()
        .replace_certificates()
        .expect("new certificates");
    hub.faults().close_connections();
    north.connected().await;
    north.send(5).await;
    north.all_delivered().await;
    nothing_lost(&hub, 5);
}

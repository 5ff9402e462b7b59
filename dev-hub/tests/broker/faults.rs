//! Faults, each as asked for.

use std::time::Duration;

use dev_hub::DevHub;

use crate::client::{CLIENT_ID, Client, EVENTS, Got, PATIENCE, USERNAME, good_token, hub};

#[tokio::test]
async fn connects_are_refused_then_taken() {
    let hub = hub().await;
    hub.faults().refuse_connects(1, 3);
    hub.faults().delay_connacks(1, Duration::from_millis(5));
    for expected in [3, 0] {
        let mut client = Client::dial(&hub).await;
        client.connect(CLIENT_ID, USERNAME, &good_token(&hub)).await;
        assert_eq!(client.got().await, Got::ConnAck(expected, false));
    }
    assert_eq!(hub.counters().connects_disturbed, 2);
    hub.stop().await;
}

#[tokio::test]
async fn a_withheld_connack_ends_with_the_connections() {
    let hub = hub().await;
    hub.faults().withhold_connacks(1);
    let mut client = Client::dial(&hub).await;
    client.connect(CLIENT_ID, USERNAME, &good_token(&hub)).await;
    hub.wait_for_counters(PATIENCE, |counters| counters.connects_disturbed == 1)
        .await
        .unwrap();
    hub.faults().restart().await.unwrap();
    assert_eq!(client.got().await, Got::Closed);
    hub.stop().await;
}

#[tokio::test]
async fn pubacks_are_held_in_order_and_reading_stops() {
    let hub = hub().await;
    hub.faults().hold_pubacks();
    let mut client = Client::connected(&hub).await;
    for id in 1..=200 {
        client.publish(id, EVENTS, "x").await;
    }
    hub.upstream().wait_for_count(16, PATIENCE).await.unwrap();
    assert_eq!(hub.counters().pubacks, 0);
    hub.faults().release_pubacks();
    for id in 1..=200 {
        assert_eq!(client.got().await, Got::PubAck(id));
    }
    assert_eq!(hub.upstream().count(), 200);
    hub.stop().await;
}

#[tokio::test]
async fn a_lost_puback_leaves_the_message_stored_and_a_failed_store_does_not() {
    let hub = hub().await;
    hub.faults().lose_pubacks(1);
    hub.faults().fail_stores(1);
    for stored in [1, 1] {
        let mut client = Client::connected(&hub).await;
        client.publish(1, EVENTS, "x").await;
        assert_eq!(client.got().await, Got::Closed);
        assert_eq!(hub.upstream().count(), stored);
    }
    assert_eq!(hub.counters().store_failed, 1);
    hub.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_closed_and_refused_until_there_is_another() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    hub.faults().expire_tokens();
    assert_eq!(client.got().await, Got::Closed);
    for (expiry, code) in [(4_000_000_000, 5), (4_000_000_001, 0)] {
        let mut again = Client::dial(&hub).await;
        again
            .connect(CLIENT_ID, USERNAME, &crate::token(&hub, expiry))
            .await;
        assert_eq!(again.got().await, Got::ConnAck(code, false));
    }
    hub.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_port_and_sessions_unless_they_are_to_be_lost() {
    let hub = hub().await;
    let address = hub.address();
    let mut client = Client::connected(&hub).await;
    client.subscribe(&["$iothub/twin/res/#"]).await;
    client.got().await;
    for (lose, present) in [(false, true), (true, false)] {
        hub.faults().stop_listening().await;
        assert_eq!(client.got().await, Got::Closed);
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        if lose {
            hub.faults().lose_sessions();
        }
        hub.faults().listen_again().await.unwrap();
        client = Client::dial(&hub).await;
        client.connect(CLIENT_ID, USERNAME, &good_token(&hub)).await;
        assert_eq!(client.got().await, Got::ConnAck(0, present));
    }
    hub.stop().await;
}

#[tokio::test]
async fn over_the_limit_of_clients_a_connection_is_accepted_and_dead() {
    let hub = DevHub::builder()
        .edge_device("edge")
        .module("gateway")
        .max_clients(0)
        .start()
        .await
        .unwrap();
    let mut client = Client::connected(&hub).await;
    client.publish(1, EVENTS, "x").await;
    assert_eq!(client.got().await, Got::PubAck(1));
    let counters = hub.counters();
    assert_eq!(
        (
            counters.connected_dead,
            counters.upstream_dead_connection,
            counters.upstream
        ),
        (1, 1, 0)
    );
    hub.stop().await;
}

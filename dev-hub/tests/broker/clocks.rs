//! What edgeHub does when time passes.

use std::time::Duration;

use dev_hub::DevHub;
use mqtt::Packet;

use crate::client::{CLIENT_ID, Client, Got, PATIENCE, USERNAME, good_token, hub, token};

#[tokio::test]
async fn a_held_method_waits_for_the_subscription() {
    let builder = DevHub::builder().edge_device("edge").module("gateway");
    let hub = builder
        .method_hold(Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    let nobody = hub.hold_method("gateway", Duration::from_millis(1)).await;
    assert_eq!(nobody, Err(dev_hub::MethodError::NotConnected));
    let calling = async {
        hub.hold_method("gateway", PATIENCE).await.unwrap();
        hub.invoke_method("gateway", "go", None, PATIENCE).await
    };
    let answering = async {
        let mut client = Client::connected(&hub).await;
        client.subscribe(&["$iothub/methods/POST/#"]).await;
        client.got().await;
        let Got::Message { topic, .. } = client.got().await else {
            panic!("no method")
        };
        let rid = topic
            .strip_prefix("$iothub/methods/POST/go/?$rid=")
            .unwrap();
        let answer = format!("$iothub/methods/res/200/?$rid={rid}");
        client.publish(1, &answer, "{}").await;
        assert_eq!(client.got().await, Got::PubAck(1));
    };
    let (answer, ()) = tokio::join!(calling, answering);
    assert_eq!(answer.unwrap().status, 200);
    hub.stop().await;
}

#[tokio::test]
async fn an_input_that_is_not_acknowledged_in_time_comes_again() {
    let builder = DevHub::builder().edge_device("edge").module("gateway");
    let hub = builder
        .input_ack_within(Duration::from_millis(50))
        .start()
        .await
        .unwrap();
    let mut client = Client::connected(&hub).await;
    client
        .subscribe(&["devices/edge/modules/gateway/inputs/#"])
        .await;
    client.got().await;
    hub.send_input("gateway", "one", &[], "first").unwrap();
    for _ in 0..3 {
        let got = client.got().await;
        assert!(
            matches!(got, Got::Message { ref payload, dup: false, .. } if payload == "first"),
            "{got:?}"
        );
    }
    hub.stop().await;
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a token ends at a time of the clock that the stand-in reads"
)]
async fn a_token_that_ends_is_found_by_the_sweep() {
    let builder = DevHub::builder().edge_device("edge").module("gateway");
    let hub = builder
        .token_sweep(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let mut client = Client::dial(&hub).await;
    // Tokens are taken until five minutes behind their end.
    let now = jiff::Timestamp::now().as_second();
    client
        .connect(CLIENT_ID, USERNAME, &token(&hub, now - 298))
        .await;
    assert_eq!(client.got().await, Got::ConnAck(0, false));
    assert_eq!(client.got().await, Got::Closed);
    hub.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_for_one_and_a_half_times_its_keep_alive_is_closed() {
    let hub = hub().await;
    let mut client = Client::dial(&hub).await;
    let password = good_token(&hub);
    let connect = mqtt::Connect {
        client_id: CLIENT_ID,
        clean_session: false,
        keep_alive: 1,
        will: None,
        username: Some(USERNAME),
        password: Some(mqtt::Password(password.as_bytes())),
    };
    client.send(&Packet::Connect(connect)).await;
    assert_eq!(client.got().await, Got::ConnAck(0, false));
    assert_eq!(client.got().await, Got::Closed);
    assert_eq!(hub.counters().keep_alive_missed, 1);
    hub.stop().await;
}

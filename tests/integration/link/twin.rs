//! Twin and direct methods over a link.

use edge_tcp_gateway::northbound::{Inbound, Outgoing};
use serde_json::json;

use super::*;

#[tokio::test]
async fn the_twin_comes_whole_through_gaps_and_an_edge_hub_that_knows_nothing() {
    let hub = start_hub().await;
    hub.set_desired(MODULE, json!({"a": 1})).expect("a module");
    let mut north = start(by_workload(&hub), quick_link());
    let (document, version) = north.desired().await;
    assert_eq!(document, json!({"a": 1}));
    hub.faults().lose_desired_patches(1);
    hub.patch_desired(MODULE, json!({"b": 2}))
        .expect("a module");
    hub.patch_desired(MODULE, json!({"c": {"d": 3}}))
        .expect("a module");
    let (document, later) = north.desired().await;
    assert_eq!(document, json!({"a": 1, "b": 2, "c": {"d": 3}}));
    assert!(later > version);
    hub.faults().empty_twins(true);
    hub.faults().close_connections();
    north.connected().await;
    hub.faults().empty_twins(false);
    hub.patch_desired(MODULE, json!({"a": null}))
        .expect("a module");
    let (document, _) = north.desired().await;
    assert_eq!(document, json!({"b": 2, "c": {"d": 3}}));
}

#[tokio::test]
async fn methods_and_reported_properties_go_round() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick_link());
    north
        .outgoing
        .send(Outgoing::Reported(json!({"state": "up"})))
        .await
        .expect("the link lives");
    let reported = hub
        .wait_for_reported(MODULE, PATIENCE, |reported| reported["state"] == "up")
        .await;
    assert!(reported.is_ok());
    let answering = async {
        loop {
            if let Inbound::Method { name, answer, .. } = north.news().await {
                let payload = json!({ "called": name });
                let response = Outgoing::MethodResponse {
                    rid: answer,
                    status: 201,
                    payload,
                };
                return north.outgoing.send(response).await.expect("the link lives");
            }
        }
    };
    let (answer, ()) = tokio::join!(
        hub.invoke_method(MODULE, "send", Some(json!({})), PATIENCE),
        answering
    );
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status, answer.payload),
        (201, json!({"called": "send"}))
    );
}

use super::*;
use crate::conversation::Asked;
use crate::journal::{Record, State, read};

fn property<'a>(message: &'a crate::message::Message, name: &str) -> Option<&'a str> {
    let mut all = message.properties.iter();
    all.find(|(known, _)| &**known == name)
        .map(|(_, value)| &**value)
}

/// The records in a journal's file, without the first line.
fn records(folder: &Path) -> Vec<Record> {
    let file = std::fs::read(folder.join("journal")).unwrap();
    read(&file).records.into_iter().skip(1).collect()
}

#[tokio::test]
async fn a_command_is_acknowledged_when_it_is_on_disk_and_its_outcome_is_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    let inbox = bench.connect("scale-1");
    let mut message = InputMessage {
        delivery: DeliveryId(7),
        input: INPUT.to_owned(),
        properties: vec![
            ("$.mid".to_owned(), Some("order 1".to_owned())),
            ("$.cid".to_owned(), Some("c-1".to_owned())),
        ],
        payload: json!({"device": "scale-1", "bytes": "T"})
            .to_string()
            .into(),
    };
    bench.inputs.send(message.clone()).await.unwrap();
    let (request, answer) = taken(&inbox).await;
    assert!(matches!(request.what, Asked::Raw { bytes, answer: None } if bytes == "T"));
    assert_eq!(bench.acknowledged().await, 7);
    let on_disk = records(folder.path());
    assert!(matches!(&on_disk[..], [Record::Accepted(accepted)] if accepted.id == "order 1"));
    answer.send(Outcome::Sent { written: 1 }).unwrap();
    let (result, body) = bench.result().await;
    let expected = json!({
        "outcome": "sent", "device": "scale-1", "written": 1,
        "status": 200, "correlationId": "c-1", "messageId": "order 1"
    });
    assert_eq!(body, expected);
    assert_eq!(
        (&*result.output, &*result.device),
        ("commandResults", "scale-1")
    );
    assert_eq!(result.id.as_deref(), Some("result-order 1"));
    for (name, value) in [
        ("$.cid", "c-1"),
        ("outcome", "sent"),
        ("status", "200"),
        ("device", "scale-1"),
    ] {
        assert_eq!(property(&result, name), Some(value), "{name}");
    }
    // The same again is acknowledged and not executed.
    message.delivery = DeliveryId(8);
    bench.inputs.send(message).await.unwrap();
    assert_eq!(bench.acknowledged().await, 8);
    bench.stop().await;
    assert!(bench.submissions.recv().await.is_none());
    assert_eq!(bench.counted("inputs_total{result=\"duplicate\"}"), 1.0);
    assert_eq!(
        bench.counted("commands_total{door=\"input\",outcome=\"sent\"}"),
        1.0
    );
    // What is done stays known, and is not told again.
    let (store, found) = Store::open(folder.path(), "me").unwrap();
    assert!(store.book().knows("order 1") && found.open.is_empty());
}

#[tokio::test]
async fn without_a_correlation_id_the_message_id_is_it() {
    let mut bench = Bench::new();
    bench.send(1, Some("m"), tare().to_string()).await;
    let (result, body) = bench.result().await;
    assert_eq!(
        (property(&result, "$.cid"), &body["correlationId"]),
        (Some("m"), &json!("m"))
    );
    assert_eq!(
        (&body["status"], &body["outcome"]),
        (&json!(404), &json!("unknownDevice"))
    );
}

#[tokio::test]
async fn without_a_journal_it_is_acknowledged_at_its_outcome_and_so_are_its_repeats() {
    let mut bench = Bench::new();
    let inbox = bench.connect("scale-1");
    bench.send(1, Some("m"), tare().to_string()).await;
    let (_, answer) = taken(&inbox).await;
    bench.send(2, Some("m"), tare().to_string()).await;
    let (status, _) = bench.ask("status", json!(null)).await;
    assert_eq!(
        status, 200,
        "an answer comes, and no acknowledgement before it"
    );
    answer.send(Outcome::Sent { written: 1 }).unwrap();
    assert_eq!(bench.result().await.1["outcome"], "sent");
    assert_eq!(bench.acknowledged().await, 1);
    assert_eq!(bench.acknowledged().await, 2);
    bench.send(3, Some("m"), tare().to_string()).await;
    assert_eq!(bench.acknowledged().await, 3);
    assert_eq!(bench.counted("inputs_total{result=\"duplicate\"}"), 2.0);
    assert_eq!(bench.counted("inputs_total{result=\"not_safe\"}"), 1.0);
}

#[tokio::test]
async fn a_journal_that_takes_nothing_is_as_none() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, found) = Store::open(folder.path(), "me").unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join("journal.new")).unwrap();
    store.file = None;
    let mut bench = Bench::over(Some((store, found)));
    let inbox = bench.connect("scale-1");
    bench.send(1, Some("m"), tare().to_string()).await;
    let (_, answer) = taken(&inbox).await;
    assert_eq!(bench.ask("status", json!(null)).await.0, 200);
    answer.send(Outcome::Sent { written: 1 }).unwrap();
    bench.result().await;
    assert_eq!(bench.acknowledged().await, 1);
    assert!(bench.counted("command_journal_failures_total") >= 2.0);
}

#[tokio::test]
async fn after_a_restart_what_was_accepted_is_interrupted_and_what_was_told_is_told_the_same_again()
{
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    let inbox = bench.connect("scale-1");
    bench.send(1, Some("under way"), tare().to_string()).await;
    assert_eq!(bench.acknowledged().await, 1);
    bench
        .send(
            2,
            Some("told"),
            json!({"device": "x", "command": "y"}).to_string(),
        )
        .await;
    assert_eq!(bench.acknowledged().await, 2);
    // The forwarder took it over, and the process ends before it is safe.
    let unsafe_result = bench.submissions.recv().await.unwrap().remove(0);
    bench.tasks.shutdown().await;
    drop(inbox);

    let mut bench = Bench::with_journal(folder.path());
    let inbox = bench.connect("scale-1");
    let (result, body) = bench.result().await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("interrupted"), &json!(503))
    );
    assert_eq!(
        (&body["device"], &body["messageId"]),
        (&json!("scale-1"), &json!("under way"))
    );
    assert_eq!(result.id.as_deref(), Some("result-under way"));
    let (again, _) = bench.result().await;
    assert_eq!(again, unsafe_result.message);
    bench.send(3, Some("under way"), tare().to_string()).await;
    assert_eq!(bench.acknowledged().await, 3);
    bench.stop().await;
    assert!(bench.submissions.recv().await.is_none(), "told once");
    assert!(
        inbox
            .command(methods_request(), oneshot::channel().0)
            .is_ok()
    );
    assert_eq!(inbox.take().await.commands.len(), 1, "never executed");

    let mut bench = Bench::with_journal(folder.path());
    bench.stop().await;
    assert!(bench.submissions.recv().await.is_none());
}

fn methods_request() -> Request {
    Request {
        device: "d".into(),
        what: Asked::Raw {
            bytes: "T".into(),
            answer: None,
        },
        deadline: Clock::system().now().monotonic,
    }
}

#[tokio::test]
async fn a_kill_between_outcome_and_message_tells_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), "me").unwrap();
    let accepted = crate::journal::Accepted {
        id: "m".to_owned(),
        device: Some("scale-1".to_owned()),
        correlation: Some("c".to_owned()),
        ..Default::default()
    };
    let result = r#"{"outcome":"sent","status":200}"#.to_owned();
    let ended = Record::Ended {
        id: "m".to_owned(),
        result,
    };
    store
        .write(&[Record::Accepted(accepted), ended], true)
        .unwrap();
    drop(store);
    let mut bench = Bench::with_journal(folder.path());
    let (message, body) = bench.result().await;
    assert_eq!(body, json!({"outcome": "sent", "status": 200}));
    assert_eq!(
        (&*message.device, property(&message, "$.cid")),
        ("scale-1", Some("c"))
    );
}

#[tokio::test]
async fn what_is_no_command_has_an_outcome_too_and_is_from_the_module() {
    let rows = [
        ("not json", "no JSON"),
        ("[]", "expected an object"),
        ("{}", "found neither"),
        (r#"{"command": "tare", "bytes": "T"}"#, "found both"),
        (r#"{"command": "tare"}"#, "\"device\" is missing"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    for (n, (body, part)) in (1..).zip(rows) {
        bench.send(n, Some(&n.to_string()), body).await;
        assert_eq!(bench.acknowledged().await, n);
        let (message, result) = bench.result().await;
        assert_eq!(
            (&result["status"], &*message.device),
            (&json!(400), "gateway")
        );
        assert!(
            result["detail"].as_str().unwrap().contains(part),
            "{result}"
        );
    }
}

#[tokio::test]
async fn a_message_without_id_is_executed_each_time_and_also_interrupted_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    let inbox = bench.connect("scale-1");
    for n in 1..=2 {
        bench.send(n, None, tare().to_string()).await;
        assert_eq!(bench.acknowledged().await, n);
    }
    let mut under_way = Vec::new();
    while under_way.len() < 2 {
        under_way.extend(inbox.take().await.commands);
    }
    let (_, answer) = under_way.remove(0);
    answer.send(Outcome::Sent { written: 1 }).unwrap();
    let (message, body) = bench.result().await;
    assert_eq!(
        (body.get("messageId"), body.get("correlationId")),
        (None, None)
    );
    assert_eq!(property(&message, "$.cid"), None);
    assert_eq!(bench.counted("inputs_total{result=\"without_id\"}"), 2.0);
    bench.tasks.shutdown().await;
    let mut bench = Bench::with_journal(folder.path());
    let (mut other, mut body) = bench.result().await;
    if body["outcome"] == "sent" {
        assert_eq!(other, message, "that it is safe may have been lost");
        (other, body) = bench.result().await;
    }
    assert_eq!(body["outcome"], "interrupted");
    assert_ne!(other.id, message.id);
}

#[tokio::test]
async fn other_inputs_are_acknowledged_and_counted() {
    let mut bench = Bench::new();
    let message = InputMessage {
        delivery: DeliveryId(1),
        input: "comands".to_owned(),
        properties: Vec::new(),
        payload: tare().to_string().into(),
    };
    bench.inputs.send(message).await.unwrap();
    assert_eq!(bench.acknowledged().await, 1);
    assert_eq!(bench.counted("inputs_total{result=\"other_input\"}"), 1.0);
}

#[tokio::test]
async fn with_all_places_taken_the_outcome_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    let waits = json!({"device": "never", "command": "x", "waitUntilConnected": true});
    for _ in 0..MOST_COMMANDS {
        bench.call("1", "command", waits.to_string()).await;
    }
    while bench.counted("methods_waiting") < 1024.0 {
        tokio::task::yield_now().await;
    }
    bench.send(1, Some("m"), tare().to_string()).await;
    assert_eq!(bench.acknowledged().await, 1);
    let (_, body) = bench.result().await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("busy"), &json!(429))
    );
}

#[tokio::test]
async fn a_stop_tells_what_is_under_way_as_interrupted_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::with_journal(folder.path());
    let inbox = bench.connect("scale-1");
    bench.send(1, Some("m"), tare().to_string()).await;
    assert_eq!(bench.acknowledged().await, 1);
    let _connection = taken(&inbox).await;
    bench.shutdown.cancel();
    bench.send(2, Some("late"), tare().to_string()).await;
    bench.calls = None;
    let (_, body) = bench.result().await;
    assert_eq!(body["outcome"], "interrupted");
    bench.stop().await;
    assert!(
        bench.outgoing.recv().await.is_none(),
        "it is left to edgeHub"
    );
    let (store, found) = Store::open(folder.path(), "me").unwrap();
    assert!(found.open.is_empty() && !store.book().knows("late"));
    assert!(!matches!(
        store.book().open().next(),
        Some(State::Accepted(_))
    ));
}

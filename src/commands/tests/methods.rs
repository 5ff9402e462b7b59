use std::collections::BTreeSet;

use super::*;
use crate::conversation::{Answer, Asked, Awaited};

fn answer(kind: Option<&str>, values: &str, frame: &'static [u8]) -> Box<Answer> {
    Box::new(Answer {
        written: 3,
        kind: kind.map(Name::from),
        values: values.to_owned().into(),
        frame: frame.into(),
        detail: None,
    })
}

#[tokio::test]
async fn every_outcome_of_a_conversation_has_its_own_status() {
    let refused = Answer {
        detail: Some("exception 2".to_owned()),
        ..*answer(None, "{}", b"ES")
    };
    let rows = [
        (
            Outcome::Sent { written: 3 },
            200,
            json!({"outcome": "sent", "device": "scale-1", "written": 3}),
        ),
        (
            Outcome::TimedOut { written: 1 },
            504,
            json!({"outcome": "timedOut", "device": "scale-1", "written": 1}),
        ),
        (
            Outcome::NotConnected { written: 2 },
            409,
            json!({"outcome": "notConnected", "device": "scale-1", "written": 2}),
        ),
        (
            Outcome::Interrupted { written: 3 },
            503,
            json!({"outcome": "interrupted", "device": "scale-1", "written": 3}),
        ),
        (
            Outcome::Busy("many"),
            429,
            json!({"outcome": "busy", "detail": "many", "device": "scale-1"}),
        ),
        (
            Outcome::Invalid("/arguments/relay: expected 0 to 7".to_owned()),
            400,
            json!({"outcome": "invalidArguments", "detail": "/arguments/relay: expected 0 to 7", "device": "scale-1"}),
        ),
        (
            Outcome::Answered(answer(
                Some("weight"),
                r#"{"kg":18446744073709551615}"#,
                b"S 1",
            )),
            200,
            json!({"outcome": "answered", "device": "scale-1", "written": 3, "type": "weight", "values": {"kg": u64::MAX}}),
        ),
        (
            Outcome::Answered(answer(Some("undecoded"), "{}", b"S 1")),
            200,
            json!({"outcome": "answered", "device": "scale-1", "written": 3, "type": "undecoded", "values": {}, "raw": "UyAx"}),
        ),
        (
            Outcome::Refused(Box::new(refused)),
            422,
            json!({"outcome": "refused", "device": "scale-1", "written": 3, "values": {}, "detail": "exception 2"}),
        ),
    ];
    for (outcome, status, payload) in rows {
        let mut bench = Bench::new();
        let inbox = bench.connect("scale-1");
        bench.call("7", "command", tare().to_string()).await;
        let (request, answer) = taken(&inbox).await;
        assert_eq!(&*request.device, "scale-1");
        let Asked::Command {
            name,
            arguments,
            answer: true,
        } = request.what
        else {
            panic!("{:?}", request.what);
        };
        assert_eq!((&*name, arguments), ("tare", json!({})));
        answer.send(outcome).unwrap();
        assert_eq!(
            bench.answered().await,
            ("7".to_owned(), status, payload.clone())
        );
        let word = payload["outcome"].as_str().unwrap();
        let counter = format!("commands_total{{door=\"method\",outcome=\"{word}\"}}");
        assert_eq!(bench.counted(&counter), 1.0);
        assert_eq!(bench.counted("methods_waiting_bound"), 1024.0);
    }
}

#[tokio::test]
async fn bytes_come_back_with_the_bytes_of_their_answer() {
    let mut bench = Bench::new();
    let inbox = bench.connect("scale-1");
    let payload = json!({"device": "scale-1", "bytes": "T\r\n", "answer": "^T ", "withinMs": 5000});
    bench.call("7", "send", payload.to_string()).await;
    let (request, tell) = taken(&inbox).await;
    let Asked::Raw {
        bytes,
        answer: Some(Awaited::Pattern(pattern)),
    } = request.what
    else {
        panic!("{:?}", request.what);
    };
    assert_eq!((&bytes[..], pattern.as_str()), (&b"T\r\n"[..], "^T "));
    tell.send(Outcome::Answered(answer(None, r#"{"x":1}"#, b"T \xff")))
        .unwrap();
    let (_, status, payload) = bench.answered().await;
    assert_eq!(
        (status, &payload["raw"], &payload["values"]),
        (200, &json!("VCD/"), &json!({"x": 1}))
    );
}

#[tokio::test]
async fn an_answer_that_is_too_long_keeps_what_fits_and_says_what_is_left_out() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    let longer = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
    static FRAME: [u8; 60_000] = [7; 60_000];
    for (values, kept) in [(long, true), (longer, false)] {
        let mut bench = Bench::new();
        let inbox = bench.connect("scale-1");
        let payload = json!({"device": "scale-1", "bytes": "T", "answer": "next"});
        bench.call("7", "send", payload.to_string()).await;
        let said = Answer {
            detail: Some("why".to_owned()),
            ..*answer(None, &values, &FRAME)
        };
        taken(&inbox)
            .await
            .1
            .send(Outcome::Answered(Box::new(said)))
            .unwrap();
        let (_, status, payload) = bench.answered().await;
        assert_eq!((status, payload.get("raw")), (200, None));
        assert_eq!(payload.get("values").is_some(), kept);
        let detail = payload["detail"].as_str().unwrap();
        assert!(detail.starts_with("why; \"raw\" is left out"), "{detail}");
        assert_eq!(detail.contains("\"values\" is left out"), !kept, "{detail}");
        assert!(payload.to_string().len() < 128 * 1024);
    }
}

#[tokio::test]
async fn mistakes_are_named_all_at_once_and_nothing_is_written() {
    let mut bench = Bench::new();
    let inbox = bench.connect("d");
    let rows: [(&str, &str, &[&str]); 12] = [
        ("send", "", &["no JSON"]),
        ("send", "[]", &["expected an object"]),
        (
            "send",
            r#"{"devise": "x", "bytes": "T"}"#,
            &["devise", "\"device\" is missing"],
        ),
        (
            "send",
            r#"{"device": "d", "bytes": "0x 1", "answer": "(", "withinMs": 0}"#,
            &[
                "/bytes column",
                "/answer: expected \"next\" or a pattern",
                "/withinMs: expected 1 to 300000",
            ],
        ),
        (
            "send",
            r#"{"device": "", "bytes": ""}"#,
            &[
                "/device: expected the name",
                "/bytes: expected at least one byte",
            ],
        ),
        (
            "send",
            r#"{"device": "d", "bytes": "T", "withinMs": 300001}"#,
            &["/withinMs"],
        ),
        (
            "send",
            r#"{"device": "d", "bytes": "T", "answer": true}"#,
            &["/answer"],
        ),
        (
            "command",
            r#"{"device": "d", "command": "", "arguments": 3}"#,
            &["/arguments"],
        ),
        (
            "command",
            r#"{"device": "d", "bytes": "T"}"#,
            &["bytes", "command"],
        ),
        (
            "devices",
            r#"{"limit": 101, "after": 3}"#,
            &["/limit: expected 1 to 100", "/after"],
        ),
        (
            "disconnect",
            r#"{"device": "d", "connection": 1}"#,
            &["found both"],
        ),
        ("status", r#"{"x": 1}"#, &["x"]),
    ];
    for (name, payload, parts) in rows {
        bench.call("1", name, payload).await;
        let (_, status, answer) = bench.answered().await;
        assert_eq!(
            (status, &answer["outcome"]),
            (400, &json!("invalidArguments")),
            "{payload}"
        );
        let detail = answer["detail"].as_str().unwrap();
        for part in parts {
            assert!(detail.contains(part), "{payload}: {part} in {detail}");
        }
    }
    let (status, answer) = bench.ask("sned", json!({})).await;
    assert_eq!((status, &answer["outcome"]), (404, &json!("unknownMethod")));
    assert!(
        answer["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean \"send\"?"),
        "{answer}"
    );
    assert!(inbox.command(request(), oneshot::channel().0).is_ok());
    assert_eq!(inbox.take().await.commands.len(), 1, "nothing else came");
}

fn request() -> Request {
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
async fn bytes_can_be_switched_off_and_commands_stay() {
    let mut bench = Bench::new();
    bench.told.allow_raw.store(false, Ordering::Relaxed);
    let inbox = bench.connect("scale-1");
    let (status, answer) = bench
        .ask("send", json!({"device": "scale-1", "bytes": "T"}))
        .await;
    assert_eq!((status, &answer["outcome"]), (403, &json!("notAllowed")));
    bench.call("1", "command", tare().to_string()).await;
    taken(&inbox)
        .await
        .1
        .send(Outcome::Sent { written: 1 })
        .unwrap();
    assert_eq!(bench.answered().await.1, 200);
}

#[tokio::test]
async fn a_device_never_heard_of_is_unknown_and_one_that_left_or_is_named_is_not_connected() {
    let mut bench = Bench::new();
    let (status, answer) = bench.ask("command", tare()).await;
    assert_eq!(
        (status, answer),
        (
            404,
            json!({"outcome": "unknownDevice", "device": "scale-1", "written": 0})
        )
    );
    let inbox = bench.connect("scale-1");
    bench
        .registry
        .unbind(&"scale-1".into(), &inbox, Some("reset"));
    let (status, answer) = bench.ask("command", tare()).await;
    assert_eq!(status, 409);
    let detail = answer["detail"].as_str().unwrap();
    let since = detail.strip_prefix("since ").unwrap();
    let since = since.strip_suffix("Z: reset").unwrap();
    assert!(since.starts_with("20"), "{detail}");
    let (status, answer) = bench
        .ask("command", json!({"device": "Scale-01", "command": "tare"}))
        .await;
    assert_eq!(
        (status, &answer["detail"]),
        (404, &json!("did you mean \"scale-1\"?"))
    );
    bench.registry.bind(&"scale-1".into(), &inbox);
    inbox.end();
    let away = json!({"outcome": "notConnected", "device": "scale-1", "written": 0});
    assert_eq!(bench.ask("command", tare()).await, (409, away));
    for (device, named) in [("press-7", 409), ("press-7/3", 409), ("press-7/4", 404)] {
        let call = json!({"device": device, "command": "tare"});
        assert_eq!(bench.ask("command", call.clone()).await.0, 404, "{device}");
        let dialled = ["press-7".into()].into_iter().collect();
        bench.told.dialled.store(Arc::new(dialled));
        bench
            .told
            .units
            .store(Arc::new(["3".into()].into_iter().collect()));
        assert_eq!(bench.ask("command", call).await.0, named, "{device}");
        bench.told.dialled.store(Arc::default());
    }
    let document = json!({"named": {"match": {"id": "7"}}});
    let mut problems = crate::document::Problems::new();
    let section = crate::document::Section::root(&document);
    let map = DeviceMap::read(Some(&section), None, &Default::default(), &mut problems);
    bench.told.devices.store(Arc::new(map.unwrap()));
    let named = json!({"device": "named", "command": "tare"});
    assert_eq!(bench.ask("command", named).await.0, 409);
}

#[tokio::test]
async fn who_wants_to_wait_waits_until_the_device_connects_or_the_time_is_over() {
    let mut bench = Bench::new();
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    bench.call("1", "command", waits.to_string()).await;
    tokio::task::yield_now().await;
    // It is given back unwritten: the next connection gets it.
    let first = bench.connect("scale-1");
    taken(&first)
        .await
        .1
        .send(Outcome::NotConnected { written: 0 })
        .unwrap();
    first.end();
    let second = bench.connect("scale-1");
    taken(&second)
        .await
        .1
        .send(Outcome::NotConnected { written: 2 })
        .unwrap();
    let (_, status, answer) = bench.answered().await;
    assert_eq!(
        (status, &answer["written"]),
        (409, &json!(2)),
        "never written twice"
    );
    let never =
        json!({"device": "never", "command": "tare", "waitUntilConnected": true, "withinMs": 20});
    let (status, answer) = bench.ask("command", never).await;
    assert_eq!((status, &answer["outcome"]), (409, &json!("notConnected")));
}

#[tokio::test]
async fn a_connection_that_ended_in_this_moment_is_not_the_last_word() {
    let mut bench = Bench::new();
    let old = bench.connect("scale-1");
    old.end();
    bench.call("1", "command", tare().to_string()).await;
    assert_eq!(bench.answered().await.1, 409);
    let mut waits = tare();
    waits["waitUntilConnected"] = json!(true);
    bench.call("1", "command", waits.to_string()).await;
    tokio::task::yield_now().await;
    let new = bench.connect("scale-1");
    taken(&new)
        .await
        .1
        .send(Outcome::Sent { written: 1 })
        .unwrap();
    assert_eq!(bench.answered().await.1, 200);
}

#[tokio::test]
async fn a_connection_that_tells_nothing_leaves_it_unknown() {
    let mut bench = Bench::new();
    let inbox = bench.connect("scale-1");
    bench.call("1", "command", tare().to_string()).await;
    drop(taken(&inbox).await);
    let (_, status, answer) = bench.answered().await;
    assert_eq!((status, &answer["outcome"]), (503, &json!("interrupted")));
    assert_eq!(answer.get("written"), None, "nobody knows");
}

#[tokio::test]
async fn as_many_as_may_be_under_way_are_and_one_more_is_busy_each_answered_once() {
    let mut bench = Bench::new();
    let inboxes: Vec<Inbox> = (0..64).map(|n| bench.connect(&format!("d{n}"))).collect();
    for n in 0..MOST_COMMANDS {
        let payload = json!({"device": format!("d{}", n % 64), "bytes": n.to_string()});
        bench
            .call(&n.to_string(), "send", payload.to_string())
            .await;
    }
    let mut waiting = Vec::new();
    while waiting.len() < MOST_COMMANDS {
        for inbox in &inboxes {
            waiting.extend(timeout(PATIENCE, inbox.take()).await.unwrap().commands);
            if waiting.len() == MOST_COMMANDS {
                break;
            }
        }
    }
    assert_eq!(bench.counted("methods_waiting"), 1024.0);
    bench
        .call(
            "more",
            "send",
            json!({"device": "d0", "bytes": "x"}).to_string(),
        )
        .await;
    let (rid, status, answer) = bench.answered().await;
    assert_eq!(
        (rid.as_str(), status, &answer["outcome"]),
        ("more", 429, &json!("busy"))
    );
    for (request, answer) in waiting {
        let Asked::Raw { bytes, .. } = request.what else {
            unreachable!()
        };
        // What is written says who asked.
        let number: usize = String::from_utf8(bytes.to_vec()).unwrap().parse().unwrap();
        answer.send(Outcome::Sent { written: number }).unwrap();
    }
    let mut rids = BTreeSet::new();
    for _ in 0..MOST_COMMANDS {
        let (rid, status, answer) = bench.answered().await;
        assert_eq!(
            (status, answer["written"].to_string()),
            (200, rid.clone()),
            "no cross-talk"
        );
        assert!(rids.insert(rid));
    }
    assert_eq!(bench.counted("methods_waiting"), 0.0);
    bench.stop().await;
    assert!(bench.outgoing.recv().await.is_none());
}

#[tokio::test]
async fn a_connection_has_32_places() {
    let mut bench = Bench::new();
    let inbox = bench.connect("scale-1");
    for _ in 0..33 {
        bench.call("1", "command", tare().to_string()).await;
    }
    let (_, status, answer) = bench.answered().await;
    assert_eq!((status, &answer["device"]), (429, &json!("scale-1")));
    assert_eq!(inbox.take().await.commands.len(), 32);
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_what_comes_behind_it() {
    let mut bench = Bench::new();
    let inbox = bench.connect("scale-1");
    bench.call("handed", "command", tare().to_string()).await;
    let _connection = taken(&inbox).await;
    let waits = json!({"device": "other", "command": "tare", "waitUntilConnected": true});
    bench.call("waits", "command", waits.to_string()).await;
    tokio::task::yield_now().await;
    bench.shutdown.cancel();
    bench.call("late", "command", tare().to_string()).await;
    bench.calls = None;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let (rid, status, payload) = bench.answered().await;
        assert_eq!((status, &payload["outcome"]), (503, &json!("interrupted")));
        answers.push((rid, payload.get("written").cloned()));
    }
    answers.sort_by(|a, b| a.0.cmp(&b.0));
    let row = |rid: &str, written| (rid.to_owned(), written);
    assert_eq!(
        answers,
        [
            row("handed", None),
            row("late", None),
            row("waits", Some(json!(0)))
        ]
    );
    bench.stop().await;
}

//! Named commands whose answers carry their questions' numbers: many at once, and what becomes of
//! those in flight when a connection, the settings or the module change.

use std::collections::BTreeMap;
use std::sync::Arc;

use dev_hub::{MethodAnswer, UpstreamMessage};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, interval, timeout};

use crate::rig::{Device, MODULE, PATIENCE, Rig, free_port, lines};

/// Lines of JSON. A question is `set NUMBER VALUE`; its answer says the number and the value.
fn protocol() -> Value {
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id", "scope": "connection"});
    protocol["commands"] = json!({"set": {
        "send": "set {count seq} {arg to}\n",
        "arguments": {"to": "integer 0..999"},
        "answer": {"where": "seq = {count seq}"},
        "refused": {"where": "no"},
        "withinMs": 20_000
    }});
    protocol
}

fn settings(port: u16) -> Value {
    json!({
        "listeners": {"a": {"port": port, "protocol": "asked"}},
        "protocols": {"asked": protocol()}
    })
}

async fn set(rig: &Rig, device: &str, to: usize) -> MethodAnswer {
    let payload = json!({"device": device, "command": "set", "arguments": {"to": to}});
    let invoked = rig
        .hub
        .invoke_method(MODULE, "command", Some(payload), PATIENCE);
    invoked.await.expect("an answer")
}

/// Checks an outcome, and that so many bytes are out.
fn is(answer: &MethodAnswer, status: i32, outcome: &str, written: usize) {
    let payload = &answer.payload;
    let found = (answer.status, &payload["outcome"], &payload["written"]);
    assert_eq!(
        found,
        (status, &json!(outcome), &json!(written)),
        "{payload}"
    );
}

fn order(rig: &Rig, id: &str, to: usize) {
    let body = json!({"device": "d", "command": "set", "arguments": {"to": to}});
    let sent = rig
        .hub
        .send_input(MODULE, "commands", &[("$.mid", id)], body.to_string());
    sent.expect("a module");
}

async fn result(rig: &Rig, id: &str) -> Value {
    let expected = format!("result-{id}");
    let message = rig.message(|message| message.message_id() == Some(&expected));
    message.await.json().expect("JSON")
}

fn results(rig: &Rig) -> Vec<Arc<UpstreamMessage>> {
    let mut all = rig.hub.upstream().messages();
    all.retain(|message| message.output.as_deref() == Some("commandResults"));
    all
}

/// A device that has said that it is `d`, and at which of its visits.
async fn there(rig: &Rig, port: u16, visit: usize) -> Device {
    // A module that has just started may not listen yet.
    let mut look = interval(Duration::from_millis(10));
    let opened = timeout(PATIENCE, async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            look.tick().await;
        }
    });
    opened.await.expect("it listens in time");
    let mut device = Device::connect(port).await;
    device
        .send(format!("{{\"id\":\"d\",\"visit\":{visit}}}\n"))
        .await;
    rig.value("visit", visit).await;
    device
}

/// A device that answers its questions in fives, the last one first, until its connection ends.
async fn answers_in_fives(port: u16, name: String) -> Vec<usize> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let (reading, mut writing) = stream.expect("the listener accepts").into_split();
    let hello = format!("{{\"id\":\"{name}\"}}\n");
    writing.write_all(hello.as_bytes()).await.expect("taken");
    let mut questions = BufReader::new(reading).lines();
    let (mut asked, mut held) = (Vec::new(), Vec::new());
    while let Ok(Some(question)) = questions.next_line().await {
        let words: Vec<usize> = question
            .split(' ')
            .skip(1)
            .map(|word| word.parse().expect("a number"))
            .collect();
        let [number, to] = words[..] else {
            panic!("{question}")
        };
        asked.push(to);
        // Every seventh value is one that it will not take.
        let no = to % 7 == 0;
        held.push(format!(
            "{{\"id\":\"{name}\",\"seq\":{number},\"no\":{no},\"to\":{to}}}\n"
        ));
        if held.len() == 5 {
            held.reverse();
            let answers = std::mem::take(&mut held).concat();
            writing.write_all(answers.as_bytes()).await.expect("taken");
        }
    }
    asked.sort_unstable();
    asked
}

#[tokio::test]
async fn five_hundred_named_commands_at_once_to_a_hundred_devices_and_each_gets_its_own_answer() {
    const DEVICES: usize = 100;
    let port = free_port();
    let mut rig = Rig::with(settings(port)).await;
    let mut devices = JoinSet::new();
    for n in 0..DEVICES {
        devices.spawn(async move { (n, answers_in_fives(port, format!("d{n}")).await) });
    }
    rig.messages(DEVICES).await;
    let hub = Arc::new(rig.hub);
    let mut calls = JoinSet::new();
    for to in 0..500 {
        let hub = Arc::clone(&hub);
        let device = format!("d{}", to % DEVICES);
        let payload = json!({"device": device, "command": "set", "arguments": {"to": to}});
        calls.spawn(async move {
            let invoked = hub.invoke_method(MODULE, "command", Some(payload), PATIENCE);
            (to, device, invoked.await.expect("an answer"))
        });
    }
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    while let Some(call) = calls.join_next().await {
        let (to, device, answer) = call.expect("no panic");
        let expected = match to % 7 {
            0 => (422, "refused"),
            _ => (200, "answered"),
        };
        let payload = &answer.payload;
        let outcome = payload["outcome"].as_str().unwrap_or_default();
        assert_eq!((answer.status, outcome), expected, "{payload}");
        let values = &payload["values"];
        assert_eq!(
            (&values["to"], &values["id"]),
            (&json!(to), &json!(device)),
            "its question and its device"
        );
        let number = values["seq"].as_u64().expect("a number");
        numbers.entry(device).or_default().push(number);
    }
    for (device, mut numbers) in numbers {
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3, 4], "{device}");
    }
    assert_eq!(
        hub.upstream().messages().len(),
        DEVICES,
        "answers to commands are no messages"
    );
    rig.hub = Arc::into_inner(hub).expect("the calls are over");
    rig.stop().await.expect("stops");
    while let Some(device) = devices.join_next().await {
        let (n, asked) = device.expect("no panic");
        let expected: Vec<usize> = (0..5).map(|round| round * DEVICES + n).collect();
        assert_eq!(asked, expected, "d{n}");
    }
}

#[tokio::test]
async fn a_device_that_comes_again_is_not_asked_again_and_its_late_answer_is_nobodys() {
    let port = free_port();
    let rig = Rig::with(settings(port)).await;
    let mut device = there(&rig, port, 1).await;
    let (answer, device) = tokio::join!(set(&rig, "d", 3), async {
        assert_eq!(device.receive(8).await, b"set 0 3\n");
        drop(device);
        there(&rig, port, 2).await
    });
    is(&answer, 409, "notConnected", 8);

    // The older connection stays open, and has a question.
    let mut older = device;
    let (answer, mut device) = tokio::join!(set(&rig, "d", 4), async {
        assert_eq!(older.receive(8).await, b"set 0 4\n", "nothing in front");
        there(&rig, port, 3).await
    });
    is(&answer, 409, "notConnected", 8);

    let (answer, ()) = tokio::join!(set(&rig, "d", 5), async {
        assert_eq!(device.receive(8).await, b"set 0 5\n", "nothing in front");
        device
            .send("{\"seq\":1,\"to\":4}\n{\"seq\":0,\"to\":5}\n")
            .await;
    });
    is(&answer, 200, "answered", 8);
    assert_eq!(answer.payload["values"]["to"], 5);
    rig.value("to", 4).await;
}

/// So many questions, each of 8 bytes: their numbers by their values.
async fn asked(device: &mut Device, count: usize) -> BTreeMap<usize, usize> {
    let text = String::from_utf8(device.receive(8 * count).await).expect("text");
    let numbers = text.lines().map(|question| {
        let words: Vec<&str> = question.split(' ').collect();
        let number = |at: usize| words[at].parse().expect("a number");
        (number(2), number(1))
    });
    numbers.collect()
}

fn answer(number: usize, to: usize) -> String {
    format!("{{\"seq\":{number},\"to\":{to}}}\n")
}

/// The device has closed, or been closed, and comes again; what it is asked first is this.
async fn is_asked_nothing_but(rig: &Rig, port: u16, to: usize) {
    let mut device = there(rig, port, 100 + to).await;
    let (outcome, ()) = tokio::join!(set(rig, "d", to), async {
        let numbers = asked(&mut device, 1).await;
        assert_eq!(numbers, [(to, 0)].into(), "nothing in front of it");
        device.send(answer(0, to)).await;
    });
    is(&outcome, 200, "answered", 8);
}

#[tokio::test]
async fn changed_limits_and_devices_do_not_touch_what_is_in_flight() {
    let port = free_port();
    let rig = Rig::with(settings(port)).await;
    let mut device = there(&rig, port, 1).await;
    let other = json!({"b": {"port": free_port(), "protocol": "other"}});
    for patch in [
        json!({"listeners": {"a": {"maxConnections": 7, "idleTimeoutSeconds": 70}}}),
        json!({"devices": {"d": {"properties": {"line": "A"}}}}),
        json!({"protocols": {"other": lines()}, "listeners": other}),
        json!({"presence": {"messages": true}, "spool": {"maxBytes": 100_000_000}}),
    ] {
        let (one, two, ()) = tokio::join!(set(&rig, "d", 1), set(&rig, "d", 2), async {
            let numbers = asked(&mut device, 2).await;
            let outcome = rig.patch(patch.clone()).await;
            assert_eq!(outcome["ac"], 200, "{outcome}");
            for to in [2, 1] {
                device.send(answer(numbers[&to], to)).await;
            }
        });
        for (to, outcome) in [(1, one), (2, two)] {
            is(&outcome, 200, "answered", 8);
            assert_eq!(outcome.payload["values"]["to"], to, "{patch}");
        }
    }
}

/// What the device does about its second question after the protocol has changed.
#[derive(Clone, Copy, Debug)]
enum Then {
    Answers,
    SaysNothing,
    Closes,
}

#[tokio::test]
async fn a_changed_protocol_lets_answers_come_that_are_under_way_and_interrupts_the_others() {
    let port = free_port();
    let mut settings = settings(port);
    settings["protocols"]["asked"]["commands"]["set"]["withinMs"] = json!(3000);
    let rig = Rig::with(settings).await;
    for (round, (then, status, outcome)) in [
        (Then::Answers, 200, "answered"),
        (Then::SaysNothing, 504, "timedOut"),
        (Then::Closes, 503, "interrupted"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut device = there(&rig, port, 2 * round).await;
        let patch = json!({"protocols": {"asked": {"framing": {"maxBytes": 90 + round}}}});
        let waits = json!({
            "device": "d", "command": "set", "arguments": {"to": 4}, "waitUntilConnected": true
        });
        let (one, two, (three, four)) = tokio::join!(set(&rig, "d", 1), set(&rig, "d", 2), async {
            let numbers = asked(&mut device, 2).await;
            assert_eq!(rig.patch(patch).await["ac"], 200);
            // Nothing is asked any more; who wants to wait waits for the next connection.
            let three = set(&rig, "d", 3).await;
            let four = rig
                .hub
                .invoke_method(MODULE, "command", Some(waits), PATIENCE);
            let (four, ()) = tokio::join!(four, async {
                device.send(answer(numbers[&2], 2)).await;
                match then {
                    Then::Answers => device.send(answer(numbers[&1], 1)).await,
                    Then::SaysNothing => {}
                    Then::Closes => device.0.shutdown().await.expect("it is open"),
                }
                assert_eq!(device.until_fin().await, b"", "nothing else was asked");
                let mut again = there(&rig, port, 2 * round + 1).await;
                assert_eq!(asked(&mut again, 1).await, [(4, 0)].into());
                again.send(answer(0, 4)).await;
            });
            (three, four.expect("an answer"))
        });
        is(&one, status, outcome, 8);
        is(&two, 200, "answered", 8);
        is(&three, 503, "interrupted", 0);
        is(&four, 200, "answered", 8);
    }
    is_asked_nothing_but(&rig, port, 5).await;
}

/// The device's end of a connection that the module has opened.
struct Called {
    questions: Lines<BufReader<OwnedReadHalf>>,
    writing: OwnedWriteHalf,
}

impl Called {
    async fn say(&mut self, line: &str) {
        let written = self.writing.write_all(line.as_bytes()).await;
        written.expect("the connection stays");
    }

    /// The next question; a poll is answered.
    async fn question(&mut self) -> String {
        let question = timeout(PATIENCE, self.questions.next_line()).await;
        let question = question.expect("asked in time").expect("text");
        let question = question.expect("the connection stays");
        if let Some(unit) = question.strip_prefix("get ") {
            self.say(&format!("{{\"unit\":{unit},\"level\":1}}\n"))
                .await;
        }
        question
    }

    /// The questions up to this one.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut questions = Vec::new();
        while questions.last().is_none_or(|question| question != last) {
            questions.push(self.question().await);
        }
        questions
    }
}

#[tokio::test]
async fn units_that_change_leave_the_connection_and_what_is_in_flight_on_it() {
    let waiting = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let mut protocol = protocol();
    protocol["identity"] = json!({"from": "outbound", "sub": "unit"});
    protocol["polls"] = json!({"level": {
        "send": "get {unit}\n", "everyMs": 100, "answer": {"where": "unit = {unit}"}
    }});
    let address = waiting.local_addr().expect("an address").to_string();
    let rig = Rig::with(json!({
        "outbound": {"plant": {"address": address, "protocol": "asked", "units": [1]}},
        "protocols": {"asked": protocol}
    }))
    .await;
    let (stream, _) = waiting.accept().await.expect("it is called");
    let (reading, writing) = stream.into_split();
    let mut device = Called {
        questions: BufReader::new(reading).lines(),
        writing,
    };
    device.until("get 1").await;
    let (one, two, ()) = tokio::join!(set(&rig, "plant", 1), set(&rig, "plant/1", 2), async {
        let mut numbers = BTreeMap::new();
        while numbers.len() < 2 {
            let question = device.question().await;
            if let [_, number, to] = question.split(' ').collect::<Vec<_>>()[..] {
                numbers.insert(to.to_owned(), number.to_owned());
            }
        }
        let patch = json!({"outbound": {"plant": {"units": [2, 3], "retrySeconds": 5}}});
        assert_eq!(rig.patch(patch).await["ac"], 200);
        for to in ["2", "1"] {
            let number = &numbers[to];
            device
                .say(&format!("{{\"seq\":{number},\"to\":{to}}}\n"))
                .await;
        }
        // Until now no poll could leave: its answer has nothing that tells it from theirs.
        device.until("get 2").await;
        let rest = device.until("get 3").await;
        assert!(!rest.contains(&"get 1".to_owned()), "{rest:?}");
    });
    for (to, outcome) in [(1, one), (2, two)] {
        is(&outcome, 200, "answered", 8);
        assert_eq!(outcome.payload["values"]["to"], to);
    }
    let connected = "outbound_attempts_total{outbound=\"plant\",result=\"connected\"}";
    assert_eq!(rig.sample(connected), 1.0);
}

#[tokio::test]
async fn a_module_that_stops_interrupts_what_is_in_flight_and_never_asks_it_again() {
    let port = free_port();
    let mut rig = Rig::with(settings(port)).await;
    let mut device = there(&rig, port, 1).await;
    let (outcome, ()) = tokio::join!(set(&rig, "d", 1), async {
        order(&rig, "m-1", 2);
        asked(&mut device, 2).await;
        rig.ask_to_stop();
    });
    let payload = &outcome.payload;
    assert_eq!(
        (outcome.status, &payload["outcome"]),
        (503, &json!("interrupted")),
        "{payload}"
    );
    assert_eq!(device.until_fin().await, b"");
    rig.stop().await.expect("stops");
    rig.start();
    let body = result(&rig, "m-1").await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("interrupted"), &json!(503)),
        "{body}"
    );
    order(&rig, "m-1", 2);
    is_asked_nothing_but(&rig, port, 5).await;
    assert_eq!(results(&rig).len(), 1, "it is told once");
}

#[tokio::test]
async fn a_module_that_is_killed_tells_what_was_in_flight_and_never_asks_it_again() {
    let port = free_port();
    let mut rig = Rig::with(settings(port)).await;
    let mut device = there(&rig, port, 1).await;
    order(&rig, "m-1", 1);
    order(&rig, "m-2", 2);
    let numbers = asked(&mut device, 2).await;
    device.send(answer(numbers[&2], 2)).await;
    let body = result(&rig, "m-2").await;
    assert_eq!(
        (&body["outcome"], &body["values"]["to"]),
        (&json!("answered"), &json!(2)),
        "{body}"
    );
    rig.kill().await;
    rig.start();
    let body = result(&rig, "m-1").await;
    assert_eq!(
        (&body["outcome"], &body["status"]),
        (&json!("interrupted"), &json!(503)),
        "{body}"
    );
    // edgeHub would repeat them if it had not seen that they were taken.
    order(&rig, "m-1", 1);
    order(&rig, "m-2", 2);
    is_asked_nothing_but(&rig, port, 5).await;
    // What was told just before the end may be told again, as the same message.
    let mut told: Vec<_> = results(&rig)
        .iter()
        .map(|message| message.body.clone())
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 2, "one outcome each: {told:?}");
}

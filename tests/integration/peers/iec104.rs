//! The library c104 as an outstation that is dialled.

use std::time::Duration;

use dev_hub::UpstreamMessage;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Peer;
use crate::rig::{MODULE, PATIENCE, Rig, free_port};

/// The point that counts by itself.
const COUNTER: u32 = 300;

/// An outstation, and the module that dials it.
struct Link {
    port: u16,
    station: Peer,
    rig: Rig,
}

/// An outstation that tests the link after a second without a frame.
async fn outstation(port: u16) -> Peer {
    let mut station = Peer::script("iec104_server.py", &[&port.to_string(), "1"]);
    assert_eq!(station.hear().await["port"], port);
    station
}

impl Link {
    /// The station 10 is interrogated when the connection stands, and so often.
    async fn new(every_ms: u32) -> Link {
        let port = free_port();
        let station = outstation(port).await;
        let send = "0x 68 0e {count sends * 2: u16le} {answered sent else -2 + 2 & 0xfffe: u16le} 64 01 06 00 {unit: u16le} 000000 14";
        let settings = json!({
            "outbound": {"bay": {"address": format!("127.0.0.1:{port}"), "protocol": "iec104", "units": [10], "retrySeconds": 1}},
            "protocols": {"iec104": {
                "preset": "iec104@1",
                "polls": {"all": {"send": send, "everyMs": every_ms, "withinMs": 15000,
                    "answer": {"where": "kind = 100 and cause = 7 and station = {unit}"}}}
            }}
        });
        let rig = Rig::with(settings).await;
        let mut link = Link { port, station, rig };
        link.heard("asked").await;
        link
    }

    /// What the station has counted once that is as wanted.
    async fn counted(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let station = &mut self.station;
        let mut counts = Value::Null;
        let waited = timeout(PATIENCE, async {
            while !wanted(&counts) {
                station.tell(&json!({"wait": 0.1})).await;
                counts = station.hear().await;
            }
        });
        let waited = waited.await;
        assert!(waited.is_ok(), "{counts}");
        counts
    }

    /// Waits until the station has had frames of that kind.
    async fn heard(&mut self, kind: &str) {
        self.counted(|counts| counts[kind].is_u64()).await;
    }

    /// What the station has counted once all that it told is acknowledged, each frame by one of ours.
    async fn settled(&mut self) -> Value {
        let mut before = Value::Null;
        let settled = |counts: &Value| {
            let told = counts["told"].clone();
            let same = told.is_u64() && told == before;
            before = told;
            same && counts["seen"] == before
        };
        self.counted(settled).await
    }

    /// A command's status and what is told of it.
    async fn command(&mut self, name: &str, arguments: Value) -> (i32, Value) {
        let payload = json!({"device": "bay/10", "command": name, "arguments": arguments});
        let hub = &self.rig.hub;
        let invoked = hub.invoke_method(MODULE, "command", Some(payload), PATIENCE);
        let answer = invoked.await.expect("an answer");
        (answer.status, answer.payload)
    }

    /// A command that the station carries out.
    async fn done(&mut self, name: &str, arguments: Value) {
        let (status, answer) = self.command(name, arguments).await;
        let told = (status, &answer["outcome"], &answer["values"]["cause"]);
        assert_eq!(
            told,
            (200, &json!("answered"), &json!(7)),
            "{name}: {answer}"
        );
    }

    /// A command that it does not carry out.
    async fn refused(&mut self, address: u32) {
        let on = json!({"address": address, "state": "on"});
        let (status, answer) = self.command("single", on).await;
        let told = (status, &answer["outcome"]);
        assert_eq!(told, (422, &json!("refused")), "{address}: {answer}");
    }

    /// The first message of that type of information and cause with the point, and what it says.
    async fn point(&self, kind: u32, cause: u32, address: u32, value: &Value) -> Value {
        let says = |message: &UpstreamMessage| says(message, kind, cause, address);
        let message = self.rig.message(|message| {
            let point = says(message);
            point.is_some_and(|point| point["value"] == *value)
        });
        says(&*message.await).expect("found before")
    }
}

/// What a point says in a message of that type of information and cause.
fn says(message: &UpstreamMessage, kind: u32, cause: u32, address: u32) -> Option<Value> {
    let body = message.json()?;
    let values = &body["values"];
    let fits = body["device"] == "bay/10" && values["kind"] == kind && values["cause"] == cause;
    let points = values["points"].as_array().filter(|_| fits)?;
    let first = values["first"].as_u64();
    let found = (0..).zip(points).find(|(at, point)| match first {
        Some(first) => first + at == u64::from(address),
        None => point["address"] == address,
    });
    found.map(|(_, point)| point.clone())
}

#[tokio::test]
async fn c104_is_interrogated_and_carries_out_commands_or_refuses_them() {
    let mut link = Link::new(3_600_000).await;
    for (kind, address, value) in [
        (1, 100, json!(true)),
        (3, 101, json!(2)),
        (9, 200, json!(-0.5)),
        (11, 201, json!(-1234)),
        (13, 202, json!(20.75)),
        (13, COUNTER, json!(0.0)),
        (30, 110, json!(true)),
        (36, 210, json!(-1.5)),
    ] {
        let point = link.point(kind, 20, address, &value).await;
        assert_eq!(point.get("time").is_some(), kind >= 30, "{point}");
    }
    for (name, address, (member, given), (kind, changed, value)) in [
        (
            "single",
            500,
            ("state", json!("off")),
            (1, 100, json!(false)),
        ),
        ("double", 520, ("state", json!("off")), (3, 101, json!(1))),
        (
            "setScaled",
            511,
            ("value", json!(-32_768)),
            (11, 201, json!(-32_768)),
        ),
        (
            "setFloat",
            512,
            ("value", json!(12.5)),
            (13, 202, json!(12.5)),
        ),
    ] {
        let arguments = json!({"address": address, member: given});
        link.done(name, arguments).await;
        link.point(kind, 3, changed, &value).await;
    }
    for name in ["interrogation", "counterInterrogation", "clock"] {
        link.done(name, json!({})).await;
    }
    // The one is refused by the station, the other is not there.
    link.refused(501).await;
    link.refused(9999).await;
    let beyond = json!({"address": 1 << 24, "state": "on"});
    let (status, answer) = link.command("single", beyond).await;
    assert_eq!(status, 400, "{answer}");

    let counts = link.settled().await;
    assert_eq!(counts["connections"], 1, "{counts}");
    assert_eq!(counts["asked"], 1 + 4 + 3 + 2, "{counts}");
    let clock = counts["clock"].as_f64().expect("a time");
    let now = link.rig.clock.now().utc.as_duration().as_secs_f64();
    assert!((now - clock).abs() < 60.0, "{clock} for {now}");
    link.station.finish().await;
}

#[tokio::test]
async fn each_side_tests_the_link_and_a_station_that_comes_back_is_counted_from_zero() {
    let mut link = Link::new(3_600_000).await;
    let set = |value: f64| json!({"address": 512, "value": value});
    // Its tests are answered, or it would have ended the connection.
    link.heard("tested").await;
    link.settled().await;
    let ours = json!({"protocols": {"iec104": {"session": {"heartbeat": {"seconds": 1}}}}});
    let outcome = link.rig.patch(ours).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    link.heard("test").await;
    link.done("setFloat", set(1.5)).await;
    link.point(13, 3, 202, &json!(1.5)).await;
    let counts = link.settled().await;
    assert_eq!(counts["connections"], 2, "one for each protocol: {counts}");

    link.station.program.kill().await.expect("it ends");
    link.station = outstation(link.port).await;
    link.heard("asked").await;
    link.done("setFloat", set(2.5)).await;
    link.point(13, 3, 202, &json!(2.5)).await;
    let counts = link.settled().await;
    let once = (&counts["connections"], &counts["start"]);
    assert_eq!(once, (&json!(1), &json!(1)), "{counts}");
    link.station.finish().await;
}

/// Spontaneous values, polls and commands for a minute, or for `IEC104_SOAK_SECONDS`.
#[expect(
    clippy::print_stderr,
    reason = "a long run says how much there was of it"
)]
#[tokio::test]
async fn nothing_is_lost_or_closed_while_c104_speaks_and_is_asked() {
    let seconds = std::env::vars().find(|(name, _)| name == "IEC104_SOAK_SECONDS");
    let seconds = seconds.map_or(60, |(_, seconds)| seconds.parse().expect("seconds"));
    let mut link = Link::new(1_000).await;
    let ends = link.rig.clock.now().monotonic + Duration::from_secs(seconds);
    let mut commands = 0_u64;
    while link.rig.clock.now().monotonic < ends {
        let values = json!({"count": 100, "apart": 0.02});
        link.station.tell(&values).await;
        let scaled = json!({"address": 511, "value": commands % 30_000});
        link.done("setScaled", scaled).await;
        link.done("interrogation", json!({})).await;
        link.refused(501).await;
        commands += 3;
        link.station.hear().await;
    }
    let counts = link.settled().await;
    assert_eq!(counts["connections"], 1, "{counts}");
    let polls = counts["asked"].as_u64().expect("a count") - commands;
    assert!(polls >= seconds / 2, "{counts}");
    let sent = counts["sent"].as_u64().expect("a count");
    let last = json!(sent as f64);
    link.point(13, 3, COUNTER, &last).await;
    let messages = link.rig.hub.upstream().messages();
    let values = messages.iter();
    let values = values.filter_map(|message| says(message, 13, 3, COUNTER)?["value"].as_f64());
    let all = values.eq((1..=sent).map(|count| count as f64));
    assert!(all, "each value once, in order");
    eprintln!("{sent} values, {commands} commands, {polls} polls: {counts}");
    link.station.finish().await;
}

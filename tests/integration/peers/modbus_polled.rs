//! A server of pymodbus with three units, which the module calls, polls and writes.

use dev_hub::UpstreamMessage;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, interval, timeout};

use super::Peer;
use crate::rig::{MODULE, PATIENCE, Rig, free_port};

/// Registers: our notation, the server's table and address, how pymodbus packs the value, and the
/// values of the three units, with what messages have of them where that is something else.
fn image() -> Vec<(&'static str, Value, Value, Option<Value>)> {
    let same = |notation, place, raw| (notation, place, raw, None);
    vec![
        (
            "temperature: i16 at 40001 / 10 unit °C",
            json!(["holding", 0, "INT16", "abcd"]),
            json!([-123, 215, 0]),
            Some(json!([-12.3, 21.5, 0.0])),
        ),
        (
            "state: u16 at holding 1 enum 0=off 1=on 65535=broken",
            json!(["holding", 1, "UINT16", "abcd"]),
            json!([1, 0, 65_535]),
            Some(json!(["on", "off", "broken"])),
        ),
        same(
            "total: u32 at 40003",
            json!(["holding", 2, "UINT32", "abcd"]),
            json!([4_000_000_000_u32, 1, 65_536]),
        ),
        same(
            "balance: i32 cdab at 400005",
            json!(["holding", 4, "INT32", "cdab"]),
            json!([-2_000_000_001, -1, 70_000]),
        ),
        same(
            "level: f32 at holding 6",
            json!(["holding", 6, "FLOAT32", "abcd"]),
            json!([1.25, -0.5, 1024.75]),
        ),
        same(
            "pressure: f32 cdab at holding 8",
            json!(["holding", 8, "FLOAT32", "cdab"]),
            json!([-1.25, 0.375, 3.5]),
        ),
        same(
            "flow: f32 badc at holding 10",
            json!(["holding", 10, "FLOAT32", "badc"]),
            json!([99.5, 0.0625, -7.75]),
        ),
        same(
            "speed: f32 dcba at holding 12",
            json!(["holding", 12, "FLOAT32", "dcba"]),
            json!([12.5, -2.25, 800.125]),
        ),
        same(
            "energy: u64 at 300100",
            json!(["input", 99, "UINT64", "abcd"]),
            json!([9_007_199_254_740_993_u64, u64::MAX, 3]),
        ),
        same(
            "drift: i64 cdab at input 103",
            json!(["input", 103, "INT64", "cdab"]),
            json!([-9_007_199_254_740_993_i64, i64::MIN, -3]),
        ),
        same(
            "mass: f64 dcba at input 107",
            json!(["input", 107, "FLOAT64", "dcba"]),
            json!([0.1, -1e300, 12345.678]),
        ),
        same(
            "serial: ascii 8 at 40100",
            json!(["holding", 99, "STRING", "abcd"]),
            json!(["SN-00001", "SN-00002", "SN-00003"]),
        ),
        same(
            "pump: bool at 00001",
            json!(["coil", 0, "BIT", "abcd"]),
            json!([true, false, true]),
        ),
        same(
            "valve: bool at coil 20",
            json!(["coil", 20, "BIT", "abcd"]),
            json!([false, true, true]),
        ),
        same(
            "door: bool at 10003",
            json!(["discrete", 2, "BIT", "abcd"]),
            json!([true, true, false]),
        ),
    ]
}

const UNITS: [u64; 3] = [1, 2, 3];
const FRAMINGS: [&str; 2] = ["socket", "rtu"];

/// What the server is told to hold; with `turned`, unit 1 has the values of unit 2 and so on.
fn server_units(turned: usize) -> Value {
    let units = UNITS.iter().enumerate().map(|(at, unit)| {
        let entries = image().into_iter().map(|(_, mut place, raw, _)| {
            let value = raw[(at + turned) % 3].clone();
            place.as_array_mut().expect("a place").push(value);
            place
        });
        (unit.to_string(), entries.collect())
    });
    Value::Object(units.collect())
}

async fn server(port: u16, framing: &str, turned: usize) -> Peer {
    let mut server = Peer::script("modbus_units.py", &[&port.to_string(), framing]);
    assert_eq!(server.ask(server_units(turned)).await, true);
    server
}

fn name_of(notation: &str) -> &str {
    notation
        .split_once(':')
        .map(|(name, _)| name)
        .expect("a name")
}

/// The module calls the server; `ghost` is a register that it does not have.
fn settings(port: u16, framing: &str, polls: Value) -> Value {
    let preset = match framing {
        "rtu" => "modbus-rtu@1",
        _ => "modbus-tcp@1",
    };
    let registers = image().into_iter().map(|(notation, ..)| notation);
    let registers: Vec<_> = registers.chain(["ghost: u16 at holding 900"]).collect();
    json!({
        "outbound": {"plant": {"address": format!("127.0.0.1:{port}"), "protocol": "meter", "units": UNITS}},
        "protocols": {"meter": {
            "preset": preset,
            "registers": registers,
            "session": {"backoffSeconds": 4},
            "polls": polls
        }},
        "presence": {"messages": true}
    })
}

/// A poll of all registers that there are.
fn everything() -> Value {
    let names: Vec<_> = image()
        .into_iter()
        .map(|(notation, ..)| name_of(notation))
        .collect();
    json!({"everything": {"registers": names, "everyMs": 200}})
}

/// What messages have said of a unit, the latest of each name.
fn values_of(messages: &[std::sync::Arc<UpstreamMessage>], unit: u64) -> Map<String, Value> {
    let device = format!("plant/{unit}");
    let mut values = Map::new();
    for body in messages.iter().filter_map(|message| message.json()) {
        if body["device"] == device
            && let Some(said) = body["values"].as_object()
        {
            values.extend(said.clone());
        }
    }
    values
}

fn expected(at: usize) -> Map<String, Value> {
    let values = image().into_iter().map(|(notation, _, raw, read)| {
        let values = read.unwrap_or(raw);
        (name_of(notation).to_owned(), values[at % 3].clone())
    });
    values.collect()
}

/// Waits until messages have said all of the three units, and nothing but that.
async fn all_arrive(rig: &Rig, turned: usize) {
    let mut look = interval(Duration::from_millis(50));
    let upstream = rig.hub.upstream();
    let now = || {
        let messages = upstream.messages();
        UNITS.map(|unit| values_of(&messages, unit))
    };
    let wanted = [0, 1, 2].map(|at| expected(at + turned));
    let waited = timeout(PATIENCE, async {
        while now() != wanted {
            look.tick().await;
        }
    });
    if waited.await.is_err() {
        assert_eq!(now(), wanted);
    }
}

async fn command(rig: &Rig, unit: u64, name: &str, arguments: Value) -> (i32, Value) {
    let payload = json!({
        "device": format!("plant/{unit}"), "command": name, "arguments": arguments, "withinMs": 2500
    });
    let invoked = rig
        .hub
        .invoke_method(MODULE, "command", Some(payload), PATIENCE);
    let answer = invoked.await.expect("an answer");
    (answer.status, answer.payload)
}

async fn write(rig: &Rig, unit: u64, register: &str, value: Value) -> (i32, Value) {
    let arguments = json!({"register": register, "value": value});
    command(rig, unit, "write", arguments).await
}

#[tokio::test]
async fn values_of_all_kinds_arrive_and_go_on_when_the_server_was_killed() {
    for framing in FRAMINGS {
        let port = free_port();
        let mut first = server(port, framing, 0).await;
        let rig = Rig::with(settings(port, framing, everything())).await;
        all_arrive(&rig, 0).await;
        let types: std::collections::BTreeSet<String> = rig
            .hub
            .upstream()
            .messages()
            .iter()
            .filter_map(|message| Some(message.json()?["type"].as_str()?.to_owned()))
            .collect();
        assert_eq!(types.into_iter().collect::<Vec<_>>(), ["bits", "registers"]);

        first.program.kill().await.expect("it ran");
        let gone = rig.message(|message| {
            let body = message.json().unwrap_or_default();
            body["device"] == "plant/2" && body["presence"] == "disconnected"
        });
        gone.await;
        let _second = server(port, framing, 1).await;
        all_arrive(&rig, 1).await;
        let connected = "outbound_attempts_total{outbound=\"plant\",result=\"connected\"}";
        assert_eq!(rig.sample(connected), 2.0, "{framing}");
    }
}

#[tokio::test]
async fn what_is_written_stands_in_the_server_and_what_is_not_says_why() {
    for framing in FRAMINGS {
        let port = free_port();
        let mut server = server(port, framing, 0).await;
        let rig = Rig::with(settings(port, framing, everything())).await;
        all_arrive(&rig, 0).await;
        // Each kind of register at another unit than the one before.
        for (unit, register, value, place, stands) in [
            (
                1,
                "temperature",
                json!(-40.5),
                json!(["holding", 0, 1]),
                json!([65_131]),
            ),
            (
                2,
                "state",
                json!("on"),
                json!(["holding", 1, 1]),
                json!([1]),
            ),
            (
                3,
                "total",
                json!(3_000_000_000_u32),
                json!(["holding", 2, 2]),
                json!([45_776, 24_064]),
            ),
            (
                1,
                "pressure",
                json!(2.5),
                json!(["holding", 8, 2]),
                json!([0, 16_416]),
            ),
            (
                2,
                "flow",
                json!(2.5),
                json!(["holding", 10, 2]),
                json!([8_256, 0]),
            ),
            (
                3,
                "pump",
                json!(false),
                json!(["coil", 0, 2]),
                json!([false, false]),
            ),
            (
                1,
                "valve",
                json!(true),
                json!(["coil", 19, 3]),
                json!([false, true, false]),
            ),
            (
                2,
                "serial",
                json!("XY-99999"),
                json!(["holding", 99, 4]),
                json!([22_617, 11_577, 14_649, 14_649]),
            ),
        ] {
            let (status, answer) = write(&rig, unit, register, value.clone()).await;
            assert_eq!(
                (status, &answer["outcome"]),
                (200, &json!("answered")),
                "{register}: {answer}"
            );
            assert_eq!(answer["device"], format!("plant/{unit}"));
            let mut read = vec![json!(unit)];
            read.extend(place.as_array().expect("a place").clone());
            assert_eq!(
                server.ask(json!({"read": read})).await,
                stands,
                "{framing} {register}"
            );
            let (status, answer) = command(&rig, unit, "read", json!({"register": register})).await;
            assert_eq!(
                (status, &answer["values"][register]),
                (200, &value),
                "{answer}"
            );
        }
        // Neighbours and other units stay as they were.
        let untouched = [
            json!([2, "holding", 0, 1]),
            json!([3, "holding", 1, 1]),
            json!([1, "holding", 4, 2]),
        ];
        for (place, stands) in
            untouched
                .into_iter()
                .zip([json!([215]), json!([65_535]), json!([27_647, 35_018])])
        {
            assert_eq!(server.ask(json!({"read": place})).await, stands);
        }

        let (status, answer) = write(&rig, 2, "ghost", json!(1)).await;
        assert_eq!(
            (status, &answer["outcome"]),
            (422, &json!("refused")),
            "{answer}"
        );
        assert_eq!(
            answer["values"]["exception"], "illegal data address",
            "{answer}"
        );
        for (register, value, part) in [
            ("presure", json!(1.0), "did you mean \\\"pressure\\\"?"),
            ("energy", json!(1), "which is only read"),
            ("temperature", json!(-40.57), "would be read back as"),
            ("temperature", json!(4000), "must be from"),
            ("state", json!("open"), "must be one of"),
        ] {
            let (status, answer) = write(&rig, 1, register, value).await;
            assert_eq!(
                (status, &answer["outcome"]),
                (400, &json!("invalidArguments")),
                "{answer}"
            );
            assert!(answer.to_string().contains(part), "{answer}");
        }
    }
}

/// How often `unit` was asked before each of the requests to `other`.
fn asked_before(order: &[Value], unit: u64, other: u64) -> Vec<usize> {
    let mut count = 0;
    let mut before = Vec::new();
    for asked in order {
        count += usize::from(*asked == unit);
        if *asked == other {
            before.push(count);
        }
    }
    before
}

async fn asked(server: &mut Peer) -> Vec<Value> {
    let asked = server.ask(json!({"asked": true})).await;
    asked.as_array().expect("a list").clone()
}

async fn presence(rig: &Rig, device: &str, state: &str, skip: usize) {
    let mut seen = 0;
    rig.message(|message| {
        let body = message.json().unwrap_or_default();
        seen += usize::from(body["device"] == device && body["presence"] == state);
        seen > skip
    })
    .await;
}

#[tokio::test]
async fn a_unit_that_is_silent_is_asked_less_and_less_and_the_others_as_ever() {
    const EVERY: Duration = Duration::from_millis(250);
    for framing in FRAMINGS {
        let port = free_port();
        let mut server = server(port, framing, 0).await;
        let every = u64::try_from(EVERY.as_millis()).expect("a number");
        let polls = json!({"level": {"registers": ["level"], "everyMs": every, "withinMs": 500}});
        let rig = Rig::with(settings(port, framing, polls)).await;
        for unit in UNITS {
            presence(&rig, &format!("plant/{unit}"), "connected", 0).await;
        }
        server.ask(json!({"silent": [3]})).await;
        let (begun, before) = (rig.clock.now().monotonic, asked(&mut server).await.len());
        presence(&rig, "plant/3", "silent", 0).await;
        let reported = rig
            .reported(|reported| reported["presence"]["silent"] == 1)
            .await;
        assert!(
            reported["presence"]["away"]["plant/3"].is_string(),
            "{reported}"
        );

        let mut look = interval(Duration::from_millis(50));
        let waited = timeout(PATIENCE, async {
            loop {
                let order = asked(&mut server).await.split_off(before);
                if asked_before(&order, 1, 3).len() >= 5 {
                    return (order, rig.clock.now().monotonic - begun);
                }
                look.tick().await;
            }
        });
        let (order, window) = waited.await.expect("it is asked again and again");
        let tries = asked_before(&order, 1, 3);
        let gaps: Vec<usize> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // One, two and four seconds: then unit 1 has been asked some 16 times in between.
        assert!(
            gaps[0] < gaps[3] && gaps[3] >= 8,
            "{framing}: {gaps:?} requests to unit 1 between those to unit 3"
        );
        let [one, two, three] =
            UNITS.map(|unit| order.iter().filter(|asked| **asked == unit).count());
        let due = usize::try_from(window.as_millis() / EVERY.as_millis()).expect("a number");
        assert!(
            one * 2 >= due && two * 2 >= due,
            "{framing}: {one} and {two} of {due}"
        );
        assert!(
            one <= due + 2 && two <= due + 2,
            "{framing}: {one} and {two} of {due}"
        );
        assert!(three * 4 <= due, "{framing}: {three} of {due}");

        let (status, answer) = command(&rig, 3, "read", json!({"register": "level"})).await;
        assert_eq!(
            (status, &answer["outcome"]),
            (504, &json!("timedOut")),
            "{answer}"
        );
        let (status, _) = command(&rig, 2, "read", json!({"register": "level"})).await;
        assert_eq!(status, 200);

        server.ask(json!({"silent": []})).await;
        presence(&rig, "plant/3", "connected", 1).await;
        let answered = asked(&mut server).await.len();
        let waited = timeout(PATIENCE, async {
            loop {
                let order = asked(&mut server).await.split_off(answered);
                if let Some(ones) = asked_before(&order, 3, 1).get(7) {
                    return *ones;
                }
                look.tick().await;
            }
        });
        let threes = waited.await.expect("they are asked");
        assert!(
            (4..=16).contains(&threes),
            "{framing}: {threes} while unit 1 was asked 8 times"
        );
        for unit in [1, 2] {
            let messages = rig.hub.upstream().messages();
            let device = format!("plant/{unit}");
            let states: Vec<_> = messages
                .iter()
                .filter_map(|message| message.json())
                .filter(|body| body["device"] == device && body.get("presence").is_some())
                .map(|body| body["presence"].clone())
                .collect();
            assert_eq!(states, ["connected"], "{device}");
        }
    }
}

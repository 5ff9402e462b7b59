//! What packs ask devices, byte by byte, and what they make of the answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::conversation::{Action, Asked, Conversation, Input, Outcome, Request};
use edge_tcp_gateway::identity::Peer;
use edge_tcp_gateway::message::{CommandId, Now, Progress};
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::{Value, json};

use super::golden::{bytes, shown};

/// The gateway's clock, which questions can say.
const CLOCK: &str = "2026-01-31T12:34:56.789Z";

/// A connection that was dialled, step by step: what is done, and all that follows.
struct Line {
    conversation: Conversation,
    now: Now,
}

impl Line {
    /// A connection that a pack's own words stand on, with the unit 10.
    fn of(pack: &str) -> Self {
        let settings = json!({
            "outbound": {"line": {"address": "10.0.0.7:4000", "protocol": "pack", "units": [10]}},
            "protocols": {"pack": {"preset": format!("{pack}@1")}}
        });
        let parsed = Settings::parse(&settings, &Presets::built_in());
        let (settings, _) = parsed.unwrap_or_else(|problems| panic!("{:#?}", problems.as_slice()));
        let outbound = &settings.outbound["line"];
        let terms = settings.conversation_with_dialled(outbound);
        Line {
            conversation: Conversation::new(Arc::clone(&outbound.protocol), Arc::new(terms)),
            now: Now {
                monotonic: Clock::system().now().monotonic,
                utc: CLOCK.parse().expect("a time"),
            },
        }
    }

    /// `open`, `hear` and bytes of the device, `after` and seconds, or `ask` with a command's name and
    /// arguments. What follows: bytes that leave, outcomes, and the end of the connection.
    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.splitn(3, ' ').collect();
        let heard;
        let input = match words.as_slice() {
            ["open"] => {
                let address = "10.0.0.7:4000".parse().expect("an address");
                Input::Opened(Peer::dialled(address, "line".into(), Some("line".into())))
            }
            ["after", seconds] => {
                self.now.monotonic += Duration::from_secs(seconds.parse().expect("seconds"));
                Input::Tick
            }
            ["ask", name, arguments] => {
                let what = Asked::Command {
                    name: (*name).into(),
                    arguments: serde_json::from_str(arguments).expect("JSON"),
                    answer: true,
                };
                let request = Request {
                    device: "line/10".into(),
                    what,
                    deadline: self.now.monotonic + Duration::from_secs(25),
                };
                Input::Command(CommandId(1), request)
            }
            _ => {
                let said = step
                    .strip_prefix("hear ")
                    .expect("open, hear, after or ask");
                heard = bytes(said).expect("bytes");
                Input::Bytes(&heard)
            }
        };
        let mut seen = Vec::new();
        let mut due = VecDeque::from([input]);
        while let Some(next) = due.pop_front() {
            let mut actions = Vec::new();
            self.conversation.step(self.now, next, &mut actions);
            for action in actions {
                match action {
                    Action::Write(bytes) => {
                        seen.push(shown(&bytes));
                        due.push_back(Input::Written(bytes.len()));
                    }
                    Action::Submit(ticket, ..) => {
                        due.push_back(Input::Progress(ticket, Progress::Delivered));
                        due.push_back(Input::TakenOver);
                    }
                    Action::Answer(_, outcome) => seen.push(said(outcome)),
                    Action::Close(reason) => seen.push(format!("close {}", reason.word())),
                    _ => {}
                }
            }
        }
        seen.join("; ")
    }
}

fn said(outcome: Outcome) -> String {
    let values = |values: &[u8]| -> Value { serde_json::from_slice(values).expect("JSON") };
    match outcome {
        Outcome::Answered(answer) => format!("answered {}", values(&answer.values)),
        Outcome::Refused(answer) => format!("refused {}", values(&answer.values)),
        Outcome::Sent { .. } => "sent".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An expectation in the form of what is seen.
fn expected(text: &str) -> String {
    let parts = text.split("; ").map(|part| match part.split_once(' ') {
        Some((word @ ("answered" | "refused"), values)) => {
            let values: Value = serde_json::from_str(values).expect("JSON");
            format!("{word} {values}")
        }
        Some(("close", _)) => part.to_owned(),
        _ => shown(&bytes(part).expect("bytes")),
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn check(pack: &str, steps: &[(&str, &str)]) {
    let mut line = Line::of(pack);
    for (step, follows) in steps {
        assert_eq!(line.step(step), expected(follows), "{pack}: {step}");
    }
}

#[test]
fn iec104_counts_what_it_sends_and_what_it_has_received() {
    check(
        "iec104",
        &[
            ("open", "0x 68 04 07000000"),
            ("hear 0x 68 04 0b000000", ""),
            (
                "ask interrogation {}",
                "0x 68 0e 0000 0000 64 01 0600 0a00 000000 14",
            ),
            (
                "hear 0x 68 0e 0000 0200 64 01 0700 0a00 000000 14",
                r#"answered {"kind":100,"count":1,"following":false,"cause":7,"station":10,"data":"00000014"}; 0x 68 04 0100 0200"#,
            ),
            (
                r#"ask single {"address":500,"state":"on"}"#,
                "0x 68 0e 0200 0200 2d 01 0600 0a00 f40100 01",
            ),
            // Another object's, and another station's.
            (
                "hear 0x 68 0e 0200 0400 2d 01 0700 0a00 f50100 01",
                "0x 68 04 0100 0400",
            ),
            (
                "hear 0x 68 0e 0400 0400 2d 01 0700 0b00 f40100 01",
                "0x 68 04 0100 0600",
            ),
            (
                "hear 0x 68 0e 0600 0400 2d 01 4700 0a00 f40100 01",
                r#"refused {"kind":45,"count":1,"following":false,"cause":7,"station":10,"data":"f4010001"}; 0x 68 04 0100 0800"#,
            ),
            // The number in the frame is the last one that can be: the next is zero.
            (
                "hear 0x 68 0e feff 0400 0b 01 0300 0a00 f50100 0000",
                "0x 68 04 0100 0000",
            ),
            (
                r#"ask setFloat {"address":512,"value":12.5}"#,
                "0x 68 12 0400 0000 32 01 0600 0a00 000200 00004841 00",
            ),
            (
                "hear 0x 68 12 0000 0600 32 01 2f00 0a00 000200 00004841 00",
                r#"refused {"kind":50,"count":1,"following":false,"cause":47,"station":10,"data":"0002000000484100"}; 0x 68 04 0100 0200"#,
            ),
            (
                r#"ask setScaled {"address":511,"value":-2}"#,
                "0x 68 10 0600 0200 31 01 0600 0a00 ff0100 feff 00",
            ),
            (
                "hear 0x 68 10 0200 0800 31 01 0700 0a00 ff0100 feff 00",
                r#"answered {"kind":49,"count":1,"following":false,"cause":7,"station":10,"data":"ff0100feff00"}; 0x 68 04 0100 0400"#,
            ),
            (
                "ask clock {}",
                "0x 68 14 0800 0400 67 01 0600 0a00 000000 d5dd 22 0c 1f 01 1a",
            ),
        ],
    );
}

#[test]
fn iec104_tests_the_link_and_ends_one_that_does_not_answer() {
    check(
        "iec104",
        &[
            ("open", "0x 68 04 07000000"),
            ("hear 0x 68 04 0b000000", ""),
            ("hear 0x 68 04 43000000", "0x 68 04 83000000"),
            ("after 19", ""),
            ("after 1", "0x 68 04 43000000"),
            ("hear 0x 68 04 83000000", ""),
            ("after 20", "0x 68 04 43000000"),
            ("after 14", ""),
            ("after 1", "close silent"),
        ],
    );
    let open = ("open", "0x 68 04 07000000");
    check(
        "iec104",
        &[open, ("after 14", ""), ("after 1", "close not_opened")],
    );
}

#[test]
fn mt_sics_asks_for_weights_and_sets_tare_and_zero() {
    check(
        "mt-sics",
        &[
            ("open", ""),
            ("ask weigh {}", "S\r\n"),
            (
                "hear S S     100.00 g\r\n",
                r#"answered {"stable":true,"weight":100.0,"unit":"g"}"#,
            ),
            ("ask weighNow {}", "SI\r\n"),
            ("hear S I\r\n", r#"refused {"status":"busy"}"#),
            ("ask tare {}", "T\r\n"),
            (
                "hear T S     100.00 g\r\n",
                r#"answered {"tare":100.0,"unit":"g"}"#,
            ),
            ("ask tareNow {}", "TI\r\n"),
            (
                "hear TI D     12.50 kg\r\n",
                r#"answered {"tare":12.5,"unit":"kg"}"#,
            ),
            (
                r#"ask presetTare {"value":10.5,"unit":"g"}"#,
                "TA 10.5 g\r\n",
            ),
            (
                "hear TA A     10.50 g\r\n",
                r#"answered {"tare":10.5,"unit":"g"}"#,
            ),
            ("ask zero {}", "Z\r\n"),
            ("hear Z A\r\n", r#"answered {"raw":"WiBB"}"#),
            ("ask clearTare {}", "TAC\r\n"),
            ("hear TAC I\r\n", r#"refused {"raw":"VEFDIEk="}"#),
            ("ask serial {}", "I4\r\n"),
            (
                "hear I4 A \"B021002593\"\r\n",
                r#"answered {"serial":"B021002593"}"#,
            ),
            ("ask zeroNow {}", "ZI\r\n"),
            ("hear ES\r\n", r#"refused {"raw":"RVM="}"#),
            ("ask reset {}", "@\r\n"),
            (
                "hear I4 A \"B021002593\"\r\n",
                r#"answered {"serial":"B021002593"}"#,
            ),
        ],
    );
}

#[test]
fn mbus_asks_meters_by_their_addresses() {
    check(
        "mbus",
        &[
            ("open", "0x 10 40 ff 3f 16"),
            (r#"ask initialize {"address":2}"#, "0x 10 40 02 42 16"),
            ("hear 0x e5", "answered {}"),
            (r#"ask read {"address":2}"#, "0x 10 5b 02 5d 16"),
            (
                "hear 0x 68 1f1f 68 08 02 72 78563412 24400107 55000000 0313153100 da023b13018b60 043718 02 18 16",
                r#"answered {"address":2,"information":114,"id":"12345678","manufacturer":16420,"version":1,"medium":7,"access":85,"status":0,"data":"0313153100da023b13018b6004371802"}"#,
            ),
        ],
    );
}

#[test]
fn s7_connects_negotiates_and_reads_and_writes_bytes() {
    check(
        "s7",
        &[
            (
                "open",
                "0x 03000016 11 e0 0000 0001 00 c0010a c1020100 c2020101",
            ),
            (
                "hear 0x 03000016 11 d0 0001 0007 00 c0010a c1020100 c2020101",
                "0x 03000019 02f080 32010000 0000 0008 0000 f000 0001 0001 01e0",
            ),
            (
                "hear 0x 0300001b 02f080 32030000 0000 0008 0000 0000 f000 0001 0001 00f0",
                "",
            ),
            (
                r#"ask read {"db":1,"byte":4,"bytes":2}"#,
                "0x 0300001f 02f080 32010000 0001 000e 0000 0401 120a1002 0002 0001 84 000020",
            ),
            (
                "hear 0x 0300001b 02f080 32030000 0001 0002 0006 0000 0401 ff 04 0010 abcd",
                r#"answered {"reference":1,"error":0,"function":4,"items":1,"returnCode":255,"transport":4,"size":16,"data":"abcd"}"#,
            ),
            (
                r#"ask read {"area":"memory","byte":8191,"bytes":1}"#,
                "0x 0300001f 02f080 32010000 0002 000e 0000 0401 120a1002 0001 0000 83 00fff8",
            ),
            (
                "hear 0x 03000019 02f080 32030000 0002 0002 0004 0000 0401 05 00 0000",
                r#"refused {"reference":2,"error":0,"function":4,"items":1,"returnCode":5,"transport":0,"size":0}"#,
            ),
            (
                r#"ask write {"db":1,"byte":0,"data":"0102"}"#,
                "0x 03000025 02f080 32010000 0003 000e 0006 0501 120a1002 0002 0001 84 000000 00 04 0010 0102",
            ),
            (
                "hear 0x 03000016 02f080 32030000 0003 0002 0001 0000 0501 ff",
                r#"answered {"reference":3,"error":0,"function":5,"items":1,"returnCode":255}"#,
            ),
        ],
    );
}

#[test]
fn fins_asks_from_the_node_that_it_was_given() {
    let head = |length: &str| format!("46494e53 {length} 00000002 00000000");
    let (asks, asks_more, says, says_no) = (
        head("0000001a"),
        head("0000001c"),
        head("0000001a"),
        head("00000016"),
    );
    let read = format!("0x {asks} 800002 00 05 00 00 fb 00 00 0101 82 0064 00 0002");
    let again = format!("0x {asks} 800002 00 05 00 00 fb 00 01 0101 b0 0000 00 0001");
    let write = format!("0x {asks_more} 800002 00 05 00 00 fb 00 02 0102 82 0064 00 0001 1234");
    let words = format!("hear 0x {says} c00002 00 fb 00 00 05 00 00 0101 0000 0001 ffff");
    let no = format!("hear 0x {says_no} c00002 00 fb 00 00 05 00 01 0101 1103");
    let done = format!("hear 0x {says_no} c00002 00 fb 00 00 05 00 02 0102 0040");
    check(
        "fins",
        &[
            ("open", "0x 46494e53 0000000c 00000000 00000000 00000000"),
            (
                "hear 0x 46494e53 00000010 00000001 00000000 000000fb 00000005",
                "",
            ),
            (r#"ask read {"address":100,"words":2}"#, &read),
            (
                &words,
                r#"answered {"error":0,"network":0,"node":5,"cpu":0,"service":0,"request":"0101","endCode":"0000","words":[1,65535]}"#,
            ),
            (r#"ask read {"area":"cio","address":0,"words":1}"#, &again),
            (
                &no,
                r#"refused {"error":0,"network":0,"node":5,"cpu":0,"service":1,"request":"0101","endCode":"1103","words":[]}"#,
            ),
            (r#"ask write {"address":100,"value":4660}"#, &write),
            // A flag that the controller has an error of its own is no refusal.
            (
                &done,
                r#"answered {"error":0,"network":0,"node":5,"cpu":0,"service":2,"request":"0102","endCode":"0040"}"#,
            ),
        ],
    );
}

#[test]
fn dnp3_asks_for_everything_an_outstation_has() {
    check(
        "dnp3",
        &[
            ("open", ""),
            (
                r#"ask integrity {"outstation":4}"#,
                "0x 0564 14 c4 0400 0100 220c c0 c0 01 3c0206 3c0306 3c0406 3c0106 8a51",
            ),
            (
                "hear 0x 0564 0a 44 0100 0400 d566 c0 c0 81 0000 9ce8",
                r#"answered {"destination":1,"source":4,"transport":192,"function":129,"indications":0}"#,
            ),
        ],
    );
}

//! Plays inputs written as words and shows actions as words.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::conversation::{
    Acknowledge, Action, Asked, Awaited, BodyForm, Bounds, Conversation, ConversationSettings, End,
    Input, Login, Outcome, Protocol, Questions, Reason, Replies, Request, Session, byte_pattern,
};
use crate::decoding;
use crate::document::{Problems, Section};
use crate::framing;
use crate::identity::{DeviceMap, IdentityRule, Peer, Secrets};
use crate::message::{CommandId, Now, Progress, Ticket};
use crate::script::Script;
use crate::template::Template;

/// A protocol of JSON lines; members of `changes` replace its own.
pub fn protocol(changes: &Value) -> Protocol {
    let mut document = json!({
        "framing": {"type": "delimiter", "end": "\n", "incompleteTimeoutMs": 5000},
        "decode": {"type": "json", "fields": ["id", "seq: number", "kind"],
            "select": {"by": "kind", "cases": [["quiet", "quiet"]], "default": "data"}},
        "layouts": {"quiet": {"publish": false}, "data": {}},
        "identity": {"field": "id", "scope": "message"},
        "replies": {"ok": {"send": "ok {seq}\n", "when": "seq"}, "nak": "nak\n"},
        "acknowledge": {}
    });
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    read_protocol(&document)
}

/// A protocol as the settings would build it.
pub fn read_protocol(document: &Value) -> Protocol {
    let root = Section::root(document);
    let mut problems = Problems::new();
    let word = |name: &str| document.get(name).cloned().unwrap_or(json!(null));
    let identity = IdentityRule::read(root.member("identity").as_ref(), &mut problems).unwrap();
    let session = root.member("session");
    let mut session = Session::read(session.as_ref(), &Secrets::default(), &mut problems).unwrap();
    if identity.secret().is_some() {
        session.login.get_or_insert_with(Login::default);
    }
    let decoder = decoding::read(
        root.member("decode").as_ref(),
        root.member("layouts").as_ref(),
        &mut problems,
    )
    .unwrap();
    let replies = Replies::read(root.member("replies").as_ref(), &mut problems);
    let mut questions = Questions::read(&root, Some(&decoder), &mut problems);
    questions.remember(replies.iter().map(|reply| &reply.send));
    let protocol = Protocol {
        name: "lines".into(),
        preset: None,
        framing: framing::read(&root.member("framing").unwrap(), &mut problems).unwrap(),
        checksums: root.member("checksum").map_or(Arc::from([]), |_| {
            crate::checksum::read(&root, "checksum", &mut problems).into()
        }),
        on_bad_checksum: serde_json::from_value(word("onBadChecksum")).unwrap_or_default(),
        decoder,
        session,
        identity: Arc::new(identity),
        replies,
        questions,
        acknowledge: serde_json::from_value::<Acknowledge>(word("acknowledge")).unwrap_or_default(),
        on_undecoded: serde_json::from_value(word("onUndecoded")).unwrap_or_default(),
        script: root
            .member("script")
            .map(|script| Script::read(&script, &mut problems).unwrap()),
        message_id: document["messageId"]
            .as_str()
            .map(|text| Template::parse(text).unwrap()),
    };
    assert!(problems.is_empty(), "{problems:?}");
    protocol
}

/// Settings of a listener; `changes` may have `devices`, `deviceRules`, `unknownDevices`, `output`,
/// `bodies`, `units`, `waitingCommands`.
pub fn settings(changes: &Value) -> ConversationSettings {
    let root = Section::root(changes);
    let mut problems = Problems::new();
    let devices = DeviceMap::read(
        root.member("devices").as_ref(),
        root.member("deviceRules").as_ref(),
        &Secrets::default(),
        &mut problems,
    );
    assert!(problems.is_empty(), "{problems:?}");
    let read = |name: &str| changes.get(name).cloned().unwrap_or(json!(null));
    let bodies: BTreeMap<String, BodyForm> =
        serde_json::from_value(read("bodies")).unwrap_or_default();
    ConversationSettings {
        devices: Arc::new(devices.unwrap()),
        unknown_devices: serde_json::from_value(read("unknownDevices")).unwrap_or_default(),
        output: changes["output"].as_str().map(Into::into),
        bodies: Arc::new(
            bodies
                .into_iter()
                .map(|(name, form)| (name.into(), form))
                .collect(),
        ),
        idle_timeout: Some(Duration::from_secs(60)),
        units: changes["units"].as_array().map_or(Arc::from([]), |units| {
            let text = |unit: &Value| unit.as_str().unwrap().into();
            units.iter().map(text).collect()
        }),
        bounds: Bounds {
            waiting_replies: 3,
            waiting_bytes: 1000,
            waiting_commands: serde_json::from_value(read("waitingCommands")).unwrap_or(2),
        },
    }
}

pub fn peer(changes: &Value) -> Peer {
    let address: SocketAddr = "10.0.0.7:4000".parse().unwrap();
    Peer::new(
        address,
        "line1".into(),
        changes["device"].as_str().map(Into::into),
    )
}

/// A conversation that is being played.
pub struct Play {
    pub conversation: Conversation,
    pub now: Now,
    peer: Peer,
    pub outstanding: usize,
    /// Whether what is submitted is taken over at once.
    room: bool,
}

impl Play {
    pub fn new(protocol: Protocol, listener: &Value) -> Self {
        let conversation = Conversation::new(Arc::new(protocol), Arc::new(settings(listener)));
        let now = Now {
            monotonic: start(),
            utc: "2026-01-31T12:00:00.0004Z".parse().unwrap(),
        };
        Play {
            conversation,
            now,
            peer: peer(listener),
            outstanding: 0,
            room: true,
        }
    }

    /// One step; what follows, `count frame` left out.
    pub fn play(&mut self, line: &str) -> String {
        let actions = self.act(line);
        let shown: Vec<String> = actions
            .iter()
            .map(show)
            .filter(|text| !["count frame", "count poll_answered"].contains(&text.as_str()))
            .collect();
        shown.join("; ")
    }

    pub fn act(&mut self, line: &str) -> Vec<Action> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.parse::<u64>().unwrap();
        match word {
            "open" => self.step(Input::Opened(self.peer.clone())),
            "data" => self.step(Input::Bytes(
                rest.replace('|', "\n").replace('\'', "\"").as_bytes(),
            )),
            "hex" => self.step(Input::Bytes(
                &crate::notation::bytes(&format!("0x{rest}")).unwrap(),
            )),
            "fin" => self.step(Input::End(End::Fin)),
            "stop" => self.step(Input::End(End::Stop(Reason::Shutdown))),
            "reset" => self.step(Input::End(End::Reset)),
            "stored" => self.step(Input::Progress(Ticket(number()), Progress::Stored)),
            "delivered" => self.step(Input::Progress(Ticket(number()), Progress::Delivered)),
            "lost" => self.step(Input::Progress(Ticket(number()), Progress::Lost)),
            "written" => {
                let count = rest.parse().unwrap_or(self.outstanding);
                self.outstanding -= count;
                self.step(Input::Written(count))
            }
            "full" => {
                self.room = false;
                Vec::new()
            }
            "paused" => {
                self.room = false;
                self.step(Input::Paused)
            }
            "taken" => {
                self.room = true;
                self.step(Input::TakenOver)
            }
            // What comes at the last moment.
            "late" => {
                self.now.monotonic += Duration::from_millis(1);
                self.act(rest)
            }
            "after" => {
                self.now.monotonic += Duration::from_millis(number());
                self.step(Input::Tick)
            }
            "settings" => {
                let changes = serde_json::from_str(rest).unwrap();
                self.step(Input::Settings(Arc::new(settings(&changes))))
            }
            "command" => self.command(rest),
            "raw" => self.raw(rest),
            "ask" => self.ask(rest),
            other => panic!("no such word: {other}"),
        }
    }

    /// `command ID MS TEXT`
    fn command(&mut self, rest: &str) -> Vec<Action> {
        let words: Vec<&str> = rest.splitn(3, ' ').collect();
        let request = Request {
            device: "d".into(),
            what: Asked::Raw {
                bytes: words[2].to_owned().into(),
                answer: None,
            },
            deadline: self.now.monotonic + Duration::from_millis(words[1].parse().unwrap()),
        };
        self.step(Input::Command(
            CommandId(words[0].parse().unwrap()),
            request,
        ))
    }

    /// `raw ID MS PATTERN TEXT`, where the pattern `next` is the next frame
    fn raw(&mut self, rest: &str) -> Vec<Action> {
        let words: Vec<&str> = rest.splitn(4, ' ').collect();
        let answer = match words[2] {
            "next" => Awaited::Next,
            pattern => Awaited::Pattern(byte_pattern(pattern).unwrap()),
        };
        let what = Asked::Raw {
            bytes: words[3].to_owned().into(),
            answer: Some(answer),
        };
        self.request(words[0], words[1], "d", what)
    }

    /// `ask ID MS DEVICE NAME [ARGUMENTS]`
    fn ask(&mut self, rest: &str) -> Vec<Action> {
        let words: Vec<&str> = rest.splitn(5, ' ').collect();
        let (name, answer) = match words[3].strip_suffix('!') {
            Some(name) => (name, false),
            None => (words[3], true),
        };
        let arguments = words.get(4).map(|text| serde_json::from_str(text).unwrap());
        let what = Asked::Command {
            name: name.into(),
            arguments: arguments.unwrap_or_default(),
            answer,
        };
        self.request(words[0], words[1], words[2], what)
    }

    fn request(&mut self, id: &str, within: &str, device: &str, what: Asked) -> Vec<Action> {
        let within = Duration::from_millis(within.parse().unwrap());
        let request = Request {
            device: device.into(),
            what,
            deadline: self.now.monotonic + within,
        };
        self.step(Input::Command(CommandId(id.parse().unwrap()), request))
    }

    pub fn step(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.conversation.step(self.now, input, &mut actions);
        let mut seen = 0;
        let submits = |actions: &[Action]| {
            let submit = |action: &Action| matches!(action, Action::Submit(..));
            actions.iter().any(submit)
        };
        while self.room && submits(&actions[seen..]) {
            seen = actions.len();
            self.conversation
                .step(self.now, Input::TakenOver, &mut actions);
        }
        let deadline = self.conversation.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now.monotonic),
            "it would turn for ever"
        );
        for action in &actions {
            match action {
                Action::Write(bytes) => {
                    assert_eq!(self.outstanding, 0, "a second write while one is under way");
                    self.outstanding = bytes.len();
                }
                Action::Withdraw | Action::Close(_) => self.outstanding = 0,
                _ => {}
            }
        }
        actions
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an instant can only be had from the clock; tests count from it"
)]
fn start() -> Instant {
    Instant::now()
}

fn show(action: &Action) -> String {
    match action {
        Action::Submit(ticket, messages, _) => {
            let devices: Vec<&str> = messages.iter().map(|message| &*message.device).collect();
            format!("submit {} {}", ticket.0, devices.join(","))
        }
        Action::Write(bytes) => format!(
            "write {}",
            String::from_utf8_lossy(bytes).replace('\n', "|")
        ),
        Action::Withdraw => "withdraw".to_owned(),
        Action::Forget(ticket) => format!("forget {}", ticket.0),
        Action::Answer(id, outcome) => format!("answer {} {}", id.0, show_outcome(outcome)),
        Action::Bind {
            device,
            newest_wins,
        } => format!("bind {device}{}", if *newest_wins { " alone" } else { "" }),
        Action::Unbind(device) => format!("unbind {device}"),
        Action::Close(reason) => format!("close {}", reason.word()),
        Action::Count(counted) => format!("count {}", counted.word()),
        Action::Show(_) => "show".to_owned(),
        Action::Silent(device) => format!("silent {device}"),
        Action::Heard(device) => format!("heard {device}"),
    }
}

fn show_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { written } => format!("sent {written}"),
        Outcome::TimedOut { written } => format!("timed out {written}"),
        Outcome::NotConnected { written } => format!("not connected {written}"),
        Outcome::Busy(_) => "busy".to_owned(),
        Outcome::Interrupted { written } => format!("interrupted {written}"),
        Outcome::Invalid(why) => format!("invalid {why}"),
        Outcome::Answered(answer) => {
            format!("answered {}", String::from_utf8_lossy(&answer.values))
        }
        Outcome::Refused(answer) => format!("refused {}", String::from_utf8_lossy(&answer.frame)),
    }
}

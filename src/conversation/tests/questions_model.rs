//! Questions, answers and time in any order, against a device that notes what it is asked and says in
//! each answer whose it is: no answer is another question's, every command has one outcome, replies
//! keep their order, and nothing is kept for ever.
//!
//! What nobody could tell apart is left out: a polite device answers each try once at most, and no
//! later than one more time limit behind its limit. A rude one answers as often and as late as it
//! likes; then only answers that repeat a counter must be right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::script::{Play, protocol};
use crate::conversation::{Action, Counted, Outcome};

/// Commands that may wait.
const COMMANDS: usize = 6;
/// The time limit of named commands, and of polls.
const WITHIN: u64 = 300;
const POLL_WITHIN: u64 = 200;

/// How a connection and its device behave.
#[derive(Clone, Copy, Debug)]
struct Manner {
    half_duplex: bool,
    /// It answers as often and as late as it likes.
    rude: bool,
    /// It says things that nobody asked.
    talks: bool,
    /// A poll is asked whose answers all look alike.
    alike: bool,
    /// Time-outs are noticed late.
    lazy: bool,
    /// What is written reaches the device at once.
    prompt: bool,
    /// Bytes that are read at once.
    chunk: usize,
    /// What is asked.
    kinds: &'static [Kind],
    /// What the device makes of the questions.
    seed: u64,
}

/// What is asked together: everything, or what is most easily taken for each other.
const KINDS: [&[Kind]; 4] = [
    &[
        Kind::Set,
        Kind::Few,
        Kind::Tare,
        Kind::Beep,
        Kind::Pattern,
        Kind::Blind,
        Kind::Next,
    ],
    &[Kind::Tare],
    &[Kind::Few, Kind::Few, Kind::Beep],
    &[Kind::Set, Kind::Pattern],
];

fn manner() -> impl Strategy<Value = Manner> {
    let chunks = prop::sample::select(&[1_usize, 7, 1000][..]);
    let kinds = prop::sample::select(&KINDS[..]);
    (any::<[bool; 6]>(), chunks, kinds, any::<u64>()).prop_map(|(flags, chunk, kinds, seed)| {
        let [half_duplex, rude, talks, alike, lazy, prompt] = flags;
        Manner {
            half_duplex,
            rude,
            talks,
            alike,
            lazy,
            prompt,
            chunk,
            kinds,
            seed,
        }
    })
}

/// Lines `KIND NUMBER TAG`, of which the tag says whose answer it is.
fn document(manner: Manner) -> Value {
    let command = |send: &str, answer: Value, refused: Value| {
        json!({"send": send, "answer": answer, "refused": refused, "arguments": {"tag": "text"},
            "withinMs": WITHIN, "retries": 1})
    };
    let mut polls = json!({"level": {"send": "level {count p} {unit}\n", "everyMs": 500,
        "answer": {"where": "kind = level and seq = {count p}"},
        "refused": {"where": "kind = nolevel"}, "withinMs": POLL_WITHIN, "retries": 1}});
    if manner.alike {
        polls["stat"] = json!({"send": "stat 0 {unit}\n", "everyMs": 900, "answer": "^stat",
            "withinMs": POLL_WITHIN});
    }
    json!({
        "framing": {"type": "delimiter", "end": "\n", "incompleteTimeoutMs": 5000},
        "decode": {"type": "regex", "pattern": "^(?P<kind>\\w+) (?P<seq>\\d+) (?P<text>\\w+)$",
            "fields": ["kind", "seq: integer", "text"]},
        "layouts": {},
        "identity": {"from": "address", "sub": "unit"},
        "acknowledge": {"after": "delivered"},
        "replies": {"ok": {"send": "r {seq} x\n", "when": "kind = news"}},
        "session": {"halfDuplex": manner.half_duplex, "backoffSeconds": 2},
        "commands": {
            "set": command("set {count seq} {arg tag}\n",
                json!({"where": "kind = ok and seq = {count seq}"}), json!({"where": "kind = no"})),
            "few": command("few {count f & 1} {arg tag}\n",
                json!({"where": "kind = few and seq = {count f}"}), json!({"where": "kind = nofew"})),
            "tare": command("tare 0 {arg tag}\n", json!("^tare"), json!("^notare")),
            "beep": {"send": "beep {count f} {arg tag}\n", "arguments": {"tag": "text"}}
        },
        "polls": polls
    })
}

/// What is asked, and what may answer it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Set,
    Few,
    Tare,
    Beep,
    Next,
    Pattern,
    Blind,
}

#[derive(Debug)]
struct Asked {
    kind: Kind,
    /// How long the device may take for it, in milliseconds.
    within: u64,
}

/// What the device is going to say.
#[derive(Debug)]
struct Emission {
    at: Instant,
    line: String,
}

struct Model {
    play: Play,
    manner: Manner,
    asked: BTreeMap<u64, Asked>,
    answered: BTreeSet<u64>,
    /// The bytes of the write that is under way, and those of a line that the device has half.
    writing: VecDeque<u8>,
    half: Vec<u8>,
    /// What the device is going to say, and what it has said and nobody has read.
    emissions: Vec<Emission>,
    socket: VecDeque<u8>,
    /// Questions that the device has got.
    heard: u64,
    tickets: VecDeque<u64>,
    news: u64,
    last_reply: u64,
    /// The line of the question that waits for its answer, where one at a time may.
    waits: Option<String>,
    /// When each unit was last asked, in milliseconds that the line was free to ask.
    polled: BTreeMap<String, u64>,
    /// Commands that the device has answered.
    heard_of: BTreeSet<u64>,
    calm: bool,
    no_more: bool,
    closed: bool,
}

impl Model {
    fn new(manner: Manner) -> Self {
        let units = json!({"units": ["1", "2", "3"], "waitingCommands": COMMANDS});
        let mut model = Model {
            play: Play::new(protocol(&document(manner)), &units),
            manner,
            asked: BTreeMap::new(),
            answered: BTreeSet::new(),
            writing: VecDeque::new(),
            half: Vec::new(),
            emissions: Vec::new(),
            socket: VecDeque::new(),
            heard: 0,
            tickets: VecDeque::new(),
            news: 0,
            last_reply: 0,
            waits: None,
            polled: BTreeMap::new(),
            heard_of: BTreeSet::new(),
            calm: false,
            no_more: false,
            closed: false,
        };
        model.act("open");
        model
    }

    fn act(&mut self, line: &str) {
        let actions = self.play.act(line);
        for action in &actions {
            self.follow(action);
        }
        let (waiting, out, lapsed) = self.play.conversation.line.sizes();
        assert!(waiting <= COMMANDS, "{waiting} commands wait");
        assert!(out <= COMMANDS + 9, "{out} questions are out");
        assert!(lapsed <= 256, "{lapsed} late answers are waited for");
    }

    fn follow(&mut self, action: &Action) {
        assert!(
            !self.closed || matches!(action, Action::Answer(..)),
            "{action:?} after the close"
        );
        match action {
            Action::Write(bytes) => {
                self.writing = bytes.iter().copied().collect();
                self.check_free(std::str::from_utf8(bytes).unwrap());
            }
            Action::Withdraw => {
                self.writing.clear();
                self.waits = None;
            }
            Action::Answer(id, outcome) => self.check_outcome(id.0, outcome),
            Action::Submit(ticket, messages, awaits) => {
                if awaits.is_some() {
                    self.tickets.push_back(ticket.0);
                }
                for message in messages {
                    self.check_message(&message.device, message.body.bytes());
                }
            }
            Action::Count(Counted::PollFailed(..) | Counted::PollRefused(..)) => {
                self.end_poll();
            }
            Action::Close(_) => self.closed = true,
            _ => {}
        }
    }

    /// With one question at a time nothing is asked while an answer is waited for.
    fn check_free(&mut self, line: &str) {
        let kind = line.split(' ').next().unwrap();
        if !self.manner.half_duplex || kind == "r" {
            return;
        }
        if let Some(waits) = &self.waits {
            let same = |line: &str| {
                let mut words = line.split_whitespace();
                (
                    words.next().map(str::to_owned),
                    words.nth(1).map(str::to_owned),
                )
            };
            assert_eq!(
                same(waits),
                same(line),
                "asked while an answer is waited for"
            );
        }
        let waits = ["set", "few", "tare", "raw", "nxt", "level", "stat"].contains(&kind);
        self.waits = waits.then(|| line.to_owned());
    }

    fn end_poll(&mut self) {
        let poll = |line: &String| line.starts_with("level") || line.starts_with("stat");
        if self.waits.as_ref().is_some_and(poll) {
            self.waits = None;
        }
    }

    fn check_outcome(&mut self, id: u64, outcome: &Outcome) {
        assert!(self.answered.insert(id), "two outcomes of {id}");
        let tag = format!("c{id}");
        let asked = self.asked.get(&id).expect("asked");
        let is_its = |line: &String| line.trim_end().ends_with(&format!(" {tag}"));
        if self.waits.as_ref().is_some_and(is_its) {
            self.waits = None;
        }
        let (answer, refused) = match outcome {
            Outcome::Answered(answer) => (answer, false),
            Outcome::Refused(answer) => (answer, true),
            Outcome::Sent { written } => return assert!(*written > 0),
            Outcome::Invalid(why) => panic!("{why}"),
            _ => return,
        };
        self.heard_of.insert(id);
        let sure = !self.manner.rude || asked.kind == Kind::Set;
        let values: Value = serde_json::from_slice(&answer.values).unwrap();
        if sure {
            assert_eq!(
                values["text"], tag,
                "another question's answer: {outcome:?}"
            );
            let no = values["kind"].as_str().unwrap().starts_with("no");
            assert_eq!(no, refused, "{values}");
        }
    }

    /// An answer to a poll is of the unit that was asked.
    fn check_message(&mut self, device: &str, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let Some((_, unit)) = device.split_once('/') else {
            return;
        };
        self.end_poll();
        let values = &body["values"];
        if values["kind"] == "level" || !self.manner.rude {
            assert_eq!(
                values["text"],
                format!("u{unit}"),
                "another unit's answer: {body}"
            );
        }
    }

    /// So much more time passes, in which the device says what it is going to say.
    fn pass(&mut self, milliseconds: u64) {
        let target = self.play.now.monotonic + Duration::from_millis(milliseconds);
        while !self.closed {
            self.read();
            while (self.manner.prompt || self.calm) && self.play.outstanding > 0 {
                self.write(usize::MAX);
                self.read();
            }
            let emission = self.emissions.iter().map(|emission| emission.at).min();
            let deadline = self.play.conversation.deadline();
            let deadline = deadline.filter(|_| !self.manner.lazy || self.calm);
            let events = [Some(target), emission, deadline];
            let next = events.into_iter().flatten().min().unwrap();
            self.play.now.monotonic = next.max(self.play.now.monotonic);
            let now = self.play.now.monotonic;
            if let Some(at) = self
                .emissions
                .iter()
                .position(|emission| emission.at <= now)
            {
                let emission = self.emissions.remove(at);
                self.socket.extend(emission.line.bytes());
                continue;
            }
            self.act("after 0");
            if now >= target {
                break;
            }
        }
        self.read();
    }

    /// Reads what the device has said, as far as it is read.
    fn read(&mut self) {
        while !self.no_more && !self.socket.is_empty() && self.play.conversation.wants_input() {
            let count = self.manner.chunk.min(self.socket.len());
            let bytes: Vec<u8> = self.socket.drain(..count).collect();
            self.act(&format!("data {}", std::str::from_utf8(&bytes).unwrap()));
        }
    }

    /// So many bytes reach the device.
    fn write(&mut self, count: usize) {
        let count = count.clamp(1, self.play.outstanding);
        let bytes: Vec<u8> = self.writing.drain(..count).collect();
        self.act(&format!("written {count}"));
        for byte in bytes {
            self.half.push(byte);
            if byte == b'\n' {
                let line = String::from_utf8(std::mem::take(&mut self.half)).unwrap();
                self.hear(line.trim_end());
            }
        }
    }

    /// The device has got a line.
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let &[kind, number, tag] = words.as_slice() else {
            panic!("garbled: {line}");
        };
        let within = match kind {
            "r" => {
                let number: u64 = number.parse().unwrap();
                assert!(
                    number > self.last_reply,
                    "{number} after {}",
                    self.last_reply
                );
                self.last_reply = number;
                return;
            }
            "level" | "stat" => {
                self.polled.insert(tag.to_owned(), 0);
                POLL_WITHIN
            }
            _ => {
                let id: u64 = tag.trim_start_matches('c').parse().unwrap();
                self.asked[&id].within
            }
        };
        self.decide(kind, number, tag, within);
    }

    /// What the device answers, and when.
    fn decide(&mut self, kind: &str, number: &str, tag: &str, within: u64) {
        let says_nothing = ["beep", "blind"].contains(&kind);
        let poll = ["level", "stat"].contains(&kind);
        self.heard += 1;
        let whim = match self.calm {
            true => 41,
            false => whim(self.manner.seed, self.heard),
        };
        let tag = if poll {
            format!("u{tag}")
        } else {
            tag.to_owned()
        };
        let word = if kind == "set" { "ok" } else { kind };
        let no = match kind {
            "set" => "no".to_owned(),
            "few" | "tare" | "level" => format!("no{kind}"),
            _ => word.to_owned(),
        };
        let (word, delay) = match whim % 8 {
            0 => (word, None),
            1 | 2 => (word, Some(u64::from(whim / 8) % (within / 2).max(1))),
            3 => (&*no, Some(u64::from(whim / 8) % within.max(1))),
            _ => (word, Some(u64::from(whim / 8) % (2 * within).max(1))),
        };
        let Some(delay) = delay else { return };
        if says_nothing && !self.manner.rude {
            return;
        }
        let line = format!("{word} {number} {tag}\n");
        self.say(delay, &line);
        if self.manner.rude && whim % 8 > 4 {
            self.say(delay * 7, &line);
            self.say(u64::from(whim / 16), &line);
        }
    }

    fn say(&mut self, delay: u64, line: &str) {
        self.emissions.push(Emission {
            at: self.play.now.monotonic + Duration::from_millis(delay),
            line: line.to_owned(),
        });
    }

    fn ask(&mut self, kind: Kind, deadline: u64) {
        let id = self.asked.len() as u64;
        let within = match kind {
            Kind::Set | Kind::Few | Kind::Tare => WITHIN,
            _ => deadline,
        };
        self.asked.insert(id, Asked { kind, within });
        let hurry = if deadline.is_multiple_of(5) { "!" } else { "" };
        let named = |name: &str, hurry: &str| {
            format!("ask {id} {deadline} 10.0.0.7 {name}{hurry} {{\"tag\":\"c{id}\"}}")
        };
        let line = match kind {
            Kind::Set => named("set", hurry),
            Kind::Few => named("few", hurry),
            Kind::Tare => named("tare", hurry),
            Kind::Beep => named("beep", ""),
            Kind::Next => format!("raw {id} {deadline} next nxt 0 c{id}\n"),
            Kind::Pattern => format!("raw {id} {deadline} ^raw raw 0 c{id}\n"),
            Kind::Blind => format!("command {id} {deadline} blind 0 c{id}\n"),
        };
        self.act(&line);
    }

    /// One thing that may happen.
    fn happen(&mut self, what: u8, number: u16) {
        let small = usize::from(number);
        match what {
            0..=3 => {
                let kind = self.manner.kinds[small % self.manner.kinds.len()];
                // Who waits for the next frame must not hear others.
                let next = !self.manner.talks || self.manner.rude;
                if kind != Kind::Next || next {
                    self.ask(kind, 20 + u64::from(number / 8) % 1500);
                }
            }
            4..=7 if self.play.outstanding > 0 => {
                let all = self.play.outstanding;
                self.write(if number.is_multiple_of(4) {
                    1 + small % all
                } else {
                    all
                });
            }
            8..=11 => self.pass(u64::from(number) % [500, 60, 60][small % 3]),
            12 if self.manner.talks => {
                self.news += 1;
                let line = match number % 4 {
                    0 => "#!?\n".to_owned(),
                    1 => "half".to_owned(),
                    _ => format!("news {} x\n", self.news),
                };
                self.socket.extend(line.bytes());
                self.read();
            }
            13 => {
                if let Some(ticket) = self.tickets.pop_front() {
                    let word = ["delivered", "lost", "delivered"][small % 3];
                    self.act(&format!("{word} {ticket}"));
                }
            }
            14 => self.act(["paused", "taken", "taken"][small % 3]),
            15 if number.is_multiple_of(3) => {
                let units = [json!(["1", "2", "3"]), json!(["1"]), json!(["2", "4"])];
                let units = &units[small / 3 % 3];
                let settings = json!({"units": units, "waitingCommands": COMMANDS});
                self.polled.clear();
                self.act(&format!("settings {settings}"));
            }
            16 if number.is_multiple_of(32) => {
                let end = ["fin", "stop", "reset"][small / 32 % 3];
                self.act(end);
                self.no_more |= end == "fin";
            }
            _ => {}
        }
        self.read();
    }

    /// The device answers soon, all is written and delivered: everything gets its turn again, although
    /// commands come as fast as they are answered.
    fn calm_down(&mut self) {
        self.calm = true;
        self.manner.chunk = 1000;
        self.act("taken");
        for _ in 0..60 {
            self.resolve();
            self.pass(200);
        }
        if self.closed || self.play.conversation.ending.is_some() {
            return;
        }
        self.polled.clear();
        let id = self.asked.len() as u64;
        for _ in 0..100 {
            while !self.closed && self.asked.len() - self.answered.len() < COMMANDS {
                self.ask(Kind::Set, 4001);
            }
            self.resolve();
            self.pass(20);
        }
        assert!(self.heard_of.contains(&id), "a command is not answered");
        let asked = self.polled.len();
        let units = self.play.conversation.settings.units.len();
        assert_eq!(asked, units, "{:?}", self.polled);
    }

    fn resolve(&mut self) {
        while !self.closed && (self.play.outstanding > 0 || !self.tickets.is_empty()) {
            if self.play.outstanding > 0 {
                self.write(usize::MAX);
            } else if let Some(ticket) = self.tickets.pop_front() {
                self.act(&format!("delivered {ticket}"));
            }
        }
    }
}

/// What the device does with its question of that number.
fn whim(seed: u64, heard: u64) -> u16 {
    let mixed =
        (seed ^ heard.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 32) as u16
}

fn inputs() -> impl Strategy<Value = Vec<(u8, u16)>> {
    prop::collection::vec((0..17_u8, any::<u16>()), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn no_question_gets_anothers_answer_and_none_is_forgotten(manner in manner(), inputs in inputs()) {
        let mut model = Model::new(manner);
        for (what, number) in inputs {
            if !model.closed {
                model.happen(what, number);
            }
        }
        model.calm_down();
        model.act("reset");
        prop_assert!(model.closed);
        let asked: BTreeSet<u64> = model.asked.keys().copied().collect();
        prop_assert_eq!(&model.answered, &asked);
        prop_assert_eq!(model.play.conversation.deadline(), None);
        prop_assert_eq!(model.play.conversation.line.sizes(), (0, 0, 0));
    }
}

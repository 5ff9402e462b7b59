//! Any order of inputs: replies in order and never before their promise, one outcome per command,
//! bounded, and always one close; heartbeats alone and only where nothing was written.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::script::{Play, protocol};
use crate::conversation::{AHEAD, Action};

#[derive(Debug, Default)]
struct Model {
    submitted: BTreeSet<u64>,
    kept: BTreeSet<u64>,
    asked: BTreeSet<u64>,
    answered: BTreeSet<u64>,
    last_reply: u64,
    beats: u64,
    closed: bool,
}

impl Model {
    fn take(&mut self, actions: &[Action]) {
        for action in actions {
            assert!(
                !self.closed || matches!(action, Action::Answer(..)),
                "{action:?} after the close"
            );
            match action {
                Action::Submit(ticket, ..) => {
                    assert!(self.submitted.insert(ticket.0), "ticket twice")
                }
                Action::Answer(id, _) => {
                    assert!(self.answered.insert(id.0), "two outcomes of {id:?}")
                }
                Action::Write(bytes) => self.take_write(bytes),
                Action::Close(_) => self.closed = true,
                Action::Withdraw
                | Action::Forget(_)
                | Action::Bind { .. }
                | Action::Unbind(_)
                | Action::Count(_)
                | Action::Show(_)
                | Action::Silent(_)
                | Action::Heard(_) => {}
            }
        }
    }

    /// Replies say the number of their frame, which is its ticket.
    fn take_write(&mut self, bytes: &[u8]) {
        if bytes == b"beat\n" {
            self.beats += 1;
            return;
        }
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            assert_ne!(line, "beat", "a heartbeat goes alone");
            let Some(number) = line.strip_prefix("ok ") else {
                continue;
            };
            let number: u64 = number.parse().unwrap();
            assert!(
                number > self.last_reply,
                "reply {number} after {}",
                self.last_reply
            );
            assert!(
                self.kept.contains(&number),
                "reply {number} before its promise"
            );
            self.last_reply = number;
        }
    }
}

fn inputs() -> impl Strategy<Value = Vec<(u8, u16)>> {
    prop::collection::vec((0..14_u8, any::<u16>()), 1..120)
}

/// The stream of numbered frames, from which inputs take a few bytes at a time.
fn stream() -> String {
    (1..200)
        .map(|number| format!("{{'id':'a','seq':{number}}}|"))
        .collect()
}

fn line(
    kind: u8,
    number: u16,
    model: &mut Model,
    rest: &mut &str,
    outstanding: usize,
) -> Option<String> {
    let ticket = 1 + u64::from(number) % (model.submitted.len() as u64 + 1);
    Some(match kind {
        0..=4 => {
            let (bytes, after) = rest.split_at((usize::from(number) % 40).min(rest.len()));
            *rest = after;
            format!("data {bytes}")
        }
        5 | 6 => {
            if model.submitted.contains(&ticket) {
                model.kept.insert(ticket);
            }
            format!("delivered {ticket}")
        }
        7 => format!("lost {ticket}"),
        8 => {
            let id = model.asked.len() as u64;
            model.asked.insert(id);
            format!("command {id} {} go", number % 3000)
        }
        9 | 10 if outstanding > 0 => format!("written {}", 1 + usize::from(number) % outstanding),
        11 => format!("after {}", number % 1500),
        12 => ["paused", "taken"][usize::from(number) % 2].to_owned(),
        13 if number.is_multiple_of(16) => {
            ["fin", "stop", "settings {}"][usize::from(number / 16) % 3].to_owned()
        }
        _ => return None,
    })
}

proptest! {
    #[test]
    fn any_order_of_inputs_keeps_every_rule(inputs in inputs()) {
        let heartbeat = json!({"seconds": 1, "send": "beat\n"});
        let changes = json!({
            "acknowledge": {"after": "delivered", "withinMs": 2000},
            "session": {"heartbeat": heartbeat, "silentSeconds": 30}
        });
        let mut play = Play::new(protocol(&changes), &json!({}));
        let (mut model, stream) = (Model::default(), stream());
        let mut rest = stream.as_str();
        play.play("open");
        let mut wrote = play.now.monotonic;
        for (kind, number) in inputs {
            if let Some(line) = line(kind, number, &mut model, &mut rest, play.outstanding) {
                let before = model.beats;
                let actions = play.act(&line);
                model.take(&actions);
                let now = play.now.monotonic;
                let quiet = now.duration_since(wrote) >= Duration::from_secs(1);
                prop_assert!(model.beats == before || quiet, "a heartbeat too early");
                let writes = actions.iter().any(|action| matches!(action, Action::Write(_)));
                if writes || line.starts_with("written") {
                    wrote = now;
                }
            }
            prop_assert!(play.conversation.due.len() <= 3, "more replies wait than the bound");
            prop_assert!(play.conversation.ahead < AHEAD + 1000, "more is submitted than the bound and a frame");
            prop_assert!(model.asked.len() - model.answered.len() <= 2, "more commands wait than the bound");
        }
        let actions = play.act("reset");
        model.take(&actions);
        prop_assert!(model.closed);
        prop_assert_eq!(&model.answered, &model.asked);
        prop_assert_eq!(play.conversation.deadline(), None);
    }
}

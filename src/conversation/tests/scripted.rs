//! A protocol of which every step is a script's.

use serde_json::json;

use super::script::{Play, read_protocol};

/// Frames are a digit and so many letters; the answer counts them.
const SCRIPT: &str = "
const frame = (bytes, ctx) => {
  if (bytes[0] === 0x21) throw new Error('no frame');
  return bytes[0] === 0x2e ? -1 : bytes[0] - 0x30 + 1;
};
function decode(bytes, ctx) {
  const letters = text(bytes).slice(1);
  if (letters === 'bad') throw new Error('bad letters');
  return {letters, gone: 1, none: null, from: ctx.listener + ' ' + ctx.address};
}
function change(fields, ctx) {
  ctx.state.count = (ctx.state.count ?? 0) + 1;
  if (fields.letters === 'deep') return 7;
  if (fields.letters === 'same') return;
  return {count: ctx.state.count, gone: null};
}
const who = fields => { if (fields.letters === 'who') throw new Error('nobody'); return 'd-' + fields.letters[0]; };
function answer(fields, ctx) {
  if (fields.letters === 'mute') throw new Error('no answer');
  return ctx.device + ' ' + ctx.state.count + ' ' + hex(ctx.frame);
}";

fn played() -> Play {
    let document = json!({
        "framing": {"type": "script"},
        "decode": {"type": "script", "script": "change"},
        "identity": {"script": "who"},
        "replies": {"ok": {"send": "<{script answer}>", "when": "letters"}},
        "acknowledge": {"after": "received"},
        "script": SCRIPT,
    });
    let mut play = Play::new(read_protocol(&document), &json!({}));
    play.play("open");
    play
}

#[test]
fn each_place_calls_its_function_and_fails_alone() {
    let mut play = played();
    for (input, expected) in [
        (
            "data 2ab",
            vec![
                r#""letters":"ab","from":"line1 10.0.0.7","count":1"#,
                "<d-a 1 326162>",
            ],
        ),
        ("data .2", vec!["skipped"]),
        ("data cd", vec![r#""count":2"#, "<d-c 2 326364>"]),
        (
            "data 3bad",
            vec!["decode: bad letters (line 8, column", "undecoded"],
        ),
        ("data 4deep", vec!["change: expected an object of fields"]),
        ("data 4same", vec![r#""gone":1"#, "<d-s 4 3473616d65>"]),
        (
            "data 3who",
            vec!["who: nobody (line 17, column", "unidentified"],
        ),
        (
            "data 4mute",
            vec!["answer: no answer (line 19, column", "reply_not_sent"],
        ),
        ("data 2ef", vec![r#""count":7"#, "<d-e 7 326566>"]),
        ("data !", vec!["frame: no frame (line 3, column", "broken"]),
    ] {
        let actions = play.act(input);
        let mut shown = format!("{actions:?}").replace("\\\"", "\"");
        for action in &actions {
            if let crate::conversation::Action::Count(counted) = action {
                shown.push_str(&format!("{} {counted}; ", counted.word()));
            }
            if let crate::conversation::Action::Submit(_, messages, _) = action {
                shown.push_str(&String::from_utf8_lossy(messages[0].body.bytes()));
            }
        }
        for part in expected {
            assert!(shown.contains(part), "{input}: {part} in {shown}");
        }
        if play.outstanding > 0 {
            play.act("written");
        }
    }
}

#[test]
fn connections_share_no_state() {
    let (mut one, mut two) = (played(), played());
    for (play, count) in [(&mut one, 1), (&mut two, 1)] {
        let shown = format!("{:?}", play.act("data 2ab"));
        assert!(shown.contains(&format!("<d-a {count} ")), "{shown}");
    }
}

//! A protocol of which every step is a script's.

use serde_json::json;

use super::script::{Play, protocol, read_protocol};

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

/// What is shown of the actions, and of the messages in them.
fn shown(play: &mut Play, input: &str) -> String {
    let actions = play.act(input);
    let mut shown = format!("{actions:?}").replace("\\\"", "\"");
    for action in &actions {
        if let crate::conversation::Action::Submit(_, messages, _) = action {
            shown.push_str(&String::from_utf8_lossy(messages[0].body.bytes()));
        }
        if let crate::conversation::Action::Count(counted) = action {
            shown.push_str(&format!("{} {counted}; ", counted.word()));
        }
    }
    shown
}

#[test]
fn functions_behind_decoding_see_no_secret() {
    let script = "
        const decode = bytes => {
          const all = JSON.parse(text(bytes));
          if (all.bad) throw new Error('bad ' + all.pass);
          return all;
        };
        const all = (fields, ctx) => Object.keys(fields).join() + ' ' + typeof ctx.frame;
        const who = (fields, ctx) => {
          ctx.state.seen = all(fields, ctx);
          ctx.state.calls = (ctx.state.calls ?? 0) + 1;
          return fields.id;
        };
        const answer = (fields, ctx) =>
          `${ctx.state.seen}; ${all(fields, ctx)}; ${ctx.state.calls}`;";
    let document = json!({
        "framing": {"type": "delimiter", "end": "\n"},
        "decode": {"type": "script"},
        "identity": {"script": "who ltrim 0", "scope": "connection", "secret": "pass", "sub": "unit"},
        "replies": {
            "ok": {"send": "<{script answer}>", "when": "id"},
        },
        "acknowledge": {"after": "received"},
        "script": script,
    });
    let devices = json!({"devices": {"a": {"secret": "1234"}}});
    let mut play = Play::new(read_protocol(&document), &devices);
    play.play("open");
    let first = shown(&mut play, r#"data {"id":"00a","pass":"1234","unit":3}|"#);
    for part in [
        "<id,unit undefined; id,unit undefined; 1>",
        r#""device":"a/3""#,
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    assert!(!first.contains("1234"), "{first}");
    play.act("written");
    let second = shown(&mut play, r#"data {"id":"a"}|"#);
    assert!(second.contains("<id object; id object; 2>"), "{second}");
    play.act("written");
    let bad = shown(&mut play, r#"data {"bad":1,"pass":"1234"}|"#);
    assert!(bad.contains("decode: failed (line 4, column"), "{bad}");
    assert!(!bad.contains("1234"), "{bad}");
}

#[test]
fn a_frame_that_is_refused_shows_a_script_no_secret() {
    let document = json!({
        "checksum": "sum8 over 0..-1 at -1",
        "onBadChecksum": "nak",
        "identity": {"field": "id", "scope": "connection", "secret": "pass"},
        "replies": {"nak": "<{script answer}>"},
        "script": "const answer = (fields, ctx) => Object.keys(fields).join() + ' ' + typeof ctx.frame",
    });
    let mut play = Play::new(protocol(&document), &json!({}));
    play.play("open");
    let refused = shown(&mut play, r#"data {"id":"a","pass":"1234"}|"#);
    assert!(refused.contains("<id undefined>"), "{refused}");
}

#[test]
fn a_heartbeat_says_what_a_script_says() {
    let document = json!({
        "session": {"heartbeat": {"seconds": 5, "send": "{script beat}"}},
        "script": "function beat(fields, ctx) {
            ctx.state.count = (ctx.state.count ?? 0) + 1;
            if (ctx.state.count > 1) throw new Error('tired');
            return 'beat ' + Object.keys(fields).length;
        }",
    });
    let mut play = Play::new(protocol(&document), &json!({}));
    play.play("open");
    let first = shown(&mut play, "after 5000");
    assert!(first.contains("beat 0"), "{first}");
    play.act("written");
    let second = shown(&mut play, "after 5000");
    for part in ["reply_not_sent", "beat: tired (line 3, column"] {
        assert!(second.contains(part), "{part} in {second}");
    }
}

//! Logins and secrets, line by line.

use serde_json::{Value, json};

use super::script::{Play, protocol};
use super::tables::check;
use crate::conversation::Action;
use crate::message::Body;

/// A protocol with a login, whose frames are lines of JSON.
pub(super) fn login(session: Value) -> Value {
    json!({"identity": {"field": "id", "scope": "connection"}, "session": session})
}

/// The same with a secret that every device must say.
fn secret(session: Value) -> Value {
    json!({
        "identity": {"field": "id", "scope": "connection", "secret": "pass"},
        "session": session,
        "replies": {"ok": {"send": "ok {seq}\n", "when": "seq"}, "denied": "no\n", "nak": "nak\n"}
    })
}

pub(super) fn known() -> Value {
    json!({"devices": {"a": {"secret": "1234"}, "b": {}}})
}

const QUIET: &str = "data {'seq':1,'kind':'quiet'}|";

#[test]
fn what_comes_before_a_login_that_is_required_is_refused() {
    check(
        login(json!({"login": {}})),
        known(),
        &[
            ("open", ""),
            (QUIET, "write ok 1|"),
            ("written", ""),
            ("data {'seq':2}|", "count before_login; write nak|"),
            ("written", ""),
            (
                "data nonsense|",
                "count undecoded; count before_login; write nak|",
            ),
            ("written", ""),
            (
                "data {'id':'a'}|{'n':1}|",
                "bind a alone; submit 4 a; submit 5 a",
            ),
            ("after 59999", ""),
            ("data {'n':1}|", "submit 6 a"),
        ],
    );
}

#[test]
fn a_login_must_come_in_time() {
    let rows = [
        ("open", ""),
        (QUIET, "write ok 1|"),
        ("written", ""),
        ("after 999", ""),
    ];
    let end = |row| rows.into_iter().chain([row]).collect::<Vec<_>>();
    let session = || login(json!({"login": {"withinMs": 1000}}));
    check(session(), known(), &end(("after 1", "close no_login")));
    let late = end(("late data {'id':'a'}|", "bind a alone; submit 2 a"));
    check(session(), known(), &late);
    let at_once = [
        ("open", ""),
        ("data {'id':'a'}|", "bind a alone; submit 1 a"),
    ];
    check(
        session(),
        known(),
        &[at_once[0], at_once[1], ("after 30000", "")],
    );
    check(
        login(json!({})),
        json!({}),
        &[
            ("open", ""),
            ("after 30000", ""),
            ("after 29999", ""),
            ("after 1", "close idle"),
        ],
    );
}

#[test]
fn only_the_right_secret_lets_a_device_in() {
    for (frame, followed) in [
        (
            "{'id':'a','pass':'1234','seq':1}",
            "bind a alone; submit 1 a",
        ),
        ("{'id':'a','pass':1234}", "bind a alone; submit 1 a"),
        ("{'id':'a','pass':'1234 '}", "count denied; write no|"),
        ("{'id':'a','pass':'123'}", "count denied; write no|"),
        ("{'id':'a','pass':''}", "count denied; write no|"),
        ("{'id':'a','pass':null}", "count denied; write no|"),
        ("{'id':'a','seq':1}", "count denied; write no|"),
        (
            "{'id':'a','seq':1,'kind':'quiet'}",
            "count denied; write no|",
        ),
        // Neither the device nor the protocol says what would be right.
        ("{'id':'b','pass':'1234'}", "count denied; write no|"),
        ("{'id':'c','pass':'1234'}", "count denied; write no|"),
        ("{'pass':'1234','seq':1}", "count before_login; write nak|"),
    ] {
        let mut play = Play::new(protocol(&secret(json!({}))), &known());
        play.play("open");
        assert_eq!(play.play(&format!("data {frame}|")), followed, "{frame}");
        if followed.contains("denied") {
            assert_eq!(play.play("data {'id':'a','pass':'1234'}|"), "", "{frame}");
            assert_eq!(play.play("written"), "close denied", "{frame}");
        }
    }
}

/// An operator sees which entry counted, and which secret was not right; who the device is only where
/// the settings say it, for a secret may stand where the identity was looked for.
#[test]
fn a_refused_login_says_why() {
    let listener = json!({
        "devices": {"a": {"secret": "1234"}, "b": {}},
        "deviceRules": {"r": {"match": {"id": "c*"}, "secret": "5678"}}
    });
    let (own, all) = (json!({}), json!({"login": {"secret": "all"}}));
    for (session, frame, why) in [
        (
            &own,
            "{'id':'a','pass':'x'}",
            "login as a denied: the secret is wrong, /a matches",
        ),
        (
            &own,
            "{'id':'c1'}",
            "login denied: the secret is missing, /r matches",
        ),
        (
            &own,
            "{'id':'b','pass':'x'}",
            "login as b denied: no secret is known for it, /b matches and has none",
        ),
        (
            &own,
            "{'id':'z','pass':'x'}",
            "login denied: no secret is known for it, no entry or rule matches",
        ),
        (
            &all,
            "{'id':'b','pass':'x'}",
            "login as b denied: the secret of the protocol's login is wrong, /b matches and has none",
        ),
        (
            &all,
            "{'id':'z'}",
            "login denied: the secret of the protocol's login is missing, no entry or rule matches",
        ),
    ] {
        let mut play = Play::new(protocol(&secret(session.clone())), &listener);
        play.play("open");
        let actions = play.act(&format!("data {frame}|"));
        let said = actions.iter().find_map(|action| match action {
            Action::Count(counted) if counted.word() == "denied" => Some(counted.to_string()),
            _ => None,
        });
        // The settings of tests have their sections at the root.
        let said = said.map(|said| said.replace("/devices", "").replace("/deviceRules", ""));
        assert_eq!(said.as_deref(), Some(why), "{frame}");
    }
}

/// A pattern that reads too much takes the secret for the identity.
#[test]
fn an_identity_that_the_settings_do_not_have_is_in_no_line() {
    let taken = "{'id':'b PW=geheim NO','pass':'all'}";
    let names = json!({"match": {"id": "*"}, "name": "{id}"});
    for (session, listener, word) in [
        (json!({}), json!({}), "denied"),
        (json!({}), json!({"deviceRules": {"r": names}}), "denied"),
        (
            json!({"login": {"secret": "all"}}),
            json!({"unknownDevices": "reject"}),
            "rejected_device",
        ),
        (
            json!({"login": {"secret": "all"}}),
            json!({"unknownDevices": "quarantine"}),
            "quarantined",
        ),
    ] {
        let mut play = Play::new(protocol(&secret(session)), &listener);
        play.play("open");
        let actions = play.act(&format!("data {taken}|"));
        let lines: Vec<(&str, String)> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Count(counted) if counted.is_trouble() => {
                    Some((counted.word(), counted.to_string()))
                }
                _ => None,
            })
            .collect();
        assert!(lines.iter().any(|(known, _)| *known == word), "{lines:?}");
        for (_, line) in &lines {
            assert!(!line.contains("geheim"), "{line}");
        }
    }
}

#[test]
fn one_secret_for_all_counts_where_the_device_has_none_of_its_own() {
    let session = || json!({"login": {"secret": "all"}});
    for (frame, admitted) in [
        ("{'id':'a','pass':'1234'}", true),
        ("{'id':'a','pass':'all'}", false),
        ("{'id':'b','pass':'all'}", true),
        ("{'id':'c','pass':'all'}", true),
        ("{'id':'c','pass':'1234'}", false),
    ] {
        let mut play = Play::new(protocol(&secret(session())), &known());
        play.play("open");
        let followed = play.play(&format!("data {frame}|"));
        assert_eq!(followed.contains("submit"), admitted, "{frame}: {followed}");
    }
}

#[test]
fn another_identity_on_the_connection_needs_its_own_secret() {
    check(
        secret(json!({})),
        json!({"devices": {"a": {"secret": "1"}, "b": {"secret": "2"}}}),
        &[
            ("open", ""),
            ("data {'id':'a','pass':'1'}|", "bind a alone; submit 1 a"),
            ("data {'id':'a'}|{'n':1}|", "submit 2 a; submit 3 a"),
            ("data {'id':'b','pass':'2'}|", "bind b alone; submit 4 b"),
            ("data {'id':'a'}|", "count denied; write no|"),
            ("written", "close denied"),
        ],
    );
}

#[test]
fn where_the_listener_says_who_it_is_the_secret_is_asked_for_all_the_same() {
    let listener = || json!({"device": "a", "devices": {"a": {"secret": "1"}}});
    check(
        secret(json!({})),
        listener(),
        &[
            ("open", ""),
            ("data {'n':1}|", "count before_login; write nak|"),
            ("written", ""),
            ("data {'id':'z','pass':'1'}|", "bind a; submit 2 a"),
            ("data {'id':'z'}|", "submit 3 a"),
            ("data {'pass':'2'}|", "count denied; write no|"),
        ],
    );
    check(
        secret(json!({})),
        listener(),
        &[
            ("open", ""),
            ("data {'id':'z'}|", "count denied; write no|"),
        ],
    );
}

#[test]
fn without_a_reply_named_denied_the_one_named_nak_says_it() {
    let mut changes = secret(json!({}));
    changes["replies"] = json!({"nak": "nak {device}{pass}\n"});
    check(
        changes.clone(),
        known(),
        &[
            ("open", ""),
            (
                "data {'id':'a','pass':'x'}|",
                "count denied; count reply_not_sent; close denied",
            ),
        ],
    );
    changes["replies"] = json!({"nak": "nak {id}\n"});
    check(
        changes,
        known(),
        &[
            ("open", ""),
            ("data {'id':'a','pass':'x'}|", "count denied; write nak a|"),
            ("written", "close denied"),
        ],
    );
}

/// Everything that comes out of a conversation, as an operator or the cloud may see it.
fn everything(actions: &[Action]) -> String {
    let mut all = format!("{actions:?}");
    for action in actions {
        match action {
            Action::Submit(_, messages, _) => {
                for message in messages {
                    let bytes = match &message.body {
                        Body::Contract(bytes) | Body::Values(bytes) | Body::Raw(bytes) => bytes,
                    };
                    all.push_str(&String::from_utf8_lossy(bytes));
                }
            }
            Action::Write(bytes) => all.push_str(&String::from_utf8_lossy(bytes)),
            Action::Count(counted) => all.push_str(&counted.to_string()),
            _ => {}
        }
    }
    all
}

#[test]
fn a_secret_is_in_nothing_that_follows_from_its_frame() {
    let hex: String = "geheim".bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = "Z2VoZWlt";
    let bodies = json!({"telemetry": "raw"});
    let listeners = [
        json!({"devices": {"abc": {"secret": "geheim"}}}),
        json!({"devices": {"abc": {"secret": "geheim"}}, "bodies": bodies}),
        json!({"unknownDevices": "quarantine"}),
        json!({"unknownDevices": "reject"}),
    ];
    for listener in &listeners {
        for frame in [
            "{'id':'abc','pass':'geheim','seq':1}",
            "{'id':'abc','pass':'geheim','kind':'quiet'}",
            "{'id':'abc','pass':'xgeheim','seq':1}",
            "{'id':'abc','pass':'geheim','seq':'none'}",
            "geheim geheim geheim",
        ] {
            let session = json!({"login": {"secret": "geheim"}});
            let mut changes = secret(session);
            changes["replies"]["ok"]["send"] = json!("ok {seq} {pass}\n");
            let mut play = Play::new(protocol(&changes), listener);
            play.play("open");
            let actions = play.act(&format!("data {frame}|"));
            assert!(!actions.is_empty());
            let all = everything(&actions);
            // A frame's bytes end in a base64 of any phase.
            for shown in ["geheim", &hex, base64, "dlaGVpb", "nZWhlaW"] {
                assert!(!all.contains(shown), "{listener} {frame}: {all}");
            }
            assert!(!format!("{:?}", play.conversation).contains("geheim"));
        }
    }
}

#[test]
fn a_secret_inside_of_a_member_is_not_published_with_it() {
    let mut changes = secret(json!({"login": {"secret": "geheim"}}));
    changes["decode"] = json!({"type": "json", "fields": ["id", "pass: at '/auth/pass'"]});
    let mut play = Play::new(protocol(&changes), &json!({"devices": {"abc": {}}}));
    play.play("open");
    let actions = play.act("data {'id':'abc','auth':{'pass':'geheim','as':'x'}}|");
    let all = everything(&actions);
    assert!(all.contains(r#""auth":{"as":"x"}"#), "{all}");
    assert!(!all.contains("geheim"), "{all}");
}

#[test]
fn what_is_not_understood_is_no_login_and_shows_none_of_its_bytes() {
    let mut changes = secret(json!({"login": {"secret": "geheim"}}));
    changes["decode"] = json!({"type": "json", "fields": ["id", "pass", "n: integer"]});
    let listener = json!({"devices": {"abc": {}, "other": {}}});
    let login = "{'id':'abc','pass':'geheim','n':'none'}";
    check(
        changes.clone(),
        listener.clone(),
        &[
            ("open", ""),
            (
                &format!("data {login}|"),
                "count undecoded; count before_login; write nak|",
            ),
        ],
    );
    let mut play = Play::new(protocol(&changes), &listener);
    play.play("open");
    play.act("data {'id':'abc','pass':'geheim','n':1}|");
    for frame in [
        "geheim geheim geheim",
        "{'id':'other','pass':'geheim','n':'none'}",
    ] {
        let all = everything(&play.act(&format!("data {frame}|")));
        assert!(all.contains("undecoded") && all.contains("abc"), "{all}");
        for shown in ["geheim", "Z2VoZWlt", "dlaGVpb", "nZWhlaW", "67656865696d"] {
            assert!(!all.contains(shown), "{frame}: {all}");
        }
    }
}

#[test]
fn the_answer_to_a_step_is_a_frame_like_others_unless_its_layout_says_otherwise() {
    let document = |open: Value| {
        let mut document = secret(json!({"open": [open]}));
        document["layouts"] = json!({"quiet": {"publish": false}, "data": {},
            "hello": {"type": "regex", "pattern": "OK", "publish": false}});
        document
    };
    // Read as every frame is, it claims to be a device.
    check(
        document(json!({"send": "hi\n", "answer": "OK"})),
        known(),
        &[
            ("open", "write hi|"),
            ("written", ""),
            ("data {'id':'OK'}|", "count denied; write no|"),
        ],
    );
    check(
        document(json!({"send": "hi\n", "answer": {"layout": "hello"}})),
        known(),
        &[
            ("open", "write hi|"),
            ("written", ""),
            ("data {'id':'OK'}|", ""),
            ("data {'id':'a','pass':'1234'}|", "bind a alone; submit 2 a"),
        ],
    );
}

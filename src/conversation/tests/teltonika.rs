//! Teltonika's Codec 8: a login, and frames of many records that are answered with their count.

use serde_json::{Value, json};

use super::script::{Play, read_protocol};
use crate::conversation::{Action, Input};
use crate::message::{Progress, Ticket};
use crate::notation;

const LOGIN: &str = "0x 000f 313233343536373839303132333435";
/// One record: time, place, four values of two lengths.
const RECORD: &str = "0x 0000013eff8d6f98 00 17329500 2111f400 0081 00ae 0b 0000 00 04
    01 0100 03 090016 432980 422f72 00 00";

fn tracker() -> Play {
    let values = |size: &str| json!({"fields": ["id: u8", format!("v: {size}")]});
    let document = json!({
        "framing": {"type": "switch", "cases": [
            {"start": "0x00000000", "type": "length", "length": "u32 at 4", "add": 12, "maxBytes": 32768},
            {"start": "0x00", "type": "length", "length": "u16 at 0", "add": 2, "maxBytes": 64}
        ]},
        "checksum": "crc-16/arc over 8..-4 at -2 if u32 at 0 = 0",
        "decode": {
            "type": "binary",
            "fields": ["pre: u16 drop", "skip 6 if pre = 0", "codec: u8 if pre = 0 drop", "number: u8 if pre = 0 drop"],
            "select": {"by": "pre", "cases": [[0, "avl"], [15, "login"]]}
        },
        "layouts": {
            "login": {"fields": ["imei: ascii 15"], "publish": false, "reply": "accepted"},
            "avl": {"fields": ["records: repeat number record split"], "reply": "taken"},
            "record": {"fields": [
                "time: u64 unixms", "priority: u8", "longitude: i32 / 10000000", "latitude: i32 / 10000000",
                "altitude: i16", "course: u16", "satellites: u8", "speed: u16", "event: u8", "total: u8 drop",
                "c1: u8 drop", "io: repeat c1 io1 map id v", "c2: u8 drop", "io: repeat c2 io2 map id v",
                "c4: u8 drop", "io: repeat c4 io4 map id v", "c8: u8 drop", "io: repeat c8 io8 map id v"
            ]},
            "io1": values("u8"), "io2": values("u16"), "io4": values("u32"), "io8": values("u64")
        },
        "replies": {"accepted": "0x01", "taken": "0x {number: u32}"},
        "identity": {"field": "imei", "scope": "connection"}
    });
    let mut play = Play::new(read_protocol(&document), &json!({}));
    play.play("open");
    play
}

/// A frame of so many records.
fn frame(records: u8) -> Vec<u8> {
    let mut data = vec![8, records];
    for _ in 0..records {
        data.extend(notation::bytes(RECORD).unwrap());
    }
    data.push(records);
    let mut frame = vec![0; 4];
    frame.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    let check = crc::Crc::<u16>::new(&crc::CRC_16_ARC).checksum(&data);
    frame.extend(data);
    frame.extend(u32::from(check).to_be_bytes());
    frame
}

fn writes(actions: &[Action]) -> Vec<Vec<u8>> {
    let writes = actions.iter().filter_map(|action| match action {
        Action::Write(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    writes.collect()
}

#[test]
fn a_frame_is_answered_with_its_count_when_all_its_records_are_safe() {
    assert_eq!(
        frame(1),
        notation::bytes(
            "0x 000000000000002c08010000013eff8d6f9800173295002111f400008100ae0b0000000401010003090016432980422f7200000100007a5d"
        )
        .unwrap(),
        "the frame of the protocol's own description"
    );
    let mut play = tracker();
    let login = notation::bytes(LOGIN).unwrap();
    assert_eq!(writes(&play.step(Input::Bytes(&login))), [vec![1]]);
    play.act("written");

    let actions = play.step(Input::Bytes(&frame(3)));
    assert!(writes(&actions).is_empty(), "not before they are safe");
    let submitted = actions.iter().find_map(|action| match action {
        Action::Submit(ticket, messages, awaits) => Some((*ticket, messages, *awaits)),
        _ => None,
    });
    let (ticket, messages, awaits) = submitted.expect("messages");
    assert_eq!((ticket, awaits), (Ticket(2), Some(Progress::Stored)));
    assert_eq!(messages.len(), 3, "one ticket for all of them");
    for message in messages {
        let body: Value = serde_json::from_slice(message.body.bytes()).unwrap();
        assert_eq!(body["device"], "123456789012345");
        assert_eq!(body["time"], "2013-06-01T11:44:19.352Z");
        assert_eq!(
            body["values"],
            json!({
                "priority": 0, "longitude": 38.9190912, "latitude": 55.4824704, "altitude": 129,
                "course": 174, "satellites": 11, "speed": 0, "event": 0,
                "io": {"1": 0, "9": 22, "67": 10624, "66": 12146}
            })
        );
    }
    let actions = play.step(Input::Progress(Ticket(2), Progress::Stored));
    assert_eq!(writes(&actions), [vec![0, 0, 0, 3]]);
}

#[test]
fn a_frame_without_records_is_answered_in_its_turn() {
    let mut play = tracker();
    play.step(Input::Bytes(&notation::bytes(LOGIN).unwrap()));
    play.act("written");
    let actions = play.step(Input::Bytes(&frame(0)));
    assert_eq!(writes(&actions), [vec![0; 4]]);
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Submit(..)))
    );
}

#[test]
fn a_wrong_checksum_of_a_data_frame_is_found_and_a_login_has_none() {
    let mut play = tracker();
    play.step(Input::Bytes(&notation::bytes(LOGIN).unwrap()));
    play.act("written");
    let mut wrong = frame(1);
    wrong[20] ^= 1;
    let actions = play.step(Input::Bytes(&wrong));
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Submit(..) | Action::Write(_)))
    );
}

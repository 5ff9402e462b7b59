//! A protocol with replies, through the running module.

use serde_json::{Value, json};

use crate::rig::{Device, Rig, free_port};

const LOGIN: [u8; 18] =
    *b"\x78\x78\x0d\x01\x01\x23\x45\x67\x89\x01\x23\x45\x00\x01\x8c\xdd\x0d\x0a";
const LOGIN_REPLY: [u8; 10] = *b"\x78\x78\x05\x01\x00\x01\xd9\xdc\x0d\x0a";
const POSITION: [u8; 36] = *b"\x78\x78\x1f\x12\x11\x06\x16\x09\x18\x35\xd0\x02\x4b\xb9\x30\x07\xd3\xfb\x78\x3d\xd4\xc5\x01\x94\x05\x00\xf2\x00\x6c\x85\x04\xa6\xe0\x37\x0d\x0a";
const STATUS: [u8; 15] = *b"\x78\x78\x0a\x13\x40\x04\x04\x00\x01\x00\x0f\xdc\xee\x0d\x0a";

/// A tracker's settings, its positions answered too.
fn tracker(port: u16) -> Value {
    let reply = "0x 7878 05 {type: u8} {seq: u16} {crc-16/ibm-sdlc over 2..: u16} 0d0a";
    json!({
        "listeners": {"trackers": {"port": port, "protocol": "gt06"}},
        "protocols": {"gt06": {
            "preset": "gt06@1",
            "replies": {"seen": {"send": reply, "when": "type = 18"}}
        }}
    })
}

/// The answer to a frame of that type and serial number.
fn reply(kind: u8, serial: u16) -> Vec<u8> {
    let [high, low] = serial.to_be_bytes();
    let mut reply = vec![0x78, 0x78, 5, kind, high, low];
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&reply[2..]);
    reply.extend(crc.to_be_bytes());
    reply.extend(b"\r\n");
    reply
}

/// A message without what differs from one to the next.
fn content(message: &dev_hub::UpstreamMessage) -> Value {
    let mut body = message.json().expect("JSON");
    let body_members = body.as_object_mut().expect("an object");
    for own in ["id", "received"] {
        assert!(body_members.remove(own).is_some(), "{own}");
    }
    body
}

#[tokio::test]
async fn a_tracker_stream_means_the_same_however_it_is_cut() {
    let port = free_port();
    let rig = Rig::with(tracker(port)).await;
    let frames: [&[u8]; 3] = [&LOGIN, &POSITION, &STATUS];
    let stream = frames.concat();
    let replies = [&LOGIN_REPLY[..], &reply(0x12, 0x04a6), &reply(0x13, 0x000f)].concat();
    let pieces: [Vec<&[u8]>; 4] = [
        frames.to_vec(),
        stream.chunks(1).collect(),
        vec![&stream],
        stream.chunks(7).collect(),
    ];
    for (count, pieces) in pieces.into_iter().enumerate() {
        let mut device = Device::connect(port).await;
        device.0.set_nodelay(true).expect("an option");
        for piece in pieces {
            device.send(piece).await;
        }
        assert_eq!(device.receive(replies.len()).await, replies);
        let messages = rig.messages(count + 1).await;
        assert_eq!(content(&messages[count]), content(&messages[0]));
    }
    let body = content(&rig.messages(4).await[0]);
    assert_eq!(body["device"], "123456789012345");
    assert_eq!(body["type"], "position");
    assert_eq!(body["time"], "2017-06-22T09:24:53Z");
    assert_eq!(body["values"]["latitude"], 21.398_355_555_555_554);
}

#[tokio::test]
async fn a_position_is_answered_only_when_edgehub_has_acknowledged_it() {
    let port = free_port();
    let rig = Rig::with(tracker(port)).await;
    rig.hub.faults().hold_pubacks();
    let mut device = Device::connect(port).await;
    device.send(LOGIN).await;
    device.receive(LOGIN_REPLY.len()).await;
    device.send(POSITION).await;
    rig.messages(1).await;
    // Another device's round trip passes through the module meanwhile.
    let mut other = Device::connect(port).await;
    other.send(LOGIN).await;
    other.receive(LOGIN_REPLY.len()).await;
    assert!(device.nothing_came());
    drop(other);
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(10).await, reply(0x12, 0x04a6));
}

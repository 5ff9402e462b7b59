//! A device that checks at each reply that the promise behind it is kept already.

use std::time::Duration;

use serde_json::json;
use tokio::time::{interval, timeout};

use crate::disk::TrialDisk;
use crate::fleet;
use crate::rig::{Device, PATIENCE, Rig, free_port};

const LINES: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Promise {
    Received,
    Stored,
    Delivered,
}

impl Promise {
    fn word(self) -> &'static str {
        match self {
            Promise::Received => "received",
            Promise::Stored => "stored",
            Promise::Delivered => "delivered",
        }
    }
}

/// How edgeHub is while the device sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hub {
    Up,
    /// It stores and does not acknowledge.
    Silent,
    Away,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    promise: Promise,
    persist: &'static str,
    hub: Hub,
}

impl Case {
    /// Whether replies come before edgeHub acknowledges.
    fn needs_no_hub(self) -> bool {
        match self.promise {
            Promise::Received => true,
            Promise::Stored => self.persist != "never",
            Promise::Delivered => false,
        }
    }
}

/// A module and a device of such a case.
struct Simulator {
    case: Case,
    rig: Rig,
    disk: TrialDisk,
    device: Device,
    /// A device that is answered at once: behind its answer everything before it has been seen.
    other: Device,
}

impl Simulator {
    async fn start(case: Case) -> Simulator {
        let [port, other] = std::array::from_fn(|_| free_port());
        let mut settings = fleet::settings(port, case.promise.word());
        settings["listeners"]["b"] = json!({"port": other, "protocol": "quick"});
        settings["protocols"]["quick"] = settings["protocols"]["lines"].clone();
        settings["protocols"]["quick"]["acknowledge"]["after"] = json!("received");
        settings["spool"] = json!({"persist": case.persist});
        let mut rig = Rig::new().await;
        let disk = TrialDisk::default();
        rig.disk = Some(disk.clone());
        rig.start();
        let outcome = rig.set(settings).await;
        assert_eq!(outcome["ac"], 200, "{outcome}");
        match case.hub {
            Hub::Up => {}
            Hub::Silent => rig.hub.faults().hold_pubacks(),
            Hub::Away => rig.hub.faults().stop_listening().await,
        }
        Simulator {
            case,
            rig,
            disk,
            device: Device::connect(port).await,
            other: Device::connect(other).await,
        }
    }

    async fn run(mut self) {
        // What is not understood is never answered.
        let mut lines = String::from("nonsense\n");
        lines.extend((1..=LINES).map(|n| format!("{{\"id\":\"d\",\"n\":{n}}}\n")));
        self.device.send(lines).await;
        if self.case.hub != Hub::Up && !self.case.needs_no_hub() {
            self.no_reply_comes().await;
        }
        if self.case.needs_no_hub() {
            self.every_reply_is_earned().await;
        }
        self.rig.hub.faults().release_pubacks();
        let listens = self.rig.hub.faults().listen_again().await;
        listens.expect("listens");
        if !self.case.needs_no_hub() {
            self.every_reply_is_earned().await;
        }
        let spooled = "messages_spooled{output=\"telemetry\"}";
        self.rig.counted(spooled, |count| count == 0.0).await;
        assert!(self.device.nothing_came(), "one reply for each line");
    }

    async fn every_reply_is_earned(&mut self) {
        for n in 1..=LINES {
            let expected = format!("{n}\n");
            let reply = self.device.receive(expected.len()).await;
            assert_eq!(reply, expected.as_bytes(), "{:?}", self.case);
            assert!(self.is_kept(n), "{n} was answered early: {:?}", self.case);
        }
    }

    fn is_kept(&self, n: u64) -> bool {
        match self.case.promise {
            Promise::Received => self.rig.sample("frames_total{listener=\"a\"}") >= n as f64,
            // In this order: a record leaves the disk only when edgeHub has it.
            Promise::Stored => holds(&self.disk.forced(), n) || self.is_acknowledged(n),
            Promise::Delivered => self.is_acknowledged(n),
        }
    }

    /// Whether edgeHub has the line and has said so. It takes one after the other.
    fn is_acknowledged(&self, n: u64) -> bool {
        let arrived = self.rig.hub.upstream().messages().iter().any(|message| {
            let body = message.json().expect("JSON");
            body["device"] == "d" && body["values"]["n"] == n
        });
        arrived && self.rig.hub.counters().pubacks >= n
    }

    /// Everything is done that can be done without edgeHub, and the device has no reply.
    async fn no_reply_comes(&mut self) {
        let disk = self.disk.clone();
        let forces = self.case.persist != "never";
        let everything = async {
            let mut look = interval(Duration::from_millis(1));
            loop {
                let files = if forces { disk.forced() } else { disk.files() };
                if (1..=LINES).all(|n| holds(&files, n)) {
                    return;
                }
                look.tick().await;
            }
        };
        let waited = timeout(PATIENCE, everything).await;
        assert!(waited.is_ok(), "not on disk: {:?}", self.case);
        for _ in 0..20 {
            self.other.send("{\"id\":\"o\",\"n\":1}\n").await;
            assert_eq!(self.other.receive(2).await, b"1\n");
        }
        assert!(self.device.nothing_came(), "{:?}", self.case);
    }
}

/// Whether a line stands in these files.
fn holds(files: &std::collections::BTreeMap<String, Vec<u8>>, n: u64) -> bool {
    let values = format!("\"values\":{{\"id\":\"d\",\"n\":{n}}}");
    files.values().any(|bytes| {
        let mut windows = bytes.windows(values.len());
        windows.any(|window| window == values.as_bytes())
    })
}

#[tokio::test]
async fn no_reply_leaves_before_its_promise_is_kept() {
    for promise in [Promise::Received, Promise::Stored, Promise::Delivered] {
        for persist in ["interval", "eachBatch", "never"] {
            for hub in [Hub::Up, Hub::Silent, Hub::Away] {
                let case = Case {
                    promise,
                    persist,
                    hub,
                };
                Simulator::start(case).await.run().await;
            }
        }
    }
}

/// Codec 8 with records of a number alone.
fn tracker(port: u16) -> serde_json::Value {
    json!({
        "listeners": {"a": {"port": port, "protocol": "teltonika"}},
        "protocols": {"teltonika": {
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
                "record": {"fields": ["time: u64 unixms", "priority: u8", "skip 15", "skip 6"]}
            },
            "replies": {"accepted": "0x01", "taken": "0x {number: u32}"},
            "identity": {"field": "imei", "scope": "connection"}
        }}
    })
}

const LOGIN: &[u8] = b"\x00\x0f123456789012345";

/// A data frame; its records have no values, and count up in their priority.
fn records(count: u8) -> Vec<u8> {
    let mut data = vec![8, count];
    for n in 0..count {
        data.extend(b"\x00\x00\x01\x3e\xff\x8d\x6f\x98");
        data.push(n);
        data.extend([0; 21]);
    }
    data.push(count);
    let mut frame = vec![0; 4];
    frame.extend((data.len() as u32).to_be_bytes());
    let check = crc::Crc::<u16>::new(&crc::CRC_16_ARC).checksum(&data);
    frame.extend(data);
    frame.extend(u32::from(check).to_be_bytes());
    frame
}

#[tokio::test]
async fn a_tracker_is_answered_with_the_number_of_its_records_when_all_of_them_are_safe() {
    const RECORDS: u8 = 12;
    let port = free_port();
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let outcome = rig.set(tracker(port)).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let mut device = Device::connect(port).await;
    device.send(LOGIN).await;
    assert_eq!(device.receive(1).await, [1]);

    // Nowhere is safe: the disk fails, and edgeHub acknowledges nothing.
    disk.fail(true);
    rig.hub.faults().hold_pubacks();
    device.send(records(RECORDS)).await;
    rig.messages(RECORDS.into()).await;
    assert!(device.nothing_came());
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(4).await, [0, 0, 0, RECORDS]);
    assert!(rig.hub.counters().pubacks >= RECORDS.into());

    // All but the last record are acknowledged; edgeHub fails to store that one.
    let before = rig.hub.upstream().count();
    rig.hub
        .faults()
        .delay_pubacks(usize::from(RECORDS) - 1, Duration::ZERO);
    rig.hub.faults().fail_stores(1);
    device.send(records(RECORDS)).await;
    assert_eq!(device.receive(4).await, [0, 0, 0, RECORDS]);
    assert_eq!(rig.hub.counters().store_failed, 1);
    let numbers = rig.hub.upstream().since(before);
    let mut numbers: Vec<_> = numbers
        .iter()
        .filter_map(|message| message.json()?["values"]["priority"].as_u64())
        .collect();
    numbers.dedup();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..u64::from(RECORDS)).collect::<Vec<_>>());
    assert!(device.nothing_came());
}

//! A disk that fails, is full, slow, taken, foreign or not there: it is reported and survived, and
//! no promise is kept early.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{interval, timeout};

use crate::disk::TrialDisk;
use crate::rig::{Device, MODULE, PATIENCE, Rig, free_port, lines};

/// Lines that are answered when they are safe, and at another port as soon as they are understood.
struct Ports {
    safe: u16,
    heard: u16,
}

impl Ports {
    fn new() -> Ports {
        Ports {
            safe: free_port(),
            heard: free_port(),
        }
    }

    fn settings(&self) -> Value {
        let answered = |after: &str| {
            let mut protocol = lines();
            protocol["replies"] = json!({"ok": {"send": "{n}\n", "when": "n"}});
            protocol["acknowledge"] = json!({"after": after});
            protocol
        };
        json!({
            "listeners": {
                "safe": {"port": self.safe, "protocol": "safe"},
                "heard": {"port": self.heard, "protocol": "heard"}
            },
            "protocols": {"safe": answered("stored"), "heard": answered("received")}
        })
    }

    /// What the module answered before now has arrived.
    async fn round_trip(&self) {
        let mut device = Device::connect(self.heard).await;
        device.send("{\"n\":9}\n").await;
        assert_eq!(device.receive(2).await, b"9\n");
    }
}

async fn with_disk(ports: &Ports) -> (Rig, TrialDisk) {
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let outcome = rig.set(ports.settings()).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    (rig, disk)
}

async fn spool_is(rig: &Rig, state: &str) -> Value {
    let reported = rig
        .reported(|reported| reported["spool"]["state"] == state)
        .await;
    reported["spool"].clone()
}

async fn is_reported_and_no_promise_is_kept_early(
    state: &str,
    disturb: impl Fn(&TrialDisk),
    mend: impl Fn(&TrialDisk),
) {
    let ports = Ports::new();
    let (rig, disk) = with_disk(&ports).await;
    spool_is(&rig, "good").await;
    rig.hub.faults().hold_pubacks();
    disturb(&disk);
    let mut device = Device::connect(ports.safe).await;
    device.send("{\"n\":1}\n").await;
    let spool = spool_is(&rig, state).await;
    assert!(spool["error"].is_string(), "{spool}");
    ports.round_trip().await;
    assert!(device.nothing_came(), "it is neither on disk nor delivered");
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(2).await, b"1\n");

    rig.hub.faults().hold_pubacks();
    mend(&disk);
    device.send("{\"n\":2}\n").await;
    assert_eq!(device.receive(2).await, b"2\n", "safe on the mended disk");
    let spool = spool_is(&rig, "good").await;
    assert_eq!(spool.get("error"), None);
    rig.hub.faults().release_pubacks();
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 0.0
    })
    .await;
    let account = rig.metrics.accounts()["telemetry"];
    assert_eq!((account.delivered, account.dropped), (3, 0));
}

#[tokio::test]
async fn a_failing_disk_is_reported_and_no_promise_is_kept_early() {
    is_reported_and_no_promise_is_kept_early(
        "failing",
        |disk| disk.fail(true),
        |disk| disk.fail(false),
    )
    .await;
}

#[tokio::test]
async fn a_full_disk_is_reported_and_no_promise_is_kept_early() {
    is_reported_and_no_promise_is_kept_early(
        "full",
        |disk| disk.set_free(1_000_000),
        |disk| disk.set_free(u64::MAX),
    )
    .await;
}

#[tokio::test]
async fn without_a_place_for_the_spool_messages_go_through_memory() {
    let ports = Ports::new();
    let mut rig = Rig::new().await;
    fs::write(rig.storage.path().join("spool"), "not a folder").expect("written");
    rig.start();
    let outcome = rig.set(ports.settings()).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let spool = spool_is(&rig, "memoryOnly").await;
    let error = spool["error"].as_str().expect("a reason");
    assert!(error.contains("cannot be written"), "{error}");
    rig.hub.faults().hold_pubacks();
    let mut device = Device::connect(ports.safe).await;
    device.send("{\"n\":1}\n").await;
    rig.value("n", 1).await;
    ports.round_trip().await;
    assert!(device.nothing_came(), "only edgeHub can make it safe");
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(2).await, b"1\n");
}

#[tokio::test]
async fn a_slow_disk_holds_up_no_delivery() {
    let ports = Ports::new();
    let (rig, disk) = with_disk(&ports).await;
    rig.hub.faults().hold_pubacks();
    disk.hold_syncs(true);
    let before = disk.syncs();
    let mut device = Device::connect(ports.safe).await;
    device.send("{\"n\":1}\n").await;
    until(|| disk.syncs() > before).await;
    ports.round_trip().await;
    assert!(device.nothing_came(), "it is not forced yet");
    rig.hub.faults().release_pubacks();
    assert_eq!(device.receive(2).await, b"1\n");
    for n in 2..200 {
        device.send(format!("{{\"n\":{n}}}\n")).await;
        let answer = format!("{n}\n");
        assert_eq!(device.receive(answer.len()).await, answer.as_bytes());
    }
    disk.hold_syncs(false);
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 0.0
    })
    .await;
}

async fn until(condition: impl Fn() -> bool) {
    let mut look = interval(Duration::from_millis(5));
    let waiting = async {
        while !condition() {
            look.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("happens in time");
}

#[tokio::test]
async fn a_second_process_on_one_storage_directory_says_so_and_ends() {
    let ports = Ports::new();
    let mut rig = Rig::new().await;
    rig.start();
    let outcome = rig.set(ports.settings()).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let second = Command::new(env!("CARGO_BIN_EXE_edge-tcp-gateway"))
        .envs(rig.hub.module_env(MODULE).expect("a module"))
        .env("STORAGE_DIR", rig.storage.path())
        .env("METRICS_PORT", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let second = timeout(PATIENCE, second).await.expect("ends by itself");
    let second = second.expect("it starts");
    assert_eq!(second.status.code(), Some(78), "the environment is wrong");
    let said = String::from_utf8(second.stderr).expect("text");
    let folder = rig.storage.path().display().to_string();
    for words in ["another process uses", "STORAGE_DIR", &folder] {
        assert!(said.contains(words), "{said}");
    }
    ports.round_trip().await;
}

#[tokio::test]
async fn a_foreign_spool_is_set_aside_and_reported_until_the_next_start() {
    let ports = Ports::new();
    let mut rig = Rig::new().await;
    let spool = rig.storage.path().join("spool");
    fs::create_dir(&spool).expect("a folder");
    let owner = json!({
        "version": 1, "name": "0123456789ab", "runs": 3,
        "hub": "contoso.azure-devices.net", "device": "the-card-before", "module": "gateway"
    });
    let segment = "normal-0000000000000000.segment";
    fs::write(spool.join("spool.json"), owner.to_string()).expect("written");
    fs::write(spool.join(segment), "its messages").expect("written");
    rig.start();
    let outcome = rig.set(ports.settings()).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let reported = rig
        .reported(|reported| reported["spool"]["noteCount"] == 1)
        .await;
    let note = reported["spool"]["notes"][0].as_str().expect("a note");
    for words in ["the-card-before", "set aside", "aside-1-"] {
        assert!(note.contains(words), "{note}");
    }
    assert_eq!(reported["spool"]["state"], "good");
    assert_eq!(read(&spool, &format!("aside-1-{segment}")), "its messages");
    assert_eq!(read(&spool, "aside-1-spool.json"), owner.to_string());
    let mut device = Device::connect(ports.safe).await;
    device.send("{\"n\":1}\n").await;
    assert_eq!(device.receive(2).await, b"1\n");

    rig.stop().await.expect("asked to stop");
    rig.start();
    let taken_back = |reported: &Value| reported["spool"].get("notes").is_none();
    let reported = rig.reported(taken_back).await;
    assert_eq!(reported["spool"].get("noteCount"), None);
    assert_eq!(read(&spool, "aside-1-spool.json"), owner.to_string());
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("it was kept")
}

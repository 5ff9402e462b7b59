//! Ends of the module and losses of power at random moments under load: a device that was answered
//! can forget its data. `KILL_ROUNDS=200` makes it a soak; `KILL_SEED` repeats the moments of a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dev_hub::{Counters, DevHub};
use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::disk::TrialDisk;
use crate::fleet::{self, Fleet, nothing_lost};
use crate::gateway::Gateway;
use crate::rig::{MODULE, PATIENCE, RECORD, Rig, free_port};
use crate::scrape::{self, Seen};

const DEVICES: usize = 6;
const ROUNDS: u64 = 20;

#[expect(
    clippy::disallowed_methods,
    reason = "the soak is asked for from outside"
)]
fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is \"{text}\", expected a whole number")))
}

fn rounds() -> u64 {
    asked("KILL_ROUNDS").unwrap_or(ROUNDS)
}

#[expect(
    clippy::print_stderr,
    reason = "whoever repeats a failure needs the seed"
)]
fn chance() -> Rng {
    let seed = asked("KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("KILL_SEED={seed}");
    Rng::with_seed(seed)
}

/// What happens to edgeHub in a round.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Restart,
    Away,
    LostPubacks,
    FailedStores,
}

const FAULTS: [Fault; 4] = [
    Fault::Restart,
    Fault::Away,
    Fault::LostPubacks,
    Fault::FailedStores,
];

/// How a round ends for the module.
#[derive(Clone, Copy, Debug)]
enum End {
    Kill,
    /// SIGTERM, and all the time that it wants.
    Stop,
    /// SIGTERM, and SIGKILL before it is done.
    CutShort,
    /// SIGKILL, and again while it starts.
    KillTwice,
    /// SIGTERM while it starts.
    StopAtOnce,
}

/// As many as have no factor in common with [`FAULTS`], so that 20 rounds see every pair.
const ENDS: [End; 5] = [
    End::Kill,
    End::Stop,
    End::CutShort,
    End::KillTwice,
    End::StopAtOnce,
];

/// An output of batches, one of high priority, and one for what edgeHub can never take.
fn settings(telemetry: u16, alarms: u16, long: u16) -> Value {
    let mut settings = fleet::settings(telemetry, "stored");
    settings["outputs"] = json!({
        "alarms": {"priority": "high"},
        "telemetry": {"batch": {"maxDelayMs": 20}}
    });
    settings["listeners"]["b"] = json!({"port": alarms, "protocol": "lines", "output": "alarms"});
    settings["listeners"]["c"] = json!({"port": long, "protocol": "long", "output": "long"});
    settings["protocols"]["long"] = settings["protocols"]["lines"].clone();
    settings["protocols"]["long"]["framing"]["maxBytes"] = json!(400_000);
    settings
}

/// Everything around the processes of the module.
struct Rounds {
    hub: DevHub,
    storage: TempDir,
    metrics: u16,
    telemetry: Fleet,
    alarms: Fleet,
    chance: Rng,
}

impl Rounds {
    fn start(&self) -> Gateway {
        Gateway::start(&self.hub, self.storage.path(), self.metrics)
    }

    /// A random part of the load passes.
    async fn load(&mut self) {
        self.telemetry.answered(self.chance.u64(1..300)).await;
        self.alarms.answered(self.chance.u64(1..100)).await;
    }

    async fn pause(&mut self, millis: u64) {
        let millis = self.chance.u64(0..millis);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Lets a fault happen to a session that stands; returns when it has.
    async fn strike(&mut self, fault: Fault) {
        let linked = |text: &str| scrape::sample(text, "link_up") == 1.0;
        scrape::until(self.metrics, "a session stands", linked).await;
        let faults = self.hub.faults();
        let before = self.hub.counters();
        let struck: fn(&Counters) -> u64 = match fault {
            Fault::Restart => {
                faults.restart().await.expect("restarts");
                |counters| counters.closed
            }
            Fault::Away => {
                faults.stop_listening().await;
                |counters| counters.closed
            }
            Fault::LostPubacks => {
                faults.lose_pubacks(self.chance.usize(1..3));
                |counters| counters.pubacks_lost
            }
            Fault::FailedStores => {
                faults.fail_stores(self.chance.usize(1..3));
                |counters| counters.store_failed
            }
        };
        let mut look = interval(Duration::from_millis(1));
        let waited = timeout(PATIENCE, async {
            while struck(&self.hub.counters()) == struck(&before) {
                look.tick().await;
            }
        });
        assert!(waited.await.is_ok(), "{fault:?} met nothing");
    }

    /// Ends a process and gives the next one.
    async fn end(&mut self, end: End, module: Gateway) -> Gateway {
        match end {
            End::Kill => module.kill().await,
            End::Stop => self.stop(module).await,
            End::CutShort => {
                module.terminate();
                self.pause(50).await;
                module.kill().await;
            }
            End::KillTwice => {
                module.kill().await;
                let next = self.start();
                self.pause(40).await;
                next.kill().await;
            }
            End::StopAtOnce => {
                module.kill().await;
                let next = self.start();
                self.answers(&next).await;
                self.stop(next).await;
            }
        }
        self.start()
    }

    /// Before that a process does not hear SIGTERM: it would be killed by it.
    async fn answers(&self, _module: &Gateway) {
        scrape::until(self.metrics, "it answers", |_| true).await;
    }

    async fn stop(&self, module: Gateway) {
        module.terminate();
        let status = module.ended().await;
        assert!(status.success(), "a stop is no failure: {status}");
    }
}

/// A device that sends one line, longer than any message that edgeHub takes, until it is answered.
async fn long_line(port: u16) {
    let line = format!(
        "{{\"id\":\"long\",\"n\":1,\"text\":\"{}\"}}\n",
        "x".repeat(300_000)
    );
    let mut look = interval(Duration::from_millis(5));
    loop {
        look.tick().await;
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
            continue;
        };
        let mut reply = [0; 2];
        if stream.write_all(line.as_bytes()).await.is_ok()
            && stream.read_exact(&mut reply).await.is_ok()
        {
            assert_eq!(&reply, b"1\n");
            return;
        }
    }
}

#[tokio::test]
async fn an_ended_module_and_a_failing_edgehub_lose_nothing_that_was_answered() {
    let [telemetry, alarms, long, metrics] = std::array::from_fn(|_| free_port());
    let hub = DevHub::builder()
        .module(MODULE)
        .route("up", "FROM /messages/* INTO $upstream")
        .record(RECORD);
    let mut rounds_of = Rounds {
        hub: hub.start().await.expect("the stand-in starts"),
        storage: TempDir::new().expect("a folder"),
        metrics,
        telemetry: Fleet::start(telemetry, "t", DEVICES),
        alarms: Fleet::start(alarms, "a", DEVICES / 2),
        chance: chance(),
    };
    let desired = settings(telemetry, alarms, long);
    rounds_of
        .hub
        .set_desired(MODULE, desired)
        .expect("an object");
    let mut module = rounds_of.start();
    let (seen, mut watch) = (Arc::new(Seen::default()), JoinSet::new());
    watch.spawn(scrape::watch(metrics, Arc::clone(&seen)));
    let mut long_lines = JoinSet::new();
    long_lines.spawn(long_line(long));
    for (fault, end) in FAULTS
        .iter()
        .cycle()
        .zip(ENDS.iter().cycle())
        .take(rounds() as usize)
    {
        rounds_of.load().await;
        rounds_of.strike(*fault).await;
        rounds_of.load().await;
        module = rounds_of.end(*end, module).await;
        let faults = rounds_of.hub.faults();
        faults.listen_again().await.expect("listens");
        assert!(watch.try_join_next().is_none(), "an account did not add up");
    }
    rounds_of.hub.faults().spare_messages();
    rounds_of.load().await;
    let Rounds {
        hub,
        storage,
        telemetry,
        alarms,
        ..
    } = rounds_of;
    timeout(PATIENCE, long_lines.join_all())
        .await
        .expect("answered in time");
    let (telemetry, alarms) = (telemetry.finish().await, alarms.finish().await);
    scrape::until(metrics, "all is delivered", nothing_is_left).await;
    assert!(watch.try_join_next().is_none(), "an account did not add up");
    assert!(seen.scrapes() > 0, "nobody answered the watch");
    assert!(seen.recovered() > 0, "no run found anything on disk");
    let messages = hub.upstream().messages();
    assert_eq!(hub.counters().upstream_forgotten, 0);
    let repeats = nothing_lost(&messages, &telemetry) + nothing_lost(&messages, &alarms);
    assert!(repeats > 0, "a lost PUBACK is a repeat");
    let letters = dead_letters(storage.path());
    assert!(letters.iter().all(|letter| letter["device"] == "long"));
    assert!(
        letters
            .iter()
            .any(|letter| letter["body"]["values"]["n"] == 1)
    );
}

/// Whether both outputs have had messages, and none is left.
fn nothing_is_left(text: &str) -> bool {
    let accounts = scrape::accounts(text);
    ["telemetry", "alarms"].iter().all(|output| {
        accounts
            .get(*output)
            .is_some_and(|account| account["spooled"] == 0)
    })
}

fn dead_letters(storage: &Path) -> Vec<Value> {
    let path = storage.join("spool/dead-letters.jsonl");
    let text = std::fs::read_to_string(path).expect("there are dead letters");
    let letters = text.lines().map(serde_json::from_str);
    letters.collect::<Result<_, _>>().expect("JSON")
}

/// What stood on disk when the module was killed leaves under the ids that it had, whether edgeHub
/// had it already or not.
#[tokio::test]
async fn what_a_killed_module_had_on_disk_keeps_its_ids() {
    const LINES: u64 = 300;
    let port = free_port();
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let outcome = rig.set(fleet::settings(port, "stored")).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    rig.hub.faults().hold_pubacks();
    let fleet = Fleet::start(port, "d", 1);
    fleet.answered(LINES).await;
    let first = run_of(&rig.messages(1).await[0]);
    disk.lose_power(0);
    rig.kill().await;
    let before = rig.hub.upstream().count();
    rig.start();
    let recovered = "messages_recovered_total{output=\"telemetry\"}";
    let least = f64::from(u32::try_from(LINES).expect("few"));
    rig.counted(recovered, |count| count >= least).await;
    rig.hub.faults().release_pubacks();
    let logs = fleet.finish().await;
    let spooled = "messages_spooled{output=\"telemetry\"}";
    rig.counted(spooled, |count| count == 0.0).await;
    let messages = rig.hub.upstream().messages();
    let repeats = nothing_lost(&messages, &logs);
    assert!(repeats as u64 >= before, "what had arrived was not spared");
    let of_first: BTreeSet<_> = messages
        .iter()
        .filter(|message| run_of(message) == first)
        .filter_map(|message| message.message_id())
        .collect();
    assert!(
        of_first.len() as u64 >= LINES,
        "{} ids of the first run",
        of_first.len()
    );
}

/// The part of an id that says which spool, and in which run of it the id was given.
fn run_of(message: &dev_hub::UpstreamMessage) -> String {
    let id = message.message_id().expect("an id");
    id.rsplit_once('-').expect("a number").0.to_owned()
}

#[tokio::test]
async fn a_loss_of_power_loses_nothing_that_was_answered() {
    let port = free_port();
    let (disk, mut chance) = (TrialDisk::default(), chance());
    let mut rig = Rig::new().await;
    rig.disk = Some(disk.clone());
    rig.start();
    let outcome = rig.set(fleet::settings(port, "stored")).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let fleet = Fleet::start(port, "d", DEVICES);
    for round in 0..rounds() {
        fleet.answered(chance.u64(1..400)).await;
        if round % 2 == 0 {
            // What is answered now was safe on the disk alone.
            rig.hub.faults().stop_listening().await;
            fleet.answered(chance.u64(1..200)).await;
        }
        disk.lose_power(chance.u8(..));
        rig.kill().await;
        rig.start();
        rig.hub.faults().listen_again().await.expect("listens");
    }
    fleet.answered(1).await;
    let logs = fleet.finish().await;
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 0.0
    })
    .await;
    let recovered = rig.sample("messages_recovered_total{output=\"telemetry\"}");
    assert!(recovered > 0.0, "no run found anything on disk");
    assert_eq!(rig.hub.counters().upstream_forgotten, 0);
    nothing_lost(&rig.hub.upstream().messages(), &logs);
}

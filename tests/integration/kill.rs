//! Kills of the module and losses of power at random moments under load: a device that was
//! answered can forget its data. `KILL_ROUNDS=200 cargo test --test integration kill` is the soak.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use dev_hub::DevHub;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::disk::TrialDisk;
use crate::fleet::{self, Fleet, nothing_lost};
use crate::rig::{MODULE, PATIENCE, Rig, free_port};
use crate::scrape;

const DEVICES: usize = 6;

#[expect(
    clippy::disallowed_methods,
    reason = "the soak is asked for from outside"
)]
fn rounds() -> u64 {
    let asked = std::env::var("KILL_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// The module as the process that ships.
fn start(hub: &DevHub, storage: &Path, metrics: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_edge-tcp-gateway"))
        .envs(hub.module_env(MODULE).expect("a module"))
        .env("STORAGE_DIR", storage)
        .env("METRICS_PORT", metrics.to_string())
        .env("RuntimeLogLevel", "error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the module starts")
}

/// Scrapes for ever; every account of every scrape adds up.
async fn watch_accounts(port: u16) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    loop {
        if let Ok(text) = scrape::metrics(port).await {
            scrape::adds_up(&text);
        }
        look.tick().await;
    }
}

#[tokio::test]
async fn a_killed_module_and_a_restarted_edgehub_lose_nothing_that_was_answered() {
    let (port, metrics) = (free_port(), free_port());
    let storage = TempDir::new().expect("a folder");
    let hub = DevHub::builder()
        .module(MODULE)
        .route("up", "FROM /messages/* INTO $upstream")
        .record(1_000_000);
    let hub = hub.start().await.expect("the stand-in starts");
    hub.set_desired(MODULE, fleet::settings(port, "stored"))
        .expect("an object");
    let mut module = start(&hub, storage.path(), metrics);
    let mut watch = JoinSet::new();
    watch.spawn(watch_accounts(metrics));
    let fleet = Fleet::start(port, DEVICES);
    for round in 0..rounds() {
        fleet
            .answered(fleet.answers() + fastrand::u64(1..400))
            .await;
        match round % 4 {
            0 => hub.faults().restart().await.expect("restarts"),
            1 => hub.faults().stop_listening().await,
            2 => hub.faults().lose_pubacks(fastrand::usize(1..5)),
            _ => hub.faults().fail_stores(fastrand::usize(1..5)),
        }
        fleet
            .answered(fleet.answers() + fastrand::u64(1..200))
            .await;
        module.kill().await.expect("killed");
        module = start(&hub, storage.path(), metrics);
        if round % 4 == 1 {
            hub.faults().listen_again().await.expect("listens");
        }
    }
    let answered = fleet.finish().await;
    everything_delivered(metrics).await;
    assert!(watch.try_join_next().is_none(), "an account did not add up");
    nothing_lost(&hub.upstream().messages(), &answered);
}

/// Waits until the module says that nothing is left.
async fn everything_delivered(metrics: u16) {
    let empty = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            look.tick().await;
            let Ok(text) = scrape::metrics(metrics).await else {
                continue;
            };
            let accounts = scrape::accounts(&text);
            if accounts
                .get("telemetry")
                .is_some_and(|account| account["spooled"] == 0)
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, empty)
        .await
        .expect("delivered in time");
}

#[tokio::test]
async fn a_loss_of_power_loses_nothing_that_was_answered() {
    let port = free_port();
    let disk = TrialDisk::default();
    let mut rig = Rig::new().await;
    rig.disk = Some(disk.clone());
    rig.start();
    let outcome = rig.set(fleet::settings(port, "stored")).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let fleet = Fleet::start(port, DEVICES);
    for round in 0..rounds() {
        fleet
            .answered(fleet.answers() + fastrand::u64(1..400))
            .await;
        if round % 2 == 0 {
            // What is answered now was safe on the disk alone.
            rig.hub.faults().stop_listening().await;
            fleet
                .answered(fleet.answers() + fastrand::u64(1..200))
                .await;
        }
        disk.lose_power(fastrand::u8(..));
        rig.kill().await;
        rig.start();
        if round % 2 == 0 {
            rig.hub.faults().listen_again().await.expect("listens");
        }
    }
    let answered = fleet.finish().await;
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 0.0
    })
    .await;
    nothing_lost(&rig.hub.upstream().messages(), &answered);
}

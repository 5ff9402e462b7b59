//! The variants that look at the module's memory: many idle connections, and a long absence of edgeHub.

use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_tcp_gateway::southbound::raise_open_files;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::line::monotonic;
use super::report::{Goal, Outcome};
use super::rig::{Gateway, NotAvailable, Rig};
use crate::say;

const LOOK: Duration = Duration::from_millis(500);

const FEW: u32 = 1000;
const MANY: u32 = 10_000;
/// What a process has open besides.
const SPARE: u64 = 100;
const BYTES_PER_CONNECTION: f64 = 2560.0;

const DEVICES: u32 = 100;
const FRAMES: u64 = 1_000_000;
const FRAMES_TAKEN: f64 = 1e6;
const TAKEN_WITHIN: Duration = Duration::from_secs(120);
const STALLED_AFTER: Duration = Duration::from_secs(60);
const ALL_WITHIN: Duration = Duration::from_secs(600);
const BACKLOG_BYTES: f64 = 30e6;

/// What an idle connection costs: resident bytes between [`FEW`] and [`MANY`] connections.
///
/// # Errors
/// When the system does not allow so many connections, or the module does not take them.
pub async fn idle() -> anyhow::Result<Outcome> {
    let limit = raise_open_files()?;
    if limit.is_some_and(|limit| limit < u64::from(MANY) + SPARE) {
        bail!(NotAvailable(format!(
            "it needs {MANY} open files, ulimit -n allows less"
        )));
    }
    let rig = Rig::start(Gateway::Module(|settings| {
        settings["listeners"]["lines"]["maxConnections"] = json!(20_000);
        settings["listeners"]["lines"]["idleTimeoutSeconds"] = json!(3600);
    }))
    .await?;
    let few = rig.devices(FEW, &[("--frames", 0)]).await?;
    let before = settled(&rig, FEW).await?;
    say(format_args!(
        "idle: {FEW} connections, {before} resident bytes"
    ));
    let many = rig.devices(MANY - FEW, &[("--frames", 0)]).await?;
    let after = settled(&rig, MANY).await?;
    say(format_args!(
        "idle: {MANY} connections, {after} resident bytes"
    ));
    few.end().await?;
    many.end().await?;
    rig.end().await?;
    let each = after.saturating_sub(before) / u64::from(MANY - FEW);
    let each = u32::try_from(each).map_or(f64::INFINITY, f64::from);
    let figures = [
        ("bytesPerConnection", json!(each)),
        ("residentBytesFew", json!(before)),
        ("residentBytesMany", json!(after)),
    ];
    let goal = Goal::new("bytes per idle connection", each, BYTES_PER_CONNECTION);
    Ok(outcome(figures, goal))
}

/// Resident bytes once the module holds so many connections.
async fn settled(rig: &Rig, connections: u32) -> anyhow::Result<u64> {
    for _ in 0..60 {
        sleep(LOOK).await;
        if rig.process.open_files()? >= connections as usize {
            sleep(LOOK).await;
            return rig.process.resident();
        }
    }
    bail!(NotAvailable(format!(
        "the module does not hold {connections} connections"
    )))
}

/// A million frames while the sink is away: all arrive when it is back.
///
/// # Errors
/// When a part fails, or the module cannot keep so much.
pub async fn backlog() -> anyhow::Result<Outcome> {
    let mut rig = Rig::start(Gateway::Module(|settings| {
        settings["spool"] = json!({"maxBytes": 1_u64 << 30});
    }))
    .await?;
    rig.sink.ask("away").await?;
    say(format_args!(
        "backlog: the sink is away, {FRAMES} frames are sent"
    ));
    let begin = monotonic();
    let load = rig.devices(DEVICES, &[("--frames", FRAMES)]).await?;
    all_taken(&rig, begin).await?;
    let taken = seconds_since(begin);
    say(format_args!(
        "backlog: taken within {taken:.1} s, the sink is back"
    ));
    rig.sink.ask("back").await?;
    let begin = monotonic();
    let (arrived, frames) = drain(&mut rig).await?;
    let drained = seconds_since(begin);
    let peak = rig.process.peak_memory()?;
    load.end().await?;
    rig.end().await?;
    let figures = [
        ("frames", json!(FRAMES)),
        ("arrived", json!(arrived)),
        ("repeats", json!(frames - arrived)),
        ("peakRssBytes", json!(peak)),
        ("secondsToTake", json!(taken)),
        ("secondsToDeliver", json!(drained)),
    ];
    let peak = u32::try_from(peak).map_or(f64::INFINITY, f64::from);
    let mut outcome = outcome(figures, Goal::new("peak bytes", peak, BACKLOG_BYTES));
    let missing = u32::try_from(FRAMES - arrived).map_or(f64::INFINITY, f64::from);
    outcome
        .goals
        .push(Goal::new("frames missing", missing, 0.0));
    Ok(outcome)
}

/// Waits until the module has taken all frames over; what the devices have written may stand in
/// the system's buffers still.
async fn all_taken(rig: &Rig, begin: u64) -> anyhow::Result<()> {
    while since(begin, monotonic()) < TAKEN_WITHIN {
        let taken = rig.metric("messages_submitted_total").await;
        if taken.is_some_and(|taken| taken >= FRAMES_TAKEN) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    let seconds = TAKEN_WITHIN.as_secs();
    bail!(NotAvailable(format!(
        "the module does not take {FRAMES} frames within {seconds} s"
    )));
}

/// Waits until all have arrived, or nothing new arrives: how many did, without and with repeats.
async fn drain(rig: &mut Rig) -> anyhow::Result<(u64, u64)> {
    let begin = monotonic();
    let (mut last, mut moved) = (0, begin);
    loop {
        sleep(LOOK).await;
        let report = rig
            .arrived()
            .await
            .context("while the backlog is delivered")?;
        let now = monotonic();
        if report.distinct > last {
            (last, moved) = (report.distinct, now);
        }
        let stalled = since(moved, now) > STALLED_AFTER;
        if report.distinct >= FRAMES || stalled || since(begin, now) > ALL_WITHIN {
            return Ok((report.distinct, report.frames));
        }
    }
}

fn since(begin: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(begin))
}

fn seconds_since(begin: u64) -> f64 {
    since(begin, monotonic()).as_secs_f64()
}

fn outcome<const N: usize>(figures: [(&str, Value); N], goal: Goal) -> Outcome {
    let figures = figures.map(|(name, value)| (name.to_owned(), value));
    Outcome {
        figures: Map::from_iter(figures),
        goals: vec![goal],
        ..Outcome::default()
    }
}

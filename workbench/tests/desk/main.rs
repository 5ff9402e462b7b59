//! The program itself, as a person at the desk runs it.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

#[path = "../../../tests/integration/page.rs"]
mod page;

mod call;
mod simulated;

const PATIENCE: Duration = Duration::from_secs(60);
const LOGIN: &str = "7878 0d01 0123456789012345 0001 8cdd 0d0a";
const LOGIN_REPLY: &str = "78 78 05 01 00 01 d9 dc 0d 0a";
const POSITION: &str =
    "7878 1f12 110616091835 d0 024bb930 07d3fb78 3d d4c5 01940500f2006c85 04a6 e037 0d0a";

/// The program while it runs.
struct Desk {
    process: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
    told: Lines<BufReader<ChildStderr>>,
}

impl Desk {
    fn start(arguments: &[&str]) -> Desk {
        Desk::with(arguments, &[])
    }

    fn with(arguments: &[&str], variables: &[(String, String)]) -> Desk {
        let mut process = Command::new(env!("CARGO_BIN_EXE_workbench"))
            .args(arguments)
            .envs(variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let out = process.stdout.take().expect("a pipe");
        let told = process.stderr.take().expect("a pipe");
        Desk {
            process,
            out: Some(BufReader::new(out).lines()),
            told: BufReader::new(told).lines(),
        }
    }

    /// The next message; with `--json`.
    async fn message(&mut self) -> Value {
        let lines = self.out.as_mut().expect("an open pipe");
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("printed in time").expect("text");
        serde_json::from_str(&line.expect("it runs")).expect("JSON")
    }

    /// The first line told from now on that has these words.
    async fn told(&mut self, words: &str) -> String {
        let waited = timeout(PATIENCE, async {
            while let Some(line) = self.told.next_line().await.expect("text") {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("it ended and never told: {words}");
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("never told: {words}"))
    }

    fn id(&self) -> Pid {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw).expect("it runs")
    }

    /// The module's process.
    fn module(&self) -> Pid {
        let id = self.id().as_raw_nonzero();
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("its threads");
        let children = threads.filter_map(|thread| {
            let children = thread.expect("a thread").path().join("children");
            std::fs::read_to_string(children).ok()
        });
        let children = children.collect::<String>();
        let child = children.split_whitespace().next().expect("a child");
        Pid::from_raw(child.parse().expect("a number")).expect("a process")
    }

    async fn asked_to_stop(mut self) -> ExitStatus {
        kill_process(self.id(), Signal::TERM).expect("ours");
        self.ended().await
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.process.wait()).await;
        ended.expect("ends in time").expect("its status")
    }
}

fn runs(process: Pid) -> bool {
    Path::new(&format!("/proc/{}", process.as_raw_nonzero())).exists()
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    free.local_addr().expect("an address").port()
}

fn trackers(port: u16) -> String {
    let settings = json!({
        "listeners": {"trackers": {"port": port, "protocol": "gt06"}},
        "protocols": {"gt06": {"preset": "gt06@1"}}
    });
    settings.to_string()
}

/// `send`, to its end: what it printed.
async fn send(port: u16, more: &[&str]) -> (bool, String) {
    let address = format!("127.0.0.1:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["send", &address, "--wait", "1"])
        .args(more)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends in time");
    let output = output.expect("it runs");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).expect("text");
    (output.status.success(), printed)
}

#[tokio::test]
async fn up_prints_the_messages_of_its_devices_until_it_is_asked_to_stop() {
    let mut desk = Desk::start(&["up", "--json"]);
    let mut missing = BTreeSet::from(["scale-07", "123456789012345"]);
    while !missing.is_empty() {
        let message = desk.message().await;
        let device = message["properties"]["device"].as_str().expect("a device");
        assert_eq!(message["body"]["device"], device);
        assert_eq!(message["output"], "telemetry");
        missing.remove(device);
    }
    let module = desk.module();
    assert!(runs(module));
    assert!(desk.asked_to_stop().await.success());
    assert!(!runs(module), "the module is gone too");
}

#[tokio::test]
async fn an_edited_settings_file_is_a_twin_update_and_a_wrong_one_stops_nothing() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    let (port, other) = (free_port(), free_port());
    write(&trackers(port));
    let path = file.display().to_string();
    let mut desk = Desk::start(&["up", "--json", "--settings", &path]);
    desk.told(": applied").await;
    let frames = format!("{LOGIN} {POSITION}");
    let (sent, printed) = send(port, &["--hex", &frames, "--chunk", "1"]).await;
    assert!(sent && printed.contains(LOGIN_REPLY), "{printed}");
    assert!(printed.contains("54 bytes sent, 10 came back"), "{printed}");
    assert_eq!(desk.message().await["properties"]["type"], "position");

    write("{\"listeners\": {\n  oops");
    desk.told("line 2 column 3; what runs stays").await;
    write(&trackers(port).replace("gt06@1", "gt07@1"));
    desk.told("refused").await;
    desk.told("/protocols/gt06/preset: ").await;
    let (_, printed) = send(port, &["--hex", LOGIN]).await;
    assert!(printed.contains(LOGIN_REPLY), "{printed}");

    write(&trackers(other));
    desk.told(": applied").await;
    let (_, printed) = send(other, &["--hex", LOGIN]).await;
    assert!(printed.contains(LOGIN_REPLY), "{printed}");
    let (sent, printed) = send(port, &["--hex", LOGIN]).await;
    assert!(!sent && printed.contains("cannot be reached"), "{printed}");
    assert!(desk.asked_to_stop().await.success());
}

#[tokio::test]
async fn a_mistake_is_told_once_with_its_column() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    let mut settings: Value = serde_json::from_str(&trackers(free_port())).expect("JSON");
    settings["protocols"]["wrong"] = json!({
        "framing": {"type": "delimiter", "end": "\n"},
        "decode": {"type": "csv", "fields": ["n: intger"]}
    });
    std::fs::write(&file, settings.to_string()).expect("written");
    let mut desk = Desk::start(&["up", "--settings", &file.display().to_string()]);
    let mut mistakes = Vec::new();
    while let Some(line) = desk.told.next_line().await.expect("text") {
        if line.contains(": refused") {
            kill_process(desk.id(), Signal::TERM).expect("ours");
        }
        mistakes.extend(Some(line).filter(|line| line.contains("/protocols/wrong")));
    }
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    let place = "/protocols/wrong/decode/fields/0 column 4: ";
    assert!(mistakes[0].contains(place), "{mistakes:#?}");

    // Alone the stand-in tells it, in the place of the module's log.
    let path = file.display().to_string();
    let mut hub = Desk::start(&["hub", "--settings", &path]);
    let mut variables = Vec::new();
    while variables.len() < 8 {
        let line = hub.told("export IOTEDGE_").await;
        let variable = line.trim_start_matches("export ").split_once('=');
        let (name, value) = variable.expect("a variable");
        variables.push((name.to_owned(), value.trim_matches('\'').to_owned()));
    }
    let storage = folder.path().display().to_string();
    variables.push(("STORAGE_DIR".to_owned(), storage));
    let module = Desk::with(&["module"], &variables);
    hub.told(&format!("  {place}")).await;
    assert!(module.asked_to_stop().await.success());
    assert!(hub.asked_to_stop().await.success());
}

#[tokio::test]
async fn the_module_logs_from_the_level_of_the_environment_on() {
    let level = |word: &str| [("RuntimeLogLevel".to_owned(), word.to_owned())];
    let mut desk = Desk::with(&["up"], &level("info"));
    desk.told("[INF] - listening ").await;
    assert!(desk.asked_to_stop().await.success());
    let mut desk = Desk::with(&["up"], &level("loud"));
    desk.told("RuntimeLogLevel is \"loud\"").await;
    assert_eq!(desk.ended().await.code(), Some(1));
}

#[tokio::test]
async fn a_module_connects_to_the_hub_with_either_set_of_variables() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    let port = free_port();
    std::fs::write(&file, trackers(port)).expect("written");
    let path = file.display().to_string();
    let mut hub = Desk::start(&["hub", "--json", "--settings", &path]);
    let mut sets: [Vec<(String, String)>; 2] = [Vec::new(), Vec::new()];
    while sets[1].len() < 2 {
        let line = hub.told("export ").await;
        let variable = line
            .strip_prefix("export ")
            .and_then(|rest| rest.split_once('='));
        let (name, value) = variable.expect("a variable");
        let set = &mut sets[usize::from(!name.starts_with("IOTEDGE_"))];
        set.push((name.to_owned(), value.trim_matches('\'').to_owned()));
    }
    for (count, mut variables) in sets.into_iter().enumerate() {
        let storage = folder.path().join(count.to_string());
        std::fs::create_dir(&storage).expect("a folder");
        variables.push(("STORAGE_DIR".to_owned(), storage.display().to_string()));
        let module = Desk::with(&["module"], &variables);
        if count == 0 {
            hub.told(": applied").await;
        }
        let frames = format!("{LOGIN} {POSITION}");
        let mut printed = String::new();
        while !printed.contains(LOGIN_REPLY) {
            printed = send(port, &["--hex", &frames]).await.1;
        }
        assert_eq!(hub.message().await["body"]["device"], "123456789012345");
        assert!(module.asked_to_stop().await.success());
    }
    assert!(hub.asked_to_stop().await.success());
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut desk = Desk::start(&["up", "--json"]);
    desk.message().await;
    let module = desk.module();
    desk.out = None;
    desk.told("messages arrived upstream").await;
    assert!(desk.ended().await.success());
    assert!(!runs(module));
}

#[tokio::test]
async fn a_module_that_ends_by_itself_is_told_and_fails() {
    let mut desk = Desk::start(&["up", "--json"]);
    desk.message().await;
    kill_process(desk.module(), Signal::KILL).expect("ours");
    desk.told("the module ended by itself: signal: 9").await;
    assert_eq!(desk.ended().await.code(), Some(1));
}

#[tokio::test]
async fn bench_writes_what_it_measured() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("figures.json");
    let path = file.display().to_string();
    let arguments = ["--runs", "1", "--seconds", "3", "--variant", "flat"];
    let output = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["bench", "--json", &path])
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends in time");
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("CPU per frame module/naive: "), "{table}");
    let figures = std::fs::read_to_string(&file).expect("written");
    let figures: Value = serde_json::from_str(&figures).expect("JSON");
    let flat = &figures["variants"]["flat"];
    for gateway in ["module", "naive"] {
        for member in ["cpuMicrosPerFrame", "framesPerSecond", "peakRssBytes"] {
            let positive = flat[gateway][member]
                .as_f64()
                .is_some_and(|value| value > 0.0);
            assert!(positive, "{gateway}, {member}: {figures:#}");
        }
    }
    assert_eq!(flat["goals"][0]["goal"], 0.6, "{figures:#}");
    assert_eq!(figures["optimised"], !cfg!(debug_assertions));
    let module = &flat["module"];
    assert!(module["syncsPerMinute"].is_number(), "{figures:#}");
    let cost = &module["cpuMicrosPerFrame"];
    let spread = &module["spread"]["cpuMicrosPerFrame"];
    assert_eq!(*spread, json!([cost, cost]), "one run is its own spread");
}

#[tokio::test]
async fn wrong_bytes_are_told() {
    for (arguments, words) in [
        (["--hex", "7"], "--hex"),
        (["--hex", "zz"], "--hex"),
        (["--text", "\\x"], "--text"),
        (["--text", ""], "nothing to send"),
        (["--file", "/nowhere"], "/nowhere"),
    ] {
        let (sent, printed) = send(1, &arguments).await;
        assert!(!sent && printed.contains(words), "{arguments:?}: {printed}");
    }
}

#[test]
fn the_guide_shows_what_is_proposed() {
    let folder = TempDir::new().expect("a folder");
    page::write_files(folder.path());
    let shown = page::commands("workbench infer");
    assert_eq!(shown.len(), 1);
    shown[0].check(folder.path(), env!("CARGO_BIN_EXE_workbench"));
}

#[tokio::test]
async fn the_guide_shows_how_its_settings_run() {
    let folder = TempDir::new().expect("a folder");
    page::write_files(folder.path());
    let port = free_port().to_string();
    let file = folder.path().join("meters.json");
    let settings = std::fs::read_to_string(&file).expect("the settings of the page");
    std::fs::write(&file, settings.replace("5001", &port)).expect("written");

    let up = page::commands("workbench up").remove(0);
    assert_eq!(up.command, "workbench up --settings meters.json");
    let mut desk = Desk::start(&["up", "--settings", &file.display().to_string()]);
    let lines: Vec<&str> = up.output.lines().collect();
    let (message, told) = lines.split_last().expect("what arrives");
    for line in told {
        desk.told(&line.replace("5001", &port)).await;
    }
    let mut send = page::commands("workbench send").remove(0);
    send.command = send
        .command
        .replace("localhost:5001", &format!("127.0.0.1:{port}"));
    send.command.push_str(" 2>&1");
    send.check(folder.path(), env!("CARGO_BIN_EXE_workbench"));
    let out = desk.out.as_mut().expect("an open pipe");
    let line = timeout(PATIENCE, out.next_line())
        .await
        .expect("printed in time");
    let line = line.expect("text").expect("it runs");
    assert_eq!(without_time(&line), without_time(message));
    assert!(desk.asked_to_stop().await.success());
}

#[tokio::test]
async fn the_guide_shows_what_simulated_devices_say() {
    let folder = TempDir::new().expect("a folder");
    page::write_files(folder.path());
    let port = free_port().to_string();
    let file = folder.path().join("trackers.json");
    let settings = std::fs::read_to_string(&file).expect("the settings of the page");
    std::fs::write(&file, settings.replace("5023", &port)).expect("written");
    let mut desk = Desk::start(&["up", "--settings", &file.display().to_string()]);
    desk.told(": applied").await;
    let shown = page::commands("workbench simulate");
    assert_eq!(shown.len(), 1);
    for mut simulate in shown {
        simulate.command = simulate.command.replace("5023", &port) + " 2>&1";
        simulate.output = simulate.output.replace("5023", &port);
        simulate.check(folder.path(), env!("CARGO_BIN_EXE_workbench"));
    }
    assert!(desk.asked_to_stop().await.success());
}

/// A line of `up` without the moment in it.
fn without_time(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.remove(2);
    words
}

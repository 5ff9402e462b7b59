//! Programs and libraries of others as the devices of protocols that the module ships.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::rig::{PATIENCE, Rig, free_port};

mod hl7;
mod iec104;
mod modbus;
mod nmea;
mod stomp;
mod syslog;

/// A program with pipes to its input and from its output; it ends when the test does.
struct Peer {
    program: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// A script of `interop/python`.
    fn script(name: &str, arguments: &[&str]) -> Peer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python(root));
        command
            .env_clear()
            .arg(root.join("interop/python").join(name))
            .args(arguments);
        Peer::start(command)
    }

    fn start(mut command: Command) -> Peer {
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut program = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = program.stdin.take().expect("a pipe");
        let output = program.stdout.take().expect("a pipe");
        Peer {
            program,
            input,
            output: BufReader::new(output).lines(),
        }
    }

    async fn write(&mut self, text: &str) {
        let written = self.input.write_all(text.as_bytes()).await;
        written.expect("the program reads");
    }

    /// Writes JSON as a line.
    async fn tell(&mut self, line: &Value) {
        self.write(&format!("{line}\n")).await;
    }

    /// The next line that the program writes, which is JSON.
    async fn hear(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("says something in time").expect("text");
        let line = line.expect("a program that has not ended");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Closes the program's input and waits for its success.
    async fn finish(self) {
        let Peer {
            mut program, input, ..
        } = self;
        drop(input);
        let ended = timeout(PATIENCE, program.wait()).await;
        assert!(ended.expect("in time").expect("a program").success());
    }
}

/// The interpreter with what `interop/python/requirements.txt` names.
fn python(root: &Path) -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no main that reads the environment"
    )]
    let given = std::env::var("INTEROP_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|_| root.join("target/interop-python/bin/python"));
    let place = python.display();
    assert!(
        python.exists(),
        "there is no {place}: ./test.sh python installs it"
    );
    python
}

/// A module with one listener for a protocol as it is shipped; with the listener's port.
async fn module_with(preset: &str) -> (Rig, u16) {
    let port = free_port();
    let settings = json!({
        "listeners": {"here": {"port": port, "protocol": "theirs"}},
        "protocols": {"theirs": {"preset": preset}}
    });
    (Rig::with(settings).await, port)
}

//! A program of others, with pipes to talk with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;

/// A program with pipes to its input and from its output; it ends when the test does.
pub struct Peer {
    pub program: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// A script of `interop/python`.
    pub fn script(name: &str, arguments: &[&str]) -> Peer {
        Peer::with(name, arguments, Vec::new())
    }

    /// A script of `interop/python`, with these variables.
    pub fn with(name: &str, arguments: &[&str], variables: Vec<(String, String)>) -> Peer {
        let root = root();
        let mut command = Command::new(python(root));
        command
            .env_clear()
            .envs(variables)
            .arg(root.join("interop/python").join(name))
            .args(arguments);
        Peer::start(command)
    }

    pub fn start(mut command: Command) -> Peer {
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

    pub async fn write(&mut self, text: &str) {
        let written = self.input.write_all(text.as_bytes()).await;
        written.expect("the program reads");
    }

    /// Writes JSON as a line.
    pub async fn tell(&mut self, line: &Value) {
        self.write(&format!("{line}\n")).await;
    }

    /// The next line that the program writes, which is JSON.
    pub async fn hear(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("says something in time").expect("text");
        let line = line.expect("a program that has not ended");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Writes JSON as a line, to which the program answers with one.
    pub async fn ask(&mut self, line: Value) -> Value {
        self.tell(&line).await;
        self.hear().await
    }

    /// Closes the program's input and waits for its success.
    pub async fn finish(self) {
        let Peer {
            mut program, input, ..
        } = self;
        drop(input);
        let ended = timeout(PATIENCE, program.wait()).await;
        assert!(ended.expect("in time").expect("a program").success());
    }
}

/// The folder of the whole project, of which every package is a part.
fn root() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = folders.find(|folder| folder.join("interop/python").exists());
    root.expect("the scripts")
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

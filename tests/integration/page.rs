//! The guide as its reader follows it: the files that it shows, the commands, and what they print.

use std::path::Path;
use std::process::Command;

const GUIDE: &str = include_str!("../../docs/guide.md");
/// Members whose time is that of the run.
const TIMES: [&str; 2] = ["\"received\":\"", "\"iothub-creation-time-utc\":\""];

/// A command of the page, and what it shows as its output.
pub struct Shown {
    pub command: String,
    pub output: String,
}

impl Shown {
    /// Runs the command by a shell in the folder and holds what it prints against the page.
    pub fn check(&self, folder: &Path, program: &str) {
        let programs = Path::new(program).parent().expect("a folder");
        let output = Command::new("sh")
            .args(["-c", "PATH=\"$1:$PATH\"; eval \"$2\"", "sh"])
            .args([programs.as_os_str(), self.command.as_ref()])
            .current_dir(folder)
            .output()
            .expect("it runs");
        let printed = String::from_utf8(output.stdout).expect("text");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(complaints, "", "{}", self.command);
        assert_eq!(
            without_times(&printed),
            without_times(&self.output),
            "{}",
            self.command
        );
    }
}

/// The commands that run this program, in the order of the page.
pub fn commands(program: &str) -> Vec<Shown> {
    let shown = blocks().filter_map(|(_, kind, text)| {
        let (command, output) = text.strip_prefix("$ ")?.split_once('\n')?;
        let runs = command.starts_with(program) || command.contains(&format!("| {program}"));
        (kind == "console" && runs).then(|| Shown {
            command: command.to_owned(),
            output: output.to_owned(),
        })
    });
    shown.collect()
}

/// Writes what the page shows as files: each has the name that stands last before it.
pub fn write_files(folder: &Path) {
    for (prose, kind, text) in blocks() {
        if kind != "console" {
            let words = prose.split('`').rev();
            let mut names = words.filter(|word| word.ends_with(".json") || word.ends_with(".txt"));
            let name = names.next().expect("the name of a file");
            std::fs::write(folder.join(name), text).expect("written");
        }
    }
}

/// The page's blocks: the prose before it, its kind, its text.
fn blocks() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let pieces: Vec<_> = GUIDE.split("\n```").collect();
    let pairs: Vec<_> = pieces
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    pairs.into_iter().map(|(prose, block)| {
        let (kind, text) = block.split_once('\n').expect("a kind");
        (prose, kind, format!("{text}\n"))
    })
}

fn without_times(text: &str) -> String {
    TIMES.iter().fold(text.to_owned(), |text, member| {
        let mut pieces = text.split(member);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |all, piece| {
            let behind = piece.split_once('"').map_or("", |(_, behind)| behind);
            all + member + "\"" + behind
        })
    })
}

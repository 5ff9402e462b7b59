//! `edge-tcp-gateway decode`: what the module would make of bytes, without a network.

mod entry;
mod explain;
mod fuzz;
mod skipped;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::entry::Entry;
use self::explain::Explanations;
use self::skipped::{Run, Skipped};
use crate::check::{CLEAN, MISTAKES, load};
use crate::conversation::{
    Action, Conversation, ConversationSettings, Counted, End, Input, Protocol, Sight,
};
use crate::document::unknown_word;
use crate::identity::Peer;
use crate::message::{Body, Message, Now, Progress, Reading, base64};
use crate::notation;
use crate::pipeline::Received;

pub use fuzz::{fuzz, fuzz_any};

/// Bytes of a piece where nothing else is said: what the module reads at once.
const PIECE: usize = 16 * 1024;
/// Bytes that are read at once at most, whatever is said.
const MOST_PIECE: usize = 1 << 20;

/// Runs bytes through a protocol with the code of the module; prints frames, readings, messages and
/// replies as one JSON object each line. Every message counts as delivered at once.
///
/// With --explain it prints for eyes how each frame was understood: what was skipped, which framing,
/// checksum and layouts counted, the bytes beside what each of them became, and who said which device
/// it is. Offsets are decimal, as in settings; bytes that nothing reads are `not read`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  edge-tcp-gateway decode --settings settings.json --protocol gt06 --hex '7878 0d 01 0123456789012345 0001 8cdd 0d0a'
  edge-tcp-gateway decode --settings twin.json --protocol scales capture.bin
  edge-tcp-gateway decode --explain --settings settings.json --protocol gt06 --hex '7878 0d 01 0123456789012345 0001 8cdd 0d0a'
  edge-tcp-gateway decode --settings settings.json --protocol boiler --poll fast --hex '0001 0000 0005 01 03 02 00d7'
  printf 'S S 12.50 kg\\r\\n' | edge-tcp-gateway decode --settings settings.json --protocol sics -

Exit codes: 0 every frame was decoded, 1 mistakes in settings or bytes, 2 the command itself was wrong.")]
pub struct Arguments {
    /// Settings, a twin, or a deployment manifest
    #[arg(long, value_name = "FILE")]
    pub settings: PathBuf,
    /// The protocol that the bytes are of
    #[arg(long, value_name = "NAME")]
    pub protocol: String,
    /// The listener, or the entry of `outbound`, on whose connection they come [default: the first that
    /// uses the protocol]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The poll that the bytes answer. What answers several of its requests alike is read as the answer
    /// to the first of them
    #[arg(long, value_name = "NAME")]
    pub poll: Option<String>,
    /// Address of the device, for identities by address
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// Folder with the protocol files that `"file"` names [default: the folder of the settings]
    #[arg(long, value_name = "FOLDER")]
    pub protocols: Option<PathBuf>,
    /// Show how each frame was understood, byte by byte
    #[arg(long)]
    pub explain: bool,
    /// So many bytes at a time instead of all at once, as TCP may cut them; nothing else may come of it
    #[arg(long, value_name = "BYTES")]
    pub chunk: Option<NonZeroUsize>,
    /// The bytes in hex; spaces are allowed
    #[arg(
        long,
        value_name = "BYTES",
        conflicts_with = "file",
        required_unless_present = "file"
    )]
    pub hex: Option<String>,
    /// File with the bytes; `-` is standard input
    pub file: Option<PathBuf>,
}

/// Decodes and prints. The answer is the exit code.
///
/// # Errors
/// A file cannot be read, the output not be written, or the settings have no protocol or listener of
/// that name: all are mistakes of the command.
pub fn run(arguments: &Arguments, now: Now, out: &mut dyn Write) -> io::Result<u8> {
    let mut input = input(arguments)?;
    let settings = match load(&arguments.settings, arguments.protocols.as_deref(), None)? {
        Ok(settings) => settings,
        Err(mistakes) => {
            write!(out, "{mistakes}")?;
            return Ok(MISTAKES);
        }
    };
    let Some(protocol) = settings.protocols.get(arguments.protocol.as_str()) else {
        let known: Vec<&str> = settings.protocols.keys().map(|name| &**name).collect();
        let message = unknown_word("protocol", &arguments.protocol, &known);
        return Err(io::Error::other(message));
    };
    let entry = Entry::find(arguments, &settings).map_err(io::Error::other)?;
    let mut player = Player::new(protocol, entry.terms(&settings), now, out);
    if let Some(poll) = &arguments.poll {
        player = player.reading_answers(poll).map_err(io::Error::other)?;
    }
    if arguments.explain {
        player = player.explaining();
    }
    let piece = arguments.chunk.map_or(PIECE, usize::from);
    player.play_all(entry.peer(arguments.address), &mut *input, piece)?;
    Ok(if player.troubles == 0 {
        CLEAN
    } else {
        MISTAKES
    })
}

fn input(arguments: &Arguments) -> io::Result<Box<dyn Read>> {
    if let Some(hex) = &arguments.hex {
        let bytes = notation::bytes(&format!("0x{}", hex.trim().trim_start_matches("0x")));
        let bytes = bytes.map_err(|error| io::Error::other(format!("--hex: {error}")))?;
        return Ok(Box::new(io::Cursor::new(bytes)));
    }
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| said_of(path, &error))?;
    match file.metadata().map_err(|error| said_of(path, &error))? {
        folder if folder.is_dir() => Err(said_of(path, &io::ErrorKind::IsADirectory.into())),
        _ => Ok(Box::new(file)),
    }
}

fn said_of(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Plays bytes to a conversation, which shows what it makes of them.
struct Player<'a> {
    protocol: &'a Protocol,
    conversation: Conversation,
    now: Now,
    out: &'a mut dyn Write,
    troubles: usize,
    closed: bool,
    /// Bytes so far.
    length: usize,
    /// What of them belongs to no frame and is not told yet.
    skipped: Skipped,
    /// What was explained, where that is asked for.
    explained: Option<Explanations>,
}

impl<'a> Player<'a> {
    fn new(
        protocol: &'a Arc<Protocol>,
        terms: ConversationSettings,
        now: Now,
        out: &'a mut dyn Write,
    ) -> Self {
        let conversation =
            Conversation::new(Arc::clone(protocol), Arc::new(terms)).without_questions();
        Player {
            protocol,
            conversation: conversation.watched(),
            now,
            out,
            troubles: 0,
            closed: false,
            length: 0,
            skipped: Skipped::default(),
            explained: None,
        }
    }

    /// Reads frames as answers to that poll.
    fn reading_answers(self, poll: &str) -> Result<Self, String> {
        let conversation = self.conversation.with_recorded_answers(poll);
        Ok(Player {
            conversation: conversation.map_err(|known| {
                let known: Vec<&str> = known.iter().map(|name| &**name).collect();
                unknown_word("poll", poll, &known)
            })?,
            ..self
        })
    }

    /// Prints how frames were understood, and no JSON.
    fn explaining(self) -> Self {
        Player {
            explained: Some(Explanations::default()),
            ..self
        }
    }

    /// Plays a whole connection. How its bytes are cut into pieces shows nowhere.
    fn play<'b>(
        &mut self,
        peer: Peer,
        pieces: impl IntoIterator<Item = &'b [u8]>,
    ) -> io::Result<()> {
        self.step(Input::Opened(peer))?;
        pieces.into_iter().try_for_each(|piece| self.take(piece))?;
        self.end()
    }

    /// Plays a whole connection, as its bytes come; of them no more are kept than wait for a frame.
    fn play_all(&mut self, peer: Peer, bytes: &mut dyn Read, piece: usize) -> io::Result<()> {
        self.step(Input::Opened(peer))?;
        let mut room = vec![0; piece.min(MOST_PIECE)];
        while !self.closed {
            match bytes.read(&mut room) {
                Ok(0) => break,
                Ok(count) => self.take(room.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.end()
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        self.length += piece.len();
        self.step(Input::Bytes(piece))
    }

    fn end(&mut self) -> io::Result<()> {
        if !self.closed {
            self.step(Input::End(End::Fin))?;
        }
        self.tell_skipped()
    }

    /// One input, and all that follows from it, one frame after the other: messages are delivered
    /// and bytes written at once.
    fn step(&mut self, input: Input<'_>) -> io::Result<()> {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut due = VecDeque::from(self.actions(input));
            while let Some(action) = due.pop_front() {
                if matches!(action, Action::Show(_)) {
                    next = Some(Input::TakenOver);
                }
                if let Some(input) = self.action(action)? {
                    due.extend(self.actions(input));
                }
            }
        }
        Ok(())
    }

    fn actions(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.conversation.step(self.now, input, &mut actions);
        actions
    }

    /// Shows what the conversation has made of bytes.
    fn show(&mut self, sight: &Sight) -> io::Result<()> {
        let position = self.length - sight.buffered;
        if let Received::Skipped { count, prefix, why } = &sight.received {
            let run = Run::new(position - count..position, prefix, *why);
            return match self.skipped.add(run) {
                Some(before) => self.tell_run(&before),
                None => Ok(()),
            };
        }
        self.tell_skipped()?;
        if self.explained.is_some() {
            return self.explain(sight, position);
        }
        let (
            Received::Frame {
                bytes, checksum_ok, ..
            },
            Some((reading, _)),
        ) = (&sight.received, &sight.reading)
        else {
            return Ok(());
        };
        let line =
            json!({ "frame": hex(bytes), "checksumOk": checksum_ok, "reading": shown(reading) });
        writeln!(self.out, "{line}")
    }

    /// Tells of the bytes that belong to no frame up to here.
    fn tell_skipped(&mut self) -> io::Result<()> {
        match self.skipped.take() {
            Some(run) => self.tell_run(&run),
            None => Ok(()),
        }
    }

    fn tell_run(&mut self, run: &Run) -> io::Result<()> {
        if self.explained.is_some() {
            return explain::skipped(run, self.out);
        }
        self.tell_trouble(&run.counted())
    }

    fn tell_trouble(&mut self, counted: &Counted) -> io::Result<()> {
        let hint = match counted {
            Counted::Unasked(_) => " (with `--poll NAME` it is read as an answer)",
            _ => "",
        };
        let word = counted.word();
        if self.explained.is_some() {
            let text = format!("{word}: {counted}{hint}");
            return explain::item("trouble", &text, self.out);
        }
        let line = json!({ "trouble": word, "text": format!("{counted}{hint}") });
        writeln!(self.out, "{line}")
    }

    /// Prints an action; gives what the outside would say to it.
    fn action(&mut self, action: Action) -> io::Result<Option<Input<'static>>> {
        match action {
            Action::Submit(ticket, messages, _) => {
                for message in &messages {
                    self.tell("message", sent(message))?;
                }
                return Ok(Some(Input::Progress(ticket, Progress::Delivered)));
            }
            Action::Write(bytes) => {
                self.tell("reply", hex(&bytes).into())?;
                return Ok(Some(Input::Written(bytes.len())));
            }
            Action::Bind { device, .. } => self.tell("device", (*device).into())?,
            Action::Close(reason) => {
                self.closed = true;
                self.tell("closed", reason.word().into())?;
            }
            Action::Show(sight) => self.show(&sight)?,
            // It is told with those that follow it.
            Action::Count(Counted::Skipped(..)) => self.troubles += 1,
            Action::Count(counted) if counted.is_trouble() => {
                self.troubles += 1;
                self.tell_skipped()?;
                self.tell_trouble(&counted)?;
            }
            Action::Count(_)
            | Action::Unbind(_)
            | Action::Withdraw
            | Action::Forget(_)
            | Action::Answer(..)
            | Action::Silent(_)
            | Action::Heard(_) => {}
        }
        Ok(None)
    }

    /// One line about what follows from a frame.
    fn tell(&mut self, word: &str, what: Value) -> io::Result<()> {
        self.tell_skipped()?;
        if self.explained.is_none() {
            return writeln!(self.out, "{}", json!({ word: what }));
        }
        let text = match &what {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        explain::item(word, &text, self.out)
    }
}

fn shown(reading: &Reading) -> Value {
    let mut shown = Map::new();
    shown.insert("type".into(), json!(reading.kind.as_deref()));
    if let Some(time) = reading.time {
        shown.insert("time".into(), json!(time.to_string()));
    }
    shown.insert("fields".into(), json!(reading.fields));
    if let Some(parts) = &reading.parts {
        let parts = parts.iter().map(|part| json!(part.fields));
        shown.insert("split".into(), parts.collect());
    }
    shown.insert("publish".into(), json!(reading.publish));
    if let Some(why) = &reading.undecoded {
        shown.insert("undecoded".into(), json!(why));
    }
    Value::Object(shown)
}

fn sent(message: &Message) -> Value {
    let body = match &message.body {
        Body::Contract(bytes) | Body::Values(bytes) => {
            serde_json::from_slice(bytes).unwrap_or(Value::Null)
        }
        Body::Raw(bytes) => Value::String(base64(bytes)),
    };
    let properties = message.properties.iter();
    let properties: Map<String, Value> = properties
        .map(|(name, value)| (name.to_string(), (**value).into()))
        .collect();
    json!({ "output": &*message.output, "id": message.id, "properties": properties, "body": body })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

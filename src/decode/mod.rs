//! `edge-tcp-gateway decode`: what the module would make of bytes, without a network.

mod explain;
mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::explain::Explanations;
use crate::check::{CLEAN, MISTAKES, load};
use crate::conversation::{
    Action, Conversation, ConversationSettings, Counted, End, Input, Protocol,
};
use crate::document::unknown_word;
use crate::identity::Peer;
use crate::message::{Body, Frame, Message, Name, Now, Progress, Reading, base64};
use crate::notation;
use crate::pipeline::{Pipeline, Received};
use crate::script::Caller;
use crate::settings::{Listener, Settings};

pub use fuzz::{fuzz, fuzz_any};

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
  printf 'S S 12.50 kg\\r\\n' | edge-tcp-gateway decode --settings settings.json --protocol sics -

Exit codes: 0 every frame was decoded, 1 mistakes in settings or bytes, 2 the command itself was wrong.")]
pub struct Arguments {
    /// Settings, a twin, or a deployment manifest
    #[arg(long, value_name = "FILE")]
    pub settings: PathBuf,
    /// The protocol that the bytes are of
    #[arg(long, value_name = "NAME")]
    pub protocol: String,
    /// The listener they come in on [default: the first that uses the protocol]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Address of the device, for identities by address
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// Folder with the protocol files that `"file"` names [default: the folder of the settings]
    #[arg(long, value_name = "FOLDER")]
    pub protocols: Option<PathBuf>,
    /// Show how each frame was understood, byte by byte
    #[arg(long)]
    pub explain: bool,
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
/// A file cannot be read, or the output not be written: both are mistakes of the command.
pub fn run(arguments: &Arguments, now: Now, out: &mut dyn Write) -> io::Result<u8> {
    let bytes = input(arguments)?;
    let settings = match load(&arguments.settings, arguments.protocols.as_deref(), None)? {
        Ok(settings) => settings,
        Err(mistakes) => {
            write!(out, "{mistakes}")?;
            return Ok(MISTAKES);
        }
    };
    let Some(protocol) = settings.protocols.get(arguments.protocol.as_str()) else {
        let known: Vec<&str> = settings.protocols.keys().map(|name| &**name).collect();
        writeln!(
            out,
            "{}",
            unknown_word("protocol", &arguments.protocol, &known)
        )?;
        return Ok(MISTAKES);
    };
    let listener = match listener(arguments, &settings) {
        Ok(listener) => listener,
        Err(message) => {
            writeln!(out, "{message}")?;
            return Ok(MISTAKES);
        }
    };
    let mut player = Player::new(protocol, terms(&settings, listener), now, out);
    if arguments.explain {
        player = player.explaining();
    }
    player.play(peer(arguments, listener), &bytes)?;
    Ok(if player.troubles == 0 {
        CLEAN
    } else {
        MISTAKES
    })
}

fn input(arguments: &Arguments) -> io::Result<Vec<u8>> {
    if let Some(hex) = &arguments.hex {
        let bytes = notation::bytes(&format!("0x{}", hex.trim().trim_start_matches("0x")));
        return bytes.map_err(|error| io::Error::other(format!("--hex: {error}")));
    }
    let path = arguments.file.as_deref().unwrap_or(Path::new("-"));
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        return io::stdin().read_to_end(&mut bytes).map(|_| bytes);
    }
    fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn listener<'s>(
    arguments: &Arguments,
    settings: &'s Settings,
) -> Result<Option<&'s Listener>, String> {
    let Some(name) = arguments.listener.as_deref() else {
        let mut listeners = settings.listeners.values();
        let uses = |listener: &&Arc<Listener>| *listener.protocol.name == *arguments.protocol;
        return Ok(listeners.find(uses).map(|listener| &**listener));
    };
    let known: Vec<&str> = settings.listeners.keys().map(|name| &**name).collect();
    let found = settings
        .listeners
        .get(name)
        .map(|listener| Some(&**listener));
    found.ok_or_else(|| unknown_word("listener", name, &known))
}

fn terms(settings: &Settings, listener: Option<&Listener>) -> ConversationSettings {
    listener.map_or_else(
        || settings.conversation_without_listener(),
        |listener| settings.conversation(listener),
    )
}

fn peer(arguments: &Arguments, listener: Option<&Listener>) -> Peer {
    let name = listener.map_or_else(|| Name::from("decode"), |listener| listener.name.clone());
    let device = listener.and_then(|listener| listener.device.clone());
    Peer::new(SocketAddr::new(arguments.address, 0), name, device)
}

/// Plays bytes to a conversation, and beside it to the same pipeline and decoder, which show the
/// frames that the conversation makes its messages of.
struct Player<'a> {
    protocol: &'a Protocol,
    pipeline: Pipeline,
    /// It has a state of its own, beside the conversation's.
    caller: Option<Caller>,
    conversation: Conversation,
    now: Now,
    out: &'a mut dyn Write,
    troubles: usize,
    closed: bool,
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
        let checksums = Arc::clone(&protocol.checksums);
        let mut pipeline = Pipeline::new(&protocol.framing, checksums, protocol.on_bad_checksum);
        let caller = protocol.caller();
        if let Some(caller) = &caller {
            pipeline.attach(caller);
        }
        Player {
            protocol,
            pipeline,
            caller,
            conversation: Conversation::new(Arc::clone(protocol), Arc::new(terms)),
            now,
            out,
            troubles: 0,
            closed: false,
            explained: None,
        }
    }

    /// Prints how frames were understood, and no JSON.
    fn explaining(self) -> Self {
        Player {
            pipeline: self.pipeline.watched(),
            explained: Some(Explanations::default()),
            ..self
        }
    }

    /// Byte by byte, so that a frame is printed before what follows from it.
    fn play(&mut self, peer: Peer, bytes: &[u8]) -> io::Result<()> {
        if let Some(caller) = &self.caller {
            caller.introduce(&peer.listener, peer.address.ip());
        }
        self.step(Input::Opened(peer))?;
        for byte in bytes.chunks(1) {
            self.pipeline.push(byte);
            self.pushed(byte);
            self.frames()?;
            self.step(Input::Bytes(byte))?;
            if self.closed {
                return self.finish_explaining();
            }
        }
        self.pipeline.end();
        self.frames()?;
        self.finish_explaining()?;
        self.step(Input::End(End::Fin))
    }

    fn frames(&mut self) -> io::Result<()> {
        while let Some(received) = self.pipeline.next(self.now.monotonic) {
            if self.explained.is_some() {
                self.explain(&received)?;
            } else if let Received::Frame {
                bytes,
                body,
                checksum_ok,
            } = received
            {
                let frame = Frame {
                    bytes: &bytes,
                    body,
                };
                let decoder = &self.protocol.decoder;
                let reading = decoder.decode_for(frame, self.caller.as_ref());
                let line = json!({ "frame": hex(&bytes), "checksumOk": checksum_ok, "reading": shown(&reading) });
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    /// One input, and all that follows from it: messages are delivered and bytes written at once.
    fn step(&mut self, input: Input<'_>) -> io::Result<()> {
        let mut actions = Vec::new();
        self.conversation.step(self.now, input, &mut actions);
        self.attribute()?;
        let mut due = VecDeque::from(actions);
        while let Some(action) = due.pop_front() {
            let submitted = matches!(action, Action::Submit(..));
            let taken_over = submitted.then_some(Input::TakenOver);
            for next in self.action(action)?.into_iter().chain(taken_over) {
                let mut actions = Vec::new();
                self.conversation.step(self.now, next, &mut actions);
                due.extend(actions);
            }
        }
        Ok(())
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
            Action::Count(counted) if counted.is_trouble() => {
                self.troubles += 1;
                if self.explained.is_some() {
                    if matches!(counted, Counted::Skipped(..)) {
                        // It is shown with its bytes.
                        return Ok(None);
                    }
                    let text = format!("{}: {counted}", counted.word());
                    return self.tell("trouble", text.into()).map(|()| None);
                }
                writeln!(
                    self.out,
                    "{}",
                    json!({ "trouble": counted.word(), "text": counted.to_string() })
                )?;
            }
            Action::Count(_) | Action::Withdraw | Action::Forget(_) | Action::Answer(..) => {}
        }
        Ok(None)
    }

    /// One line about what follows from a frame.
    fn tell(&mut self, word: &str, what: Value) -> io::Result<()> {
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

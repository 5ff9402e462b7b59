//! What a protocol says of a connection as a whole: the login, and signs of life in both directions.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::exchange::{ExchangeOptions, bounded};
use super::questions::BACKOFF_SECONDS;
use super::replies::Reply;
use crate::document::{Problems, Section, optional_object};
use crate::identity::{Secret, Secrets};
use crate::schema::{HoleText, SecretText};
use crate::template::Template;

/// Seconds of a heartbeat or of silence.
const SECONDS: RangeInclusive<u32> = 1..=86_400;
/// Milliseconds for a login.
const LOGIN_MS: RangeInclusive<u32> = 1..=3_600_000;

/// Member `session` of a protocol.
#[derive(Debug, Default)]
pub struct Session {
    /// The login that frames need before they are published, if they need one.
    pub login: Option<Login>,
    /// What is sent when there is nothing else to send.
    pub heartbeat: Option<Heartbeat>,
    /// The connection is closed when nothing came for so long while we were reading.
    pub silent: Option<Duration>,
}

/// What a device must say before its frames are published.
#[derive(Debug)]
pub struct Login {
    /// How long after it has connected.
    pub within: Duration,
    /// What devices must say for which neither entry nor rule has a secret.
    pub secret: Option<Secret>,
}

/// What the gateway sends by itself.
#[derive(Debug)]
pub struct Heartbeat {
    /// How long nothing has been written before it is sent.
    pub after: Duration,
    /// The bytes.
    pub reply: Reply,
}

/// What a protocol says of a connection as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "session")]
pub struct SessionOptions {
    /// Frames need a login: one that says the identity, and the secret if there is one. It goes with
    /// an identity of scope `connection`; where that has a `secret`, there is a login also without this member.
    #[serde(rename = "login")]
    #[schemars(with = "Option<LoginOptions>")]
    _login: Option<IgnoredAny>,
    /// What is sent when there is nothing else to send.
    #[serde(default, deserialize_with = "optional_object")]
    heartbeat: Option<HeartbeatOptions>,
    /// What is asked one after the other when a connection stands; polls and commands wait until it is
    /// done. A step that fails ends the connection.
    #[serde(rename = "open")]
    #[schemars(with = "Option<Vec<ExchangeOptions>>")]
    _open: Option<IgnoredAny>,
    /// One question at a time: the next one leaves when the answer has come, or its time is over.
    #[serde(rename = "halfDuplex", default)]
    _half_duplex: bool,
    /// A unit that does not answer polls is asked less and less often; seconds at most between two
    /// tries, 60 without it.
    #[serde(rename = "backoffSeconds")]
    #[schemars(range(min = *BACKOFF_SECONDS.start(), max = *BACKOFF_SECONDS.end()))]
    _backoff_seconds: Option<u32>,
    /// A connection without a byte from the device for so many seconds is closed; the listener's
    /// `idleTimeoutSeconds` counts where it is shorter.
    #[schemars(range(min = *SECONDS.start(), max = *SECONDS.end()))]
    silent_seconds: Option<u32>,
}

/// The login that frames need before they are published.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "login")]
struct LoginOptions {
    /// `false`: as without `login`.
    #[serde(default = "required")]
    required: bool,
    /// How long a connection may be without its login, in milliseconds; then it is closed.
    #[serde(default = "within_ms")]
    #[schemars(range(min = *LOGIN_MS.start(), max = *LOGIN_MS.end()))]
    within_ms: u32,
    /// What devices must say for which neither entry nor rule has a `secret`.
    #[serde(rename = "secret")]
    #[schemars(with = "Option<SecretText>")]
    _secret: Option<IgnoredAny>,
}

/// What is sent when there is nothing else to send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "heartbeat")]
struct HeartbeatOptions {
    /// It is sent when nothing has been written to the device for so many seconds.
    #[schemars(range(min = *SECONDS.start(), max = *SECONDS.end()))]
    seconds: u32,
    /// The bytes, a template without fields.
    #[schemars(with = "HoleText")]
    send: String,
    /// Put the protocol's framing around the bytes.
    #[serde(default)]
    frame: bool,
}

fn required() -> bool {
    true
}

fn within_ms() -> u32 {
    30_000
}

impl Default for Login {
    fn default() -> Self {
        Login {
            within: Duration::from_millis(within_ms().into()),
            secret: None,
        }
    }
}

impl Session {
    /// Reads the member `session` of a protocol.
    pub fn read(
        section: Option<&Section<'_>>,
        secrets: &Secrets,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(section) = section else {
            return Some(Session::default());
        };
        let before = problems.len();
        let login = section.member("login");
        let login = login.and_then(|login| Login::read(&login, secrets, problems));
        let options: SessionOptions = section.read_in_bounds(&["login"], problems)?;
        if let Some(seconds) = options.silent_seconds {
            bounded(section, "silentSeconds", seconds, &SECONDS, problems);
        }
        let heartbeat = section.member("heartbeat").zip(options.heartbeat);
        let heartbeat = heartbeat.and_then(|(section, options)| options.build(&section, problems));
        let silent = options.silent_seconds;
        (problems.len() == before).then_some(Session {
            login,
            heartbeat,
            silent: silent.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

impl Login {
    fn read(section: &Section<'_>, secrets: &Secrets, problems: &mut Problems) -> Option<Self> {
        let secret = secrets.read(section, problems);
        let options: LoginOptions = section.read_in_bounds(&["secret"], problems)?;
        bounded(section, "withinMs", options.within_ms, &LOGIN_MS, problems);
        if !options.required && secret.is_some() {
            let message = "a secret needs a login that is required";
            problems.member(section, "required", message);
        }
        let login = Login {
            within: Duration::from_millis(options.within_ms.into()),
            secret,
        };
        options.required.then_some(login)
    }
}

impl HeartbeatOptions {
    fn build(self, section: &Section<'_>, problems: &mut Problems) -> Option<Heartbeat> {
        bounded(section, "seconds", self.seconds, &SECONDS, problems);
        let send = Template::parse(&self.send);
        let send = send
            .map_err(|error| problems.notation(section, "send", error))
            .ok()?;
        let field = send.field_names().chain(send.argument_names()).next();
        if let Some(name) = field {
            let message = format!("a heartbeat answers no frame, which could have `{name}`");
            problems.member(section, "send", message);
        }
        if send.shows_frame() {
            let message = "a heartbeat answers no frame, of which `raw` could show bytes";
            problems.member(section, "send", message);
        }
        Some(Heartbeat {
            after: Duration::from_secs(self.seconds.into()),
            reply: Reply {
                name: "heartbeat".into(),
                send,
                when: None,
                order: 0,
                frame: self.frame,
                close: false,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(document: &Value) -> (Option<Session>, Vec<String>) {
        let mut problems = Problems::new();
        let section = Section::root(document);
        let session = Session::read(Some(&section), &Secrets::default(), &mut problems);
        let found = problems.as_slice().iter().map(ToString::to_string);
        (session, found.collect())
    }

    #[test]
    fn what_is_left_out_has_careful_defaults() {
        let (session, _) = read(&json!({"login": {}}));
        let login = session.unwrap().login.unwrap();
        assert_eq!(login.within, Duration::from_secs(30));
        let (session, _) = read(&json!({"login": {"required": false}}));
        assert!(session.unwrap().login.is_none());
        let (session, _) =
            read(&json!({"silentSeconds": 60, "heartbeat": {"seconds": 20, "send": "0x00"}}));
        let session = session.unwrap();
        assert_eq!(session.silent, Some(Duration::from_secs(60)));
        assert_eq!(session.heartbeat.unwrap().after, Duration::from_secs(20));
    }

    #[test]
    fn mistakes_are_all_named() {
        let (_, found) = read(&json!({
            "login": {"withinMs": 0, "required": false, "secret": "s", "passwort": 1},
            "heartbeat": {"seconds": 0, "send": "{seq}"},
            "silentSeconds": 100_000,
            "silence": 1
        }));
        for part in [
            "/login/withinMs: 0 is outside",
            "/login/required",
            "/login/passwort",
            "/heartbeat/seconds",
            "/heartbeat/send: a heartbeat answers no frame, which could have `seq`",
            "/silentSeconds",
            "/silence",
        ] {
            assert!(
                found.iter().any(|found| found.starts_with(part)),
                "{part} in {found:?}"
            );
        }
        let (_, found) = read(&json!({"heartbeat": {"seconds": 5, "send": "0x01 {raw 0..2}"}}));
        assert!(
            found[0].starts_with("/heartbeat/send: a heartbeat answers no frame"),
            "{found:?}"
        );
        let (_, found) = read(&json!({"heartbeat": {"seconds": 5, "send": "0x1"}}));
        assert!(found[0].starts_with("/heartbeat/send column"), "{found:?}");
    }
}

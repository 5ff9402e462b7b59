//! Secrets that devices say at their login. Only digests are kept, so nothing here can show one.

use std::collections::BTreeMap;
use std::fmt;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::document::{Problems, Section};
use crate::notation::bytes;

/// The member of settings that holds one.
const MEMBER: &str = "secret";
/// Before the SHA-256 of a secret, in hex.
const DIGEST: &str = "sha256:";
/// Before the name of a file of the mounted folder that holds one.
const FILE: &str = "file:";

/// What a device is expected to say: the SHA-256 of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// The secret that these bytes are.
    pub fn of(bytes: &[u8]) -> Self {
        let mut kept = [0; 32];
        for (kept, byte) in kept.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
            *kept = *byte;
        }
        Secret(kept)
    }

    /// Whether that is what was said; how long it takes does not depend on how much of it is right.
    pub fn is(&self, said: &[u8]) -> bool {
        let said = Secret::of(said);
        let pairs = self.0.iter().zip(&said.0);
        pairs.fold(0, |different, (one, other)| different | (one ^ other)) == 0
    }

    fn from_hex(digits: &str) -> Option<Self> {
        let read = bytes(&format!("0x{digits}")).ok()?;
        Some(Secret(read.try_into().ok()?))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The secrets in files of the mounted folder, or why they could not be read.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<String, Result<Secret, String>>);

impl Secrets {
    /// The files that a document asks for, wherever it has a member `secret`.
    pub fn files_named(document: &Value) -> Vec<&str> {
        match document {
            Value::Object(members) => {
                let own = members.get(MEMBER).and_then(Value::as_str);
                let file = own.and_then(|text| text.strip_prefix(FILE));
                let inner = members.values().flat_map(Secrets::files_named);
                file.into_iter().chain(inner).collect()
            }
            Value::Array(elements) => elements.iter().flat_map(Secrets::files_named).collect(),
            _ => Vec::new(),
        }
    }

    /// Adds what a file holds, the line break at its end left out.
    pub fn mount(&mut self, name: &str, content: Result<String, String>) {
        let secret = content.and_then(|text| {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            match text.strip_suffix('\r').unwrap_or(text) {
                "" => Err("the file is empty".to_owned()),
                text => Ok(Secret::of(text.as_bytes())),
            }
        });
        self.0.insert(name.to_owned(), secret);
    }

    /// Reads the member `secret` of a section: a text, `sha256:HEX`, or `file:NAME`.
    pub fn read(&self, section: &Section<'_>, problems: &mut Problems) -> Option<Secret> {
        let member = section.member(MEMBER)?;
        // What stands there is not repeated in the mistake.
        let read = match member.value.as_str() {
            None => Err("expected a text".to_owned()),
            Some("") => Err("expected a text of at least one character".to_owned()),
            Some(text) => self.read_text(text),
        };
        read.map_err(|message| problems.add(&member, message)).ok()
    }

    fn read_text(&self, text: &str) -> Result<Secret, String> {
        if let Some(digits) = text.strip_prefix(DIGEST) {
            let wrong = || "expected 64 hex digits behind \"sha256:\"".to_owned();
            return Secret::from_hex(digits).ok_or_else(wrong);
        }
        let Some(name) = text.strip_prefix(FILE) else {
            return Ok(Secret::of(text.as_bytes()));
        };
        match self.0.get(name) {
            Some(Ok(secret)) => Ok(secret.clone()),
            Some(Err(why)) => Err(format!("{name}: {why}")),
            None => Err(format!(
                "there is no file {name} in the folder for protocol files"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(secrets: &Secrets, value: Value) -> Result<Secret, String> {
        let document = json!({ "secret": value });
        let mut problems = Problems::new();
        let read = secrets.read(&Section::root(&document), &mut problems);
        read.ok_or_else(|| problems.as_slice()[0].to_string())
    }

    #[test]
    fn a_text_its_digest_and_a_file_are_the_same_secret() {
        let mut secrets = Secrets::default();
        secrets.mount("pass", Ok("abc\r\n".to_owned()));
        secrets.mount("empty", Ok("\n".to_owned()));
        secrets.mount("gone", Err("no such file".to_owned()));
        let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in ["abc", digest, "file:pass"] {
            let secret = read(&secrets, json!(text)).unwrap();
            assert!(secret.is(b"abc"), "{text}");
            for wrong in [&b"ab"[..], b"abcd", b"Abc", b"", digest.as_bytes()] {
                assert!(!secret.is(wrong), "{text} {wrong:?}");
            }
            assert_eq!(format!("{secret:?}"), "(secret)");
        }
        for (wrong, part) in [
            (json!(""), "at least one"),
            (json!(7), "expected a text"),
            (json!("sha256:ba78"), "64 hex digits"),
            (json!("file:other"), "there is no file other"),
            (json!("file:gone"), "no such file"),
            (json!("file:empty"), "empty"),
        ] {
            let message = read(&secrets, wrong).unwrap_err();
            assert!(message.contains(part), "{message}");
            assert!(message.starts_with("/secret"), "{message}");
        }
    }

    #[test]
    fn files_are_found_wherever_a_secret_stands() {
        let document = json!({
            "devices": {"a": {"secret": "file:a"}, "b": {"secret": "plain"}},
            "protocols": {"p": {"session": {"login": {"secret": "file:p"}}}, "q": {"x": [{"secret": "file:q"}]}},
            "identity": {"secret": "password", "file": "file:no"}
        });
        assert_eq!(Secrets::files_named(&document), ["a", "p", "q"]);
    }
}

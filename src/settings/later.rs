//! Words of the language that a later version will know. They are refused by name: a setting that
//! is read and does nothing would be worse than one that is refused.

use crate::document::{Problems, Section};

/// Members of the settings.
pub const SETTINGS: &[&str] = &["deviceFile"];
/// Members of a listener.
pub const LISTENER: &[&str] = &["tls", "proxy"];
/// Members of an entry of `outbound`.
pub const OUTBOUND: &[&str] = &["tls"];
/// Members of a protocol.
pub const PROTOCOL: &[&str] = &[];
/// Members of a protocol's session.
pub const SESSION: &[&str] = &[];
/// Where an identity is from.
pub const IDENTITIES: &[&str] = &["certificate", "proxy"];
/// What a full spool does.
pub const WHEN_FULL: &[&str] = &["dropNewest"];

/// Refuses members of a section; gives those that were there, which must not be read then.
pub fn members(
    section: &Section<'_>,
    later: &[&'static str],
    problems: &mut Problems,
) -> Vec<&'static str> {
    let found = later
        .iter()
        .copied()
        .filter(|name| section.member(name).is_some());
    let found: Vec<_> = found.collect();
    for name in &found {
        problems.member(
            section,
            name,
            format!("\"{name}\" is not available in this version"),
        );
    }
    found
}

/// Refuses a word as the value of a member; says whether it stood there.
pub fn word(section: &Section<'_>, member: &str, later: &[&str], problems: &mut Problems) -> bool {
    let value = section.member(member);
    let Some(found) = value.as_ref().and_then(|value| value.value.as_str()) else {
        return false;
    };
    let refused = later.contains(&found);
    if refused {
        let message = format!("{member} \"{found}\" is not available in this version");
        problems.member(section, member, message);
    }
    refused
}

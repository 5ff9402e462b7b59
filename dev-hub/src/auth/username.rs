//! The user name of CONNECT, read by edgeHub's rules, its traps included.
//!
//! Whatever is wrong here makes edgeHub answer CONNACK 3 (server unavailable), never 4 or 5.

use percent_encoding::percent_decode_str;

use crate::identities::IdentityId;

/// The last three segments of a form that only an early Azure ML client sent.
const LEGACY_TAIL: [&str; 3] = [
    "api-version=2017-06-30",
    "DeviceClientType=Microsoft.Azure.Devices.Client",
    "1.5.1-preview-003",
];

/// What a user name says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Username {
    /// Who it is; the host in front is ignored by edgeHub.
    pub(crate) id: IdentityId,
    /// `DeviceClientType`, unescaped.
    pub(crate) client_type: Option<String>,
    /// `model-id`, unescaped.
    pub(crate) model_id: Option<String>,
}

/// Why a user name cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsernameError {
    #[error("it is empty")]
    Empty,
    #[error(
        "it has {0} segments where host/device/?query or host/device/module/?query was expected"
    )]
    Segments(usize),
    #[error("the device or module id is blank")]
    BlankId,
    #[error("the query has no api-version")]
    NoApiVersion,
}

/// Reads a user name.
pub(crate) fn parse(text: &str) -> Result<Username, UsernameError> {
    if text.is_empty() {
        return Err(UsernameError::Empty);
    }
    let segments: Vec<&str> = text.split('/').collect();
    let (device, module, query) = split(&segments)?;
    let id = match module {
        Some(module) => IdentityId::module(not_blank(device)?, not_blank(module)?),
        None => IdentityId::device(not_blank(device)?),
    };
    let query = query.strip_prefix('?').unwrap_or(query);
    let version = value(query, "api-version");
    if version.is_none_or(|version| version.trim().is_empty()) {
        return Err(UsernameError::NoApiVersion);
    }
    let client_type = value(query, "DeviceClientType");
    Ok(Username {
        id,
        client_type,
        model_id: value(query, "model-id"),
    })
}

type Parts<'a> = (&'a str, Option<&'a str>, &'a str);

fn split<'a>(segments: &[&'a str]) -> Result<Parts<'a>, UsernameError> {
    match *segments {
        [_, device, query] if query.starts_with('?') => Ok((device, None, query)),
        [_, device, module, query] if query.starts_with('?') => Ok((device, Some(module), query)),
        [.., last] if last.starts_with('?') => Err(UsernameError::Segments(segments.len())),
        // `host/device/module?api-version=…` lands here too: edgeHub takes `device` for the
        // whole identity and then finds no api-version, because its key is `module?api-version`.
        [_, device, query] if query.contains("api-version=") => Ok((device, None, query)),
        [_, device, module, query] if query.contains("api-version=") => {
            Ok((device, Some(module), query))
        }
        [_, device, module, ref tail @ ..] if tail == LEGACY_TAIL => {
            Ok((device, Some(module), LEGACY_TAIL[0]))
        }
        _ => Err(UsernameError::Segments(segments.len())),
    }
}

fn not_blank(id: &str) -> Result<&str, UsernameError> {
    match id.trim() {
        "" => Err(UsernameError::BlankId),
        id => Ok(id),
    }
}

/// The value of the first such key; keys keep their case.
fn value(query: &str, name: &str) -> Option<String> {
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, UsernameError>) {
        let found = parse(text).map(|username| username.id.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn forms_that_edge_hub_reads() {
        check("hub/dev/mod/?api-version=2021-04-12", Ok("dev/mod"));
        check("hub/dev/?api-version=2021-04-12", Ok("dev"));
        check("whatever/dev/api-version=2018-06-30", Ok("dev"));
        check(
            "hub/dev/mod/api-version=2018-06-30&DeviceClientType=x",
            Ok("dev/mod"),
        );
        check("hub/ dev /?DeviceClientType=a&api-version=1", Ok("dev"));
        check(
            "hub/dev/mod/api-version=2017-06-30/DeviceClientType=Microsoft.Azure.Devices.Client/1.5.1-preview-003",
            Ok("dev/mod"),
        );
    }

    #[test]
    fn forms_that_edge_hub_refuses() {
        check("", Err(UsernameError::Empty));
        check("hub/dev", Err(UsernameError::Segments(2)));
        check("hub/dev/mod", Err(UsernameError::Segments(3)));
        check(
            "hub/dev/mod/x/?api-version=1",
            Err(UsernameError::Segments(5)),
        );
        check(
            "hub/dev/mod/?api-version=1&DeviceClientType=py/1",
            Err(UsernameError::Segments(5)),
        );
        check("hub//?api-version=1", Err(UsernameError::BlankId));
        check("hub/dev/ /?api-version=1", Err(UsernameError::BlankId));
        check("hub/dev/?api-version=", Err(UsernameError::NoApiVersion));
        check("hub/dev/?api-version=%20", Err(UsernameError::NoApiVersion));
        check("hub/dev/?API-VERSION=1", Err(UsernameError::NoApiVersion));
        check(
            "hub/dev/?api-version=&api-version=1",
            Err(UsernameError::NoApiVersion),
        );
    }

    #[test]
    fn without_the_slash_the_module_is_lost_and_the_version_with_it() {
        check(
            "hub/dev/mod?api-version=2021-04-12",
            Err(UsernameError::NoApiVersion),
        );
    }

    #[test]
    fn the_query_is_unescaped() {
        let username = parse(
            "hub/dev/mod/?api-version=1&DeviceClientType=py%2F1%20x%2By&model-id=dtmi%3Aa%3B1",
        );
        let username = username.unwrap();
        assert_eq!(username.client_type.as_deref(), Some("py/1 x+y"));
        assert_eq!(username.model_id.as_deref(), Some("dtmi:a;1"));
    }
}

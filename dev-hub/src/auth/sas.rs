//! Shared access signatures, read and checked as strictly as edgeHub does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode;

use crate::identities::{Identities, Identity, IdentityId};

/// How long after its end a token is still taken.
const CLOCK_SKEW_SECONDS: i64 = 5 * 60;

/// A token as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What was signed: `sr` exactly as sent, a line feed, `se`.
    signed: String,
    signature: Vec<u8>,
    audience: Audience,
    /// Unix seconds at which it ends.
    pub(crate) expiry: i64,
}

/// `host/devices/{device}[/modules/{module}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Audience {
    host: String,
    id: IdentityId,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SasError {
    #[error("it is not \"SharedAccessSignature sr=…&sig=…&se=…\"")]
    Form,
    #[error("its audience is not host/devices/…")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("nobody is known by that id")]
    UnknownIdentity,
    #[error("it was signed with another key, or for another identity or host")]
    Mismatch,
}

/// Reads a token.
pub(crate) fn parse(text: &str) -> Result<Token, SasError> {
    let words: Vec<&str> = text.split(char::is_whitespace).collect();
    let ["SharedAccessSignature", fields] = *words else {
        return Err(SasError::Form);
    };
    let resource = field(fields, "sr")?;
    let expiry = field(fields, "se")?;
    // An unescaped `+` becomes a space and an unescaped `=` ends the value: both spoil the digest.
    let digest = url_decode(field(fields, "sig")?);
    Ok(Token {
        signed: format!("{resource}\n{expiry}"),
        signature: STANDARD.decode(digest).map_err(|_| SasError::Mismatch)?,
        audience: audience(&url_decode(resource))?,
        expiry: url_decode(expiry).parse().map_err(|_| SasError::Form)?,
    })
}

/// The hosts that a token may name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hosts<'a> {
    pub(crate) iot_hub: &'a str,
    pub(crate) edge: &'a str,
}

/// Checks that a token lets `id` in at `now` (Unix seconds).
///
/// Keys of the identity are tried first, then those of its device, as edgeHub does.
pub(crate) fn check(
    token: &Token,
    id: &IdentityId,
    identities: &Identities,
    hosts: Hosts<'_>,
    now: i64,
) -> Result<(), SasError> {
    if expired(token, now) {
        return Err(SasError::Expired);
    }
    let identity = identities.find(id).ok_or(SasError::UnknownIdentity)?;
    let host = &token.audience.host;
    if !host.eq_ignore_ascii_case(hosts.iot_hub) && !host.eq_ignore_ascii_case(hosts.edge) {
        return Err(SasError::Mismatch);
    }
    let own = token.audience.id.same_without_case(id) && signed_by(token, identity);
    if own || signed_by_device(token, id, identities) {
        Ok(())
    } else {
        Err(SasError::Mismatch)
    }
}

/// Whether the token has ended, the tolerated skew of clocks included.
pub(crate) fn expired(token: &Token, now: i64) -> bool {
    token.expiry.saturating_add(CLOCK_SKEW_SECONDS) < now
}

fn signed_by_device(token: &Token, id: &IdentityId, identities: &Identities) -> bool {
    if id.module.is_none() {
        return false;
    }
    let device = IdentityId::device(&id.device);
    let named = &token.audience.id;
    let for_it = named.same_without_case(&device) || named.same_without_case(id);
    for_it
        && identities
            .find(&device)
            .is_some_and(|device| signed_by(token, device))
}

fn signed_by(token: &Token, identity: &Identity) -> bool {
    let mut keys = [&identity.primary, &identity.secondary].into_iter();
    keys.any(|key| key.verify(token.signed.as_bytes(), &token.signature))
}

/// The text of a field; names without case, what stands behind a second `=` is lost.
fn field<'a>(fields: &'a str, name: &str) -> Result<&'a str, SasError> {
    let pairs = fields.split('&').map(|field| {
        let mut parts = field.split('=');
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
    });
    let found = pairs
        .into_iter()
        .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty());
    found.map(|(_, value)| value).ok_or(SasError::Form)
}

/// edgeHub unescapes the field, then the whole audience once more, then each id: so ids that
/// were escaped before the whole was are understood as well as ids that were not.
fn audience(decoded_once: &str) -> Result<Audience, SasError> {
    let decoded = url_decode(decoded_once);
    let parts: Vec<&str> = decoded.split('/').collect();
    let id = match *parts {
        [_, "devices", device] => IdentityId::device(&url_decode(device)),
        [_, "devices", device, "modules", module] => {
            IdentityId::module(&url_decode(device), &url_decode(module))
        }
        _ => return Err(SasError::Audience),
    };
    let host = parts.first().copied().unwrap_or_default().to_owned();
    Ok(Audience { host, id })
}

/// .NET's `UrlDecode`: `+` is a space.
fn url_decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes())
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::Key;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    const NOW: i64 = 1_800_000_000;
    const HOSTS: Hosts<'_> = Hosts {
        iot_hub: "contoso.azure-devices.net",
        edge: "gw.local",
    };

    fn identities() -> Identities {
        Identities::generate(
            "edge",
            &["gateway".into(), "other".into()],
            &["leaf".into()],
        )
        .unwrap()
    }

    fn encode(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn token(key: &Key, audience: &str, expiry: i64) -> String {
        let resource = encode(audience);
        let digest = STANDARD.encode(key.sign(format!("{resource}\n{expiry}").as_bytes()));
        format!(
            "SharedAccessSignature sr={resource}&sig={}&se={expiry}",
            encode(&digest)
        )
    }

    fn verdict(identities: &Identities, name: &str, text: &str) -> Result<(), SasError> {
        let id = identities.resolve(name).unwrap().id.clone();
        parse(text).and_then(|token| check(&token, &id, identities, HOSTS, NOW))
    }

    #[test]
    fn who_is_let_in() {
        let all = identities();
        let gateway = all.resolve("gateway").unwrap();
        let edge = all.resolve("edge").unwrap();
        let other = all.resolve("other").unwrap();
        let leaf = all.resolve("leaf").unwrap();
        let hub = "contoso.azure-devices.net/devices/edge/modules/gateway";
        type Row<'a> = (&'a str, &'a Key, &'a str, i64, Result<(), SasError>);
        let rows: [Row<'_>; 14] = [
            ("gateway", &gateway.primary, hub, 0, Ok(())),
            ("gateway", &gateway.secondary, hub, 0, Ok(())),
            (
                "gateway",
                &gateway.primary,
                "GW.local/devices/edge/modules/gateway",
                0,
                Ok(()),
            ),
            (
                "gateway",
                &gateway.primary,
                "CONTOSO.azure-devices.net/devices/EDGE/modules/Gateway",
                0,
                Ok(()),
            ),
            ("gateway", &gateway.primary, hub, -300, Ok(())),
            (
                "gateway",
                &gateway.primary,
                hub,
                -301,
                Err(SasError::Expired),
            ),
            (
                "gateway",
                &edge.primary,
                "contoso.azure-devices.net/devices/edge",
                0,
                Ok(()),
            ),
            ("gateway", &edge.primary, hub, 0, Ok(())),
            (
                "gateway",
                &gateway.primary,
                "contoso.azure-devices.net/devices/edge",
                0,
                Err(SasError::Mismatch),
            ),
            ("gateway", &other.primary, hub, 0, Err(SasError::Mismatch)),
            (
                "gateway",
                &gateway.primary,
                "elsewhere.net/devices/edge/modules/gateway",
                0,
                Err(SasError::Mismatch),
            ),
            (
                "gateway",
                &gateway.primary,
                "contoso.azure-devices.net/edge/gateway",
                0,
                Err(SasError::Audience),
            ),
            (
                "leaf",
                &leaf.primary,
                "contoso.azure-devices.net/devices/leaf",
                0,
                Ok(()),
            ),
            (
                "leaf",
                &edge.primary,
                "contoso.azure-devices.net/devices/edge",
                0,
                Err(SasError::Mismatch),
            ),
        ];
        for (name, key, audience, ends, expected) in rows {
            let text = token(key, audience, NOW + ends);
            assert_eq!(
                verdict(&all, name, &text),
                expected,
                "{name} {audience} {ends}"
            );
        }
    }

    #[test]
    fn the_form_is_strict() {
        let all = identities();
        let key = &all.resolve("gateway").unwrap().primary;
        let good = token(
            key,
            "contoso.azure-devices.net/devices/edge/modules/gateway",
            NOW,
        );
        let bare = percent_decode(good.as_bytes())
            .decode_utf8_lossy()
            .into_owned();
        let doubly = token(
            key,
            "contoso.azure-devices.net%2Fdevices%2Fedge%2Fmodules%2Fgateway",
            NOW,
        );
        let fields = good.trim_start_matches("SharedAccessSignature ").to_owned();
        let turned: Vec<&str> = fields.rsplit('&').collect();
        let rows = [
            (good.clone(), Ok(())),
            (doubly, Ok(())),
            (
                format!("SharedAccessSignature {}", turned.join("&")),
                Ok(()),
            ),
            (good.replace("sr=", "SR="), Ok(())),
            (
                good.replace("Signature ", "Signature  "),
                Err(SasError::Form),
            ),
            (good.replace("Shared", "shared"), Err(SasError::Form)),
            (good.replace("&se=", "&ends="), Err(SasError::Form)),
            (format!("{good}x"), Err(SasError::Form)),
            // the padding of an unescaped digest is lost
            (bare, Err(SasError::Mismatch)),
        ];
        for (text, expected) in rows {
            assert_eq!(verdict(&all, "gateway", &text), expected, "{text}");
        }
    }
}

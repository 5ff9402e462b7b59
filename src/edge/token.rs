//! Shared access signatures: what a module shows edgeHub as its password.
//!
//! A signature is made of the resource, the moment it expires and an HMAC-SHA256 over both, by
//! the key of the module's identity: in the runtime's keeping, or our own in development.

use std::time::Duration;

use base64::Engine as _;
use percent_encoding::utf8_percent_encode;

use super::environment::Identity;
use super::secret::Secret;
use super::topics::ESCAPED;

/// How long a token is good for. edgeHub grants five minutes more.
pub const LIFETIME: Duration = Duration::from_secs(3600);

/// A token that still lacks its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    resource: String,
    expires: u64,
}

impl Unsigned {
    /// A token for a module's own identity, good for [`LIFETIME`] from `unix_seconds` on (UTC).
    pub fn new(identity: &Identity, unix_seconds: i64) -> Self {
        let now = u64::try_from(unix_seconds).unwrap_or(0);
        Self {
            resource: resource(identity),
            expires: now.saturating_add(LIFETIME.as_secs()),
        }
    }

    /// The bytes that the module's key signs: the resource as it stands in the token, and the expiry.
    pub fn to_sign(&self) -> Vec<u8> {
        format!("{}\n{}", self.resource, self.expires).into_bytes()
    }

    /// The token, with the HMAC-SHA256 of [`to_sign`](Self::to_sign).
    pub fn with_digest(&self, digest: &[u8]) -> Secret {
        let digest = base64::engine::general_purpose::STANDARD.encode(digest);
        let token = format!(
            "SharedAccessSignature sr={}&sig={}&se={}",
            self.resource,
            utf8_percent_encode(&digest, ESCAPED),
            self.expires
        );
        Secret::new(token.into_bytes())
    }

    /// The token, signed here with a key of our own.
    pub fn with_key(&self, key: &Secret) -> Secret {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.expose());
        self.with_digest(ring::hmac::sign(&key, &self.to_sign()).as_ref())
    }
}

/// Ids are encoded before the whole is: edgeHub decodes twice, and ids of plain letters stay the same.
fn resource(identity: &Identity) -> String {
    let plain = format!(
        "{}/devices/{}/modules/{}",
        identity.iot_hub,
        utf8_percent_encode(&identity.device_id, ESCAPED),
        utf8_percent_encode(&identity.module_id, ESCAPED)
    );
    utf8_percent_encode(&plain, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::environment::{Credentials, Gateway};

    fn identity(device_id: &str) -> Identity {
        Identity {
            iot_hub: "contoso.azure-devices.net".to_owned(),
            device_id: device_id.to_owned(),
            module_id: "tcpgw".to_owned(),
            gateway: Gateway {
                host: "edge".to_owned(),
                port: 8883,
            },
            credentials: Credentials::SharedKey {
                key: Secret::new(*b"key"),
                ca_file: "ca.pem".into(),
            },
        }
    }

    fn text(secret: &Secret) -> String {
        String::from_utf8(secret.expose().to_vec()).unwrap()
    }

    #[test]
    fn signs_the_encoded_resource_and_the_expiry() {
        let token = Unsigned::new(&identity("dev-1"), 1_700_000_000);
        assert_eq!(
            String::from_utf8(token.to_sign()).unwrap(),
            "contoso.azure-devices.net%2Fdevices%2Fdev-1%2Fmodules%2Ftcpgw\n1700003600"
        );
    }

    #[test]
    fn encodes_the_digest_so_that_no_raw_equals_sign_is_left() {
        let token = Unsigned::new(&identity("dev-1"), 1_700_000_000);
        assert_eq!(
            text(&token.with_digest(&[0xfb, 0xff, 0xfe, 0x01])),
            "SharedAccessSignature sr=contoso.azure-devices.net%2Fdevices%2Fdev-1%2Fmodules%2Ftcpgw\
             &sig=%2B%2F%2F%2BAQ%3D%3D&se=1700003600"
        );
    }

    /// The digest was computed with Python's hmac module over the same bytes.
    #[test]
    fn a_key_of_our_own_signs_like_everyone_elses() {
        let token = Unsigned::new(&identity("dev-1"), 1_700_000_000);
        let signed = text(&token.with_key(&Secret::new(*b"key1")));
        assert!(
            signed.contains("&sig=WSv%2Ft5s4NNJWiT1m%2FRIY4rLnBRVrNi3qqty11X7VjSE%3D&"),
            "{signed}"
        );
    }

    #[test]
    fn odd_ids_are_encoded_twice() {
        let token = Unsigned::new(&identity("a b"), 0);
        let sign = String::from_utf8(token.to_sign()).unwrap();
        assert!(sign.contains("%2Fdevices%2Fa%2520b%2F"), "{sign}");
    }

    #[test]
    fn a_clock_before_1970_is_no_trouble() {
        let token = Unsigned::new(&identity("d"), -5);
        assert!(text(&token.with_digest(&[])).ends_with("&se=3600"));
    }
}

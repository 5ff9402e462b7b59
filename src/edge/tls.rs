//! The client's side of TLS to edgeHub: roots from the trust bundle alone.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// The trust bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in it that could be an anchor.
    #[error("the trusted certificates hold no usable PEM certificate")]
    NoCertificate,
    /// The cryptography refused its parameters.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    /// The gateway host is neither a DNS name nor an IP address.
    #[error("the gateway host `{host}` is neither a host name nor an IP address")]
    Host {
        /// What it says.
        host: String,
        /// Why it is none.
        source: InvalidDnsNameError,
    },
}

/// A configuration that trusts every certificate of a PEM bundle and no other, at the time that
/// `clock` tells.
///
/// # Errors
/// When the bundle holds no usable certificate.
pub fn client_config(
    pem: &[u8],
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem).flatten();
    let (added, _unusable) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(TlsError::NoCertificate);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, clock)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The name that the certificate must bear and that SNI says; an IP address needs an IP SAN.
///
/// # Errors
/// When the host is neither a DNS name nor an IP address.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(host.to_owned()).map_err(|source| TlsError::Host {
        host: host.to_owned(),
        source,
    })
}

/// What an operator can do about a failed handshake; `None` when only the network can be blamed.
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(reason) = inner else {
        return Some("edgeHub and this module could not agree on TLS");
    };
    Some(match reason {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "edgeHub's certificate is not yet valid: is this machine's clock behind?"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "edgeHub's certificate has expired, or this machine's clock is ahead"
        }
        CertificateError::UnknownIssuer => {
            "edgeHub's certificate is not from an issuer in the trust bundle; the bundle is read again"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "edgeHub's certificate does not bear the gateway host name"
        }
        _ => "edgeHub's certificate is not acceptable",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_is_refused() {
        for pem in [
            "",
            "not PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let clock = Arc::new(rustls::time_provider::DefaultTimeProvider);
            assert!(client_config(pem.as_bytes(), clock).is_err(), "{pem}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_is_named() {
        let error = io::Error::other(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet,
        ));
        assert!(remedy(&error).unwrap().contains("clock"));
        assert_eq!(
            remedy(&io::Error::from(io::ErrorKind::ConnectionReset)),
            None
        );
    }

    #[test]
    fn names_and_addresses_are_server_names() {
        assert!(matches!(
            server_name("edge-1").unwrap(),
            ServerName::DnsName(_)
        ));
        assert!(matches!(
            server_name("10.0.0.1").unwrap(),
            ServerName::IpAddress(_)
        ));
        assert!(server_name("a b").is_err());
    }
}

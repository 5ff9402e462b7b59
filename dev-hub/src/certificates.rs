//! The certificates of a run: a root, the edge's own authority under it, and edgeHub's.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::HubError;

/// What clients trust, and what the server shows.
#[derive(Clone)]
pub(crate) struct Certificates {
    /// All certificates a client should trust, one after the other. The first is of no use, as
    /// in a device whose root is being replaced: all of them are anchors.
    pub(crate) trust_bundle: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Certificates {
    /// Makes fresh certificates for a server that is called by these names and addresses.
    pub(crate) fn generate(names: &[String], address: IpAddr) -> Result<Self, HubError> {
        let unrelated = authority("dev-hub earlier root")?;
        let unrelated = CertifiedIssuer::self_signed(unrelated, KeyPair::generate()?)?;
        let root = authority("dev-hub root")?;
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
        let edge = authority("dev-hub edge authority")?;
        let edge = CertifiedIssuer::signed_by(edge, KeyPair::generate()?, &root)?;
        let key = KeyPair::generate()?;
        let leaf = server(names, address)?.signed_by(&key, &edge)?;
        let chain = vec![leaf.der().clone(), edge.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| HubError::Tls(rustls::Error::General(error.into())))?;
        Ok(Certificates {
            trust_bundle: format!("{}{}", unrelated.pem(), root.pem()),
            server: Arc::new(server_config(chain, key)?),
        })
    }
}

fn authority(name: &str) -> Result<CertificateParams, HubError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn server(names: &[String], address: IpAddr) -> Result<CertificateParams, HubError> {
    let mut all = vec![address.to_string(), "edgehub".to_owned()];
    all.extend(
        names
            .iter()
            .filter(|name| **name != address.to_string())
            .cloned(),
    );
    let mut params = CertificateParams::new(all)?;
    let name = names
        .first()
        .cloned()
        .unwrap_or_else(|| address.to_string());
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, HubError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

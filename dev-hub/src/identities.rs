//! Who may connect: the edge device, its modules, its leaf devices, and their keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::error::HubError;

/// Id of a module or of a device, as edgeHub keys it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentityId {
    /// Device id; for a module that of its edge device.
    pub device: Arc<str>,
    /// Module id; none for a device.
    pub module: Option<Arc<str>>,
}

impl IdentityId {
    pub(crate) fn module(device: &str, module: &str) -> Self {
        IdentityId {
            device: device.into(),
            module: Some(module.into()),
        }
    }

    pub(crate) fn device(device: &str) -> Self {
        IdentityId {
            device: device.into(),
            module: None,
        }
    }

    /// Whether both name the same identity; edgeHub compares the ids of a token without case.
    pub(crate) fn same_without_case(&self, other: &IdentityId) -> bool {
        let modules = match (&self.module, &other.module) {
            (Some(one), Some(two)) => one.eq_ignore_ascii_case(two),
            (None, None) => true,
            _ => false,
        };
        modules && self.device.eq_ignore_ascii_case(&other.device)
    }
}

impl fmt::Display for IdentityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{}/{module}", self.device),
            None => f.write_str(&self.device),
        }
    }
}

/// A symmetric key; its `Debug` prints nothing of it.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn generate() -> Result<Self, HubError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| HubError::Randomness(error.to_string()))?;
        Ok(Key(bytes))
    }

    pub(crate) fn sign(&self, data: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), data)
    }

    pub(crate) fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), data, signature).is_ok()
    }

    pub(crate) fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// One identity with its keys.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: IdentityId,
    pub(crate) primary: Key,
    pub(crate) secondary: Key,
    /// The workload API asks for it in the path of `sign`.
    pub(crate) generation: String,
}

impl Identity {
    fn generate(id: IdentityId) -> Result<Self, HubError> {
        let generation = format!("{:018}", fastrand::u64(1..1_000_000_000_000_000_000));
        Ok(Identity {
            id,
            primary: Key::generate()?,
            secondary: Key::generate()?,
            generation,
        })
    }
}

/// All identities; fixed while the stand-in lives.
#[derive(Debug)]
pub(crate) struct Identities {
    edge_device: Arc<str>,
    known: BTreeMap<IdentityId, Identity>,
}

impl Identities {
    /// Makes keys for everyone. Names must differ, because tests call modules and leaf devices by name alone.
    pub(crate) fn generate(
        edge_device: &str,
        modules: &[String],
        leaf_devices: &[String],
    ) -> Result<Self, HubError> {
        let edge = [IdentityId::device(edge_device)];
        let modules = modules
            .iter()
            .map(|name| IdentityId::module(edge_device, name));
        let leaves = leaf_devices.iter().map(|name| IdentityId::device(name));
        let mut identities = Identities {
            edge_device: edge_device.into(),
            known: BTreeMap::new(),
        };
        for id in edge.into_iter().chain(modules).chain(leaves) {
            let name = id.module.clone().unwrap_or_else(|| id.device.clone());
            if identities.resolve(&name).is_ok() {
                return Err(HubError::NameTwice(name.to_string()));
            }
            identities.known.insert(id.clone(), Identity::generate(id)?);
        }
        Ok(identities)
    }

    pub(crate) fn edge_device(&self) -> &str {
        &self.edge_device
    }

    pub(crate) fn find(&self, id: &IdentityId) -> Option<&Identity> {
        self.known.get(id)
    }

    /// A module of the edge device, or a device, by its name alone.
    pub(crate) fn resolve(&self, name: &str) -> Result<&Identity, HubError> {
        let module = self.find(&IdentityId::module(&self.edge_device, name));
        let device = || self.find(&IdentityId::device(name));
        module
            .or_else(device)
            .ok_or_else(|| HubError::UnknownIdentity(name.to_owned()))
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = &Identity> {
        self.known
            .values()
            .filter(|identity| identity.id.module.is_some())
    }

    pub(crate) fn leaf_devices(&self) -> impl Iterator<Item = &Identity> {
        let edge = self.edge_device.clone();
        self.known
            .values()
            .filter(move |identity| identity.id.module.is_none() && identity.id.device != edge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_module_of_the_edge_device_or_a_device() {
        let identities =
            Identities::generate("edge", &["gateway".into()], &["leaf".into()]).unwrap();
        assert_eq!(
            identities.resolve("gateway").unwrap().id.to_string(),
            "edge/gateway"
        );
        assert_eq!(identities.resolve("leaf").unwrap().id.to_string(), "leaf");
        assert!(
            identities.resolve("Gateway").is_err(),
            "ids keep their case"
        );
        assert_eq!(identities.leaf_devices().count(), 1);
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let twice = Identities::generate("edge", &["a".into()], &["a".into()]);
        assert!(matches!(twice, Err(HubError::NameTwice(name)) if name == "a"));
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", Key([7; 32])), "Key(…)");
    }
}

//! Client of the IoT Edge runtime: who the module is, its credentials, edgeHub's topics, the twin.
//!
//! It imports the package `mqtt` and libraries only, so that it can become a crate of its own.
//!
//! | part | what it is |
//! |---|---|
//! | [`environment`] | the module's [`Identity`], out of the variables that the runtime sets |
//! | [`workload`] | the workload API: signing, the trust bundle |
//! | [`token`] | shared access signatures |
//! | [`tls`] | the client's side of TLS, rooted in the trust bundle alone |
//! | [`topics`] | edgeHub's topics and property bags, written and read |
//! | [`twin`], [`reported`] | the desired document, kept exact; the reported properties, in order |

pub mod environment;
pub mod reported;
pub mod secret;
pub mod tls;
pub mod token;
pub mod topics;
pub mod twin;
pub mod workload;

pub use environment::{Credentials, EnvironmentError, Gateway, Identity, WorkloadAddress};
pub use secret::Secret;
pub use twin::Desired;

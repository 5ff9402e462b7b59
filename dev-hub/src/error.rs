//! What can go wrong while the stand-in is set up or asked for something.

use std::time::Duration;

/// The stand-in could not be built, started, or do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No module of the edge device and no device has that name.
    #[error("no module or device is named \"{0}\"")]
    UnknownIdentity(String),
    /// Modules and devices are called by name alone, so names must differ.
    #[error("the name \"{0}\" is given twice")]
    NameTwice(String),
    /// A route is wrong, or uses what the stand-in does not know.
    #[error("route \"{name}\": {source}")]
    Route {
        /// Name of the route.
        name: String,
        /// What is wrong with it.
        source: crate::routes::RouteError,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness: {0}")]
    Randomness(String),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused the stand-in's own certificate.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A socket or file could not be opened.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Desired properties are an object.
    #[error("desired properties are a JSON object")]
    NotAnObject,
    /// The stand-in has ended.
    #[error("the stand-in has ended")]
    Ended,
}

impl HubError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| HubError::Io { what, source }
    }
}

/// What was waited for did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("not within {within:?}: {what}")]
pub struct TimedOut {
    /// How long it was waited.
    pub within: Duration,
    /// What was waited for, and how far it came.
    pub what: String,
}

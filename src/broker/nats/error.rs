//! Errors of the settings of NATS.

use std::path::PathBuf;

use crate::{
    config::{ConfigError, ServerUrl},
    subject::BadSubject,
};

/// Why connecting cannot even begin, or has not come about.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A text that is not a server address.
    #[error("broker.nats.urls: `{url}` is no server address, write it as nats://host:4222: {problem}")]
    Url {
        /// The address.
        url: ServerUrl,
        /// The problem.
        problem: String,
    },
    /// The file of a secret cannot be read.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// The credentials file cannot be used.
    #[error("broker.nats.credentials_file: {}: {source}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The problem.
        source: std::io::Error,
    },
    /// The text is not a nkey seed.
    #[error("broker.nats.nkey: it is no seed of a user (`SU..`): {0}")]
    Seed(nkeys::error::Error),
    /// A file with certificates or keys cannot be used.
    #[error("broker.nats.tls: {}: {problem}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The prefix of reply subjects, or of a stream, is not a subject.
    #[error("broker.nats.inbox_prefix, or a stream's republish_prefix: the subject {0}")]
    Subject(BadSubject),
    /// The client refuses the settings.
    #[error("broker.nats: {0}")]
    Settings(#[from] async_nats::ConnectError),
    /// No server takes this client in.
    #[error("cannot connect to {urls}: {problem}; {remedy}")]
    Away {
        /// The servers.
        urls: String,
        /// The problem.
        problem: String,
        /// The remedy.
        remedy: &'static str,
    },
}

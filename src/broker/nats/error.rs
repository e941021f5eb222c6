//! Why there is no connecting to NATS.

use std::path::PathBuf;

use crate::{
    config::{ConfigError, ServerUrl},
    subject::BadSubject,
};

/// Why connecting cannot even begin, or has not come about.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A server address that is none.
    #[error("broker.nats.urls: `{url}` is no server address, write it as nats://host:4222: {problem}")]
    Url {
        /// The address.
        url: ServerUrl,
        /// What is wrong.
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
        /// What is wrong.
        source: std::io::Error,
    },
    /// The nkey is none.
    #[error("broker.nats.nkey: it is no seed of a user (`SU..`): {0}")]
    Seed(nkeys::error::Error),
    /// A file with certificates or keys cannot be used.
    #[error("broker.nats.tls: {}: {problem}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The prefix of reply subjects, or of a stream, is none.
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
        /// What is wrong.
        problem: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

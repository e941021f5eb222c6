//! Errors of a configuration.

use std::path::PathBuf;

/// Errors of a configuration. Every message names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The text is not TOML, or a value has the wrong type.
    #[error("{origin}: {problem}")]
    Parse {
        /// The file or variable.
        origin: String,
        /// The problem, and its place.
        problem: String,
    },
    /// There is no such key.
    #[error("{origin}: unknown key `{key}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownKey {
        /// The file or variable.
        origin: String,
        /// The key, with its tables.
        key: String,
        /// The known key that resembles it most.
        nearest: Option<String>,
    },
    /// An invalid value, or values that contradict each other.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// The problem and the remedy.
        problem: String,
    },
}

//! Why a configuration does not hold.

use std::path::PathBuf;

/// Why a configuration does not hold. Every message names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is no TOML, or a value has the wrong type.
    #[error("{origin}: {problem}")]
    Parse {
        /// The file or variable.
        origin: String,
        /// What is wrong, and where.
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
    /// A value that cannot be, or several that cannot be together.
    #[error("{key}: {problem}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
}

//! The files that hold a configuration, or a secret of it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::config::{error::ConfigError, nats::Nats, settings::Config, units::Secret};

/// Largest configuration or secret file, bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// Reads a configuration or a secret. Both are small, so the size is bounded: a
/// device file would never end. A byte order mark in front is dropped.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES} bytes")));
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The path for messages. A relative path begins in the working directory, not
/// in the folder of the configuration file.
fn located(path: &Path) -> String {
    let here = if path.is_relative() { std::env::current_dir().ok() } else { None };
    match here {
        Some(here) => format!("{} (in the working directory {})", path.display(), here.display()),
        None => path.display().to_string(),
    }
}

/// Replaces each `.._file` of a secret by the content of the file.
pub(crate) fn read_secrets(config: &mut Config) -> Result<(), ConfigError> {
    for (key, secret, file) in secrets_of_nats(&mut config.broker.nats) {
        read_secret(&format!("broker.nats.{key}"), secret, file)?;
    }
    let server = &mut config.server;
    read_secret("server.internal_token", &mut server.internal_token, server.internal_token_file.as_deref())?;
    for issuer in &mut config.auth.issuers {
        let key = issuer.key("secret");
        read_secret(&key, &mut issuer.secret, issuer.secret_file.as_deref())?;
    }
    Ok(())
}

/// The secrets of NATS that may stand in files of their own, by key.
fn secrets_of_nats(nats: &mut Nats) -> [(&'static str, &mut Option<Secret>, Option<&Path>); 3] {
    [
        ("password", &mut nats.password, nats.password_file.as_deref()),
        ("token", &mut nats.token, nats.token_file.as_deref()),
        ("nkey", &mut nats.nkey, nats.nkey_file.as_deref()),
    ]
}

impl Nats {
    /// Whether credentials are in a file, which may be replaced.
    pub(crate) fn has_secret_files(&self) -> bool {
        let files = [&self.password_file, &self.token_file, &self.nkey_file, &self.credentials_file];
        files.into_iter().any(Option::is_some)
    }

    /// Reads the secret files again.
    ///
    /// # Errors
    /// Names the key and the file.
    pub(crate) fn read_secrets_again(&mut self) -> Result<(), ConfigError> {
        for (key, secret, file) in secrets_of_nats(self) {
            if file.is_some() {
                *secret = None;
                read_secret(&format!("broker.nats.{key}"), secret, file)?;
            }
        }
        Ok(())
    }
}

fn read_secret(key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), ConfigError> {
    let Some(path) = file else { return Ok(()) };
    if secret.is_some() {
        let field = key.rsplit('.').next().unwrap_or(key);
        let problem = format!("`{field}` and `{field}_file` are both set; keep one");
        return Err(ConfigError::Invalid { key: key.into(), problem });
    }
    let text = read_text(path).map_err(|error| ConfigError::Invalid {
        key: format!("{key}_file"),
        problem: format!("cannot read {}: {error}", located(path)),
    })?;
    *secret = Some(Secret::from(text.trim_end().to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_secret() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "\u{feff}s3cret\r\n").expect("written");
        let mut config = Config::default();
        config.broker.nats.token_file = Some(file.path().into());
        read_secrets(&mut config).expect("a readable file");
        assert_eq!(config.broker.nats.token.expect("set").reveal(), "s3cret");
    }
}

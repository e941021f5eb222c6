//! Settings of the listeners' edge: TLS, and the origins of pages that may
//! connect.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        error::ConfigError,
        units::{Secret, Span},
    },
    origin::Origins,
};

/// TLS of a listener. Off unless `cert_file` is set. Changed files are used
/// without a restart; open connections stay open.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file with the certificate, followed by its chain.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    pub key_file: Option<PathBuf>,
    /// PEM file with the authorities of clients' certificates (mTLS). The
    /// clients' listener then refuses clients without such a certificate; the
    /// internal listener answers only the probes to them.
    pub client_ca_file: Option<PathBuf>,
    /// Interval at which the files are checked for changes. Invalid files
    /// change nothing.
    pub reload: Span,
}

impl Default for ServerTls {
    fn default() -> Self {
        Self { cert_file: None, key_file: None, client_ca_file: None, reload: Span::seconds(5) }
    }
}

impl ServerTls {
    /// Whether the listener speaks TLS.
    fn is_on(&self) -> bool {
        self.cert_file.is_some()
    }

    fn check(&self, key: &str) -> Result<(), ConfigError> {
        if self.cert_file.is_some() != self.key_file.is_some() {
            return refuse(key, "`cert_file` and `key_file` go together; set both or neither");
        }
        if self.client_ca_file.is_some() && !self.is_on() {
            return refuse(
                key,
                "`client_ca_file` asks clients for certificates, which takes `cert_file` and `key_file`",
            );
        }
        if self.reload.is_zero() {
            return refuse(&format!("{key}.reload"), "is zero; it must be more");
        }
        Ok(())
    }
}

/// Checks the allowed origins; `cookie` is the name of a cookie that holds
/// tokens.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check_origins(allowed: &[String], cookie: Option<&str>) -> Result<(), ConfigError> {
    let origins = match Origins::parse(allowed.iter().map(String::as_str)) {
        Ok(origins) => origins,
        Err((entry, problem)) => return refuse("server.allowed_origins", format!("`{entry}` {problem}")),
    };
    let Some(name) = cookie else { return Ok(()) };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)) {
        return refuse("auth.cookie", format!("`{name}` is no name of a cookie (RFC 6265 4.1.1)"));
    }
    if origins.is_empty() || origins.is_open() {
        return refuse(
            "auth.cookie",
            "browsers send cookies for pages of any site, so name those that may use them in server.allowed_origins, \
             without `*` and `null`",
        );
    }
    Ok(())
}

/// Checks the protection of the two listeners.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check_listeners(
    tls: &ServerTls,
    hsts: Option<Span>,
    internal_tls: &ServerTls,
    internal_token: Option<&Secret>,
) -> Result<(), ConfigError> {
    tls.check("server.tls")?;
    internal_tls.check("server.internal_tls")?;
    if hsts.is_some() && !tls.is_on() {
        return refuse("server.hsts", "is told over TLS alone; set [server.tls], or let the proxy in front tell it");
    }
    if internal_token.is_some_and(|token| token.reveal().len() < TOKEN_BYTES) {
        return refuse("server.internal_token", format!("is shorter than {TOKEN_BYTES} characters; make a longer one"));
    }
    Ok(())
}

/// Checks the names of the internal listener.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check_hosts(hosts: &[String]) -> Result<(), ConfigError> {
    let is_name = |host: &str| {
        let name = host.strip_prefix("*.").unwrap_or(host);
        name.split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)))
    };
    match hosts.iter().find(|host| !is_name(host)) {
        None => Ok(()),
        Some(host) => refuse(
            "server.internal_hosts",
            format!("`{host}` is no name of a host; write it without scheme and port, as \"notifier-internal\""),
        ),
    }
}

/// Checks the path below which everything is served.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check_path_prefix(prefix: &str) -> Result<(), ConfigError> {
    // Others a browser writes as escapes, or takes out of the path.
    let is_part = |part: &str| {
        !["", ".", ".."].contains(&part) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    };
    if prefix.is_empty() || prefix.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_part)) {
        return Ok(());
    }
    let problem = format!(
        "`{prefix}` is no path to put in front; write it as \"/notifier\" or \"/live/notifier\", of letters, digits, \
         `-`, `.`, `_` and `~`, without a slash at the end; leave it out for none"
    );
    refuse("server.path_prefix", problem)
}

/// Shortest token of the internal listener, characters: 16 random ones in hex
/// are 64 bits, which nobody guesses over a network.
const TOKEN_BYTES: usize = 16;

fn refuse<T>(key: &str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key: key.into(), problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_prefix_is_taken_as_browsers_write_it_or_refused_with_the_remedy() {
        for prefix in ["", "/notifier", "/live/notifier", "/a.b/_c~d-1", "/..."] {
            assert!(check_path_prefix(prefix).is_ok(), "{prefix}");
        }
        for prefix in
            ["/", "notifier", "/notifier/", "//notifier", "/a//b", "/a/../b", "/.", "/a b", "/a%20", "/\u{fc}", "/a?b"]
        {
            let said = check_path_prefix(prefix).expect_err(prefix).to_string();
            assert!(said.starts_with("server.path_prefix") && said.contains("/live/notifier"), "{said}");
        }
    }
}

//! The address of a node, as people write it.

use std::net::SocketAddr;

use hyper::Uri;

use crate::{client::error::ClientError, dial::resolve_host};

/// The paths behind that of a node's address, one of which may be written too.
const ENDPOINTS: [&str; 2] = ["/v1/ws", "/v1/events"];

/// Where a node may be, and how it is asked for.
#[derive(Debug)]
pub(crate) struct NodeAddress {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) authority: String,
    /// Whether it speaks TLS.
    pub(crate) secure: bool,
    /// That of its `server.path_prefix`.
    prefix: String,
}

impl NodeAddress {
    /// Resolves an address: ws, wss, http or https.
    ///
    /// # Errors
    /// When it is none, or its host is not known.
    pub(crate) async fn resolve(url: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (authority, secure) = match (uri.scheme_str(), uri.authority()) {
            (Some("ws" | "http") | None, Some(authority)) => (authority, false),
            (Some("wss" | "https"), Some(authority)) => (authority, true),
            _ => return Err(wrong()),
        };
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let addresses =
            resolve_host(&host, port).await.map_err(|source| ClientError::Resolve { host: host.clone(), source })?;
        Ok(Self { addresses, authority: authority.to_string(), secure, prefix: prefix(uri.path()).to_owned() })
    }

    /// The path of an endpoint there.
    pub(crate) fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.prefix)
    }
}

/// The prefix of a node that is addressed with this path: with that of its
/// `server.path_prefix`, or with the whole of an endpoint.
fn prefix(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    ENDPOINTS.iter().find_map(|endpoint| path.strip_suffix(endpoint)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_addressed_with_its_prefix_or_with_the_path_of_an_endpoint() {
        for path in ["", "/", "/v1/ws", "/v1/ws/", "/v1/events"] {
            assert_eq!(prefix(path), "");
        }
        for path in ["/notifier", "/notifier/", "/notifier/v1/ws"] {
            assert_eq!(prefix(path), "/notifier");
        }
    }
}

//! The address of a NATS server: `nats://host:port`, `tls://host:port`, with
//! `user:password@` or `token@` in front of the host where it needs them.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::broker::nats::identity::NatsIdentity;

/// The port that clients of NATS use where none is given.
const PORT: u16 = 4222;

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The scheme asks for TLS.
    pub(crate) tls: bool,
    /// The node's identity at this server, where the address names one.
    pub(crate) identity: Option<NatsIdentity>,
}

impl Address {
    /// Parses an address; the scheme may be left out.
    ///
    /// # Errors
    /// The problem of the address, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
        let url = Url::parse(&whole).map_err(|error| error.to_string())?;
        let tls = match url.scheme() {
            "nats" => false,
            "tls" => true,
            scheme => return Err(format!("the scheme `{scheme}` is neither `nats` nor `tls`")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let identity = match (url.username(), url.password()) {
            ("", None) => None,
            (token, None) => Some(NatsIdentity::Token(decoded(token))),
            (user, Some(password)) => Some(NatsIdentity::User { user: decoded(user), password: decoded(password) }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(PORT), tls, identity })
    }
}

impl PartialEq for Address {
    /// The same server, whoever we are to it.
    fn eq(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        let rows = [
            ("nats://a:1", "a:1", false),
            ("tls://a.example", "a.example:4222", true),
            ("10.0.0.1:4223", "10.0.0.1:4223", false),
            ("nats://[::1]:4222", "[::1]:4222", false),
        ];
        for (text, shown, tls) in rows {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.to_string(), address.tls), (shown.to_owned(), tls));
            assert!(address.identity.is_none());
        }
        let with = |text: &str| format!("{:?}", Address::parse(text).expect(text).identity.expect("an identity"));
        assert_eq!(with("nats://u:p%40@h"), r#"User { user: "u", password: "p@" }"#);
        assert_eq!(with("nats://t0k@h"), r#"Token("t0k")"#);
    }

    #[test]
    fn what_is_no_address_is_named() {
        for (text, part) in [("nats://", "host"), ("ws://a:1", "neither `nats` nor `tls`"), ("nats://a:x", "port")] {
            let error = Address::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

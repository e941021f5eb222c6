//! The address of a NATS server, which may contain credentials.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A URL that may have `user:password@` or `token@` in front of the host. It
/// shows itself without: in logs, in errors, and in the output of `check`.
#[derive(Clone, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The whole text, for the connection.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for ServerUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ServerUrl {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By the text alone: a URL that does not parse may hold a password too.
        let (scheme, rest) = self.0.find("://").map_or(("", &*self.0), |at| self.0.split_at(at + 3));
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}<redacted>@{host}"),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for ServerUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Reads a list of them. The error of the library would show the text.
///
/// # Errors
/// When the value is not a list of URLs.
pub(crate) fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ServerUrl>, D::Error> {
    Vec::deserialize(from).map_err(|_| D::Error::custom("is no list of texts; write it as [\"nats://nats:4222\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_never_shown() {
        for (text, shown) in [
            ("nats://a:4222", "nats://a:4222"),
            ("a:4222", "a:4222"),
            ("nats://user:hunter2@a:4222", "nats://<redacted>@a:4222"),
            ("nats://hunter2@a", "nats://<redacted>@a"),
            ("user:hunter2@a:4222", "<redacted>@a:4222"),
            ("nats://user:hunter2@with@at:x", "nats://<redacted>@at:x"),
            ("nats://user:hunter2/?#@a", "nats://<redacted>@a"),
        ] {
            let url = ServerUrl::from(text);
            assert_eq!(url.reveal(), text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("\"{shown}\""));
            assert_eq!(serde_json::to_string(&url).expect("a string"), format!("\"{shown}\""));
        }
    }
}

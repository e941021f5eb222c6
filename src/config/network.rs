//! Addresses in settings: where to listen, and proxies in front of a node, with
//! their networks, written as `10.0.0.0/8` or `192.0.2.7`, and the header in
//! which they name their client.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A network, or a single address.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Network(IpNet);

/// Reads an address to listen at: an IP address and a port.
///
/// # Errors
/// Says what to write instead. A name is refused, since it may have several
/// addresses.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let remedy = match text.rsplit_once(':') {
            Some(("", port)) => {
                format!("write 0.0.0.0:{port} for all of this machine's addresses, or 127.0.0.1:{port}")
            }
            Some(("localhost", port)) => format!("write 127.0.0.1:{port}"),
            _ => "write it as 0.0.0.0:8080 or [::]:8080".to_owned(),
        };
        format!("`{text}` is no IP address with a port; {remedy}")
    })
}

pub(crate) fn listens<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    listen_address(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// The headers in which proxies name their client.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// Addresses: each proxy appends the address of its client.
    #[default]
    XForwardedFor,
    /// The same with names, RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

impl Network {
    /// Whether the address is of this network. An IPv4 address is the same in
    /// its IPv6 form (`::ffff:192.0.2.7`).
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        parsed.map(|network| Self(network.trunc())).ok_or_else(|| {
            format!("`{text}` is no network; write it as \"10.0.0.0/8\" or \"2001:db8::/32\", or as one address")
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_knows_its_addresses() {
        let rows = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.1.2.3/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::/0", "192.0.2.7", false),
        ];
        for (network, address, expected) in rows {
            let network: Network = network.parse().expect(network);
            assert_eq!(network.contains(address.parse().expect(address)), expected, "{network} {address}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0", "localhost", "10.0.0.0/8,11.0.0.0/8"] {
            let error = wrong.parse::<Network>().expect_err(wrong);
            assert!(error.contains(wrong) && error.contains("write it as"), "{error}");
        }
    }
}
